"""The interrupt controllers of multiprocessor PCs: the local APIC and the I/O APIC, and the wires to both kinds."""

"""The PCI bus and the functions on it: host bridge, ISA bridge, IDE, power management, VGA."""

"""What APICs tell each other: the delivery modes of an interrupt message, and whom it is for.

::

    vector         16-255; 0-15 are illegal
    delivery mode  how it is delivered, three bits with the same meaning in the ICR, the LVT and a redirection entry
    trigger mode   edge (False) or level (True); a level-triggered interrupt is told back to the I/O APIC at its EOI
    destination    an APIC ID (physical), or a set of processors that each compares with its LDR and DFR (logical)

Source: Intel SDM Vol. 3A, "Interrupt Command Register (ICR)" and "Determining IPI Destination"; Intel 82093AA data
sheet, "IOREDTBL[23:0] - I/O Redirection Table Registers".
"""

from __future__ import annotations

from collections.abc import Callable

FIXED, LOWEST_PRIORITY, SMI, _RESERVED, NMI, INIT, STARTUP, EXTINT = range(8)

BROADCAST = 0xFF
"""The destination that is everybody, physical or logical."""
LOWEST_LEGAL_VECTOR = 16
FLAT_MODEL = 0xF
"""The model field of the DFR, bits 31-28; any other value is taken for the cluster model, 0."""

Deliver = Callable[[int, int, bool, int, bool], bool]
"""`deliver(vector, delivery_mode, level_triggered, destination, logical)` is whether a local APIC has accepted it."""


def is_addressed(destination: int, *, logical: bool, apic_id: int, logical_id: int, model: int) -> bool:
    """Whether the APIC with this ID, LDR byte and DFR model is meant by `destination`.

    In the flat model both are sets of up to eight processors; in the cluster model the upper four bits are the number
    of a cluster (15: all of them) and the lower four a set of its members:

    >>> is_addressed(0b0110, logical=True, apic_id=0, logical_id=0b0100, model=FLAT_MODEL)
    True
    >>> is_addressed(0x22, logical=True, apic_id=0, logical_id=0x12, model=0)
    False
    """
    if destination == BROADCAST:
        return True
    if not logical:
        return destination == apic_id
    if model == FLAT_MODEL:
        return destination & logical_id != 0
    cluster = destination >> 4
    return cluster in (logical_id >> 4, 0xF) and destination & logical_id & 0xF != 0

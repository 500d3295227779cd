"""The local APIC's registers: where they are, what can be written, what they are after reset.

Registers are numbered by their address divided by 16, as `lapic` and the x2APIC's MSRs number them.

Source: Intel SDM Vol. 3A, "The Local APIC Block Diagram" (table "Local APIC Register Address Map"), "Local Vector
Table" and "Local APIC State After Power-Up or Reset".
"""

from __future__ import annotations

from hillemu.emu.devices.apic.apic_message import EXTINT, NMI
from hillemu.emu.word import Bit, Bits, Word

ID, VERSION = 0x02, 0x03
TPR, APR, PPR, EOI, RRD, LDR, DFR, SVR = range(0x08, 0x10)
ISR, TMR, IRR, ESR = 0x10, 0x18, 0x20, 0x28
ICR_LOW, ICR_HIGH = 0x30, 0x31
LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR = range(0x32, 0x38)
INITIAL_COUNT, CURRENT_COUNT, DIVIDE = 0x38, 0x39, 0x3E

LVTS = (LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR)


class Version(Word):
    """Local APIC version register."""

    suppresses_eoi_broadcast = Bit(24)
    highest_lvt = Bits(23, 16)
    version = Bits(7, 0)


class LvtEntry(Word):
    """An entry of the local vector table; not every entry has every field."""

    periodic = Bit(17)
    masked = Bit(16)
    level = Bit(15)
    remote_irr = Bit(14)
    active_low = Bit(13)
    delivery_status = Bit(12)
    mode = Bits(10, 8)
    vector = Bits(7, 0)


class Icr(Word):
    """The low half of the interrupt command register."""

    shorthand = Bits(19, 18)
    level = Bit(15)
    assert_ = Bit(14)
    delivery_status = Bit(12)
    logical = Bit(11)
    mode = Bits(10, 8)
    vector = Bits(7, 0)


NO_SHORTHAND, SELF, ALL, ALL_BUT_SELF = range(4)

SOFTWARE_ENABLE = 1 << 8
"""In the SVR."""
# In LVT entries, for masking and comparing.
TSC_DEADLINE = 1 << 18  # reserved here
PERIODIC = LvtEntry.periodic.mask
MASKED = LvtEntry.masked.mask
LEVEL = LvtEntry.level.mask
REMOTE_IRR = LvtEntry.remote_irr.mask
ACTIVE_LOW = LvtEntry.active_low.mask
MODE = LvtEntry.mode.mask

# ESR
SEND_ILLEGAL_VECTOR, RECEIVE_ILLEGAL_VECTOR, ILLEGAL_REGISTER = (1 << n for n in (5, 6, 7))

# IA32_APIC_BASE
BASE_BSP, BASE_X2APIC, BASE_ENABLE = (1 << n for n in (8, 10, 11))
BASE_RESERVED = 0x2FF
"""Reserved bits below the address."""
BASE_AFTER_RESET = 0xFEE00000 | BASE_ENABLE | BASE_BSP
WINDOW_BYTES = 0x1000

_PIN = 0x1A7FF
"""What software can write in the LVT entries of the pins."""
WRITABLE = {
    ID: 0xFF000000,
    LDR: 0xFF000000,
    DFR: 0xF0000000,
    SVR: 0x1FF,
    ICR_LOW: 0xCCFFF,
    ICR_HIGH: 0xFF000000,
    LVT_TIMER: 0x300FF,
    LVT_THERMAL: 0x107FF,
    LVT_PERFORMANCE: 0x107FF,
    LVT_LINT0: _PIN,
    LVT_LINT1: _PIN,
    LVT_ERROR: 0x100FF,
    INITIAL_COUNT: 0xFFFFFFFF,
    DIVIDE: 0xB,
}
"""The writable bits of each register that keeps what is written."""

AFTER_RESET = {
    VERSION: Version.of(version=0x14, highest_lvt=len(LVTS) - 1),
    TPR: 0,
    # Arbitration and remote read: "not supported in the Pentium 4", whose APIC this is; no error either.
    APR: 0,
    EOI: 0,
    RRD: 0,
    LDR: 0,
    DFR: 0xFFFFFFFF,
    SVR: 0xFF,
    ESR: 0,
    ICR_LOW: 0,
    ICR_HIGH: 0,
    INITIAL_COUNT: 0,
    DIVIDE: 0,
    **dict.fromkeys(LVTS, MASKED),
}
"""The registers that read as they stand, after power-up, reset or INIT.  The ID survives an INIT."""

DIVISORS = {0: 2, 1: 4, 2: 8, 3: 16, 8: 32, 9: 64, 10: 128, 11: 1}
"""By the divide configuration register."""

VIRTUAL_WIRE = (
    (SVR, SOFTWARE_ENABLE | 0xFF),
    (LVT_LINT0, LEVEL | EXTINT << 8),
    (LVT_LINT1, LEVEL | NMI << 8),
)
"""What firmware writes (SeaBIOS 1.16: smp.c), so that 8259A interrupts pass through.

Source: Intel MultiProcessor Specification 1.4, "Virtual Wire Mode".
"""

"""The ROM that machines have: interrupt handlers for real mode, and the vectors that point to them.

::

    0xFE2C3   INT 02h, NMI: nothing pulls it           0xFE6F2 and on   services: INT 10h to 1Ah
    0xFE987   INT 09h, keyboard: acknowledge           0xFFEA5          INT 08h, timer: count ticks, acknowledge
    0xFEF57   other hardware interrupts: acknowledge   0xFFF53          IRET, for every other vector
                                                       0xFFFF0          where RESET starts: halts

Every handler stands at the address that it has in IBM's ROM and its clones, for programs that know it.  The host starts
images, so nothing comes by RESET.  The source is boot/asm/bios.s.

INT 11h (equipment) and INT 12h (memory size) answer from the BIOS data area.
Not modelled: the other services.  A guest that calls one is told so by the carry flag, the user by `report`.

Source: IBM Personal Computer AT Technical Reference, "ROM BIOS" (listing), whose addresses clones keep.
"""

from __future__ import annotations

import struct

from hillemu.boot.shipped import shipped_image
from hillemu.emu.guest import Guest
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.reports import Report

IMAGE = "bios.bin"
SEGMENT, OFFSET = 0xF000, 0xE000
BASE = PhysAddr((SEGMENT << 4) + OFFSET)
TELL_PORT = 0xB1

NMI, TIMER, KEYBOARD, MASTER_IRQ, SLAVE_IRQ, NOTHING = 0xE2C3, 0xFEA5, 0xE987, 0xEF57, 0xEF5E, 0xFF53
"""Offsets of the handlers in `SEGMENT`; a test compares them with the source's labels."""

ANSWERED = {0x11: 0xF84D, 0x12: 0xF841}
"""Services that the ROM carries out itself, by vector: the offset in `SEGMENT`."""

SERVICES = {
    0x10: (0xF065, "video"),
    0x13: (0xEC59, "disk"),
    0x14: (0xE739, "serial port"),
    0x15: (0xF859, "system"),
    0x16: (0xE82E, "keyboard"),
    0x17: (0xEFD2, "printer"),
    0x18: (0xE6F8, "ROM BASIC"),
    0x19: (0xE6F2, "bootstrap"),
    0x1A: (0xFE6E, "time of day"),
}
"""Services that are only told, by vector: the offset in `SEGMENT`, and what it is for."""

_SERVICE_AT = {offset: (vector, name) for vector, (offset, name) in SERVICES.items()}
_HANDLERS = {0x02: NMI, 0x08: TIMER, 0x09: KEYBOARD, **ANSWERED}


def handler_of(vector: int) -> int:
    """Offset in `SEGMENT` of what interrupt `vector` (0-255) enters."""
    if vector in _HANDLERS:
        return _HANDLERS[vector]
    if vector in SERVICES:
        return SERVICES[vector][0]
    if 0x0A <= vector <= 0x0F:
        return MASTER_IRQ
    if 0x70 <= vector <= 0x77:
        return SLAVE_IRQ
    return NOTHING


def interrupt_vectors() -> bytes:
    """The real-mode interrupt vector table: 256 far pointers, offset first."""
    return b"".join(struct.pack("<HH", handler_of(vector), SEGMENT) for vector in range(256))


def install_rom(guest: Guest) -> None:
    """Write the ROM and the interrupt vector table that points into it."""
    guest.memory.write(BASE, shipped_image(IMAGE))
    guest.memory.write(PhysAddr(0), interrupt_vectors())


def tell_of_services(guest: Guest, report: Report) -> None:
    """Have `report` hear of every service that the guest calls.  Once a machine: this takes `TELL_PORT`."""

    def called(caller: Guest, value: int) -> None:
        service = _SERVICE_AT.get(caller.registers.get("eip"))
        if caller.registers.get("cs") != SEGMENT or service is None:
            return  # a program's own use of the port
        vector, name = service
        ax = caller.registers.get("eax") & 0xFFFF
        report(
            f"the guest called the BIOS: INT {vector:02X}h ({name}) with AX={ax:04X}h; "
            "this service is not modelled, the call fails"
        )

    guest.on_trap(TELL_PORT, called)

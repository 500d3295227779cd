"""The ROM that machines have: interrupt handlers for real mode, and the vectors that point to them.

::

    0xFF000   INT 10h ... 1Ah, eight bytes each: tell the host, return with the carry flag set
              INT 08h timer, 09h keyboard, the other hardware interrupts: acknowledge
    0xFFF53   IRET, for every other vector
    0xFFFF0   where RESET starts: halts, because the host starts images

The source is boot/asm/bios.s.

Not modelled: the services themselves.  A guest that calls one is told so by the carry flag, the user by `report`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from hillemu.boot.shipped import shipped_image
from hillemu.emu.guest import Guest
from hillemu.emu.i386.address import PhysAddr

IMAGE = "bios.bin"
SEGMENT, OFFSET = 0xF000, 0xF000
BASE = PhysAddr((SEGMENT << 4) + OFFSET)
TELL_PORT = 0xB1
FIRST_SERVICE, LAST_SERVICE, SERVICE_BYTES = 0x10, 0x1A, 8

TIMER, KEYBOARD, SLAVE_IRQ, MASTER_IRQ, NOTHING = 0xF058, 0xF084, 0xF08D, 0xF094, 0xFF53
"""Offsets of the handlers in `SEGMENT`; a test compares them with the source's labels."""

SERVICES = {
    0x10: "video",
    0x11: "equipment list",
    0x12: "memory size",
    0x13: "disk",
    0x14: "serial port",
    0x15: "system",
    0x16: "keyboard",
    0x17: "printer",
    0x18: "ROM BASIC",
    0x19: "bootstrap",
    0x1A: "time of day",
}


def handler_of(vector: int) -> int:
    """Offset in `SEGMENT` of what interrupt `vector` (0-255) enters."""
    if vector == 0x08:
        return TIMER
    if vector == 0x09:
        return KEYBOARD
    if 0x0A <= vector <= 0x0F:
        return MASTER_IRQ
    if 0x70 <= vector <= 0x77:
        return SLAVE_IRQ
    if FIRST_SERVICE <= vector <= LAST_SERVICE:
        return OFFSET + (vector - FIRST_SERVICE) * SERVICE_BYTES
    return NOTHING


def interrupt_vectors() -> bytes:
    """The real-mode interrupt vector table: 256 far pointers, offset first."""
    return b"".join(struct.pack("<HH", handler_of(vector), SEGMENT) for vector in range(256))


def install_rom(guest: Guest) -> None:
    """Write the ROM and the interrupt vector table that points into it."""
    guest.memory.write(BASE, shipped_image(IMAGE))
    guest.memory.write(PhysAddr(0), interrupt_vectors())


def tell_of_services(guest: Guest, report: Callable[[str], None]) -> None:
    """Have `report` hear of every service that the guest calls.  Once a machine: this takes `TELL_PORT`."""

    def called(caller: Guest, value: int) -> None:
        entry = caller.registers.get("eip") - OFFSET
        if caller.registers.get("cs") != SEGMENT or not 0 <= entry < len(SERVICES) * SERVICE_BYTES:
            return  # a program's own use of the port
        vector = FIRST_SERVICE + entry // SERVICE_BYTES
        ax = caller.registers.get("eax") & 0xFFFF
        name = SERVICES[vector]
        report(
            f"the guest called the BIOS: INT {vector:02X}h ({name}) with AX={ax:04X}h; BIOS services are not modelled"
        )

    guest.on_trap(TELL_PORT, called)

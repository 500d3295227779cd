"""The ROM that machines have: entries of the BIOS for real mode, and the vectors that point to them.

::

    0xFE05B   where a reset goes on                   0xFEF57          INT 0Eh, floppy; then IRQs without a driver
    0xFE2C3   INT 02h, NMI: nothing pulls it          0xFEFC7          floppy parameters, INT 1Eh
    0xFE3FE   INT 13h, disks                          0xFF065          INT 10h, video
    0xFE6F2   INT 19h, bootstrap                      0xFF0A4          video parameters, INT 1Dh
    0xFE6F5   system configuration, INT 15h AH=C0h    0xFF841, F84D    INT 12h, 11h: memory size, equipment
    0xFE739   INT 14h, serial ports                   0xFF859          INT 15h, system
    0xFE82E   INT 16h, keyboard                       0xFFA6E          8 x 8 font, first half
    0xFE987   INT 09h, keyboard's interrupt           0xFFE6E          INT 1Ah, time of day
    0xFEC59   INT 40h, floppies                       0xFFEA5          INT 08h, timer's interrupt
    0xFEFD2   INT 17h, printer                        0xFFF53          IRET, for every other vector

Everything stands at the address that it has in IBM's ROM and its clones, for programs that know it.  The source is
boot/asm/bios.s; the services themselves are carried out by the host (`dispatcher`), but for what programs ask in loops.
Power management and the PCI BIOS for protected mode need no host (boot/asm/bios_apm.inc, bios_pci32.inc); the BIOS32
service directory is at 0xFF120.

Not modelled: the table of drive types at 0xFE401 (disks have their own, in the extended BIOS data area), print screen.

Source: IBM Personal Computer AT Technical Reference, "ROM BIOS" (listing), whose addresses clones keep.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from hillemu.boot.shipped import shipped_image
from hillemu.emu.guest import Guest
from hillemu.emu.i386.address import PhysAddr

IMAGE = "bios.bin"
SEGMENT, OFFSET = 0xF000, 0xE000
BASE = PhysAddr((SEGMENT << 4) + OFFSET)
TELL_PORT = 0xB1

AT = {
    "host": 0xE000,
    "post": 0xE05B,
    "restarted": 0xE09F,
    "enter_protected": 0xE0CA,
    "mouse": 0xE0FB,
    "mouse_done": 0xE103,
    "mouse_packet": 0xE10E,
    "clock_chip": 0xE13B,
    "clock_done": 0xE13F,
    "clock_alarm": 0xE147,
    "redirected_irq": 0xE152,
    "coprocessor": 0xE15B,
    "disk_interrupt": 0xE16A,
    "nmi": 0xE2C3,
    "disk": 0xE3FE,
    "bootstrap": 0xE6F2,
    "configuration": 0xE6F5,
    "boot": 0xE6FF,
    "booted": 0xE714,
    "rom_basic": 0xE715,
    "rom_basic_told": 0xE718,
    "no_boot_device": 0xE719,
    "baud_rates": 0xE729,
    "serial_port": 0xE739,
    "key_input": 0xE82E,
    "key_service": 0xE831,
    "disk_service": 0xE83F,
    "keyboard": 0xE987,
    "keyboard_done": 0xE99C,
    "keyboard_break": 0xE9A2,
    "keyboard_print": 0xE9AA,
    "keyboard_system_make": 0xE9B2,
    "keyboard_system_break": 0xE9B7,
    "keyboard_pause": 0xE9C5,
    "keyboard_paused": 0xE9CC,
    "keyboard_paused_halted": 0xE9D0,
    "keyboard_resumed": 0xE9D5,
    "keyboard_reset": 0xE9D7,
    "floppy": 0xEC59,
    "apm32": 0xEC67,
    "apm16": 0xED00,
    "floppy_interrupt": 0xEF57,
    "master_irq": 0xEF6A,
    "slave_irq": 0xEF71,
    "floppy_parameters": 0xEFC7,
    "printer": 0xEFD2,
    "video": 0xF065,
    "video_parameters": 0xF0A4,
    "video_functions": 0xF0FC,
    "bios32": 0xF120,
    "pci_directory": 0xF130,
    "pci32": 0xF153,
    "memory_size": 0xF841,
    "equipment_list": 0xF84D,
    "system": 0xF859,
    "font": 0xFA6E,
    "time_of_day": 0xFE6E,
    "time_service": 0xFE7B,
    "timer": 0xFEA5,
    "nothing": 0xFF53,
    "print_screen": 0xFF54,
    "reset": 0xFFF0,
}
"""Offsets in `SEGMENT` by label of the source; a test compares them."""

_STUBS = {
    0x10: "video",
    0x13: "disk_service",
    0x14: "serial_port",
    0x15: "system",
    0x16: "key_service",
    0x17: "printer",
    0x1A: "time_service",
    0x40: "floppy",
}
_CALL_BYTES, _STUB_BYTES = 3, 14
"""Sizes of a call of the host, and of the macro `service`, which ends in another one."""

RESET = -1
"""What `SITES` has for a reset, which is no interrupt."""


class Site(NamedTuple):
    """A call of the host: the vector, whether the host asked to be called again, and where the stub goes on."""

    vector: int
    resumed: bool
    way_on: int


SITES = {
    **{AT[name] + _CALL_BYTES: Site(vector, False, AT[name] + _CALL_BYTES) for vector, name in _STUBS.items()},
    **{AT[name] + _STUB_BYTES: Site(vector, True, AT[name] + _CALL_BYTES) for vector, name in _STUBS.items()},
    AT["keyboard_done"]: Site(0x09, False, AT["keyboard_done"]),
    AT["keyboard_paused"]: Site(0x09, True, AT["keyboard_paused"]),
    AT["rom_basic_told"]: Site(0x18, False, AT["rom_basic_told"]),
    AT["booted"]: Site(0x19, False, AT["booted"]),
    AT["clock_done"]: Site(0x70, False, AT["clock_done"]),
    AT["mouse_done"]: Site(0x74, False, AT["mouse_done"]),
    AT["restarted"]: Site(RESET, False, AT["restarted"]),
}
"""By where the call returns to."""

_HANDLERS = {
    0x02: "nmi",
    0x05: "print_screen",
    0x08: "timer",
    0x09: "keyboard",
    **dict.fromkeys(range(0x0A, 0x10), "master_irq"),
    0x0E: "floppy_interrupt",
    0x10: "video",
    0x11: "equipment_list",
    0x12: "memory_size",
    0x13: "disk",
    0x14: "serial_port",
    0x15: "system",
    0x16: "key_input",
    0x17: "printer",
    0x18: "rom_basic",
    0x19: "bootstrap",
    0x1A: "time_of_day",
    0x1D: "video_parameters",
    0x1E: "floppy_parameters",
    0x40: "floppy",
    **dict.fromkeys(range(0x70, 0x78), "slave_irq"),
    0x70: "clock_chip",
    0x71: "redirected_irq",
    0x74: "mouse",
    0x75: "coprocessor",
    0x76: "disk_interrupt",
}
_FOR_PROGRAMS = range(0x60, 0x68)
"""Vectors that the BIOS leaves empty: programs look there for a free one."""


def handler_of(vector: int) -> int:
    """Offset in `SEGMENT` of what interrupt `vector` (0-255, none of `_FOR_PROGRAMS`) enters."""
    return AT[_HANDLERS.get(vector, "nothing")]


def interrupt_vectors() -> bytes:
    """The real-mode interrupt vector table: 256 far pointers, offset first."""
    return b"".join(
        bytes(4) if vector in _FOR_PROGRAMS else struct.pack("<HH", handler_of(vector), SEGMENT)
        for vector in range(256)
    )


def install_rom(guest: Guest) -> None:
    """Write the ROM and the interrupt vector table that points into it."""
    guest.memory.write(BASE, shipped_image(IMAGE))
    guest.memory.write(PhysAddr(0), interrupt_vectors())

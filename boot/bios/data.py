"""The BIOS data area at 0x400 and the extended one behind it, as firmware leaves them before it starts anything.

Kernels read it without calling any BIOS service: the screen's CRTC port (0x463), the EBDA's segment (0x40E), where they
then search for tables, the serial ports (0x400), the memory below 1 MiB (0x413).  What there is of drives is filled in
by `disk_tables`.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "BIOS Data Area" and "Extended BIOS Data Area".
"""

from __future__ import annotations

import struct

from hillemu.boot.bios.bda import TICKS
from hillemu.boot.memory_map import EBDA_BASE
from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr

BDA = PhysAddr(0x400)
BDA_BYTES = 0x100
EBDA = PhysAddr(EBDA_BASE)
EBDA_KIB = 1

_FPU, _PS2_MOUSE, _COLOUR_80_COLUMNS, _TWO_SERIAL_PORTS = 0x0002, 0x0004, 0x0020, 0x0400

FIELDS: tuple[tuple[int, str, int], ...] = (
    (0x400, "H", 0x3F8),  # COM1
    (0x402, "H", 0x2F8),  # COM2
    (0x40E, "H", EBDA >> 4),  # segment of the EBDA
    (0x410, "H", _FPU | _PS2_MOUSE | _COLOUR_80_COLUMNS | _TWO_SERIAL_PORTS),  # equipment, as INT 11h tells it
    (0x413, "H", EBDA >> 10),  # KiB of memory below the EBDA, as INT 12h tells it
    (0x41A, "H", 0x1E),  # keyboard buffer: head, as an offset from 0x400
    (0x41C, "H", 0x1E),  # and tail: empty
    (0x449, "B", 3),  # video mode
    (0x44A, "H", 80),  # columns
    (0x44C, "H", 0x1000),  # bytes of a text page
    (0x460, "H", 0x0607),  # cursor: last and first scan line
    (0x463, "H", 0x3D4),  # port of the CRTC's index
    (0x465, "B", 0x29),  # mode select
    (0x466, "B", 0x30),  # palette
    (0x478, "I", 0x14141414),  # patience with printers
    (0x47C, "I", 0x0A0A0A0A),  # and serial ports
    (0x480, "H", 0x1E),  # keyboard buffer: start
    (0x482, "H", 0x3E),  # and end
    (0x484, "B", 24),  # rows, less one
    (0x485, "H", 16),  # scan lines of a character
    (0x487, "B", 0x60),  # video: 256 KiB
    (0x488, "B", 0xF9),  # feature bits
    (0x489, "B", 0x51),  # VGA active, 400 scan lines
    (0x48A, "B", 0x08),  # a VGA with a colour monitor
    (0x496, "B", 0x10),  # a keyboard with 101 keys
)
"""Rows (address, `struct` format, value); all else is zero."""


def write_bios_data(memory: GuestMemory, *, ticks: int = 0) -> None:
    """Write both areas; `ticks` is the time of day (`clock_chip.ticks_since_midnight`)."""
    area = bytearray(BDA_BYTES)
    for address, kind, value in FIELDS:
        struct.pack_into("<" + kind, area, address - BDA, value)
    struct.pack_into("<I", area, TICKS - BDA, ticks)
    memory.write(BDA, area)
    memory.write(EBDA, bytes([EBDA_KIB]) + bytes(EBDA_KIB * 1024 - 1))

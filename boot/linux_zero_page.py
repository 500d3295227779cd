"""The zero page (struct boot_params): what Linux's setup code would have asked the BIOS, told by the loader.

::

    0x000  screen_info: cursor, mode, columns, rows; or the linear framebuffer
    0x1E0  alt_mem_k                 memory above 1 MiB, KiB
    0x1E8  e820_entries              and the memory map itself from 0x2D0, 20 bytes an entry
    0x1F1  the setup header, as the image has it, with the loader's fields

Not modelled: APM, EDD (disk parameters), EDID and SpeedStep information, which stay zero; a memory map of more than 128
entries, which this machine never has.  Kernels look for the RSDP themselves where acpi_rsdp_addr is zero.

Source: Linux Documentation/arch/x86/boot.rst, "32-bit Boot Protocol"; Documentation/arch/x86/zero-page.rst;
include/uapi/linux/screen_info.h for the layout of screen_info.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hillemu.boot.linux_header import HEADER_OFFSET, Header
from hillemu.boot.memory_map import MapEntry, upper_kib
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr

if TYPE_CHECKING:
    from hillemu.boot.image import Image
    from hillemu.boot.video_mode import Framebuffer
    from hillemu.emu.guest import GuestMemory

_ALT_MEM_K, _E820_ENTRIES, _E820_TABLE, _MOST_E820_ENTRIES = 0x1E0, 0x1E8, 0x2D0, 128
_MOST_EXT_MEM_K = 63 << 10
"""INT 15h AH=88h has 16 bits for its answer; firmware says at most 63 MiB."""

_CURSOR, _MODE, _COLUMNS, _ROWS, _POINTS = PhysAddr(0x450), 0x449, 0x44A, 0x484, 0x485
"""Where the BIOS data area keeps these."""
_BDA_VIDEO = PhysAddr(0x449)
_BDA_VIDEO_BYTES = 0x487 - 0x449

_EGA_BX = 3
"""What INT 10h AH=12h BL=10h says: colour, 256 KiB."""
_VGA_TEXT, _LINEAR_FRAMEBUFFER = 1, 0x23
"""orig_video_isVGA."""
_PALETTE_BITS = 6

VESA_MODES = {
    0x300: (640, 400, 8), 0x301: (640, 480, 8), 0x303: (800, 600, 8), 0x305: (1024, 768, 8), 0x307: (1280, 1024, 8),
    0x310: (640, 480, 15), 0x311: (640, 480, 16), 0x312: (640, 480, 24),
    0x313: (800, 600, 15), 0x314: (800, 600, 16), 0x315: (800, 600, 24),
    0x316: (1024, 768, 15), 0x317: (1024, 768, 16), 0x318: (1024, 768, 24),
    0x319: (1280, 1024, 15), 0x31A: (1280, 1024, 16), 0x31B: (1280, 1024, 24),
}  # fmt: skip
"""Width, height and depth of the graphics modes that ``vga=`` can name: VESA's numbers, plus 0x200."""


def build_zero_page(
    image: Image, header: Header, memory: GuestMemory, entries: tuple[MapEntry, ...], framebuffer: Framebuffer | None
) -> bytearray:
    """Return the page for `image`, without the loader's fields of the setup header."""
    page = bytearray(PAGE_SIZE)
    screen = _graphics_screen(framebuffer) if framebuffer else _text_screen(memory)
    page[: len(screen)] = screen
    struct.pack_into("<H", page, 0x02, min(upper_kib(entries), _MOST_EXT_MEM_K))
    struct.pack_into("<I", page, _ALT_MEM_K, upper_kib(entries))
    assert len(entries) <= _MOST_E820_ENTRIES
    page[_E820_ENTRIES] = len(entries)
    for number, entry in enumerate(entries):
        struct.pack_into("<QQI", page, _E820_TABLE + 20 * number, entry.base, entry.size_bytes, entry.kind)
    page[HEADER_OFFSET : header.header_end] = image.data[HEADER_OFFSET : header.header_end]
    return page


def _text_screen(memory: GuestMemory) -> bytes:
    area = memory.read(_BDA_VIDEO, _BDA_VIDEO_BYTES)

    def byte(address: int) -> int:
        return area[address - _BDA_VIDEO]

    screen = bytearray(0x40)
    screen[0x00:0x02] = area[_CURSOR - _BDA_VIDEO :][:2]
    screen[0x06] = byte(_MODE)
    screen[0x07] = byte(_COLUMNS)
    struct.pack_into("<H", screen, 0x0A, _EGA_BX)
    screen[0x0E] = byte(_ROWS) + 1
    screen[0x0F] = _VGA_TEXT
    struct.pack_into("<H", screen, 0x10, byte(_POINTS))
    return bytes(screen)


def _graphics_screen(framebuffer: Framebuffer) -> bytes:
    screen = bytearray(0x40)
    screen[0x0F] = _LINEAR_FRAMEBUFFER
    size_bytes = framebuffer.pitch_bytes * framebuffer.height
    colours = (framebuffer.red, framebuffer.green, framebuffer.blue)
    if framebuffer.palette:
        colours = ((0, _PALETTE_BITS),) * 3
    struct.pack_into(
        "<3HII",
        *(screen, 0x12, framebuffer.width, framebuffer.height, framebuffer.depth),
        *(framebuffer.address, size_bytes + 0xFFFF >> 16),
    )
    struct.pack_into("<H", screen, 0x24, framebuffer.pitch_bytes)
    for number, (position, size) in enumerate(colours):
        screen[0x26 + 2 * number] = size
        screen[0x27 + 2 * number] = position
    return bytes(screen)

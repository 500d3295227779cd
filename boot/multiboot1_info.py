"""The Multiboot 1 information structure, and all that it points to, as one block of bytes.

::

      0  flags          20  mods_count      44  mmap_length         88  framebuffer_addr (64 bits)
      4  mem_lower      24  mods_addr       48  mmap_addr           96  framebuffer_pitch
      8  mem_upper      28  num    \\        52  drives_length      100  framebuffer_width
     12  boot_device    32  size    | ELF   56  drives_addr        104  framebuffer_height
     16  cmdline        36  addr    |       60  config_table       108  framebuffer_bpp, _type (bytes)
                        40  shndx  /        64  boot_loader_name   110  color_info
     68  apm_table        72  vbe_control_info, vbe_mode_info, then 16 bits each: vbe_mode, _interface_seg, _off, _len

Not modelled: a.out symbols, drives, the ROM configuration table and APM; their flags stay clear, which is how the
specification tells the kernel.

Source: Multiboot Specification 0.6.96, "Boot information format".
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from hillemu.boot.flat_entry import GDT
from hillemu.boot.memory_map import MapEntry, lower_kib, upper_kib
from hillemu.boot.multiboot_start import Block
from hillemu.boot.video_mode import Framebuffer
from hillemu.emu.word import Bit, Word

BOOT_LOADER_NAME = b"hillemu"
BOOT_DEVICE = 0x8000FFFF
"""The first hard disk, its first partition: what QEMU says for a kernel that came from no disk."""
INFO_BYTES = 116
MODULE_ENTRY_BYTES = 16

_INDEXED, _RGB, _EGA_TEXT = 0, 1, 2
"""framebuffer_type."""


class InfoFlags(Word):
    """Which fields of the structure are valid."""

    framebuffer = Bit(12)
    vbe = Bit(11)
    apm_table = Bit(10)
    boot_loader_name = Bit(9)
    config_table = Bit(8)
    drives = Bit(7)
    memory_map = Bit(6)
    elf_sections = Bit(5)
    aout_symbols = Bit(4)
    modules = Bit(3)
    cmdline = Bit(2)
    boot_device = Bit(1)
    memory = Bit(0)


class ModuleFacts(NamedTuple):
    """A module's place, first byte up to, not including, `end`, and its string."""

    start: int
    end: int
    string: bytes


class SectionFacts(NamedTuple):
    """The ELF section header table, with the addresses where the loader put the sections."""

    table: bytes
    entries: int
    entry_bytes: int
    names_index: int


class Facts(NamedTuple):
    """All that the kernel is told."""

    cmdline: bytes
    memory_map: tuple[MapEntry, ...]
    modules: tuple[ModuleFacts, ...] = ()
    sections: SectionFacts | None = None
    text_screen: bool = False
    """Whether to describe the screen: only to a kernel that asked."""
    framebuffer: Framebuffer | None = None
    """What is on the screen, if it is not text."""


def build_block(base: int, facts: Facts) -> Block:
    """Return the block for address `base`, a multiple of 16.

    Its size depends neither on `base` nor on the addresses in `facts`, so it may be asked for with guesses first.
    """
    block = bytearray(GDT)

    def add(data: bytes, align: int = 4) -> int:
        block.extend(bytes(-len(block) % align))
        block.extend(data)
        return base + len(block) - len(data)

    def add_string(text: bytes) -> int:
        return add(text + b"\0", align=1)

    info_address = add(bytes(INFO_BYTES))
    memory_map = b"".join(
        struct.pack("<IQQI", 20, entry.base, entry.size_bytes, entry.kind) for entry in facts.memory_map
    )
    map_address = add(memory_map)
    module_table = add(bytes(MODULE_ENTRY_BYTES * len(facts.modules)))
    section_table = add(facts.sections.table) if facts.sections else 0
    cmdline = add_string(facts.cmdline)
    loader_name = add_string(BOOT_LOADER_NAME)
    for number, module in enumerate(facts.modules):
        entry = struct.pack("<4I", module.start, module.end, add_string(module.string), 0)
        at = module_table - base + number * MODULE_ENTRY_BYTES
        block[at : at + MODULE_ENTRY_BYTES] = entry

    screen = facts.framebuffer
    vbe = screen.vbe if screen else None
    vbe_fields = bytes(16)
    if vbe:
        tables = (add(vbe.controller_info), add(vbe.mode_info))
        vbe_fields = struct.pack("<II4H", *tables, vbe.mode, *vbe.protected_mode)
    palette_address = add(screen.palette) if screen and screen.palette else 0

    sections = facts.sections
    flags = InfoFlags.of(
        memory=1,
        boot_device=1,
        cmdline=1,
        modules=1,
        elf_sections=sections is not None,
        memory_map=1,
        boot_loader_name=1,
        framebuffer=facts.text_screen,
        vbe=vbe is not None,
    )
    info = struct.pack(
        "<18I",
        *(flags, lower_kib(facts.memory_map), upper_kib(facts.memory_map), BOOT_DEVICE, cmdline),
        *(len(facts.modules), module_table),
        *((sections.entries, sections.entry_bytes, section_table, sections.names_index) if sections else (0, 0, 0, 0)),
        *(len(memory_map), map_address),
        *(0, 0, 0),
        *(loader_name, 0),
    )
    info += vbe_fields
    if screen:
        info += _graphics_screen(screen, palette_address)
    elif facts.text_screen:
        info += _text_screen()
    at = info_address - base
    block[at : at + len(info)] = info
    return Block(bytes(block), info_address, base)


def _text_screen() -> bytes:
    address, pitch_bytes, columns, lines, bits_per_cell = 0xB8000, 160, 80, 25, 16
    return struct.pack("<QIIIBB6x", address, pitch_bytes, columns, lines, bits_per_cell, _EGA_TEXT)


def _graphics_screen(screen: Framebuffer, palette_address: int) -> bytes:
    form = _INDEXED if screen.palette else _RGB
    common = struct.pack("<QIIIBB", *screen[:5], form)
    if screen.palette:
        return common + struct.pack("<IH", palette_address, len(screen.palette) // 3)
    return common + bytes((*screen.red, *screen.green, *screen.blue))

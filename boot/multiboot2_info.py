"""The Multiboot 2 information structure: total size, then tags, each at a multiple of 8, up to one of type 0.

The tags come in GRUB's order.  Those of EFI (11, 12, 17-20), of a network boot (16) and of the disk that the kernel
came from (5) are never there: this machine has no EFI and no network card, and the host gave the kernel, not a disk.

Where the specification's text and its multiboot2.h differ, in the framebuffer tag (16 bits reserved; a palette's count
has 16 bits), the header file is right: it is what GRUB and kernels were compiled with.

Source: Multiboot2 Specification 2.0, "Boot information"; GRUB 2.06 for the order and for what is always there.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from hillemu.boot.firmware import ApmTable
from hillemu.boot.flat_entry import GDT
from hillemu.boot.found_tables import Rsdp, Smbios
from hillemu.boot.memory_map import MapEntry, lower_kib, upper_kib
from hillemu.boot.multiboot1_info import BOOT_LOADER_NAME, ModuleFacts, SectionFacts
from hillemu.boot.multiboot_start import Block
from hillemu.boot.video_mode import Framebuffer, VbeFacts

# Information tags.
END, CMDLINE, LOADER_NAME, MODULE, BASIC_MEMORY = range(5)
MEMORY_MAP, VBE, FRAMEBUFFER, ELF_SECTIONS, APM = range(6, 11)
SMBIOS, ACPI_OLD, ACPI_NEW, LOAD_BASE_ADDRESS = 13, 14, 15, 21

_ALIGN = 8
_MAP_ENTRY_BYTES, _MAP_ENTRY_VERSION = 24, 0
_INDEXED, _RGB, _EGA_TEXT = 0, 1, 2


class Facts(NamedTuple):
    """All that the kernel is told."""

    cmdline: bytes
    memory_map: tuple[MapEntry, ...]
    load_base: int = 0
    modules: tuple[ModuleFacts, ...] = ()
    sections: SectionFacts | None = None
    framebuffer: Framebuffer | None = None
    """What is on the screen, if it is not text."""
    apm: ApmTable | None = None
    rsdp: Rsdp | None = None
    smbios: Smbios | None = None


def build_block(base: int, facts: Facts) -> Block:
    """Return the block for address `base`, a multiple of 8.

    Its size depends neither on `base` nor on the addresses in `facts`, so it may be asked for with guesses first.
    """
    tags = bytearray(8)

    def add(kind: int, body: bytes) -> None:
        tags.extend(struct.pack("<II", kind, 8 + len(body)) + body)
        tags.extend(bytes(-len(tags) % _ALIGN))

    add(LOAD_BASE_ADDRESS, struct.pack("<I", facts.load_base))
    add(CMDLINE, facts.cmdline + b"\0")
    add(LOADER_NAME, BOOT_LOADER_NAME + b"\0")
    if facts.apm:
        add(APM, _apm(facts.apm))
    for module in facts.modules:
        add(MODULE, struct.pack("<II", module.start, module.end) + module.string + b"\0")
    add(MEMORY_MAP, _memory_map(facts.memory_map))
    if facts.sections:
        add(ELF_SECTIONS, _sections(facts.sections))
    add(BASIC_MEMORY, struct.pack("<II", lower_kib(facts.memory_map), upper_kib(facts.memory_map)))
    if facts.framebuffer:
        if facts.framebuffer.vbe:
            add(VBE, _vbe(facts.framebuffer.vbe))
        add(FRAMEBUFFER, _graphics_screen(facts.framebuffer))
    else:
        add(FRAMEBUFFER, _text_screen())
    if facts.smbios:
        add(SMBIOS, bytes((facts.smbios.major, facts.smbios.minor)) + bytes(6) + facts.smbios.tables)
    if facts.rsdp:
        add(ACPI_OLD, facts.rsdp.v1)
        if facts.rsdp.v2:
            add(ACPI_NEW, facts.rsdp.v2)
    add(END, b"")
    struct.pack_into("<I", tags, 0, len(tags))
    return Block(GDT + bytes(tags), base + len(GDT), base)


def _memory_map(entries: tuple[MapEntry, ...]) -> bytes:
    head = struct.pack("<II", _MAP_ENTRY_BYTES, _MAP_ENTRY_VERSION)
    return head + b"".join(struct.pack("<QQII", entry.base, entry.size_bytes, entry.kind, 0) for entry in entries)


def _sections(sections: SectionFacts) -> bytes:
    # As in multiboot2.h, whose three fields have 32 bits each; the specification's text says 16.
    return struct.pack("<III", sections.entries, sections.entry_bytes, sections.names_index) + sections.table


def _apm(apm: ApmTable) -> bytes:
    return struct.pack(
        "<HHIHHHHHH",
        *(apm.version, apm.code32_segment, apm.entry_offset, apm.code16_segment, apm.data_segment, apm.flags),
        *(apm.code32_bytes, apm.code16_bytes, apm.data_bytes),
    )


def _vbe(vbe: VbeFacts) -> bytes:
    return struct.pack("<4H", vbe.mode, *vbe.protected_mode) + vbe.controller_info + vbe.mode_info


def _text_screen() -> bytes:
    address, pitch_bytes, columns, lines, bits_per_cell = 0xB8000, 160, 80, 25, 16
    return struct.pack("<QIIIBBH", address, pitch_bytes, columns, lines, bits_per_cell, _EGA_TEXT, 0)


def _graphics_screen(screen: Framebuffer) -> bytes:
    common = struct.pack("<QIIIBBH", *screen[:5], _INDEXED if screen.palette else _RGB, 0)
    if screen.palette:
        return common + struct.pack("<H", len(screen.palette) // 3) + screen.palette
    return common + bytes((*screen.red, *screen.green, *screen.blue))

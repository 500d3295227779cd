"""Kernel images made by hand, field by field, so that a test can break any of them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

HEADER_BYTES, PROGRAM_HEADER_BYTES = 52, 32


LINUX_FIELDS = {
    "setup_sects": ("<B", 0x1F1), "syssize": ("<I", 0x1F4), "vid_mode": ("<H", 0x1FA), "kernel_version": ("<H", 0x20E),
    "type_of_loader": ("<B", 0x210), "loadflags": ("<B", 0x211), "setup_move_size": ("<H", 0x212),
    "code32_start": ("<I", 0x214), "ramdisk_image": ("<I", 0x218), "ramdisk_size": ("<I", 0x21C),
    "heap_end_ptr": ("<H", 0x224), "cmd_line_ptr": ("<I", 0x228), "initrd_addr_max": ("<I", 0x22C),
    "kernel_alignment": ("<I", 0x230), "relocatable_kernel": ("<B", 0x234), "min_alignment": ("<B", 0x235),
    "xloadflags": ("<H", 0x236), "cmdline_size": ("<I", 0x238), "payload_offset": ("<I", 0x248),
    "payload_length": ("<I", 0x24C), "pref_address": ("<Q", 0x258), "init_size": ("<I", 0x260),
}  # fmt: skip
"""Form and offset of each field of a Linux setup header.  Source: boot.rst, "The Real-Mode Kernel Header"."""


class Part(NamedTuple):
    """A segment of type PT_LOAD."""

    paddr: int
    data: bytes
    memory_bytes: int | None = None
    vaddr: int | None = None
    flags: int = 5
    file_bytes: int | None = None
    kind: int = 1


class Section(NamedTuple):
    """A section; its data goes to the end of the file."""

    kind: int
    data: bytes = b""
    flags: int = 0
    addr: int = 0
    align: int = 1


class Kernels:
    """Makes images."""

    LINUX_FIELDS = LINUX_FIELDS
    Part = Part
    Section = Section

    def header(self, flags: int = 0x3, *fields: int, checksum: int | None = None) -> bytes:
        """A Multiboot 1 header, right unless `checksum` is given."""
        if checksum is None:
            checksum = -(0x1BADB002 + flags) & 0xFFFFFFFF
        return struct.pack(f"<{3 + len(fields)}I", 0x1BADB002, flags, checksum, *fields)

    def elf(
        self,
        parts: Sequence[Part],
        entry: int | None = None,
        sections: Sequence[Section] = (),
        *,
        elf_class: int = 1,
        order: int = 1,
        file_type: int = 2,
        machine: int = 3,
        version: int = 1,
    ) -> bytes:
        """An ELF file whose segments lie in the file one behind the other, and the section headers last."""
        ident = b"\x7fELF" + bytes([elf_class, order, 1]) + bytes(9)
        at = HEADER_BYTES + PROGRAM_HEADER_BYTES * len(parts)
        table, body = b"", b""
        for part in parts:
            file_bytes = len(part.data) if part.file_bytes is None else part.file_bytes
            memory_bytes = len(part.data) if part.memory_bytes is None else part.memory_bytes
            vaddr = part.paddr if part.vaddr is None else part.vaddr
            where = at + len(body)
            table += struct.pack("<8I", part.kind, where, vaddr, part.paddr, file_bytes, memory_bytes, part.flags, 1)
            body += part.data
        section_table = b""
        for section in sections:
            size = len(section.data)
            where = at + len(body)
            fields = (0, section.kind, section.flags, section.addr, where, size, 0, 0, section.align, 0)
            section_table += struct.pack("<10I", *fields)
            body += section.data
        header = ident + struct.pack(
            "<HHIIIIIHHHHHH",
            *(file_type, machine, version, parts[0].paddr if entry is None and parts else entry or 0),
            *(HEADER_BYTES if parts else 0, at + len(body) if sections else 0, 0, HEADER_BYTES),
            *(PROGRAM_HEADER_BYTES, len(parts), 40, len(sections), len(sections) - 1 if sections else 0),
        )
        return header + table + body + section_table

    def small(self, code: bytes = b"\xfa\xf4", base: int = 0x100000, flags: int = 0x3, *fields: int) -> bytes:
        """A one-segment ELF kernel at `base` that begins with its header; `code` follows, and is the entry."""
        header = self.header(flags, *fields)
        return self.elf([Part(base, header + code)], entry=base + len(header))

    def kludge(self, code: bytes, base: int, *, load_end: int = 0, bss_end: int = 0, flags: int = 0x10003) -> bytes:
        """A flat image with address fields, header first, entry behind it."""
        fields = (base, base, load_end, bss_end, base + 32)
        return self.header(flags, *fields) + code

    def tag(self, kind: int, *words: int, flags: int = 0, size: int | None = None) -> bytes:
        """A tag of a Multiboot 2 header, padded."""
        body = struct.pack(f"<{len(words)}I", *words)
        tag = struct.pack("<HHI", kind, flags, 8 + len(body) if size is None else size) + body
        return tag + bytes(-len(tag) % 8)

    def header2(self, *tags: bytes, architecture: int = 0, checksum: int | None = None, end: bool = True) -> bytes:
        """A Multiboot 2 header, right unless `checksum` is given; a multiple of 8 bytes."""
        body = b"".join(tags) + (self.tag(0) if end else b"")
        length = 16 + len(body)
        if checksum is None:
            checksum = -(0xE85250D6 + architecture + length) & 0xFFFFFFFF
        return struct.pack("<4I", 0xE85250D6, architecture, length, checksum) + body

    def small2(self, *tags: bytes, code: bytes = b"\xfa\xf4", base: int = 0x100000, **elf: Any) -> bytes:
        """A one-segment ELF kernel at `base` whose Multiboot 2 header lies at a multiple of 8 in the file."""
        header = self.header2(*tags)
        parts = [Part(base, b"head" + header + code)]  # the ELF headers end at offset 84
        return self.elf(parts, **({"entry": base + 4 + len(header)} | elf))

    def elf64(self, base: int, data: bytes, memory_bytes: int | None = None, entry: int | None = None) -> bytes:
        """A 64-bit ELF file of one segment, whose data begins at offset 120 in the file, and a symbol table."""
        header = b"\x7fELF\2\1\1" + bytes(9)
        shoff = 120 + len(data) + 16
        header += struct.pack(
            "<HHIQQQIHHHHHH", 2, 62, 1, base if entry is None else entry, 64, shoff, 0, 64, 56, 1, 64, 2, 1
        )
        size = len(data) if memory_bytes is None else memory_bytes
        segment = struct.pack("<IIQQQQQQ", 1, 5, 120, base, base, len(data), size, 8)
        sections = bytes(64) + struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, 120 + len(data), 16, 0, 0, 1, 0)
        return header + segment + data + b"strings of names" + sections

    def bzimage(
        self, *, version: int = 0x20F, kernel: bytes = b"\xf4" * 0x1000, sectors: int = 2, **fields: int
    ) -> bytes:
        """A Linux kernel image; `fields` are named as boot.rst names them."""
        values = {
            "setup_sects": sectors, "vid_mode": 0xFFFF, "loadflags": 1, "code32_start": 0x100000,
            "initrd_addr_max": 0x7FFFFFFF, "kernel_alignment": 0x100000, "relocatable_kernel": 1, "cmdline_size": 255,
            "pref_address": 0x100000, "init_size": 0x4000, "kernel_version": 0x100,
        } | fields  # fmt: skip
        setup = bytearray((max(sectors, 1) + 1) * 512)
        setup[0x1FE:0x206] = b"\x55\xaa\xeb\x6aHdrS"
        struct.pack_into("<H", setup, 0x206, version)
        setup[0x300:0x30E] = b"6.1-test (me)\0"
        for name, value in values.items():
            form, offset = LINUX_FIELDS[name]
            struct.pack_into(form, setup, offset, value)
        return bytes(setup) + kernel


@pytest.fixture(scope="session")
def kernels() -> Kernels:
    return Kernels()

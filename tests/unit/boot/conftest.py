"""Kernel images made by hand, field by field, so that a test can break any of them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import pytest

HEADER_BYTES, PROGRAM_HEADER_BYTES = 52, 32


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


@pytest.fixture(scope="session")
def kernels() -> Kernels:
    return Kernels()

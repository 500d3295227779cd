"""Reads an ELF image's symbol table without an ELF library: every run ends with the name of a place.

A kernel has thousands of symbols.  pyelftools takes 25 milliseconds to load and makes objects of each entry, which the
user of a big kernel would wait for at the end of every run; it reads the rest (DWARF, see `source_lines`).

Source: System V ABI, "Symbol Table".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from hillemu.boot.elf import ElfSection, read_elf, read_sections
from hillemu.boot.image import Image

SHT_SYMTAB = 2
SHF_ALLOC = 2
SHN_UNDEF = 0
STB_LOCAL = 0
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_GNU_IFUNC = 0, 1, 2, 10

_ENTRY = struct.Struct("<IIIBBH")  # name, value, size, info, other, section
_KINDS = {STT_FUNC: "function", STT_OBJECT: "object", STT_NOTYPE: "label", STT_GNU_IFUNC: "function"}


class ElfSymbol(NamedTuple):
    """One named entry; `section_end` is where its section ends, None for one that is not loaded or special."""

    name: str
    address: int
    size_bytes: int
    kind: str
    section_end: int | None
    is_global: bool


def elf_symbols(image: Image) -> Iterator[ElfSymbol]:
    """The functions, objects and labels of `image`; raises `ImageError` or `struct.error` for a mangled file."""
    sections = read_sections(image, read_elf(image))
    ends = {number: section.addr + section.size for number, section in enumerate(sections) if section.flags & SHF_ALLOC}
    for section in sections:
        if section.type == SHT_SYMTAB and section.link < len(sections):
            names = _content(image, sections[section.link])
            entries = _content(image, section)
            whole = len(entries) - len(entries) % _ENTRY.size
            for name, value, size, info, _, shndx in _ENTRY.iter_unpack(entries[:whole]):
                kind = _KINDS.get(info & 15)
                text = names[name : names.find(b"\0", name)]
                if text and kind is not None and shndx != SHN_UNDEF:
                    yield ElfSymbol(
                        text.decode("utf-8", "replace"), value, size, kind, ends.get(shndx), info >> 4 != STB_LOCAL
                    )


def _content(image: Image, section: ElfSection) -> bytes:
    return image.data[section.offset : section.offset + section.size].tobytes()

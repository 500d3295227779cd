"""Writes a linked program as an ELF32 executable for the i386.

::

    ELF header | program headers | sections, each at a file offset congruent to its address modulo 4096
               | .symtab | .strtab | .shstrtab | section headers

Source: System V ABI, "Object Files" (gABI chapter 4) and its Intel386 supplement.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hillemu.boot.assembler.items import Section
from hillemu.boot.assembler.layout import PAGE_SIZE
from hillemu.boot.elf import MAGIC

_EHDR, _PHDR, _SHDR, _SYM = 52, 32, 40, 16
_ET_EXEC, _EM_386, _PT_LOAD = 2, 3, 1
_SHT_PROGBITS, _SHT_SYMTAB, _SHT_STRTAB, _SHT_NOBITS = 1, 2, 3, 8
_SHN_ABS = 0xFFF1
_STB = {False: 0, True: 1}
_STT = {"": 0, "object": 1, "function": 2, "file": 4}


@dataclass(frozen=True, slots=True)
class ElfSymbol:
    """A symbol table entry; `section` is `None` for a plain number."""

    name: str
    value: int
    size_bytes: int
    kind: str
    """``function``, ``object``, ``file``, or empty."""
    is_global: bool
    section: Section | None


@dataclass(slots=True)
class _Segment:
    """Sections that one program header loads."""

    sections: list[Section]

    @property
    def first(self) -> Section:
        return self.sections[0]


def write_elf(sections: list[Section], symbols: list[ElfSymbol], entry: int) -> bytes:
    """The file's bytes; `sections` are in the order of memory."""
    segments = _segments(sections)
    out = bytearray(_EHDR + _PHDR * len(segments))
    headers = bytearray()
    offsets: dict[str, int] = {}
    for segment in segments:
        first = segment.first
        has_data = any(section.holds_data for section in segment.sections)
        if has_data:
            out += bytes((first.address - len(out)) % PAGE_SIZE)
        start = len(out)
        memory_size = file_size = 0
        for section in segment.sections:
            at = section.address - first.address
            offsets[section.name] = start + at
            memory_size = at + section.size
            if section.holds_data:
                out += bytes(start + at - len(out)) + section.data
                file_size = memory_size
        flags = 4 | ("w" in first.flags) << 1 | ("x" in first.flags)
        headers += struct.pack(
            "<8I", _PT_LOAD, start, first.address, first.load_address, file_size, memory_size, flags, PAGE_SIZE
        )
    out[_EHDR : _EHDR + len(headers)] = headers

    names = _Strings()
    table = bytearray(_SHDR)
    for section in sections:
        kind = _SHT_PROGBITS if section.holds_data else _SHT_NOBITS
        flags = sum({"w": 1, "a": 2, "x": 4}[letter] for letter in section.flags)
        table += _section_header(
            names.add(section.name),
            kind,
            flags,
            section.address,
            min(offsets[section.name], len(out)),
            section.size,
            alignment=max(section.alignment, 1),
        )
    out += bytes(-len(out) % 4)
    strings = _Strings()
    symtab, first_global = _symbol_table(symbols, sections, strings)
    count = len(sections) + 1
    table += _section_header(
        names.add(".symtab"), _SHT_SYMTAB, 0, 0, len(out), len(symtab), count + 1, first_global, 4, _SYM
    )
    out += symtab
    table += _section_header(names.add(".strtab"), _SHT_STRTAB, 0, 0, len(out), len(strings.data))
    out += strings.data
    own_name = names.add(".shstrtab")
    table += _section_header(own_name, _SHT_STRTAB, 0, 0, len(out), len(names.data))
    out += names.data
    out += bytes(-len(out) % 4)
    out[:_EHDR] = _file_header(entry, len(segments), len(out), count + 3)
    return bytes(out + table)


def _segments(sections: list[Section]) -> list[_Segment]:
    """Neighbours with the same rights and the same virtual offset share a segment; room comes last in it."""
    segments: list[_Segment] = []
    for section in sections:
        if segments:
            last = segments[-1].sections[-1]
            same_offset = last.address - last.load_address == section.address - section.load_address
            if set(last.flags) == set(section.flags) and same_offset and last.holds_data >= section.holds_data:
                segments[-1].sections.append(section)
                continue
        segments.append(_Segment([section]))
    return segments


def _symbol_table(symbols: list[ElfSymbol], sections: list[Section], strings: _Strings) -> tuple[bytes, int]:
    numbers = {section.name: number for number, section in enumerate(sections, 1)}
    table = bytearray(_SYM)
    ordered = sorted(symbols, key=lambda symbol: symbol.is_global)
    for symbol in ordered:
        info = _STB[symbol.is_global] << 4 | _STT[symbol.kind]
        number = _SHN_ABS if symbol.section is None else numbers[symbol.section.name]
        value = symbol.value & 0xFFFFFFFF
        table += struct.pack("<IIIBBH", strings.add(symbol.name), value, symbol.size_bytes, info, 0, number)
    return bytes(table), 1 + sum(not symbol.is_global for symbol in ordered)


def _file_header(entry: int, segments: int, section_headers_at: int, section_headers: int) -> bytes:
    # Class 32, little-endian, version 1, System V ABI.
    identification = MAGIC + bytes((1, 1, 1, 0)) + bytes(8)
    return identification + struct.pack(
        "<HHIIIIIHHHHHH",
        _ET_EXEC,
        _EM_386,
        1,
        entry,
        _EHDR,
        section_headers_at,
        0,
        _EHDR,
        _PHDR,
        segments,
        _SHDR,
        section_headers,
        section_headers - 1,
    )


def _section_header(
    name: int,
    kind: int,
    flags: int,
    address: int,
    offset: int,
    size: int,
    link: int = 0,
    info: int = 0,
    alignment: int = 1,
    entry_size: int = 0,
) -> bytes:
    return struct.pack("<10I", name, kind, flags, address, offset, size, link, info, alignment, entry_size)


class _Strings:
    """A string table."""

    def __init__(self) -> None:
        self.data = bytearray(1)

    def add(self, text: str) -> int:
        at = len(self.data)
        self.data += text.encode() + b"\0"
        return at

"""Reads a program's file: ELF for i386, linked to fixed addresses where the kernel wants programs.

Source: System V ABI, "Object Files" and "Program Loading"; Intel386 supplement.
Not modelled: interpreters and shared libraries (PT_INTERP, ET_DYN), thread-local storage.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from hillemu.kernel.layout import HEAP_BASE, PROGRAM_BASE
from hillemu.kernel.mm.files import File
from hillemu.kernel.mm.protection import PROT_EXEC, PROT_READ, PROT_WRITE

MAGIC = b"\x7fELF"
_HEADER = struct.Struct("<16sHHIIIIIHHH")
_PROGRAM_HEADER = struct.Struct("<8I")
_EXECUTABLE, _I386, _CLASS32, _LITTLE_ENDIAN = 2, 3, 1, 1
_LOAD, _INTERPRETER, _THREAD_LOCAL = 1, 3, 7
_MAX_SEGMENTS = 32


class Segment(NamedTuple):
    """`file_bytes` of the file from `offset` on belong at virtual `start`; up to `memory_bytes` follow as zeros."""

    start: int
    offset: int
    file_bytes: int
    memory_bytes: int
    prot: int

    @property
    def end(self) -> int:
        return self.start + self.memory_bytes


class ProgramFile(NamedTuple):
    """What is to be loaded, and where it begins to run."""

    entry: int
    segments: tuple[Segment, ...]


class NotAProgram(NamedTuple):
    """The file cannot be run; `why` is a sentence for people."""

    why: str


def looks_like_program(file: File) -> bool:
    """Whether the file starts as an ELF file does."""
    return file.size_bytes >= 4 and file.read(0, 4) == MAGIC


def read_program(
    file: File, base: int = PROGRAM_BASE, end: int = HEAP_BASE, linked_at: int = 0x400000
) -> ProgramFile | NotAProgram:
    """Read the headers of `file`, whose segments must lie from `base` up to `end`; `linked_at` is a place for them."""
    if not looks_like_program(file) or file.size_bytes < _HEADER.size:
        return NotAProgram("is no ELF file")
    ident, kind, machine, _, entry, at, _, _, _, entry_bytes, count = _HEADER.unpack(file.read(0, _HEADER.size))
    if ident[4] != _CLASS32 or ident[5] != _LITTLE_ENDIAN or machine != _I386:
        return NotAProgram("is no ELF file for i386")
    if kind != _EXECUTABLE:
        return NotAProgram("is not linked to fixed addresses: link it with -static -no-pie")
    if entry_bytes < _PROGRAM_HEADER.size or not 0 < count <= 128 or at + count * entry_bytes > file.size_bytes:
        return NotAProgram("has a damaged program header table")
    segments: list[Segment] = []
    for number in range(count):
        header = _PROGRAM_HEADER.unpack(file.read(at + number * entry_bytes, _PROGRAM_HEADER.size))
        type_, offset, start, _, file_bytes, memory_bytes, flags, _ = header
        if type_ in (_INTERPRETER, _THREAD_LOCAL):
            return NotAProgram("needs a dynamic linker or thread-local storage; link it with -static -nostdlib")
        if type_ != _LOAD or not memory_bytes:
            continue
        prot = PROT_READ * (flags >> 2 & 1) | PROT_WRITE * (flags >> 1 & 1) | PROT_EXEC * (flags & 1)
        segment = Segment(start, offset, file_bytes, memory_bytes, prot)
        if file_bytes > memory_bytes or offset + file_bytes > file.size_bytes:
            return NotAProgram(f"has a damaged segment {number}")
        if not base <= start <= segment.end <= end:
            return NotAProgram(
                f"has a segment at 0x{start:08X}-0x{segment.end - 1:08X}; programs lie "
                f"between 0x{base:08X} and 0x{end:08X} (link with -Wl,-Ttext-segment={linked_at:#x})"
            )
        segments.append(segment)
    if not segments or len(segments) > _MAX_SEGMENTS:
        return NotAProgram(f"has {len(segments)} segments to load")
    if not any(segment.start <= entry < segment.end for segment in segments):
        return NotAProgram(f"begins at 0x{entry:08X}, which is in no segment")
    return ProgramFile(entry, tuple(segments))

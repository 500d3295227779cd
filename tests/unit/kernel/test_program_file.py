"""Which files are programs, and what is told of those that are none."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from fake_kernel import program

from hillemu.kernel.mm.files import BytesFile
from hillemu.kernel.mm.protection import PROT_EXEC, PROT_READ, PROT_WRITE
from hillemu.kernel.program_file import NotAProgram, ProgramFile, read_program
from hillemu.kernel.program_loader import stack_image

EHDR = struct.Struct("<16sHHIIIIIHHHHHH")
PHDR = struct.Struct("<8I")


def elf(
    *segments: tuple[int, ...], kind: int = 2, machine: int = 3, entry: int = 0x400000, bits: int = 1, size: int = 0x200
) -> bytes:
    ident = b"\x7fELF" + bytes((bits, 1, 1)) + bytes(9)
    header = EHDR.pack(ident, kind, machine, 1, entry, EHDR.size, 0, 0, EHDR.size, PHDR.size, len(segments), 0, 0, 0)
    return (header + b"".join(PHDR.pack(*segment) for segment in segments)).ljust(size, b"\0")


def load(offset: int, at: int, in_file: int, in_memory: int, flags: int = 5, kind: int = 1) -> tuple[int, ...]:
    return (kind, offset, at, at, in_file, in_memory, flags, 4096)


def test_our_own_assembler_s_programs_are_programs() -> None:
    found = read_program(BytesFile("prog", program('tell "x"\n')))
    assert isinstance(found, ProgramFile)
    assert found.segments[0].start <= found.entry < found.segments[0].end
    assert found.segments[0].prot == PROT_READ | PROT_EXEC


@pytest.mark.parametrize(
    ("flags", "prot"), [(4, PROT_READ), (6, PROT_READ | PROT_WRITE), (5, PROT_READ | PROT_EXEC), (1, PROT_EXEC)]
)
def test_rights_come_from_the_program_headers(flags: int, prot: int) -> None:
    found = read_program(BytesFile("prog", elf(load(0, 0x400000, 0x100, 0x100, flags))))
    assert isinstance(found, ProgramFile)
    assert found.segments[0].prot == prot


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is no ELF file"),
        (b"\x7fELF", "is no ELF file"),
        (b"#!/bin/sh\n" * 10, "is no ELF file"),
        (elf(load(0, 0x400000, 16, 16), bits=2), "is no ELF file for i386"),
        (elf(load(0, 0x400000, 16, 16), machine=62), "is no ELF file for i386"),
        (elf(load(0, 0x400000, 16, 16), kind=3), "is not linked to fixed addresses"),
        (elf(load(0, 0x400000, 16, 16), kind=1), "is not linked to fixed addresses"),
        (elf(), "has a damaged program header table"),
        (elf(load(0, 0x400000, 16, 16))[:60], "has a damaged program header table"),
        (elf(load(0, 0x400000, 16, 16, kind=3)), "needs a dynamic linker"),
        (elf(load(0x1F0, 0x400000, 0x20, 0x20)), "has a damaged segment 0"),
        (elf(load(0xFFFFFFF0, 0x400000, 0x20, 0x20)), "has a damaged segment 0"),
        (elf(load(0, 0x400000, 0x20, 0x10)), "has a damaged segment 0"),
        (elf(load(0, 0, 0x20, 0x20)), "has a segment at 0x00000000-0x0000001F; programs lie between"),
        (elf(load(0, 0x7FFFFF0, 0x20, 0x20)), "has a segment at 0x07FFFFF0-0x0800000F; programs lie between"),
        (elf(load(0, 0x400000, 0x20, 0xFFFFFFFF)), "has a segment at 0x00400000"),
        (elf(load(0, 0x400000, 16, 0)), "has 0 segments to load"),
        (elf(load(0, 0x400000, 16, 16), entry=0x400010), "begins at 0x00400010, which is in no segment"),
    ],
)
def test_what_is_no_program_is_told_why(data: bytes, why: str) -> None:
    found = read_program(BytesFile("file", data))
    assert isinstance(found, NotAProgram)
    assert found.why.startswith(why)


def test_the_stack_is_as_gcc_s_programs_find_it() -> None:
    end = 0xC0000000
    image = stack_image(end, [b"prog", b"x"], [b"HOME=/"])
    esp = end - len(image)
    words = struct.unpack("<8I", image[:32])
    assert esp % 16 == 0
    assert words[0] == 2
    assert words[3] == words[5] == words[6] == words[7] == 0
    texts = [image[at - esp :].split(b"\0")[0] for at in (words[1], words[2], words[4])]
    assert texts == [b"prog", b"x", b"HOME=/"]


@pytest.mark.parametrize("name", ["demo.elf", "kernel.elf"])
def test_a_kernel_is_a_program_only_if_it_lies_where_programs_do(root: Path, name: str) -> None:
    found = read_program(BytesFile(name, (root / "images" / name).read_bytes()))
    assert isinstance(found, ProgramFile) == (name == "demo.elf")


def test_a_kernel_may_want_its_programs_elsewhere() -> None:
    file = BytesFile("prog", elf(load(0, 0x40000000, 0x100, 0x100), entry=0x40000000))
    assert isinstance(read_program(file, 0x40000000, 0xC0000000), ProgramFile)
    refused = read_program(file, 0x40001000, 0xC0000000, 0x40001000)
    assert isinstance(refused, NotAProgram)
    assert "between 0x40001000 and 0xC0000000 (link with -Wl,-Ttext-segment=0x40001000)" in refused.why

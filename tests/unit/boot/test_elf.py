"""The ELF reader, with pyelftools as the oracle, and every way in which a file can be wrong."""

from __future__ import annotations

import io
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hillemu.boot.elf import read_elf, read_sections
from hillemu.boot.image import Image
from hillemu.emu.errors import ImageError

SOURCE = """
.section .multiboot, "a"
.align 4
.long 0x1BADB002, 3, -(0x1BADB002 + 3)
.text
.globl _start
_start: cli
1: hlt
jmp 1b
.data
.long 42
.bss
.skip 20000
"""
SCRIPT = """
ENTRY(_start)
SECTIONS {
  . = 0xC0100000;
  .text : AT(ADDR(.text) - 0xC0000000) { *(.multiboot) *(.text) }
  . = ALIGN(4096);
  .data : AT(ADDR(.data) - 0xC0000000) { *(.data) }
  .bss : AT(ADDR(.bss) - 0xC0000000) { *(.bss) }
}
"""


@pytest.fixture(scope="session")
def linked(tmp_path_factory: pytest.TempPathFactory, gcc_m32: str) -> bytes:
    """A higher-half kernel from the real assembler and linker, with symbols."""
    folder: Path = tmp_path_factory.mktemp("linked")
    (folder / "k.S").write_text(SOURCE)
    (folder / "k.ld").write_text(SCRIPT)
    command = [gcc_m32, "-m32", "-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,-T,k.ld", "k.S", "-o", "k"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return (folder / "k").read_bytes()


def test_a_linked_kernel_reads_as_pyelftools_reads_it(linked: bytes) -> None:
    from elftools.elf.elffile import ELFFile

    oracle = ELFFile(io.BytesIO(linked))
    elf = read_elf(Image("k", linked))
    sections = read_sections(Image("k", linked), elf)

    assert elf.entry == oracle["e_entry"]
    assert elf.names_index == oracle["e_shstrndx"]
    loads = [
        (number, *(header[name] for name in ("p_offset", "p_vaddr", "p_paddr", "p_filesz", "p_memsz", "p_flags")))
        for number, header in enumerate(oracle.iter_segments())
        if header["p_type"] == "PT_LOAD"
    ]
    assert [(*segment[:-1],) for segment in elf.segments] == loads
    assert not any(segment.is_note for segment in elf.segments)
    names = ("sh_name", "sh_flags", "sh_addr", "sh_offset", "sh_size", "sh_link", "sh_info", "sh_addralign")
    expected = [tuple(section[name] for name in names) for section in oracle.iter_sections()]
    assert [(s.name, s.flags, s.addr, s.offset, s.size, s.link, s.info, s.addralign) for s in sections] == expected


def test_every_truncation_of_a_linked_kernel_is_told(linked: bytes) -> None:
    for size in range(0, len(linked), 61):
        image = Image("k", linked[:size])
        with pytest.raises(ImageError, match=r"^k: ") as caught:
            read_sections(image, read_elf(image))
        assert "truncated" in caught.value.fault or "not an ELF" in caught.value.fault


def one_part(kernels: Any) -> list[Any]:
    return [kernels.Part(0x100000, b"code")]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"elf_class": 2, "machine": 62}, "is a 64-bit ELF file.*objcopy -O elf32-i386 k "),
        ({"elf_class": 2, "machine": 183}, "for AArch64, not for i386"),
        ({"machine": 62}, r"x86-64 \(x32\).*-m32"),
        ({"machine": 40}, "for ARM, not for i386"),
        ({"machine": 9999}, "for machine 9999, not for i386"),
        ({"order": 2}, "big-endian"),
        ({"order": 7}, "damaged.*byte order 7"),
        ({"elf_class": 0}, "damaged.*class 0"),
        ({"version": 2}, "damaged.*version 2"),
        ({"file_type": 1}, "object file.*link it"),
        ({"file_type": 4}, "core dump"),
        ({"file_type": 0xFE00}, "type 65024"),
    ],
)
def test_a_file_for_another_purpose_is_named(kernels: Any, fields: dict[str, int], fault: str) -> None:
    with pytest.raises(ImageError, match=fault):
        read_elf(Image("k", kernels.elf(one_part(kernels), **fields)))


def test_a_position_independent_executable_is_accepted_as_grub_does(kernels: Any) -> None:
    assert read_elf(Image("k", kernels.elf(one_part(kernels), file_type=3))).entry == 0x100000


def test_a_file_that_is_not_elf_is_refused() -> None:
    with pytest.raises(ImageError, match="not an ELF file"):
        read_elf(Image("k", b"\x7fELV" + bytes(60)))


def test_a_file_with_nothing_to_load_is_refused(kernels: Any) -> None:
    with pytest.raises(ImageError, match="without program headers"):
        read_elf(Image("k", kernels.elf([])))
    with pytest.raises(ImageError, match="nothing to load"):
        read_elf(Image("k", kernels.elf([kernels.Part(0x100000, b"note", kind=4)])))
    with pytest.raises(ImageError, match="nothing to load"):
        read_elf(Image("k", kernels.elf([kernels.Part(0x100000, b"")])))


def test_a_segment_beyond_the_end_of_the_file_is_told_with_both_numbers(kernels: Any) -> None:
    data = kernels.elf([kernels.Part(0x100000, b"code", memory_bytes=0x2000, file_bytes=0x1000)])
    with pytest.raises(ImageError, match=r"truncated: segment 0 is bytes 0x54-0x1053 of the file, .*only 0x58"):
        read_elf(Image("k", data))


def test_a_segment_larger_in_the_file_than_in_memory_is_damage(kernels: Any) -> None:
    with pytest.raises(ImageError, match="segment 0 has 0x4 bytes in the file but only 0x2 in memory"):
        read_elf(Image("k", kernels.elf([kernels.Part(0x100000, b"code", memory_bytes=2)])))


@pytest.mark.parametrize(("offset", "fault"), [(42, "program header of 3 bytes"), (46, "section header of 3 bytes")])
def test_impossible_header_sizes_are_damage(kernels: Any, offset: int, fault: str) -> None:
    data = bytearray(kernels.elf(one_part(kernels), sections=[kernels.Section(1, b"x")]))
    struct.pack_into("<H", data, offset, 3)
    image = Image("k", data)
    with pytest.raises(ImageError, match=fault):
        read_sections(image, read_elf(image))


def test_a_stripped_file_has_no_sections(kernels: Any) -> None:
    image = Image("k", kernels.elf(one_part(kernels)))
    assert read_sections(image, read_elf(image)) == ()


def test_a_section_that_takes_no_room_in_the_file_may_say_anything(kernels: Any) -> None:
    data = bytearray(kernels.elf(one_part(kernels), sections=[kernels.Section(8), kernels.Section(0)]))
    for number in range(2):
        struct.pack_into("<II", data, len(data) - 80 + 40 * number + 16, 0xFFFF0000, 0xFFFF0000)
    image = Image("k", data)
    assert [section.size for section in read_sections(image, read_elf(image))] == [0xFFFF0000] * 2

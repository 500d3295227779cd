"""Every kind of file is recognised, and what cannot be booted is refused in words that help."""

from __future__ import annotations

import gzip
import lzma
import struct
from typing import Any

import pytest

from hillemu.boot.detect import FLOPPY_BYTES, Kind, detect, is_disk_kind, refusal
from hillemu.boot.image import Image
from hillemu.emu.errors import ImageError
from hillemu.emu.geometry import FLOPPY_FORMATS


def at(offset: int, data: bytes, size: int = 0) -> bytes:
    return (bytes(offset) + data).ljust(size, b"\0")


def multiboot2(length: int = 16) -> bytes:
    return struct.pack("<4I", 0xE85250D6, 0, length, -(0xE85250D6 + length) & 0xFFFFFFFF)


LINUX = at(0x1FE, b"\x55\xaaHHHdrS\x0f\x02", 4096).replace(b"HHHdrS", b"\xeb\x66HdrS")
PE = b"MZ" + at(0x3A, struct.pack("<I", 0x80)) + at(0x40, b"PE\0\0", 512)

FILES = [
    (b"", Kind.EMPTY, "^is empty$"),
    (PE, Kind.PE, r"Windows or UEFI program.*no Multiboot header"),
    (b"MZ" + bytes(200), Kind.DOS, "DOS program"),
    (gzip.compress(b"kernel"), Kind.COMPRESSED, "gzip: unpack it first .gzip -dc < k > unpacked"),
    (lzma.compress(b"kernel"), Kind.COMPRESSED, "xz: unpack it first .xz -dc < k"),
    (b"!<arch>\nmain.o/", Kind.ARCHIVE, "static library.*link it"),
    (b"QFI\xfb" + bytes(600), Kind.DISK_CONTAINER, "format qcow2.*qemu-img convert -O raw k disk.img"),
    (at(0x8001, b"CD001", 0x9000), Kind.CD, "CD image"),
    (at(510, b"\x55\xaa"), Kind.DISK, "is a disk image"),
    (at(510, b"\x55\xaa", 1 << 20), Kind.DISK, "is a disk image"),
    (at(510, b"\x55\xaa", 1440 << 10), Kind.FLOPPY, "floppy disk image"),
    (at(0xFFF0, b"\xea\x5b\xe0\x00\xf0", 0x10000), Kind.ROM, "ROM image.*--bios"),
    (struct.pack("<HBB", 0o413, 100, 0) + bytes(60), Kind.AOUT, r"a\.out program.*no Multiboot header"),
    (b"#!/bin/sh\necho hello\n", Kind.TEXT, "text file"),
    (b"\x00\x01\x02\x03", Kind.UNKNOWN, "no kind of kernel.*no Multiboot header"),
    (bytes(4096), Kind.UNKNOWN, "no kind of kernel.*nor has it a disk's boot signature"),
]


@pytest.mark.parametrize(("data", "kind", "words"), FILES, ids=[f"{n}-{file[1]}" for n, file in enumerate(FILES)])
def test_a_file_is_recognised_and_refused(data: bytes, kind: Kind, words: str) -> None:
    import re

    image = Image("k", data)
    assert detect(image) is kind
    assert re.search(words, refusal(image, kind))


def test_every_kind_but_elf_has_a_refusal_in_this_table() -> None:
    assert {file[1] for file in FILES} == set(Kind) - {Kind.ELF, Kind.MULTIBOOT1, Kind.MULTIBOOT2, Kind.LINUX}


@pytest.mark.parametrize("data", [multiboot2(), at(32768 - 16, multiboot2())])
def test_a_multiboot_2_header_may_lie_anywhere_in_the_first_32_kib(data: bytes) -> None:
    assert detect(Image("k", data)) is Kind.MULTIBOOT2


def test_the_sizes_of_floppies_are_those_that_drives_can_read() -> None:
    assert tuple(geometry.sector_count * 512 for geometry in FLOPPY_FORMATS) == FLOPPY_BYTES


def test_a_hybrid_cd_image_is_a_cd_and_not_a_disk() -> None:
    data = bytearray(at(0x8001, b"CD001", 0x9000))
    data[510:512] = b"\x55\xaa"
    assert detect(Image("k", data)) is Kind.CD


def test_firmware_boots_disks_floppies_and_cds() -> None:
    assert {kind for kind in Kind if is_disk_kind(kind)} == {Kind.DISK, Kind.FLOPPY, Kind.CD}


def test_a_multiboot_header_decides_before_the_files_own_format(kernels: Any) -> None:
    for body in (kernels.small(), PE, b"text " * 40):
        with_header = bytearray(body.ljust(1024, b"\0"))
        with_header[600:612] = kernels.header()
        assert detect(Image("k", with_header)) is Kind.MULTIBOOT1


def test_a_disk_with_grub_in_its_first_sectors_is_a_disk(kernels: Any) -> None:
    disk = bytearray(at(510, b"\x55\xaa", 1 << 20))
    disk[1024:1056] = kernels.header(0x10000, 0x8200, 0x8200, 0, 0, 0x8220)
    assert detect(Image("k", disk)) is Kind.DISK


def test_a_linux_header_decides_before_all_others_as_in_qemu(kernels: Any) -> None:
    image = bytearray(LINUX)
    assert image[510:512] == b"\x55\xaa"
    image[1024:1036] = kernels.header()
    assert detect(Image("k", image)) is Kind.LINUX


def test_an_elf_kernel_with_a_boot_sectors_signature_by_chance_is_a_kernel(kernels: Any) -> None:
    image = bytearray(kernels.small().ljust(1024, b"\0"))
    image[510:512] = b"\x55\xaa"
    assert detect(Image("k", image)) is Kind.MULTIBOOT1


def test_multiboot_1_comes_before_multiboot_2(kernels: Any) -> None:
    assert detect(Image("k", multiboot2() + kernels.header())) is Kind.MULTIBOOT1


def test_multiboot_2_comes_first_in_a_64_bit_file_which_multiboot_1_cannot_start(kernels: Any) -> None:
    both = kernels.elf([kernels.Part(0x100000, bytes(4) + multiboot2() + kernels.header())], elf_class=2, machine=62)
    assert detect(Image("k", both)) is Kind.MULTIBOOT2
    only_one = kernels.elf([kernels.Part(0x100000, kernels.header())], elf_class=2, machine=62)
    assert detect(Image("k", only_one)) is Kind.MULTIBOOT1


def test_a_multiboot_2_header_that_is_nearly_right_is_explained() -> None:
    wrong = bytearray(b"\x01\x02\x03\x04" * 6 + multiboot2())
    wrong[-1] ^= 1
    assert "Multiboot 2 header at offset 0x18 has a wrong checksum" in refusal(Image("k", wrong), Kind.UNKNOWN)


@pytest.mark.parametrize("data", [multiboot2()[:-1] + b"!", b"1234" + multiboot2(), at(32768, multiboot2())])
def test_a_broken_odd_or_late_multiboot_2_header_is_none(data: bytes) -> None:
    assert detect(Image("k", data)) is not Kind.MULTIBOOT2


def test_an_elf_without_header_is_told_so_and_how_near_it_came(kernels: Any) -> None:
    image = Image("k", kernels.elf([kernels.Part(0x100000, b"code")]))
    assert detect(image) is Kind.ELF
    assert refusal(image, Kind.ELF).startswith("is an ELF file, but has no Multiboot header")
    wrong = Image("k", kernels.elf([kernels.Part(0x100000, kernels.header(checksum=7))]))
    assert "is an ELF file, but the Multiboot header at offset 0x54 has a wrong checksum" in refusal(wrong, Kind.ELF)


def test_an_elf_for_another_machine_is_told_that_first(kernels: Any) -> None:
    image = Image("k", kernels.elf([kernels.Part(0x100000, b"code")], machine=62, elf_class=2))
    with pytest.raises(ImageError, match="64-bit ELF file"):
        refusal(image, detect(image))


def test_looking_needs_no_minimum_size() -> None:
    for size in range(64):
        for start in (b"\x7fELF", b"MZ", b"\x02\xb0\xad\x1b", b"\xd6\x50\x52\xe8", b"\x0b\x01\x64"):
            assert detect(Image("k", start[:size].ljust(size, b"\0"))) in Kind

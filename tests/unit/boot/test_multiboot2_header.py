"""The Multiboot 2 header: found, or told how near the file came to having one."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hillemu.boot.image import Image
from hillemu.boot.multiboot2_header import EGA_TEXT_SUPPORTED, Relocation, ScreenWish, has_header, read_header
from hillemu.boot.multiboot_plan import AddressFields
from hillemu.emu.errors import ImageError

OPTIONAL = 1


def fault(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        read_header(Image("k", data))
    return caught.value.fault


def test_a_header_without_tags_has_no_wishes(kernels: Any) -> None:
    header = read_header(Image("k", kernels.header2()))
    assert header == (0, None, None, EGA_TEXT_SUPPORTED, None, None)


def test_every_tag_is_read(kernels: Any) -> None:
    tags = (
        kernels.tag(1, 1, 2, 3, 6, 21),
        kernels.tag(2, 0x100100, 0x100000, 0x101000, 0x102000),
        kernels.tag(3, 0x100200),
        kernels.tag(4, 3),
        kernels.tag(5, 1024, 768, 32),
        kernels.tag(6),
        kernels.tag(10, 0x200000, 0x1000000, 0x1000, 2),
    )
    header = read_header(Image("k", bytes(0x100) + kernels.header2(*tags)))
    assert header.offset == 0x100
    assert header.addresses == AddressFields(0x100100, 0x100000, 0x101000, 0x102000, 0x100200)
    assert header.entry == 0x100200
    assert header.console_flags == 3
    assert header.screen == ScreenWish(1024, 768, 32)
    assert header.relocation == Relocation(0x200000, 0x1000000, 0x1000, 2)


def test_load_addr_minus_one_means_from_the_beginning_of_the_file(kernels: Any) -> None:
    tags = (kernels.tag(2, 0x100100, 0xFFFFFFFF, 0, 0), kernels.tag(3, 0x100000))
    header = read_header(Image("k", bytes(0x100) + kernels.header2(*tags)))
    assert header.addresses is not None
    assert header.addresses.load == 0x100000
    low = (kernels.tag(2, 0x10, 0xFFFFFFFF, 0, 0), kernels.tag(3, 0x100000))
    assert "leaves no room for what lies before it" in fault(bytes(0x100) + kernels.header2(*low))


def test_tags_are_walked_to_their_end_whatever_the_length_says(kernels: Any) -> None:
    data = bytearray(kernels.header2(kernels.tag(4, 1)))
    data[8:16] = (16).to_bytes(4, "little") + (-(0xE85250D6 + 16) & 0xFFFFFFFF).to_bytes(4, "little")
    assert read_header(Image("k", data)).console_flags == 1


def test_what_is_optional_is_ignored_where_it_is_unknown(kernels: Any) -> None:
    tags = (kernels.tag(77, 1, 2, flags=OPTIONAL), kernels.tag(1, 22, 1000, flags=OPTIONAL))
    read_header(Image("k", kernels.header2(*tags)))


def test_efi_tags_say_nothing_on_a_machine_without_efi(kernels: Any) -> None:
    tags = (kernels.tag(7), kernels.tag(8, 0x100000), kernels.tag(9, 0x100000))
    assert read_header(Image("k", kernels.header2(*tags))).entry is None


def test_every_type_of_information_that_the_specification_defines_may_be_required(kernels: Any) -> None:
    read_header(Image("k", kernels.header2(kernels.tag(1, *range(22)))))


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ([(11,)], "requires a tag of type 11, which the specification does not define"),
        ([(1, 22)], "requires information of type 22"),
        ([(2, 0, 0, 0, 0)], "an address tag but no entry address tag"),
        ([(3,)], "the entry address tag .* has only 8 bytes of 12"),
        ([(5, 1, 2)], "the framebuffer tag .* has only 16 bytes of 20"),
    ],
)
def test_tags_that_no_loader_can_follow_are_refused(kernels: Any, tags: list[tuple[int, ...]], words: str) -> None:
    assert re.search(words, fault(kernels.header2(*(kernels.tag(*tag) for tag in tags)) + bytes(64)))


@pytest.mark.parametrize("size", [0, 7, 0x10000])
def test_a_tag_of_an_impossible_size_is_refused(kernels: Any, size: int) -> None:
    assert f"has the impossible size {size:#x}" in fault(kernels.header2(kernels.tag(4, 1, size=size)))


def test_tags_must_end(kernels: Any) -> None:
    assert "do not end (with a tag of type 0)" in fault(kernels.header2(kernels.tag(4, 1), end=False))
    late = kernels.header2(kernels.tag(4, 1))
    assert "do not end" in fault(bytes(32768 - len(late) + 8) + late)


def test_a_header_is_found_at_the_very_end_of_where_it_may_lie(kernels: Any) -> None:
    header = kernels.header2()
    assert read_header(Image("k", bytes(32768 - len(header)) + header)).offset == 32768 - len(header)


@pytest.mark.parametrize(
    ("offset", "changes", "words"),
    [
        (0, {"checksum": 1}, "at offset 0x0 has a wrong checksum: it is 0x00000001, .* it must be 0x17adaf12"),
        (8, {"architecture": 4}, "at offset 0x8 is for architecture 4, not for i386"),
        (32768, {}, "is at offset 0x8000, and must lie in the first 32768 bytes"),
        (12, {}, "is at offset 0xc, which is not a multiple of 8"),
    ],
)
def test_a_header_that_is_nearly_right_is_explained(
    kernels: Any, offset: int, changes: dict[str, int], words: str
) -> None:
    data = bytes(offset) + kernels.header2(**changes)
    assert not has_header(Image("k", data))
    assert re.search(words, fault(data))


def test_a_file_without_a_trace_of_one_is_told_what_is_missing() -> None:
    assert fault(bytes(64)) == "has no Multiboot 2 header: its magic 0xe85250d6 is not in the first 32768 bytes"

"""Finding and judging the header, by the rules of the specification."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from hillemu.boot.image import Image
from hillemu.boot.multiboot1_header import AddressFields, VideoFields, has_header, read_header
from hillemu.emu.errors import ImageError


@pytest.mark.parametrize("offset", [0, 4, 0x1000, 8192 - 12])
def test_a_header_is_found_at_every_multiple_of_4_that_leaves_room(kernels: Any, offset: int) -> None:
    image = Image("k", bytes(offset) + kernels.header() + bytes(100))
    assert has_header(image)
    assert read_header(image).offset == offset


def test_a_header_may_be_the_very_end_of_the_file(kernels: Any) -> None:
    assert read_header(Image("k", bytes(64) + kernels.header())).offset == 64


def test_a_wrong_checksum_is_told_with_the_right_one(kernels: Any) -> None:
    image = Image("k", bytes(16) + kernels.header(0x3, checksum=0x12345678) + bytes(64))
    assert not has_header(image)
    with pytest.raises(ImageError, match=r"offset 0x10 has a wrong checksum: it is 0x12345678, .* must be 0xe4524ffb"):
        read_header(image)


def test_a_wrong_checksum_does_not_hide_a_right_header_behind_it(kernels: Any) -> None:
    image = Image("k", kernels.header(checksum=1) + bytes(4) + kernels.header() + bytes(64))
    assert read_header(image).offset == 16


def test_a_header_behind_the_first_8192_bytes_is_told_where_it_is(kernels: Any) -> None:
    for offset in (8192 - 8, 8192, 0x3000):
        with pytest.raises(ImageError, match=f"offset {offset:#x}, and must lie in the first 8192 bytes: put its sect"):
            read_header(Image("k", bytes(offset) + kernels.header() + bytes(64)))


def test_a_header_at_an_odd_place_is_told(kernels: Any) -> None:
    with pytest.raises(ImageError, match="offset 0x16, which is not a multiple of 4"):
        read_header(Image("k", bytes(0x16) + kernels.header() + bytes(64)))


def test_no_trace_of_a_header_is_told(kernels: Any) -> None:
    with pytest.raises(ImageError, match="has no Multiboot header: its magic 0x1badb002"):
        read_header(Image("k", bytes(20000)))
    with pytest.raises(ImageError, match="has no Multiboot header"):
        read_header(Image("k", bytes(64) + kernels.header()[:11]))


@pytest.mark.parametrize("bit", range(3, 16))
def test_an_undefined_demand_is_refused(kernels: Any, bit: int) -> None:
    with pytest.raises(ImageError, match=rf"does not define \(flags {3 | 1 << bit:#010x}, bits {bit}\)"):
        read_header(Image("k", kernels.header(3 | 1 << bit) + bytes(64)))


@pytest.mark.parametrize("bit", range(17, 32))
def test_an_undefined_offer_is_ignored(kernels: Any, bit: int) -> None:
    header = read_header(Image("k", kernels.header(3 | 1 << bit) + bytes(64)))
    assert (header.addresses, header.video) == (None, None)


def test_address_and_video_fields_are_read_where_the_specification_puts_them(kernels: Any) -> None:
    fields = (0x100010, 0x100000, 0x104000, 0x108000, 0x100040, 1, 80, 25, 0)
    header = read_header(Image("k", kernels.header(0x10007, *fields)))
    assert header.addresses == AddressFields(0x100010, 0x100000, 0x104000, 0x108000, 0x100040)
    assert header.video == VideoFields(1, 80, 25, 0)


def test_video_fields_keep_their_offset_without_address_fields(kernels: Any) -> None:
    header = read_header(Image("k", kernels.header(0x4, 0, 0, 0, 0, 0, 0, 1024, 768, 32)))
    assert header.addresses is None
    assert header.video == VideoFields(0, 1024, 768, 32)


@pytest.mark.parametrize(("flags", "size_bytes"), [(0x10003, 32), (0x7, 48), (0x10007, 48)])
def test_all_of_a_header_must_lie_in_the_first_8192_bytes(kernels: Any, flags: int, size_bytes: int) -> None:
    header = kernels.header(flags, *[0] * 9)
    assert read_header(Image("k", bytes(8192 - size_bytes) + header + bytes(8192))).offset == 8192 - size_bytes
    late = Image("k", bytes(8192 - size_bytes + 4) + header + bytes(8192))
    with pytest.raises(ImageError, match=f"is {size_bytes} bytes long by its flags"):
        read_header(late)
    with pytest.raises(ImageError, match="where a loader stops looking"):
        read_header(Image("k", header[: size_bytes - 1]))


def test_magic_after_magic_is_searched_in_linear_time() -> None:
    magics = struct.pack("<I", 0x1BADB002) * (4 << 18)
    with pytest.raises(ImageError, match="wrong checksum"):
        read_header(Image("k", magics))

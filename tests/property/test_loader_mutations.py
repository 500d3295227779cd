"""Damaged images: whatever a file says, loading ends in a loaded machine or one clear line, soon.

`FakeGuest` raises `IndexError` for a write outside RAM, which no test here catches.
"""

from __future__ import annotations

import struct
import time
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hillemu.boot.firmware import Firmware
from hillemu.boot.image import BootOptions, Image, Loaded, Module
from hillemu.boot.loader import load_image
from hillemu.boot.video_mode import Framebuffer
from hillemu.emu.errors import UserMistake
from hillemu.emu.guest import FakeGuest

RAM_BYTES = 2 << 20
BASE = 0x100000
LONGEST_S = 30.0
"""Far above what any image here needs, and far below a hang."""

HOLE = range(0xA0000, 0x100000)
CANARY = 0xCC

# Values at which 32-bit arithmetic and the PC's memory map turn.
EDGES = (
    *(0, 1, 2, 3, 11, 12, 31, 32, 39, 40, 0x7FFF, 0xFFFF, 0x1000, 0x9000, 0x9FC00, 0xA0000, 0xFFFFF),
    *(0x100000, RAM_BYTES - 1, RAM_BYTES, 0x7FFFFFFF, 0x80000000, 0xC0100000, 0xFFFFF000, 0xFFFFFFFF),
)


def multiboot_header(flags: int, *fields: int) -> bytes:
    return struct.pack(f"<{3 + len(fields)}I", 0x1BADB002, flags, -(0x1BADB002 + flags) & 0xFFFFFFFF, *fields)


def elf_image() -> bytes:
    """Two segments, bss, a symbol table with its strings, debugging information."""
    text = multiboot_header(0x7, *[0] * 5, 0, 1024, 768, 32) + b"\xfa\xf4"
    bodies = [text, b"data", b"S" * 32, b"\0.strings\0", b"dwarf"]
    at, places = 52 + 2 * 32, []
    for body in bodies:
        places.append(at)
        at += len(body)
    segments = struct.pack("<8I", 1, places[0], 0xC0000000 + BASE, BASE, len(text), len(text), 5, 4096)
    segments += struct.pack("<8I", 1, places[1], 0xC0004000 + BASE, BASE + 0x4000, 4, 0x3000, 6, 4096)
    kinds = [(2, places[2], 32), (3, places[3], 10), (1, places[4], 5)]
    sections = bytes(40) + b"".join(struct.pack("<10I", 0, kind, 0, 0, *rest, 0, 0, 4, 0) for kind, *rest in kinds)
    header = b"\x7fELF\1\1\1" + bytes(9)
    header += struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0xC0000000 + BASE + 48, 52, at, 0, 52, 32, 2, 40, 4, 2)
    return header + segments + b"".join(bodies) + sections


def flat_image() -> bytes:
    return multiboot_header(0x10003, BASE, BASE, BASE + 0x40, BASE + 0x1000, BASE + 32) + bytes(32)


def tag(kind: int, *words: int) -> bytes:
    body = struct.pack(f"<HHI{len(words)}I", kind, 0, 8 + 4 * len(words), *words)
    return body + bytes(-len(body) % 8)


def multiboot2_header(*tags: bytes) -> bytes:
    body = b"".join(tags) + tag(0)
    length = 16 + len(body)
    return struct.pack("<4I", 0xE85250D6, 0, length, -(0xE85250D6 + length) & 0xFFFFFFFF) + body


def elf64_image() -> bytes:
    """A relocatable Multiboot 2 kernel in a 64-bit ELF file with bss and a string table."""
    text = multiboot2_header(
        tag(1, 1, 6, 8), tag(4, 3), tag(5, 800, 600, 32), tag(6), tag(10, BASE, RAM_BYTES, 4096, 2)
    )
    text += b"\xfa\xf4" + bytes(6)
    shoff = 120 + len(text) + 8
    header = b"\x7fELF\2\1\1" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, BASE + len(text) - 8, 64, shoff, 0, 64, 56, 1, 64, 2, 1)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 120, BASE, BASE, len(text), 0x2000, 8)
    sections = bytes(64) + struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, 120 + len(text), 8, 0, 0, 1, 0)
    return header + segment + text + b"\0names\0\0" + sections


def flat2_image() -> bytes:
    # All of it is loaded, as it says itself.
    tags = (tag(2, BASE, BASE, BASE + 0x60, BASE + 0x1000), tag(3, BASE + 0x50))
    return multiboot2_header(*tags).ljust(0x60, b"\xf4")


def linux_image() -> bytes:
    """A bzImage whose 32-bit part, 64 bytes, begins at 0x400; its payload is all of that."""
    setup = bytearray(0x400)
    setup[0x1F1] = 1
    setup[0x1FE:0x206] = b"\x55\xaa\xeb\x6aHdrS"
    struct.pack_into("<H", setup, 0x206, 0x20F)
    struct.pack_into("<BH", setup, 0x211, 1, 0)
    struct.pack_into("<I", setup, 0x214, BASE)
    struct.pack_into("<IIBBHI", setup, 0x22C, 0x7FFFFFFF, 0x10000, 1, 12, 0, 255)
    struct.pack_into("<II", setup, 0x248, 0, 64)
    struct.pack_into("<QI", setup, 0x258, BASE, 0x8000)
    return bytes(setup) + b"\xf4" * 64


IMAGES = {
    "elf": elf_image(),
    "flat": flat_image(),
    "elf64": elf64_image(),
    "flat2": flat2_image(),
    "linux": linux_image(),
    "linux16": linux_image(),
}
LINUX_HEADER = range(0x1F0, 0x270)
"""All that a loader reads of a Linux image's first sectors."""


def graphics(width: int, height: int, depth: int) -> Framebuffer | None:
    return Framebuffer(0xFD000000, width * 4, width, height, 32) if depth == 32 and width < 4096 else None


def options_for(name: str) -> BootOptions:
    file = Module("m", "y", b"MMM")
    if name.startswith("linux"):
        return BootOptions(format=name, cmdline="x", initrds=(file,))
    return BootOptions(cmdline="x", modules=(file,))


def outcome(data: bytes, name: str = "") -> Loaded | str:
    """Load `data`, a mutation of image `name`, into a machine and check what must hold for every file."""
    guest = FakeGuest(RAM_BYTES)
    guest.memory.data[:] = bytes([CANARY]) * RAM_BYTES
    started = time.monotonic()
    result: Loaded | str
    try:
        result = load_image(guest, Image("k", data), options_for(name), Firmware(set_mode=graphics))
    except UserMistake as mistake:
        result = str(mistake)
        assert result.startswith(("k: ", "m: ", "--append: has 1 bytes"))
        assert "\n" not in result
        assert guest.memory.data.count(CANARY) == RAM_BYTES, "a refused image must leave RAM alone"
        assert not guest.registers.values
    else:
        assert any(place.base <= result.entry < place.end for place in result.segments)
        assert guest.registers.segment("cs").base + guest.registers.get("eip") == result.entry
        places = sorted((*result.segments, *result.modules), key=lambda place: place.base)
        for below, above in pairwise(places):
            assert below.end <= above.base
    hole = guest.memory.data[HOLE.start : HOLE.stop]
    assert hole.count(CANARY) == len(HOLE), "the hole is not RAM"
    assert time.monotonic() - started < LONGEST_S
    return result


@pytest.mark.parametrize("name", IMAGES)
def test_the_images_that_are_damaged_here_are_good(name: str) -> None:
    assert isinstance(outcome(IMAGES[name], name), Loaded)


@pytest.mark.parametrize("name", IMAGES)
def test_every_truncation_is_refused(name: str) -> None:
    # All that these images have is loaded, as they say themselves; only what a 64-bit ELF file's tables say is at
    # their end.  The middle of a Linux image's setup code is passed over.
    sizes = [size for size in range(len(IMAGES[name])) if not 0x270 < size < 0x3F0]
    for size in sizes[:: 1 if len(sizes) < 500 else 7]:
        assert isinstance(outcome(IMAGES[name][:size], name), str), f"the first {size} bytes"


@pytest.mark.parametrize("name", IMAGES)
def test_an_edge_value_in_any_header_word_is_survived(name: str) -> None:
    data = IMAGES[name]
    seen = set()
    places = LINUX_HEADER if name.startswith("linux") else range(len(data) - 3)
    step = 2 if name in ("elf", "flat") else 4
    for number, at in enumerate(places[::step]):
        # Every word meets a third of the values, and every value a third of the words: enough, and quick.
        for value in EDGES[number % 3 :: 3]:
            mutated = bytearray(data)
            struct.pack_into("<I", mutated, at, value)
            seen.add(type(outcome(bytes(mutated), name)))
    assert seen == {Loaded, str}, "both outcomes must occur, or this tests nothing"


mutations = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 400), st.sampled_from(LINUX_HEADER)),
        st.one_of(st.sampled_from(EDGES), st.integers(0, 0xFFFFFFFF)),
        st.sampled_from("BHI"),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(name=st.sampled_from(sorted(IMAGES)), changes=mutations, tail=st.binary(max_size=64))
def test_several_changes_at_once_are_survived(name: str, changes: list[tuple[int, int, str]], tail: bytes) -> None:
    mutated = bytearray(IMAGES[name] + tail)
    for at, value, form in changes:
        size = struct.calcsize(form)
        struct.pack_into(f"<{form}", mutated, at % (len(mutated) - size), value & (1 << 8 * size) - 1)
    outcome(bytes(mutated), name)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(fields=st.lists(st.one_of(st.sampled_from(EDGES), st.integers(0, 0xFFFFFFFF)), min_size=5, max_size=5))
@example(fields=[BASE, BASE, 0, 0, BASE])
def test_any_address_fields_are_survived(fields: list[int]) -> None:
    outcome(multiboot_header(0x10003, *fields) + bytes(64))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    tags=st.lists(
        st.tuples(
            st.integers(0, 12),
            st.lists(st.one_of(st.sampled_from(EDGES), st.integers(0, 0xFFFFFFFF)), max_size=5),
        ),
        max_size=5,
    )
)
def test_any_tags_are_survived(tags: list[tuple[int, list[int]]]) -> None:
    outcome(multiboot2_header(*(tag(kind, *words) for kind, words in tags)) + bytes(64))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.binary(max_size=600))
@example(data=b"\x7fELF")
@example(data=b"MZ" + bytes(0x3A) + b"\xff\xff\xff\xff")
def test_random_bytes_are_no_kernel(data: bytes) -> None:
    assert isinstance(outcome(data), str)


def crowded_image(segments: int, sections: int) -> bytes:
    """As many headers as the format can count, each asking for a place of its own."""
    body = multiboot_header(0x3) + b"\xfa\xf4"
    phoff, shoff = 64 + len(body), 64 + len(body) + 32 * segments
    header = b"\x7fELF\1\1\1" + bytes(9)
    header += struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, BASE, phoff, shoff, 0, 52, 32, segments, 40, sections, 0)
    table = b"".join(struct.pack("<8I", 1, 64, BASE + 16 * n, BASE + 16 * n, 14, 14, 5, 1) for n in range(segments))
    loose = b"".join(struct.pack("<10I", 0, 3, 0, 0, 64, 14, 0, 0, 4096, 0) for _ in range(sections))
    return header.ljust(64, b"\0") + body + table + loose


@pytest.mark.parametrize(("segments", "sections"), [(65535, 0), (1, 65535), (32768, 32768)])
def test_as_many_headers_as_a_file_can_have_take_bounded_time(segments: int, sections: int) -> None:
    outcome(crowded_image(segments, sections))

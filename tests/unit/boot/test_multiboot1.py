"""Loading: what lands where, what is refused, and the state of the processor at the entry."""

from __future__ import annotations

import re
import struct
from typing import Any

import pytest

from hillemu.boot.image import BootOptions, Image, Loaded, Module
from hillemu.boot.multiboot1 import load_multiboot1
from hillemu.emu.errors import UserMistake
from hillemu.emu.guest import FakeGuest, Segment
from hillemu.emu.i386.address import PhysAddr

MIB = 1 << 20


def load(data: bytes, ram_bytes: int = 8 * MIB, **options: Any) -> tuple[FakeGuest, Loaded]:
    guest = FakeGuest(ram_bytes)
    # Dirty RAM shows what the loader clears.
    guest.memory.data[:] = b"\xcc" * ram_bytes
    return guest, load_multiboot1(guest, Image("k", data), BootOptions(**options))


def refused(data: bytes, ram_bytes: int = 8 * MIB, **options: Any) -> str:
    guest = FakeGuest(ram_bytes)
    with pytest.raises(UserMistake) as caught:
        load_multiboot1(guest, Image("k", data), BootOptions(**options))
    assert not any(guest.memory.data), "a refused image must leave the machine as it was"
    assert not guest.registers.values
    return str(caught.value)


def test_segments_go_to_their_physical_addresses_and_bss_is_cleared(kernels: Any) -> None:
    parts = [
        kernels.Part(0x100000, kernels.header() + b"text", vaddr=0xC0100000),
        kernels.Part(0x103000, b"data", memory_bytes=0x1004, vaddr=0xC0103000),
    ]
    guest, loaded = load(kernels.elf(parts, entry=0xC0100000))
    assert guest.memory.read(PhysAddr(0x10000C), 5) == b"text\xcc"
    assert guest.memory.read(PhysAddr(0x103000), 0x1005) == b"data" + bytes(0x1000) + b"\xcc"
    assert [(place.base, place.end) for place in loaded.segments] == [(0x100000, 0x100010), (0x103000, 0x104004)]


def test_a_linker_may_list_segments_in_any_order_and_put_one_into_low_memory(kernels: Any) -> None:
    parts = [kernels.Part(0x200000, b"high"), kernels.Part(0x7C000, kernels.header() + b"low")]
    guest, _ = load(kernels.elf(parts))
    assert guest.memory.read(PhysAddr(0x200000), 4) == b"high"
    assert guest.memory.read(PhysAddr(0x7C00C), 3) == b"low"


def headers_in_the_hole(kernels: Any, loaded_bytes: int, **other: Any) -> bytes:
    """A kernel as ``ld -Ttext 0x100000`` makes it: its first segment begins with the file, a page below 1 MiB."""
    kernel = bytearray(kernels.elf([kernels.Part(0xFF000, b""), kernels.Part(0x102000, kernels.header())], **other))
    kernel += bytes(0x1000 - len(kernel)) + b"code"
    struct.pack_into("<5I", kernel, 52 + 4, 0, 0xFF000, 0xFF000, loaded_bytes, loaded_bytes)
    return bytes(kernel)


class TestElfHeadersThatAreToLieWhereTheBiosIs:
    def test_are_left_out_where_they_are_a_segment_of_their_own(self, kernels: Any) -> None:
        guest, loaded = load(headers_in_the_hole(kernels, 0x94, entry=0x102000))
        assert guest.memory.read(PhysAddr(0xFF000), 4) == b"\xcc" * 4
        assert [(place.base, place.end) for place in loaded.segments] == [(0x102000, 0x10200C)]

    def test_are_left_out_in_front_of_code_that_is_in_their_segment(self, kernels: Any) -> None:
        guest, loaded = load(headers_in_the_hole(kernels, 0x1004, entry=0x100000))
        assert guest.memory.read(PhysAddr(0xFFFFC), 8) == b"\xcc" * 4 + b"code"
        assert (loaded.entry, loaded.segments[0].base, loaded.segments[0].end) == (0x100000, 0x100000, 0x100004)

    def test_are_refused_with_the_entry_among_them(self, kernels: Any) -> None:
        assert "reaches into the hole" in refused(headers_in_the_hole(kernels, 0x94, entry=0xFF034))


class TestABuildId:
    """A segment that is a note, too, and where GNU ld puts it if nobody says where."""

    def kernel(self, kernels: Any, kind: int = 4) -> bytes:
        base, size = 0x080480B4, 0x24
        load = kernels.Part(base, bytes(range(size)))
        kernel = bytearray(kernels.elf([kernels.Part(0x100000, kernels.header()), load, load._replace(kind=kind)]))
        kernel[52 + 2 * 32 + 4 : 52 + 2 * 32 + 8] = kernel[52 + 32 + 4 : 52 + 32 + 8]  # the same bytes of the file
        return bytes(kernel)

    def test_is_left_out_where_there_is_no_ram(self, kernels: Any) -> None:
        _, loaded = load(self.kernel(kernels))
        assert [place.base for place in loaded.segments] == [0x100000]

    def test_is_loaded_where_there_is(self, kernels: Any) -> None:
        guest, loaded = load(self.kernel(kernels), 129 * MIB)
        assert guest.memory.read(PhysAddr(0x080480B4), 0x24) == bytes(range(0x24))
        assert len(loaded.segments) == 2

    def test_is_not_what_another_segment_there_is_taken_for(self, kernels: Any) -> None:
        assert "is outside RAM" in refused(self.kernel(kernels, kind=6))


class TestTheEntry:
    def test_is_translated_by_the_segment_whose_virtual_range_holds_it(self, kernels: Any) -> None:
        parts = [kernels.Part(0x100000, kernels.header() + b"code", vaddr=0xC0100000)]
        _, loaded = load(kernels.elf(parts, entry=0xC010000C))
        assert loaded.entry == 0x10000C

    def test_may_be_physical_in_a_higher_half_kernel(self, kernels: Any) -> None:
        parts = [kernels.Part(0x100000, kernels.header() + b"code", vaddr=0xC0100000)]
        _, loaded = load(kernels.elf(parts, entry=0x10000C))
        assert loaded.entry == 0x10000C

    def test_prefers_an_executable_segment_where_virtual_ranges_overlap(self, kernels: Any) -> None:
        data, code = kernels.Part(0x200000, bytes(64), vaddr=0x1000, flags=6), kernels.header() + bytes(52)
        _, loaded = load(kernels.elf([data, kernels.Part(0x100000, code, vaddr=0x1000, flags=5)], entry=0x1010))
        assert loaded.entry == 0x100010

    def test_may_lie_in_a_segment_that_is_not_marked_executable(self, kernels: Any) -> None:
        parts = [kernels.Part(0x100000, kernels.header() + b"code", vaddr=0x5000, flags=6)]
        _, loaded = load(kernels.elf(parts, entry=0x500C))
        assert loaded.entry == 0x10000C

    def test_takes_the_virtual_meaning_before_the_physical_one(self, kernels: Any) -> None:
        parts = [
            kernels.Part(0x100000, kernels.header() + bytes(52), vaddr=0x200000),
            kernels.Part(0x200000, bytes(64), vaddr=0x300000),
        ]
        _, loaded = load(kernels.elf(parts, entry=0x200010))
        assert loaded.entry == 0x100010

    def test_outside_everything_is_refused(self, kernels: Any) -> None:
        parts = [kernels.Part(0x100000, kernels.header() + b"code")]
        assert "entry point 0x100010 lies in no segment" in refused(kernels.elf(parts, entry=0x100010))


class TestAddressFields:
    def test_zero_load_end_means_the_whole_file_and_zero_bss_end_no_bss(self, kernels: Any) -> None:
        guest, loaded = load(kernels.kludge(b"code and data", 0x100000))
        assert loaded.entry == 0x100020
        assert guest.memory.read(PhysAddr(0x100020), 14) == b"code and data\xcc"

    def test_load_end_and_bss_end_bound_what_is_loaded_and_cleared(self, kernels: Any) -> None:
        image = kernels.kludge(b"codeNEVER", 0x100000, load_end=0x100024, bss_end=0x100030)
        guest, loaded = load(image)
        assert guest.memory.read(PhysAddr(0x100020), 17) == b"code" + bytes(12) + b"\xcc"
        assert loaded.segments[0].end == 0x100030

    def test_loading_starts_as_far_before_the_header_as_load_addr_is(self, kernels: Any) -> None:
        fields = (0x100010, 0x100008, 0, 0, 0x100010)
        guest, _ = load(b"SKIPPED!" + b"LOADED!!" + kernels.header(0x10003, *fields))
        assert guest.memory.read(PhysAddr(0x100008), 8) == b"LOADED!!"
        assert guest.memory.read(PhysAddr(0x100000), 8) == b"\xcc" * 8

    def test_come_before_the_elf_header(self, kernels: Any) -> None:
        # The header lies at 0x54 in this 64-bit ELF file, whose own headers are not even looked at.
        header = kernels.header(0x10003, 0x200000, 0x200000, 0, 0, 0x200020)
        elf = kernels.elf([kernels.Part(0x100000, header + b"code")], elf_class=2, machine=62)
        guest, loaded = load(elf)
        assert loaded.entry == 0x200020
        assert guest.memory.read(PhysAddr(0x200020), 4) == b"code"

    @pytest.mark.parametrize(
        ("fields", "fault"),
        [
            ((0x100000, 0x100004, 0, 0, 0x100004), "check header_addr and load_addr"),
            ((0x100004, 0x100000, 0, 0, 0x100004), "check header_addr and load_addr"),
            ((0x100000, 0x100000, 0x0FFFFF, 0, 0x100000), "load_end_addr 0xfffff is below load_addr 0x100000"),
            ((0x100000, 0x100000, 0x100100, 0, 0x100020), "is truncated: .* 0x100 bytes from offset 0x0 .* only 0x24"),
            ((0x100000, 0x100000, 0, 0x100010, 0x100000), r"bss_end_addr 0x100010 is below .* \(0x100024\)"),
            ((0x100000, 0x100000, 0, 0, 0x100024), "entry_addr 0x100024 .* outside what is loaded"),
            ((0x100000, 0x100000, 0, 0, 0x0FFFFC), "entry_addr 0xffffc .* outside what is loaded"),
        ],
    )
    def test_that_contradict_each_other_are_refused(self, kernels: Any, fields: tuple[int, ...], fault: str) -> None:
        assert re.search(fault, refused(kernels.header(0x10003, *fields) + b"code"))

    def test_missing_in_a_file_that_is_not_elf_are_missed(self, kernels: Any) -> None:
        assert "without address fields (flag 16), and is not an ELF file" in refused(kernels.header() + bytes(64))


class TestAPlaceThatCannotBe:
    @pytest.mark.parametrize(("base", "size"), [(0xA0000, 1), (0x9F000, 0x1001), (0xFFFFF, 2), (0xFF000, 0x2000)])
    def test_in_the_hole(self, kernels: Any, base: int, size: int) -> None:
        text = refused(kernels.elf([kernels.Part(base, kernels.header(), memory_bytes=max(size, 12))]))
        assert "reaches into the hole 0xa0000-0xfffff" in text
        assert "link the kernel at 1 MiB (0x100000)" in text

    def test_behind_the_end_of_ram_names_the_ram_that_would_do(self, kernels: Any) -> None:
        image = kernels.elf([kernels.Part(0x100000, kernels.header(), memory_bytes=0x1234567)])
        text = refused(image)
        assert text == (
            "k: segment 0 (0x100000-0x1334566) is outside RAM, which ends at 0x7dffff: give the machine more, --mem 20M"
        )
        load(image, 20 * MIB)

    def test_where_a_pc_has_devices(self, kernels: Any) -> None:
        text = refused(kernels.elf([kernels.Part(0xC0100000, kernels.header())]))
        assert "where a PC has devices, not RAM" in text
        assert "AT(ADDR(.text) - 0xC0000000)" in text

    def test_above_4_gib(self, kernels: Any) -> None:
        text = refused(kernels.elf([kernels.Part(0xFFFFF000, kernels.header(), memory_bytes=0x2000)]))
        assert "ends above 4 GiB" in text

    def test_on_top_of_another_segment(self, kernels: Any) -> None:
        parts = [
            kernels.Part(0x102000, bytes(16)),
            kernels.Part(0x100000, kernels.header(), memory_bytes=0x2001),
        ]
        text = refused(kernels.elf(parts))
        assert "segment 1 (0x100000-0x102000) and segment 0 (0x102000-0x10200f) overlap" in text

    def test_touching_segments_are_fine(self, kernels: Any) -> None:
        load(kernels.elf([kernels.Part(0x100000, kernels.header(), memory_bytes=16), kernels.Part(0x100010, b"next")]))


class TestModules:
    def test_lie_behind_the_kernel_on_pages_of_their_own(self, kernels: Any) -> None:
        image = kernels.elf([kernels.Part(0x100000, kernels.header(), memory_bytes=0x2001)])
        modules = (Module("a", "", b"A" * 0x1001), Module("b", "x=1 y", b"B"))
        guest, loaded = load(image, modules=modules)
        assert [(place.base, place.end) for place in loaded.modules] == [(0x103000, 0x104001), (0x105000, 0x105001)]
        assert guest.memory.read(PhysAddr(0x103000), 0x1001) == b"A" * 0x1001
        assert guest.memory.read(PhysAddr(0x105000), 1) == b"B"

    def test_of_a_kernel_in_low_memory_start_at_1_mib(self, kernels: Any) -> None:
        _, loaded = load(kernels.small(base=0x20000), modules=(Module("m", "", b"M"),))
        assert loaded.modules[0].base == 0x100000

    def test_go_below_a_kernel_at_the_top_of_ram(self, kernels: Any) -> None:
        image = kernels.elf([kernels.Part(0x7DF000, kernels.header(), memory_bytes=0x1000)])
        _, loaded = load(image, modules=(Module("m", "", bytes(0x2000)),))
        assert loaded.modules[0].base == 0x100000

    def test_may_be_empty(self, kernels: Any) -> None:
        _, loaded = load(kernels.small(), modules=(Module("e", "", b""), Module("f", "", b"F")))
        assert [place.base for place in loaded.modules] == [0x101000, 0x102000]
        assert loaded.modules[0].end == 0x101000

    def test_too_large_are_refused_by_name_and_size(self, kernels: Any) -> None:
        text = refused(kernels.small(), modules=(Module("big.img", "", bytes(7 * MIB)),))
        assert text == (
            "big.img: this module of 0x700000 bytes does not fit into RAM: the largest free run above 1 MiB has "
            "0x6dfff2 bytes; give the machine more, --mem"
        )
        load(kernels.small(), 9 * MIB, modules=(Module("big.img", "", bytes(7 * MIB)),))


class TestTheProcessor:
    def test_is_as_the_specification_promises(self, kernels: Any) -> None:
        guest, loaded = load(kernels.small())
        get, segment = guest.registers.get, guest.registers.segment
        assert get("eax") == 0x2BADB002
        assert get("ebx") == loaded.info_address
        assert get("eip") == loaded.entry == 0x10000C
        assert get("cr0") & 0x80000001 == 1, "PE set, PG clear"
        assert get("eflags") & (1 << 17 | 1 << 9) == 0, "VM and IF clear"
        code = segment("cs")
        assert (code.base, code.limit) == (0, 0xFFFFFFFF)
        assert code.attributes & 0x00F09A00 == 0x00C09A00, "present, ring 0, readable code, 32-bit, 4 KiB granules"
        for name in ("ds", "es", "fs", "gs", "ss"):
            assert (segment(name).base, segment(name).limit) == (0, 0xFFFFFFFF)
            assert segment(name).attributes & 0x00F09E00 == 0x00C09200, "present, ring 0, writable data, 32-bit"

    def test_has_a_gdt_that_holds_what_is_in_the_segment_registers(self, kernels: Any) -> None:
        guest, _ = load(kernels.small())
        gdtr = guest.registers.segment("gdtr")
        for name in ("cs", "ds", "es", "fs", "gs", "ss"):
            cached = guest.registers.segment(name)
            assert cached.selector + 7 <= gdtr.limit
            low, high = struct.unpack("<II", guest.memory.read(PhysAddr(gdtr.base + cached.selector), 8))
            limit = (low & 0xFFFF | high & 0xF0000) << 12 | 0xFFF
            base = low >> 16 | (high & 0xFF) << 16 | high & 0xFF000000
            assert Segment(cached.selector, base, limit, high & 0x00F0FF00) == cached


def test_a_command_line_that_no_string_can_hold_is_an_options_fault(kernels: Any) -> None:
    assert refused(kernels.small(), cmdline="a\0b").startswith("--append: ")
    assert refused(kernels.small(), cmdline="\ud800").startswith("--append: ")
    text = refused(kernels.small(), modules=(Module("m", "\0", b""),))
    assert text.startswith("--module: ")


@pytest.mark.parametrize(
    ("video", "note"),
    [
        ((1, 80, 25, 0), None),
        ((1, 0, 0, 0), None),
        ((0, 1024, 768, 32), "asks for a graphics screen (1024x768, 32 bits per pixel); it gets 80x25 text"),
        ((0, 0, 0, 0), "asks for a graphics screen (any size)"),
        ((1, 132, 43, 0), "asks for a text screen (132x43)"),
        ((9, 1, 1, 0), "asks for a screen of type 9 (1x1)"),
    ],
)
def test_a_screen_that_the_machine_does_not_have_is_noted(kernels: Any, video: tuple[int, ...], note: str) -> None:
    image = kernels.small(b"\xfa\xf4", 0x100000, 0x7, 0, 0, 0, 0, 0, *video)
    _, loaded = load(image)
    assert (loaded.notes == ()) if note is None else (len(loaded.notes) == 1 and note in loaded.notes[0])


def test_the_description_says_what_went_where(kernels: Any) -> None:
    _, loaded = load(kernels.small(), modules=(Module("m.img", "", b"MM"),))
    assert loaded.description == (
        "Multiboot 1 (ELF), entry at 0x10000c",
        "segment 0 at 0x100000-0x10000d",
        "module m.img at 0x101000-0x101001",
        "information structure at 0x9028",
    )


def test_a_machine_too_small_for_the_boot_information_is_told(kernels: Any) -> None:
    image = kernels.elf([kernels.Part(0x1000, kernels.header(), memory_bytes=0x1000)])
    assert "leaves no room for" in refused(image, 0x2000)

"""The information structure, read back as a kernel reads it: by the offsets in the specification."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from hillemu.boot.firmware import Firmware
from hillemu.boot.image import BootOptions, Image, Loaded, Module
from hillemu.boot.multiboot1 import load_multiboot1
from hillemu.boot.video_mode import Framebuffer, VbeFacts
from hillemu.emu.guest import FakeGuest
from hillemu.emu.i386.address import PhysAddr

MIB = 1 << 20


class Info:
    """What a kernel sees through EBX."""

    def __init__(self, guest: FakeGuest) -> None:
        self.memory = guest.memory
        self.base = guest.registers.get("ebx")

    def word(self, offset: int) -> int:
        return self.memory.u32(PhysAddr(self.base + offset))

    def string(self, at: int) -> bytes:
        return bytes(self.memory.data[at : self.memory.data.index(0, at)])

    @property
    def flags(self) -> set[int]:
        return {bit for bit in range(32) if self.word(0) >> bit & 1}

    def rows(self, form: str, at: int, count: int, stride: int) -> list[tuple[Any, ...]]:
        return [struct.unpack_from(form, self.memory.data, at + number * stride) for number in range(count)]


def boot(data: bytes, ram_bytes: int = 8 * MIB, **options: Any) -> tuple[Info, Loaded]:
    guest = FakeGuest(ram_bytes)
    loaded = load_multiboot1(guest, Image("boot/k.elf", data), BootOptions(**options))
    return Info(guest), loaded


def test_exactly_the_flags_of_what_is_present_are_set(kernels: Any) -> None:
    assert boot(kernels.small())[0].flags == {0, 1, 2, 3, 6, 9}


def test_memory_sizes_and_boot_device(kernels: Any) -> None:
    info, _ = boot(kernels.small())
    assert (info.word(4), info.word(8), info.word(12)) == (639, 7 * 1024 - 128, 0x8000FFFF)


@pytest.mark.parametrize(("cmdline", "expected"), [("", b"boot/k.elf "), ("a=1 é", "boot/k.elf a=1 é".encode())])
def test_the_command_line_begins_with_the_name_as_under_qemu(kernels: Any, cmdline: str, expected: bytes) -> None:
    info, _ = boot(kernels.small(), cmdline=cmdline)
    assert info.string(info.word(16)) == expected


def test_a_file_name_that_is_not_utf8_reaches_the_kernel_byte_for_byte(kernels: Any) -> None:
    info, _ = boot(kernels.small(), modules=(Module("m\udcff", "x", b""),))
    assert info.string(info.rows("<4I", info.word(24), 1, 16)[0][2]) == b"m\xff x"


def test_the_boot_loader_has_a_name(kernels: Any) -> None:
    info, _ = boot(kernels.small())
    assert info.string(info.word(64)) == b"hillemu"


def test_without_modules_their_number_is_zero(kernels: Any) -> None:
    assert boot(kernels.small())[0].word(20) == 0


def test_modules_are_listed_with_their_ends_and_strings(kernels: Any) -> None:
    info, loaded = boot(kernels.small(), modules=(Module("a.img", "", b"A" * 5000), Module("b.img", "ro x", b"B")))
    assert info.word(20) == 2
    first, second = info.rows("<4I", info.word(24), 2, 16)
    assert first[:2] == (loaded.modules[0].base, loaded.modules[0].base + 5000)
    assert second[:2] == (loaded.modules[1].base, loaded.modules[1].base + 1)
    assert [info.string(row[2]) for row in (first, second)] == [b"a.img", b"b.img ro x"]
    assert (first[3], second[3]) == (0, 0), "reserved must be zero"
    assert first[0] % 4096 == second[0] % 4096 == 0


def test_the_memory_map_is_walked_by_the_size_in_front_of_each_entry(kernels: Any) -> None:
    info, _ = boot(kernels.small())
    at, end, found = info.word(48), info.word(48) + info.word(44), []
    while at < end:
        size, base, length, kind = struct.unpack_from("<IQQI", info.memory.data, at)
        found.append((base, length, kind))
        at += size + 4
    assert at == end
    assert found == [
        (0, 0x9FC00, 1),
        (0x9FC00, 0x400, 2),
        (0xF0000, 0x10000, 2),
        (0x100000, 7 * MIB - 0x20000, 1),
        (0x7E0000, 0x20000, 2),
        (0xFFFC0000, 0x40000, 2),
    ]


def test_absent_tables_are_zero(kernels: Any) -> None:
    info, _ = boot(kernels.small())
    assert [info.word(at) for at in (28, 32, 36, 40, 52, 56, 60, 68, 72, 76, 80, 84)] == [0] * 12


def test_only_a_kernel_that_asked_for_video_hears_of_the_text_screen(kernels: Any) -> None:
    silent, _ = boot(kernels.small())
    assert [silent.word(at) for at in range(88, 116, 4)] == [0] * 7
    info, _ = boot(kernels.small(b"\xfa\xf4", 0x100000, 0x7, *[0] * 9))
    assert info.flags == {0, 1, 2, 3, 6, 9, 12}
    fields = struct.unpack_from("<QIIIBB", info.memory.data, info.base + 88)
    assert fields == (0xB8000, 160, 80, 25, 16, 2), "address, pitch, columns, lines, bits per cell, EGA text"


def test_everything_lies_below_640_kib_away_from_the_kernel(kernels: Any) -> None:
    info, _ = boot(kernels.small(), cmdline="c" * 3000, modules=(Module("m", "a", b"M"),))
    pointers = [info.base, *(info.word(at) for at in (16, 24, 48, 64)), info.word(24)]
    assert all(0x9000 <= pointer < 0x9FC00 for pointer in pointers)


@pytest.mark.parametrize(
    ("low", "size", "where"),
    [(0x8000, 0x2000, range(0xA000, 0x9FC00)), (0x9000, 0x96C00, range(0x1000, 0x9000))],
)
def test_the_structure_makes_way_for_a_kernel_in_low_memory(kernels: Any, low: int, size: int, where: range) -> None:
    info, _ = boot(kernels.elf([kernels.Part(low, kernels.header(), memory_bytes=size)]))
    assert info.base in where
    assert info.string(info.word(16)) == b"boot/k.elf "


def test_the_structure_goes_behind_a_kernel_that_takes_all_low_memory(kernels: Any) -> None:
    parts = [kernels.Part(0, kernels.header(), memory_bytes=0xA0000), kernels.Part(0x100000, b"x")]
    info, loaded = boot(kernels.elf(parts), modules=(Module("m", "", b"M"),))
    assert info.base == 0x101028
    assert loaded.modules[0].base == 0x102000


SYMTAB, STRTAB, PROGBITS, NOBITS = 2, 3, 1, 8


class TestGraphics:
    VBE = VbeFacts(0x4115, b"VESA" + bytes(508), bytes(range(256)), (0xC000, 1, 2))
    WISH = (b"\xfa\xf4", 0x100000, 0x7, 0, 0, 0, 0, 0)

    def set_mode(self, width: int, height: int, depth: int) -> Framebuffer | None:
        if (width, height) != (800, 600):
            return None
        if depth == 8:
            return Framebuffer(0xFD000000, 800, 800, 600, 8, palette=bytes(range(256)) * 3)
        return Framebuffer(0xFD000000, 3200, 800, 600, 32, (16, 8), (8, 8), (0, 8), vbe=self.VBE)

    def boot(self, kernels: Any, *video: int) -> tuple[Info, Loaded]:
        guest = FakeGuest(8 * MIB)
        image = Image("k", kernels.small(*self.WISH, *video))
        loaded = load_multiboot1(guest, image, BootOptions(), Firmware(set_mode=self.set_mode))
        return Info(guest), loaded

    def test_asked_for_are_set_and_described(self, kernels: Any) -> None:
        info, loaded = self.boot(kernels, 0, 800, 600, 32)
        assert {11, 12} <= info.flags
        rgb = struct.pack("<QIIIBB6B", 0xFD000000, 3200, 800, 600, 32, 1, 16, 8, 8, 8, 0, 8)
        assert info.memory.read(PhysAddr(info.base + 88), len(rgb)) == rgb
        assert info.memory.read(PhysAddr(info.word(72)), 512) == self.VBE.controller_info
        assert info.memory.read(PhysAddr(info.word(76)), 256) == self.VBE.mode_info
        assert info.memory.read(PhysAddr(info.base + 80), 8) == struct.pack("<4H", 0x4115, 0xC000, 1, 2)
        assert loaded.notes == ()

    def test_of_colour_numbers_come_with_the_palette(self, kernels: Any) -> None:
        info, _ = self.boot(kernels, 0, 800, 600, 8)
        assert 12 in info.flags
        assert 11 not in info.flags, "no VBE facts were told"
        assert info.memory.read(PhysAddr(info.base + 108), 2) == bytes([8, 0])
        count = info.word(114) & 0xFFFF
        assert count == 256
        assert info.memory.read(PhysAddr(info.word(110)), 768) == bytes(range(256)) * 3

    def test_of_another_size_are_better_than_none_and_noted(self, kernels: Any) -> None:
        info, loaded = self.boot(kernels, 0, 1024, 768, 32)
        assert info.word(100) == 800
        assert "(1024x768, 32 bits per pixel); it gets 800x600, 32 bits per pixel" in loaded.notes[0]

    def test_are_not_set_for_a_kernel_that_wants_text(self, kernels: Any) -> None:
        info, _ = self.boot(kernels, 1, 80, 25, 0)
        assert info.word(88) == 0xB8000
        assert 11 not in info.flags


class TestSections:
    def image(self, kernels: Any, *sections: Any) -> bytes:
        data: bytes = kernels.elf([kernels.Part(0x100000, kernels.header())], sections=[kernels.Section(0), *sections])
        return data

    def headers(self, info: Info) -> list[tuple[int, ...]]:
        number, stride, table = info.word(28), info.word(32), info.word(36)
        assert stride == 40
        return info.rows("<10I", table, number, stride)

    def test_symbol_tables_are_loaded_and_found_through_the_patched_headers(self, kernels: Any) -> None:
        names = kernels.Section(STRTAB, b"\0.symtab\0")
        info, _ = boot(self.image(kernels, kernels.Section(SYMTAB, b"S" * 33, align=4), names))
        assert 5 in info.flags
        assert 4 not in info.flags, "bits 4 and 5 exclude each other"
        assert info.word(40) == 2, "the index of the section names"
        _, symbols, strings = self.headers(info)
        assert bytes(info.memory.data[symbols[3] :][: symbols[5]]) == b"S" * 33
        assert bytes(info.memory.data[strings[3] :][: strings[5]]) == b"\0.symtab\0"
        assert 0x9000 < symbols[3] < strings[3] < 0x80000

    def test_alignment_is_kept(self, kernels: Any) -> None:
        parts = [kernels.Section(STRTAB, b"x"), kernels.Section(SYMTAB, b"y", align=64), kernels.Section(STRTAB, b"z")]
        info, _ = boot(self.image(kernels, *parts))
        assert self.headers(info)[2][3] % 64 == 0

    def test_an_alignment_that_is_no_power_of_two_is_ignored(self, kernels: Any) -> None:
        for align in (0, 3, 0x80000000, 0xFFFFFFFF):
            info, _ = boot(self.image(kernels, kernels.Section(STRTAB, b"x", align=align)))
            assert info.memory.data[self.headers(info)[1][3]] == ord("x")

    def test_sections_that_a_segment_brings_keep_their_address(self, kernels: Any) -> None:
        text = kernels.Section(PROGBITS, b"ignored", flags=2, addr=0xC0100000)
        at_zero = kernels.Section(PROGBITS, b"ignored", flags=2, addr=0)
        info, _ = boot(self.image(kernels, text, at_zero, kernels.Section(NOBITS), kernels.Section(STRTAB, b"s")))
        assert [header[3] for header in self.headers(info)[:4]] == [0, 0xC0100000, 0, 0]

    def test_debugging_information_goes_to_the_top_of_ram(self, kernels: Any) -> None:
        info, _ = boot(self.image(kernels, kernels.Section(PROGBITS, b"dwarf"), kernels.Section(STRTAB, b"s")))
        assert self.headers(info)[1][3] == 0x7E0000 - 0x1000
        assert bytes(info.memory.data[0x7E0000 - 0x1000 :][:6]) == b"dwarf\0"

    def test_symbols_too_large_for_low_memory_go_to_the_top_of_ram(self, kernels: Any) -> None:
        info, _ = boot(self.image(kernels, kernels.Section(STRTAB, b"s" * 0x80000)))
        assert self.headers(info)[1][3] == 0x7E0000 - 0x80000

    def test_debugging_information_that_does_not_fit_is_left_out_with_a_note(self, kernels: Any) -> None:
        big = kernels.Section(PROGBITS, bytes(3 * MIB))
        info, loaded = boot(self.image(kernels, big, kernels.Section(STRTAB, b"s")), 3 * MIB)
        assert self.headers(info)[1][3] == 0
        assert self.headers(info)[2][3] != 0
        assert loaded.notes == ("its debugging sections do not fit into RAM and are not passed to the kernel",)

    def test_symbols_that_do_not_fit_clear_the_flag(self, kernels: Any) -> None:
        info, loaded = boot(self.image(kernels, kernels.Section(STRTAB, bytes(3 * MIB))), 3 * MIB)
        assert 5 not in info.flags
        assert [info.word(at) for at in (28, 32, 36, 40)] == [0] * 4
        assert loaded.notes == ("its symbol sections do not fit into RAM and are not passed to the kernel",)

    def test_a_kernel_with_address_fields_passes_none(self, kernels: Any) -> None:
        info, _ = boot(kernels.kludge(b"code", 0x100000))
        assert 5 not in info.flags

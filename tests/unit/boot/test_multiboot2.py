"""Loading Multiboot 2 kernels; the information is read back as a kernel reads it, tag by tag."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from hillemu.boot.detect import Kind
from hillemu.boot.firmware import ApmTable, Firmware
from hillemu.boot.image import BootOptions, Image, Loaded, Module
from hillemu.boot.memory_map import MapEntry, MemoryKind, memory_map
from hillemu.boot.multiboot2 import load_multiboot2
from hillemu.boot.video_mode import Framebuffer, VbeFacts
from hillemu.emu.errors import UserMistake
from hillemu.emu.guest import FakeGuest
from hillemu.emu.i386.address import PhysAddr

MIB = 1 << 20
CMDLINE, LOADER, MODULE, MEMORY, MAP, VBE, SCREEN, SECTIONS, APM = 1, 2, 3, 4, 6, 7, 8, 9, 10
SMBIOS, ACPI_OLD, ACPI_NEW, LOAD_BASE = 13, 14, 15, 21
ACPI_KIB = 128
"""At the top of RAM."""
VBE_FACTS = VbeFacts(0x4115, b"VESA" + bytes(508), bytes(range(256)), (0xC000, 1, 2))


def screen(width: int, height: int, depth: int) -> Framebuffer | None:
    """A machine with 800x600 and 1024x768 in 32 and 8 bits per pixel."""
    if (width, height) not in ((800, 600), (1024, 768)) or depth not in (32, 8):
        return None
    pitch = width * depth // 8
    if depth == 8:
        return Framebuffer(0xFD000000, pitch, width, height, depth, palette=bytes(range(256)) * 3)
    return Framebuffer(0xFD000000, pitch, width, height, depth, (16, 8), (8, 8), (0, 8), vbe=VBE_FACTS)


class Info:
    """What a kernel sees through EBX: the tags, as (type, body) in order."""

    def __init__(self, guest: FakeGuest) -> None:
        base = guest.registers.get("ebx")
        assert base % 8 == 0
        total, reserved = struct.unpack_from("<II", guest.memory.data, base)
        assert reserved == 0
        self.tags: list[tuple[int, bytes]] = []
        at = base + 8
        while at < base + total:
            assert at % 8 == 0
            kind, size = struct.unpack_from("<II", guest.memory.data, at)
            self.tags.append((kind, bytes(guest.memory.data[at + 8 : at + size])))
            at += size + -size % 8
        assert self.tags[-1] == (0, b"")
        assert at == base + total

    def all(self, kind: int) -> list[bytes]:
        return [body for found, body in self.tags if found == kind]

    def __getitem__(self, kind: int) -> bytes:
        (body,) = self.all(kind)
        return body


def load(
    data: bytes, ram_bytes: int = 8 * MIB, firmware: Firmware | None = None, **options: Any
) -> tuple[FakeGuest, Loaded, Info]:
    guest = FakeGuest(ram_bytes)
    guest.memory.data[0x100000:] = b"\xcc" * (ram_bytes - 0x100000)  # dirty RAM shows what the loader clears
    loaded = load_multiboot2(guest, Image("boot/k.elf", data), BootOptions(**options), firmware or Firmware())
    return guest, loaded, Info(guest)


def refused(data: bytes, ram_bytes: int = 8 * MIB, firmware: Firmware | None = None, **options: Any) -> str:
    guest = FakeGuest(ram_bytes)
    with pytest.raises(UserMistake) as caught:
        load_multiboot2(guest, Image("k", data), BootOptions(**options), firmware or Firmware())
    assert guest.memory.data.count(0) == ram_bytes, "a refused image must leave the machine as it was"
    assert not guest.registers.values
    return str(caught.value)


def test_the_processor_is_as_the_specification_promises(kernels: Any) -> None:
    guest, loaded, _ = load(kernels.small2())
    get, segment = guest.registers.get, guest.registers.segment
    assert loaded.kind is Kind.MULTIBOOT2
    assert get("eax") == 0x36D76289
    assert get("ebx") == loaded.info_address
    assert get("eip") == loaded.entry
    assert guest.memory.read(loaded.entry, 2) == b"\xfa\xf4"
    assert get("cr0") & 0x80000001 == 1, "PE set, PG clear"
    assert get("eflags") & (1 << 17 | 1 << 9) == 0, "VM and IF clear"
    for name in ("cs", "ds", "es", "fs", "gs", "ss"):
        assert (segment(name).base, segment(name).limit) == (0, 0xFFFFFFFF)


def test_a_text_machine_without_acpi_tells_this_in_this_order(kernels: Any) -> None:
    _, _, info = load(kernels.small2(), modules=(Module("m", "", b"M"),))
    assert [kind for kind, _ in info.tags] == [LOAD_BASE, CMDLINE, LOADER, MODULE, MAP, MEMORY, SCREEN, 0]


def test_the_command_line_is_the_arguments_alone_as_from_grub(kernels: Any) -> None:
    assert load(kernels.small2(), cmdline="a=1 é")[2][CMDLINE] == "a=1 é\0".encode()
    assert load(kernels.small2())[2][CMDLINE] == b"\0"
    assert refused(kernels.small2(), cmdline="a\0b").startswith("--append: ")


def test_modules_have_a_tag_each_with_arguments_or_a_name(kernels: Any) -> None:
    modules = (Module("a.img", "", b"A" * 5000), Module("b.img", "ro x", b"B"), Module("e", "", b""))
    guest, loaded, info = load(kernels.small2(), modules=modules)
    for body, place, string, module in zip(
        info.all(MODULE), loaded.modules, (b"a.img\0", b"ro x\0", b"e\0"), modules, strict=True
    ):
        start, end = struct.unpack_from("<II", body)
        assert (start, end) == (place.base, place.end)
        assert start % 4096 == 0
        assert guest.memory.read(PhysAddr(start), end - start) == module.data
        assert body[8:] == string


def test_the_memory_map_is_the_firmwares_with_its_types(kernels: Any) -> None:
    guest, _, info = load(kernels.small2())
    assert struct.unpack_from("<II", info[MAP]) == (24, 0)
    expected = [(entry.base, entry.size_bytes, entry.kind, 0) for entry in memory_map(guest.memory)]
    assert list(struct.iter_unpack("<QQII", info[MAP][8:])) == expected
    assert info[MEMORY] == struct.pack("<II", 639, 7 * 1024 - ACPI_KIB)


def test_tables_at_the_top_of_ram_are_neither_used_nor_lost(kernels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = (
        MapEntry(PhysAddr(0), 0x9FC00, MemoryKind.USABLE),
        MapEntry(PhysAddr(0x100000), 0x6E0000, MemoryKind.USABLE),
        MapEntry(PhysAddr(0x7E0000), 0x20000, MemoryKind.RESERVED),
    )
    monkeypatch.setattr("hillemu.boot.multiboot2.memory_map", lambda memory: entries)
    guest, _, info = load(kernels.small2(kernels.tag(10, 0x100000, 0xFFFFFFFF, 0x1000, 2)))
    (base,) = struct.unpack("<I", info[LOAD_BASE])
    assert base == 0x7DF000
    assert guest.memory.data[0x7E0000:] == b"\xcc" * 0x20000


def test_the_text_screen_is_described_with_the_layout_of_the_header_file(kernels: Any) -> None:
    body = load(kernels.small2())[2][SCREEN]
    assert body == struct.pack("<QIIIBBH", 0xB8000, 160, 80, 25, 16, 2, 0)


class TestGraphics:
    FIRMWARE = Firmware(set_mode=screen)

    def test_are_set_and_described(self, kernels: Any) -> None:
        _, loaded, info = load(kernels.small2(kernels.tag(5, 800, 600, 32)), firmware=self.FIRMWARE)
        assert info[SCREEN] == struct.pack("<QIIIBBH6B", 0xFD000000, 3200, 800, 600, 32, 1, 0, 16, 8, 8, 8, 0, 8)
        assert info[VBE] == struct.pack("<4H", 0x4115, 0xC000, 1, 2) + VBE_FACTS.controller_info + bytes(range(256))
        assert loaded.notes == ()

    def test_of_colour_numbers_come_with_the_palette(self, kernels: Any) -> None:
        _, _, info = load(kernels.small2(kernels.tag(5, 800, 600, 8)), firmware=self.FIRMWARE)
        head = struct.pack("<QIIIBBHH", 0xFD000000, 800, 800, 600, 8, 0, 0, 256)
        assert info[SCREEN] == head + bytes(range(256)) * 3

    def test_of_another_size_are_better_than_none_and_noted(self, kernels: Any) -> None:
        _, loaded, info = load(kernels.small2(kernels.tag(5, 640, 480, 32)), firmware=self.FIRMWARE)
        assert struct.unpack_from("<II", info[SCREEN], 12) == (1024, 768)
        assert loaded.notes == (
            "the kernel asks for a graphics screen (640x480, 32 bits per pixel); it gets 1024x768, 32 bits per pixel "
            "and is told so",
        )

    def test_without_preference_are_just_taken(self, kernels: Any) -> None:
        _, loaded, info = load(kernels.small2(kernels.tag(5, 0, 0, 0)), firmware=self.FIRMWARE)
        assert struct.unpack_from("<II", info[SCREEN], 12) == (1024, 768)
        assert loaded.notes == ()

    def test_are_not_set_for_a_kernel_that_did_not_ask(self, kernels: Any) -> None:
        _, _, info = load(kernels.small2(kernels.tag(4, 3)), firmware=self.FIRMWARE)
        assert info[SCREEN][20 + 1] == 2, "text"

    def test_are_not_set_for_an_image_that_is_refused(self, kernels: Any) -> None:
        def fail(*_: int) -> None:
            pytest.fail("the mode was set")

        image = kernels.small2(kernels.tag(5, 800, 600, 32))
        refused(image, firmware=Firmware(set_mode=fail), modules=(Module("m", "", bytes(8 * MIB)),))

    def test_that_are_not_there_leave_the_text_screen(self, kernels: Any) -> None:
        for firmware in (Firmware(), Firmware(set_mode=lambda *_: None)):
            _, loaded, info = load(kernels.small2(kernels.tag(5, 640, 480, 32)), firmware=firmware)
            assert info[SCREEN][21] == 2
            assert len(loaded.notes) == 1
            assert "it gets 80x25 text" in loaded.notes[0]


class TestARequiredConsole:
    def test_may_be_text(self, kernels: Any) -> None:
        assert load(kernels.small2(kernels.tag(4, 3)))[1].notes == ()

    def test_that_is_not_there_refuses_the_image(self, kernels: Any) -> None:
        assert "that it asks for: add a framebuffer tag" in refused(kernels.small2(kernels.tag(4, 1)))
        both = kernels.small2(kernels.tag(4, 1), kernels.tag(5, 640, 480, 32))
        assert "there is no graphics mode to be had" in refused(both)
        load(both, firmware=Firmware(set_mode=screen))

    def test_is_not_missed_by_a_kernel_that_can_do_without(self, kernels: Any) -> None:
        assert "does not support a text screen" in load(kernels.small2(kernels.tag(4, 0)))[1].notes[0]


class TestFirmwareTables:
    V1 = b"RSD PTR " + bytes([0]) + b"BOCHS " + b"\0" + struct.pack("<I", 0x7FE0000)

    @staticmethod
    def summed(data: bytes, at: int) -> bytes:
        fixed = bytearray(data)
        fixed[at] = -sum(fixed) & 0xFF
        return bytes(fixed)

    def test_of_acpi_1_are_copied_from_the_bios_area(self, kernels: Any) -> None:
        guest = FakeGuest(8 * MIB)
        rsdp = self.summed(self.V1, 8)
        guest.memory.write(PhysAddr(0xF1230), rsdp)
        load_multiboot2(guest, Image("k", kernels.small2()), BootOptions())
        info = Info(guest)
        assert info[ACPI_OLD] == rsdp
        assert info.all(ACPI_NEW) == []

    def test_of_acpi_2_are_copied_whole_and_as_acpi_1(self, kernels: Any) -> None:
        v1 = bytearray(self.V1)
        v1[15] = 2
        rsdp = self.summed(self.summed(bytes(v1), 8) + struct.pack("<IQB3x", 36, 0, 0), 32)
        guest = FakeGuest(8 * MIB)
        guest.memory.write(PhysAddr(0x40E), struct.pack("<H", 0x9FC0))
        guest.memory.write(PhysAddr(0x9FC10), rsdp)
        load_multiboot2(guest, Image("k", kernels.small2()), BootOptions())
        info = Info(guest)
        assert info[ACPI_NEW] == rsdp
        assert info[ACPI_OLD] == rsdp[:20]

    def test_with_a_wrong_checksum_or_off_a_paragraph_are_none(self, kernels: Any) -> None:
        guest = FakeGuest(8 * MIB)
        guest.memory.write(PhysAddr(0xF0000), self.V1)
        guest.memory.write(PhysAddr(0xF1238), self.summed(self.V1, 8))
        load_multiboot2(guest, Image("k", kernels.small2()), BootOptions())
        assert Info(guest).all(ACPI_OLD) == []

    def test_of_smbios_are_copied_with_their_version(self, kernels: Any) -> None:
        anchor = b"_SM_\0\x1f\x02\x08" + bytes(8) + b"_DMI_\0" + struct.pack("<HIHB", 5, 0xF5000, 1, 0x28)
        guest = FakeGuest(8 * MIB)
        guest.memory.write(PhysAddr(0xF0100), self.summed(anchor, 4))
        guest.memory.write(PhysAddr(0xF5000), b"\x7f\x04\x00\x00\x00")
        load_multiboot2(guest, Image("k", kernels.small2()), BootOptions())
        assert Info(guest)[SMBIOS] == b"\x02\x08" + bytes(6) + b"\x7f\x04\x00\x00\x00"


def test_apm_is_told_as_grub_tells_it_on_qemu(kernels: Any) -> None:
    apm = ApmTable(0x0102, 0xF000, 0xD198, 0xF000, 0xF000, 3, 0xFFF0, 0xFFF0, 0xFFF0)
    _, _, info = load(kernels.small2(), firmware=Firmware(apm=apm))
    # Recorded from GRUB 2.06 under QEMU 7.2.
    assert info[APM] == bytes.fromhex("020100f098d1000000f000f00300f0fff0fff0ff")


class TestElf:
    def test_sections_have_the_addresses_where_they_lie(self, kernels: Any) -> None:
        header = kernels.header2()
        parts = [kernels.Part(0x100000, bytes(4) + header + b"\xf4")]
        sections = (kernels.Section(0), kernels.Section(2, b"S" * 32, align=4), kernels.Section(3, b"\0names\0"))
        guest, _, info = load(kernels.elf(parts, entry=0x100004 + len(header), sections=sections))
        assert struct.unpack_from("<III", info[SECTIONS]) == (3, 40, 2)
        rows = list(struct.iter_unpack("<10I", info[SECTIONS][12:]))
        assert guest.memory.read(PhysAddr(rows[1][3]), 32) == b"S" * 32
        assert guest.memory.read(PhysAddr(rows[2][3]), 7) == b"\0names\0"

    def test_of_64_bits_is_started_in_32_bit_code_with_a_note(self, kernels: Any) -> None:
        header = kernels.header2()
        guest, loaded, info = load(kernels.elf64(0x100000, header + b"\xfa\xf4", 0x3000, 0x100000 + len(header)))
        assert guest.memory.read(loaded.entry, 2) == b"\xfa\xf4"
        assert guest.memory.read(PhysAddr(0x102FFF), 2) == b"\0\xcc", "bss"
        assert "this machine has no 64-bit mode" in loaded.notes[0]
        assert struct.unpack_from("<III", info[SECTIONS]) == (2, 64, 1)
        row = struct.unpack_from("<IIQQQQIIQQ", info[SECTIONS], 12 + 64)
        assert guest.memory.read(PhysAddr(row[3]), 16) == b"strings of names"

    def test_entry_gives_way_to_the_tags(self, kernels: Any) -> None:
        image = kernels.small2(kernels.tag(3, 0x100010), entry=0xFFFF0000)
        assert load(image)[1].entry == 0x100010
        assert "lies in no segment that is loaded: it must be a physical one" in refused(
            kernels.small2(kernels.tag(3, 0xC0100010))
        )

    def test_is_missed_where_there_is_no_address_tag(self, kernels: Any) -> None:
        assert "without an address tag, and is not an ELF file" in refused(kernels.header2() + bytes(64))


class TestAddressTags:
    def image(self, kernels: Any, load: int, load_end: int = 0, bss_end: int = 0) -> bytes:
        tags = (kernels.tag(2, 0x100008, load, load_end, bss_end), kernels.tag(3, 0x100048))
        header: bytes = kernels.header2(*tags)
        assert len(header) == 0x40
        return b"ignored!" + header + b"code and data"

    def test_load_from_where_they_say(self, kernels: Any) -> None:
        guest, loaded, _ = load(self.image(kernels, 0x100008, 0x10004C, 0x100058))
        assert loaded.entry == 0x100048
        assert guest.memory.read(PhysAddr(0x100000), 8) == b"\xcc" * 8
        assert guest.memory.read(PhysAddr(0x100048), 0x11) == b"code" + bytes(12) + b"\xcc"
        assert loaded.description[0] == "Multiboot 2 (address tag), entry at 0x100048"

    def test_may_mean_the_whole_file(self, kernels: Any) -> None:
        guest, _, info = load(self.image(kernels, 0xFFFFFFFF))
        assert guest.memory.read(PhysAddr(0x100000), 8) == b"ignored!"
        assert info[LOAD_BASE] == struct.pack("<I", 0x100000)


class TestRelocation:
    """Facts recorded from GRUB 2.06 under QEMU 7.2: preference 0 and 1 gave 0x200000, 2 gave 0xff0000."""

    @pytest.mark.parametrize(("preference", "base"), [(0, 0x200000), (1, 0x200000), (2, 0xFF0000)])
    def test_goes_where_grub_goes(self, kernels: Any, preference: int, base: int) -> None:
        image = kernels.small2(kernels.tag(10, 0x200000, 0x1000000, 0x10000, preference))
        guest, loaded, info = load(image, 64 * MIB)
        assert info[LOAD_BASE] == struct.pack("<I", base)
        assert guest.memory.read(loaded.entry, 2) == b"\xfa\xf4"
        assert base < loaded.entry < base + 0x100

    def test_without_preference_stays_where_the_image_is_linked(self, kernels: Any) -> None:
        for preference, base in ((0, 0x300000), (1, 0x100000), (2, 0x7DF000)):
            image = kernels.small2(kernels.tag(10, 0x100000, 0xFFFFFFFF, 0x1000, preference), base=0x300000)
            assert load(image)[2][LOAD_BASE] == struct.pack("<I", base)

    def test_finds_room_for_an_image_that_is_linked_where_no_ram_is(self, kernels: Any) -> None:
        image = kernels.small2(kernels.tag(10, 0x100000, 0xFFFFFFFF, 0, 0), base=0xC0000000)
        assert load(image)[2][LOAD_BASE] == struct.pack("<I", 0x100000)

    def test_leaves_what_the_bios_needs(self, kernels: Any) -> None:
        low = kernels.small2(kernels.tag(10, 0, 0xFFFFFFFF, 1, 1))
        assert load(low)[2][LOAD_BASE] == struct.pack("<I", 0x1000)
        high = kernels.small2(kernels.tag(10, 0, 0xA0000, 1, 2))
        _, loaded, _ = load(high)
        assert loaded.segments[0].end == 0x9FC00

    @pytest.mark.parametrize(
        ("wish", "words"),
        [
            ((0x100000, 0x100010, 0, 0), "where they do not fit"),
            ((0x100000, 0x200000, 3, 0), "an alignment of 0x3, which is not a power of two"),
            ((0x10000000, 0x20000000, 0, 0), "do not fit into free RAM between 0x10000000 and 0x20000000"),
        ],
    )
    def test_that_is_impossible_is_refused(self, kernels: Any, wish: tuple[int, ...], words: str) -> None:
        assert words in refused(kernels.small2(kernels.tag(10, *wish)))

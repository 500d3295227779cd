"""Linux images, real ones' headers made by hand: what is loaded where, and what the kernel is told."""

from __future__ import annotations

import re
import struct
from typing import Any

import pytest

from hillemu.boot.detect import Kind
from hillemu.boot.firmware import Firmware
from hillemu.boot.image import BootOptions, Image, Loaded, Module
from hillemu.boot.linux import load_linux
from hillemu.boot.linux_cmdline import memory_limit, video_mode
from hillemu.boot.memory_map import memory_map
from hillemu.boot.video_mode import Framebuffer
from hillemu.emu.errors import OptionError, UserMistake
from hillemu.emu.guest import FakeGuest
from hillemu.emu.i386.address import PhysAddr

MIB = 1 << 20
UNUSED = 0xCC


class Booted:
    """A loaded kernel: its setup code or its zero page, by the names of boot.rst."""

    def __init__(self, kernels: Any, guest: FakeGuest, loaded: Loaded) -> None:
        self.fields = kernels.LINUX_FIELDS
        self.guest, self.loaded = guest, loaded
        self.page = loaded.info_address

    def __getitem__(self, name: str) -> int:
        form, offset = self.fields[name]
        value: int = struct.unpack_from(form, self.guest.memory.data, self.page + offset)[0]
        return value

    def bytes(self, at: int, count: int) -> bytes:
        return self.guest.memory.read(PhysAddr(at), count)

    def string(self, at: int) -> bytes:
        return bytes(self.guest.memory.data[at : self.guest.memory.data.index(0, at)])


@pytest.fixture
def load(kernels: Any) -> Any:
    """Loads an image: `load(image, real_mode=False, ram_bytes=..., cmdline=...)`."""

    def run(
        image: bytes,
        *,
        real_mode: bool = True,
        ram_bytes: int = 64 * MIB,
        firmware: Firmware | None = None,
        **options: Any,
    ) -> Booted:
        guest = FakeGuest(ram_bytes)
        guest.memory.data[0x10000:0x9A000] = bytes([UNUSED]) * 0x8A000
        loaded = load_linux(
            guest, Image("vmlinuz", image), BootOptions(**options), firmware or Firmware(), real_mode=real_mode
        )
        return Booted(kernels, guest, loaded)

    return run


def refused(image: bytes, *, real_mode: bool = True, ram_bytes: int = 64 * MIB, **options: Any) -> str:
    guest = FakeGuest(ram_bytes)
    with pytest.raises(UserMistake) as caught:
        load_linux(guest, Image("vmlinuz", image), BootOptions(**options), real_mode=real_mode)
    assert guest.memory.data.count(0) == ram_bytes, "a refused image must leave the machine as it was"
    assert not guest.registers.values
    return str(caught.value)


class TestRealMode:
    def test_starts_the_setup_code_as_the_protocol_says(self, kernels: Any, load: Any) -> None:
        booted = load(kernels.bzimage())
        get, segment = booted.guest.registers.get, booted.guest.registers.segment
        assert booted.loaded.kind is Kind.LINUX
        assert (segment("cs").selector, get("eip")) == (0x1020, 0)
        for name in ("ds", "es", "fs", "gs", "ss"):
            assert segment(name)[:3] == (0x1000, 0x10000, 0xFFFF)
        assert segment("cs")[:3] == (0x1020, 0x10200, 0xFFFF)
        assert get("esp") == 0xFFF0, "as QEMU 7.2"
        assert get("cr0") & 0x80000001 == 0, "real mode"
        assert get("eflags") & 1 << 9 == 0, "interrupts are off"

    def test_puts_the_parts_where_qemu_puts_them(self, kernels: Any, load: Any) -> None:
        image = kernels.bzimage(kernel=b"32-bit code" * 100)
        booted = load(image, cmdline="root=/dev/ram console=ttyS0")
        assert booted.bytes(0x100000, 1100) == b"32-bit code" * 100
        assert booted.bytes(0x10400, 0x200) == image[0x400:0x600]
        assert booted["cmd_line_ptr"] == 0x20000
        assert booted.string(0x20000) == b"root=/dev/ram console=ttyS0"
        assert booted["heap_end_ptr"] == 0xFE00
        assert booted["loadflags"] == 0x81, "CAN_USE_HEAP"
        assert booted["type_of_loader"] == 0xFF
        assert (booted["ramdisk_image"], booted["ramdisk_size"]) == (0, 0)
        assert booted["vid_mode"] == 0xFFFF
        assert booted["code32_start"] == 0x100000

    def test_of_a_zimage_is_at_0x90000_with_the_kernel_at_0x10000(self, kernels: Any, load: Any) -> None:
        booted = load(kernels.bzimage(version=0x204, loadflags=0, kernel=b"zImage"), cmdline="quiet")
        assert booted.page == 0x90000
        assert booted.bytes(0x10000, 6) == b"zImage"
        assert booted["cmd_line_ptr"] == 0x99FF0
        assert booted.string(0x99FF0) == b"quiet"
        assert booted["heap_end_ptr"] == 0x9FF0 - 0x200
        assert booted.guest.registers.get("esp") == 0x9FE0
        assert booted.guest.registers.segment("cs").selector == 0x9020

    def test_of_protocol_2_01_has_the_old_command_line(self, kernels: Any, load: Any) -> None:
        image = kernels.bzimage(version=0x201, cmd_line_ptr=0x12345678)
        booted = load(image, cmdline="ro")
        assert booted.page == 0x90000
        magic, offset = struct.unpack("<HH", booted.bytes(0x90020, 4))
        assert magic == 0xA33F
        assert booted.string(0x90000 + offset) == b"ro"
        assert booted["setup_move_size"] >= offset
        assert booted["cmd_line_ptr"] == 0x12345678, "no field of this version"
        assert booted.bytes(0x100000, 4) == b"\xf4" * 4

    def test_of_protocol_2_00_has_no_heap(self, kernels: Any, load: Any) -> None:
        booted = load(kernels.bzimage(version=0x200, heap_end_ptr=0x1234))
        assert booted["loadflags"] == 0x01
        assert booted["heap_end_ptr"] == 0x1234

    def test_of_ipxe_needs_no_32_bit_entry(self, kernels: Any, load: Any) -> None:
        # Its header, as of 2019: protocol 2.07, code32_start 0, no alignment.
        ipxe = kernels.bzimage(version=0x207, code32_start=0, kernel_alignment=0, relocatable_kernel=0, init_size=0)
        assert load(ipxe).bytes(0x100000, 1) == b"\xf4"
        text = refused(ipxe, real_mode=False)
        assert "its 32-bit code starts at 0x0, outside what is loaded" in text
        assert text.endswith("--format linux16")


class TestThe32BitEntry:
    def test_is_entered_as_the_protocol_says(self, kernels: Any, load: Any) -> None:
        booted = load(kernels.bzimage(), real_mode=False)
        get, segment = booted.guest.registers.get, booted.guest.registers.segment
        assert get("esi") == booted.page
        assert (get("ebp"), get("edi"), get("ebx")) == (0, 0, 0)
        assert get("cr0") & 0x80000001 == 1
        assert get("eflags") & 1 << 9 == 0
        assert get("eip") == booted.loaded.entry == 0x100000
        assert segment("cs").selector == 0x10
        assert {segment(name).selector for name in ("ds", "es", "ss", "fs", "gs")} == {0x18}
        gdtr = segment("gdtr")
        for name in ("cs", "ds", "ss"):
            cached = segment(name)
            low, high = struct.unpack("<II", booted.bytes(gdtr.base + cached.selector, 8))
            assert low == 0x0000FFFF
            assert high & 0xFF0F00FF == 0x000F0000, "flat, 4 GiB"
            assert high & 0x00F0FF00 == cached.attributes

    def test_finds_a_zero_page_with_the_setup_header_and_nothing_else_of_the_image(
        self, kernels: Any, load: Any
    ) -> None:
        image = bytearray(kernels.bzimage())
        image[0x26C] = image[0x1F0] = 0x99
        booted = load(bytes(image), real_mode=False)
        assert booted.bytes(booted.page + 0x1FE, 10) == b"\x55\xaa\xeb\x6aHdrS\x0f\x02"
        assert booted.bytes(booted.page + 0x1EF, 2) == b"\0\0", "the sentinel"
        assert booted.bytes(booted.page + 0x26C, 1) == b"\0", "the header ends where its jump goes"
        assert booted["cmd_line_ptr"] == 0x20000
        assert booted["type_of_loader"] == 0xFF

    def test_finds_the_memory_map(self, kernels: Any, load: Any) -> None:
        booted = load(kernels.bzimage(), real_mode=False)
        count = booted.bytes(booted.page + 0x1E8, 1)[0]
        entries = memory_map(booted.guest.memory)
        assert count == len(entries)
        rows = list(struct.iter_unpack("<QQI", booted.bytes(booted.page + 0x2D0, 20 * count)))
        assert rows == [(entry.base, entry.size_bytes, entry.kind) for entry in entries]
        upper = next(size for base, size, kind in rows if base == MIB and kind == 1) >> 10
        assert struct.unpack("<I", booted.bytes(booted.page + 0x1E0, 4)) == (upper,)
        assert struct.unpack("<H", booted.bytes(booted.page + 2, 2)) == (min(upper, 63 << 10),)

    def test_finds_the_screen_that_the_bios_data_area_tells_of(self, kernels: Any) -> None:
        guest = FakeGuest(64 * MIB)
        for at, value in ((0x449, b"\x03"), (0x44A, b"\x50\x00"), (0x450, b"\x07\x05"), (0x484, b"\x18\x10\x00")):
            guest.memory.write(PhysAddr(at), value)
        loaded = load_linux(guest, Image("k", kernels.bzimage()), BootOptions(), real_mode=False)
        page = guest.memory.read(loaded.info_address, 0x40)
        assert page[:2] == b"\x07\x05", "column, row"
        assert page[6:8] == bytes([3, 80])
        assert page[14:18] == bytes([25, 1, 16, 0]), "lines, VGA, points"

    def test_loads_a_relocatable_kernel_where_it_likes_to_be(self, kernels: Any, load: Any) -> None:
        booted = load(kernels.bzimage(pref_address=0x1000000, kernel_alignment=0x200000), real_mode=False)
        assert booted.loaded.entry == booted["code32_start"] == 0x1000000
        assert booted.bytes(0x1000000, 2) == b"\xf4\xf4"

    def test_finds_an_aligned_place_where_that_is_not_ram(self, kernels: Any, load: Any) -> None:
        fields = {"pref_address": 0x10000000, "kernel_alignment": 0x400000}
        booted = load(kernels.bzimage(**fields), real_mode=False)
        assert booted.loaded.entry == 0x400000
        assert booted["kernel_alignment"] == 0x400000
        tight = {"init_size": 0x300000, "min_alignment": 13}
        booted = load(kernels.bzimage(**fields, **tight), real_mode=False, ram_bytes=5 * MIB)
        assert booted.loaded.entry == 0x100000
        assert booted["kernel_alignment"] == 0x100000
        assert "it needs" in refused(kernels.bzimage(**fields, init_size=0x300000), real_mode=False, ram_bytes=5 * MIB)

    def test_keeps_a_code32_start_that_is_not_the_beginning(self, kernels: Any, load: Any) -> None:
        image = kernels.bzimage(code32_start=0x100200, pref_address=0x1000000)
        assert load(image, real_mode=False).loaded.entry == 0x1000200

    def test_leaves_a_kernel_that_is_not_relocatable_at_1_mib(self, kernels: Any, load: Any) -> None:
        image = kernels.bzimage(relocatable_kernel=0, pref_address=0x1000000)
        assert load(image, real_mode=False).loaded.entry == 0x100000

    def test_says_quiet_for_the_setup_code(self, kernels: Any, load: Any) -> None:
        assert load(kernels.bzimage(), real_mode=False, cmdline="ro quiet")["loadflags"] == 0x81 | 0x20
        assert load(kernels.bzimage(), real_mode=False, cmdline="ro quietly")["loadflags"] == 0x81
        assert load(kernels.bzimage(), cmdline="quiet")["loadflags"] == 0x81, "in real mode it looks itself"

    def test_sets_the_mode_that_vga_names(self, kernels: Any, load: Any) -> None:
        asked = []

        def set_mode(*mode: int) -> Framebuffer:
            asked.append(mode)
            return Framebuffer(0xFD000000, 2048, 1024, 768, 16, (11, 5), (5, 6), (0, 5))

        booted = load(kernels.bzimage(), real_mode=False, firmware=Firmware(set_mode=set_mode), cmdline="vga=0x317")
        assert asked == [(1024, 768, 16)]
        page = booted.bytes(booted.page, 0x40)
        assert page[0x0F] == 0x23, "a linear framebuffer"
        assert struct.unpack_from("<3HII", page, 0x12) == (1024, 768, 16, 0xFD000000, 24)
        assert struct.unpack_from("<H", page, 0x24) == (2048,)
        assert page[0x26:0x2C] == bytes([5, 11, 6, 5, 5, 0]), "size and position of red, green, blue"
        assert booted["vid_mode"] == 0x317

    def test_notes_a_mode_that_is_not_to_be_had(self, kernels: Any, load: Any) -> None:
        booted = load(kernels.bzimage(), real_mode=False, cmdline="vga=791")
        assert booted.loaded.notes == (
            "vga=0x317 asks for 1024x768 with 16 bits per pixel; the screen stays 80x25 text",
        )
        assert load(kernels.bzimage(), cmdline="vga=791").loaded.notes == ()

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"version": 0x202}, "follows version 2.02 of the Linux boot protocol, too old"),
            ({"loadflags": 0}, "is a zImage"),
            ({"code32_start": 0x101000}, "outside what is loaded"),
        ],
    )
    def test_is_missed_in_old_images(self, kernels: Any, fields: dict[str, int], words: str) -> None:
        text = refused(kernels.bzimage(**fields), real_mode=False)
        assert words in text
        assert "--format linux16" in text


class TestTheInitialRamDisk:
    def test_goes_to_the_top_of_ram_below_the_firmwares_tables(self, kernels: Any, load: Any) -> None:
        booted = load(kernels.bzimage(), initrds=(Module("i", "", b"I" * 0x1800),))
        entry = next(entry for entry in memory_map(booted.guest.memory) if entry.base == MIB)
        assert booted["ramdisk_image"] == entry.end - 0x2000
        assert booted["ramdisk_size"] == 0x1800
        assert booted.bytes(booted["ramdisk_image"], 0x1800) == b"I" * 0x1800
        assert str(booted.loaded.modules[0]).startswith("initial RAM disk at 0x")

    def test_in_several_parts_has_each_on_a_multiple_of_four(self, kernels: Any, load: Any) -> None:
        parts = tuple(Module(name, "", data) for name, data in (("a", b"first"), ("b", b""), ("c", b"second")))
        for real_mode in (True, False):
            booted = load(kernels.bzimage(), real_mode=real_mode, initrds=parts)
            assert booted["ramdisk_size"] == 14
            assert booted.bytes(booted["ramdisk_image"], 14) == b"first\0\0\0second"

    @pytest.mark.parametrize(
        ("version", "maximum", "cmdline", "end"),
        [
            (0x20F, 0x1FFFFFF, "", 0x2000000),
            (0x20F, 0x7FFFFFFF, "mem=16M", 0x1000000),
            (0x20F, 0x7FFFFFFF, "mem=0x1800000 x", 0x1800000),
            (0x202, 0x1FFFFFF, "", None),
        ],
    )
    def test_ends_where_the_kernel_can_reach_it(
        self, kernels: Any, load: Any, version: int, maximum: int, cmdline: str, end: int | None
    ) -> None:
        image = kernels.bzimage(version=version, initrd_addr_max=maximum)
        booted = load(image, cmdline=cmdline, initrds=(Module("i", "", bytes(0x1000)),))
        limit = end or next(entry for entry in memory_map(booted.guest.memory) if entry.base == MIB).end
        assert booted["ramdisk_image"] + 0x1000 == limit

    def test_makes_way_for_the_kernel_that_unpacks_itself(self, kernels: Any) -> None:
        image = kernels.bzimage(init_size=0x3D00000)
        text = refused(image, initrds=(Module("i.img", "", bytes(0x300000)),))
        assert re.match(r"i\.img: this initial RAM disk of 0x300000 bytes does not fit into RAM below 0x3f", text)

    def test_that_is_empty_is_none(self, kernels: Any, load: Any) -> None:
        booted = load(kernels.bzimage(), initrds=(Module("i", "", b""),))
        assert (booted["ramdisk_image"], booted["ramdisk_size"], booted.loaded.modules) == (0, 0, ())


class TestAnImageThatCannotBe:
    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"version": 0x1FF}, "is damaged: it names version 1.255"),
            ({"setup_sects": 65}, "its setup code has 65 sectors, and 64 are allowed"),
            ({"setup_sects": 50}, "is truncated: after 0x6600 bytes of setup there is no kernel"),
            ({"xloadflags": 1}, r"is a 64-bit Linux kernel, .* use an i386 \(686\) kernel"),
            ({"payload_offset": 0x100, "payload_length": 0xF01}, "is truncated: its compressed kernel ends 0x1601"),
        ],
    )
    def test_is_told_why(self, kernels: Any, fields: dict[str, int], words: str) -> None:
        assert re.search(words, refused(kernels.bzimage(**fields)))

    def test_without_signature(self) -> None:
        assert 'there is no "HdrS" at offset 0x202' in refused(b"\x55\xaa" * 1000)

    def test_for_want_of_memory_names_what_would_do(self, kernels: Any, load: Any) -> None:
        image = kernels.bzimage(pref_address=0x1000000, init_size=0x1000000)
        text = refused(image, ram_bytes=16 * MIB)
        assert "what it unpacks (0x1000000-0x1ffffff) is outside RAM" in text
        mib = int(re.findall(r"--mem (\d+)M$", text)[0])
        assert mib <= 34
        load(image, ram_bytes=mib * MIB)

    def test_of_which_only_fields_of_its_own_version_count(self, kernels: Any, load: Any) -> None:
        # 64-bit only, truncated, and huge, if these were fields of 2.05.
        image = kernels.bzimage(version=0x205, xloadflags=1, payload_length=0xFFFFFF, init_size=0x7FFFFFFF)
        load(image)


class TestTheCommandLine:
    def test_is_refused_where_the_kernel_would_cut_it(self, kernels: Any, load: Any) -> None:
        load(kernels.bzimage(cmdline_size=5), cmdline="12345")
        text = refused(kernels.bzimage(cmdline_size=5), cmdline="123456")
        assert text == "--append: has 6 bytes, and this kernel takes at most 5"
        assert "at most 255" in refused(kernels.bzimage(version=0x205, cmdline_size=2000), cmdline="x" * 256)

    def test_has_no_nul(self, kernels: Any) -> None:
        assert refused(kernels.bzimage(), cmdline="a\0b").startswith("--append: ")

    @pytest.mark.parametrize(
        ("text", "mode"),
        [
            ("vga=normal", 0xFFFF), ("a vga=ext", 0xFFFE), ("vga=ask b", 0xFFFD), ("vga=0x317", 0x317), ("vga=017", 15),
            ("vga=791 vga=5", 5), ("avga=5", None), ("", None), ("vga=0", 0),
        ],
    )  # fmt: skip
    def test_may_name_a_video_mode(self, text: str, mode: int | None) -> None:
        assert video_mode(text) == mode

    @pytest.mark.parametrize("text", ["vga=", "vga=big", "vga=0x", "vga=65536", "vga=-1", "vga=1_0", "vga=٣"])
    def test_with_a_video_mode_that_is_none_is_refused(self, kernels: Any, text: str) -> None:
        with pytest.raises(OptionError, match=r"^--append: vga=.* is no video mode"):
            video_mode(text)
        refused(kernels.bzimage(), cmdline=text)

    @pytest.mark.parametrize(
        ("text", "limit"),
        [("mem=64M", 64 << 20), ("mem=1g", 1 << 30), ("mem=4096", 4096), ("mem=nopentium", None), ("mem=", None)],
    )
    def test_may_limit_memory(self, text: str, limit: int | None) -> None:
        assert memory_limit(text) == limit

    def test_sets_the_mode_field_for_the_setup_code(self, kernels: Any, load: Any) -> None:
        assert load(kernels.bzimage(), cmdline="vga=0x317")["vid_mode"] == 0x317


def test_the_description_names_kernel_protocol_and_entry(kernels: Any, load: Any) -> None:
    assert load(kernels.bzimage()).loaded.description == (
        "Linux 6.1-test (boot protocol 2.15), started in real mode at 0x10200",
        "setup at 0x10000-0x105ff",
        "kernel at 0x100000-0x100fff",
        "command line at 0x20000",
    )
    nameless = load(kernels.bzimage(kernel_version=0), real_mode=False).loaded.description
    assert nameless[0] == "Linux image (boot protocol 2.15), started in 32-bit code at 0x100000"

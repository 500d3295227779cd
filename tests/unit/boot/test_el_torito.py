"""Boot catalogs: sound ones, damaged ones, and what becomes of the entry."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from el_torito_image import CATALOG, IMAGE, boot_entry, cd_image, section_header, validation_entry

from hillemu.boot.bios import disk_cd
from hillemu.boot.bios.call import fake_call
from hillemu.boot.bios.disk import DiskService
from hillemu.boot.bios.drives import CdDrive, Drives, FloppyDrive, HardDisk
from hillemu.boot.el_torito import HARD_DISK, NO_EMULATION, boot_image, emulated_geometry, read_boot_entry
from hillemu.emu.errors import ImageError
from hillemu.emu.geometry import Geometry
from hillemu.emu.guest import FakeGuest
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.media import Medium

EFI = 0xEF


def cd(*entries: bytes, image: bytes = b"boot image", catalog_at: int = CATALOG) -> Medium:
    return Medium.from_bytes("cd.iso", cd_image(image, *entries, catalog_at=catalog_at), sector_bytes=2048)


def test_the_default_entry_is_booted() -> None:
    medium = cd()
    entry = read_boot_entry(medium)
    assert (entry.media_type, entry.load_segment, entry.load_sectors) == (NO_EMULATION, 0x07C0, 4)
    assert (entry.start, entry.catalog) == (IMAGE, CATALOG)
    assert boot_image(medium, entry) == b"boot image".ljust(2048, b"\0")


def test_a_load_segment_and_a_size_of_its_own_are_obeyed() -> None:
    medium = cd(validation_entry(), boot_entry(segment=0x1000, sectors=9), image=bytes(range(256)) * 24)
    entry = read_boot_entry(medium)
    assert (entry.load_segment, len(boot_image(medium, entry))) == (0x1000, 3 * 2048)


def test_an_entry_for_efi_is_passed_over_for_one_for_a_pc() -> None:
    entries = [
        validation_entry(EFI),
        boot_entry(start=21),
        section_header(EFI, 1, is_last=False),
        boot_entry(start=22),
        section_header(0, 2, is_last=True),
        boot_entry(bootable=0, start=23),
        boot_entry(start=IMAGE, sectors=1),
    ]
    assert read_boot_entry(cd(*entries)).start == IMAGE


def test_extensions_of_an_entry_are_no_entries() -> None:
    extended = bytearray(boot_entry(bootable=0))
    extended[1] |= 0x20
    extensions = [b"\x44\x20".ljust(32, b"\x88"), b"\x44\x00".ljust(32, b"\x88")]
    head = [validation_entry(EFI), boot_entry(bootable=0), section_header(0, 2, is_last=True)]
    assert read_boot_entry(cd(*head, bytes(extended), *extensions, boot_entry())).start == IMAGE


def broken_checksum() -> bytes:
    entry = bytearray(validation_entry())
    entry[5] ^= 1
    return bytes(entry)


DAMAGED: dict[str, tuple[Medium, str]] = {
    "too small": (Medium.from_bytes("cd.iso", bytes(4096), sector_bytes=2048), "too small"),
    "no boot record": (Medium.from_bytes("cd.iso", bytes(65536), sector_bytes=2048), "no El Torito boot record"),
    "catalog behind the end": (cd(catalog_at=5000), "sector 5000, behind its end"),
    "no validation entry": (cd(bytes(32), boot_entry()), "no validation entry"),
    "a wrong checksum": (cd(broken_checksum(), boot_entry()), "checksum"),
    "nothing bootable": (cd(validation_entry(), boot_entry(bootable=0)), "nothing for a PC"),
    "only EFI": (cd(validation_entry(EFI), boot_entry()), "nothing for a PC"),
    "sections without end": (
        cd(validation_entry(EFI), boot_entry(), section_header(EFI, 0xFFFF, is_last=False)),
        "nothing for a PC",
    ),
    "an image behind the end": (cd(validation_entry(), boot_entry(start=5000)), "outside the CD"),
    "an image that ends behind the end": (cd(validation_entry(), boot_entry(sectors=5)), "outside the CD"),
    "an unknown media type": (cd(validation_entry(), boot_entry(media_type=7)), "media type 7"),
    "no room to load it": (
        cd(validation_entry(), boot_entry(segment=0x9FFF), image=bytes(8192)),
        "too large to be loaded at segment 0x9fff",
    ),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_catalog_is_told_in_one_line_that_names_the_file(damage: str) -> None:
    medium, words = DAMAGED[damage]
    with pytest.raises(ImageError, match=f"^cd\\.iso: [^\n]*{words}[^\n]*$"):
        read_boot_entry(medium)


def test_an_emulated_hard_disk_has_the_geometry_of_its_partition_table() -> None:
    sector = bytearray(512)
    sector[0x1BE + 5 : 0x1BE + 8] = bytes((15, 0x40 | 63, 0x2B))
    medium = cd(validation_entry(), boot_entry(media_type=HARD_DISK, sectors=1), image=bytes(sector))
    assert emulated_geometry(medium, read_boot_entry(medium)) == Geometry(0x12C, 16, 63)


def test_an_emulated_hard_disk_without_a_partition_is_refused() -> None:
    medium = cd(validation_entry(), boot_entry(media_type=HARD_DISK, sectors=1))
    with pytest.raises(ImageError, match="no partition"):
        emulated_geometry(medium, read_boot_entry(medium))


class Emulation:
    """A CD that emulates a floppy beside a real floppy and disk."""

    def __init__(self) -> None:
        sectors = b"".join(bytes([number]) * 512 for number in range(40))
        medium = cd(validation_entry(), boot_entry(media_type=2, sectors=1), image=sectors)
        floppies = [FloppyDrive(Medium.from_bytes("a", b"real floppy"))]
        disks = [HardDisk(Medium.from_bytes("c", b"real disk"))]
        self.drives = Drives(floppies, disks, [CdDrive(medium)])
        self.entry = read_boot_entry(medium)
        self.guest = FakeGuest(1 << 20)
        self.service = DiskService(self.drives)

    def ah(self, ax: int, **registers: int) -> int:
        call = fake_call(0x13, self.guest, eax=ax, **registers)
        self.service(call)
        assert call.carry == (call.ah != 0)
        return call.ah

    def at(self, address: int, count: int) -> bytes:
        return self.guest.memory.read(PhysAddr(address), count)


def test_an_emulated_floppy_is_read_by_its_own_sectors_and_cannot_be_written() -> None:
    pc = Emulation()
    assert disk_cd.begin(pc.drives, pc.drives.cds[0], pc.entry) == 0x00
    assert pc.ah(0x0207, ecx=0x0003, edx=0x0000, ebx=0x9000) == 0
    assert pc.at(0x9000, 7 * 512) == b"".join(bytes([number]) * 512 for number in range(2, 9))
    assert pc.ah(0x0301, ecx=0x0001, ebx=0x9000) == 0x03


def test_ending_the_emulation_gives_the_real_floppy_its_number_back() -> None:
    pc = Emulation()
    disk_cd.begin(pc.drives, pc.drives.cds[0], pc.entry)
    assert pc.ah(0x0201, ecx=1, edx=0x01, ebx=0x9000) == 0
    assert pc.at(0x9000, 11) == b"real floppy"
    assert pc.ah(0x4B00, edx=0x00, esi=0x8000) == 0
    assert pc.at(0x8000, 5) == struct.pack("<BBBBB", 0x13, 2, 0, 1, IMAGE)
    assert pc.at(0x410, 1)[0] & 0xC1 == 0x01
    assert pc.ah(0x0201, ecx=1, edx=0x00, ebx=0x9000) == 0
    assert pc.at(0x9000, 11) == b"real floppy"
    assert pc.ah(0x0201, ecx=1, edx=0x01, ebx=0x9000) == 0x01


def test_emulation_can_be_begun_by_a_program() -> None:
    pc = Emulation()
    described = struct.pack("<BBBBIHHHH3x", 0x13, 2, 0, 1, IMAGE, 0, 0, 0x07C0, 1)
    pc.guest.memory.write(PhysAddr(0x8000), described)
    assert pc.ah(0x4A00, edx=0x00, esi=0x8000) == 0
    assert pc.ah(0x0201, ecx=2, edx=0x00, ebx=0x9000) == 0
    assert pc.at(0x9000, 1) == b"\x01"
    pc.guest.memory.write(PhysAddr(0x8003), b"\x00")  # the primary channel has no CD
    assert pc.ah(0x4A00, edx=0x00, esi=0x8000) == 0x01


def test_a_program_can_read_the_catalog() -> None:
    pc = Emulation()
    pc.guest.memory.write(PhysAddr(0x8000), struct.pack("<BBIH", 8, 1, 0xA000, 0))
    assert pc.ah(0x4D00, edx=0xE0, esi=0x8000) == 0
    assert pc.at(0xA000, 32) == validation_entry()
    pc.guest.memory.write(PhysAddr(0x8000), struct.pack("<BBIH", 8, 30, 0xA000, 0))
    assert pc.ah(0x4D00, edx=0xE0, esi=0x8000) == 0x01


def test_what_xorriso_makes_is_understood(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    tool = need_tool("xorriso")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "boot.bin").write_bytes(b"loader".ljust(4096, b"\x90"))
    options = ["-as", "mkisofs", "-quiet", "-b", "boot.bin", "-no-emul-boot", "-boot-load-size", "8", "-o", "cd.iso"]
    subprocess.run([tool, *options, "tree"], cwd=tmp_path, check=True, capture_output=True)
    medium = Medium.open(tmp_path / "cd.iso", sector_bytes=2048)
    entry = read_boot_entry(medium)
    assert (entry.media_type, entry.load_sectors) == (NO_EMULATION, 8)
    assert boot_image(medium, entry) == b"loader".ljust(4096, b"\x90")

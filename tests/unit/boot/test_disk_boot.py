"""From power-on to the first instruction of a boot sector, and on to the next drive."""

from __future__ import annotations

import pytest
from el_torito_image import boot_entry, cd_image, validation_entry

from hillemu.boot.bios.call import fake_call
from hillemu.boot.bios.drives import CdDrive, Drives, FloppyDrive, HardDisk
from hillemu.boot.bios.rom import AT
from hillemu.boot.disk_boot import DiskBoot
from hillemu.emu.errors import ImageError, OptionError
from hillemu.emu.guest import FakeGuest
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.media import Medium


def sector(text: bytes) -> bytes:
    return text.ljust(510, b"\0") + b"\x55\xaa"


def floppy(data: bytes) -> FloppyDrive:
    return FloppyDrive(Medium.from_bytes("floppy.img", data))


def disk(data: bytes, name: str = "disk.img") -> HardDisk:
    return HardDisk(Medium.from_bytes(name, data))


def bootable_cd(media_type: int = 0, image: bytes = b"cd", segment: int = 0) -> CdDrive:
    data = cd_image(image, validation_entry(), boot_entry(media_type=media_type, segment=segment, sectors=1))
    return CdDrive(Medium.from_bytes("cd.iso", data, sector_bytes=2048))


ALL = {"floppies": [floppy(sector(b"a"))], "disks": [disk(sector(b"c"))], "cds": [bootable_cd()]}


class Pc:
    """A guest, and what its screen shows."""

    def __init__(self, drives: Drives, order: str = "cad", *, force: bool = False) -> None:
        self.guest = FakeGuest(1 << 20)
        self.shown: list[str] = []
        self.boot = DiskBoot(drives, order=order, force=force, show=self.shown.append)

    def at(self, address: int, count: int) -> bytes:
        return self.guest.memory.read(PhysAddr(address), count)


@pytest.mark.parametrize(
    ("order", "text", "number"), [("a", b"a", 0x00), ("c", b"c", 0x80), ("d", b"cd", 0xE0), ("nda", b"cd", 0xE0)]
)
def test_the_first_drive_in_order_is_booted(order: str, text: bytes, number: int) -> None:
    pc = Pc(Drives(**ALL), order)
    booted = pc.boot.start(pc.guest)
    assert pc.at(0x7C00, len(text)) == text
    assert (booted.drive, booted.entry) == (number, 0x7C00)


def test_registers_are_as_a_bios_leaves_them() -> None:
    pc = Pc(Drives(**ALL), "c")
    pc.guest.registers.set("ebx", 0xDEAD)
    pc.boot.start(pc.guest)
    registers = pc.guest.registers
    assert (registers.segment("cs")[:2], registers.get("eip")) == ((0, 0), 0x7C00)
    assert (registers.get("eax"), registers.get("edx"), registers.get("ebx")) == (0xAA55, 0x80, 0)
    assert registers.get("eflags") & 0x200
    assert all(registers.segment(name)[:3] == (0, 0, 0xFFFF) for name in ("ds", "es", "ss"))
    assert 0x500 < registers.get("esp") < 0x7C00
    assert (0x92, 0xFE, 1) in pc.guest.port_writes


def test_a_cd_image_is_loaded_where_its_catalog_says() -> None:
    pc = Pc(Drives(cds=[bootable_cd(image=b"high", segment=0x2345)]))
    booted = pc.boot.start(pc.guest)
    assert (booted.segment, booted.offset) == (0x2000, 0x3450)
    assert pc.at(0x23450, 4) == b"high"


def test_an_emulated_floppy_boots_as_drive_0() -> None:
    pc = Pc(Drives(**{**ALL, "cds": [bootable_cd(media_type=2)]}), "d")
    booted = pc.boot.start(pc.guest)
    assert booted.drive == 0
    assert pc.at(0x410, 1)[0] & 0xC1 == 0x41


NO_SIGNATURE = "^disk\\.img: has no boot signature: at offset 510 stands 00 00 instead of 55 AA.*--force-boot"


def test_a_missing_signature_is_named_before_the_machine_starts() -> None:
    pc = Pc(Drives(disks=[disk(b"code")]))
    with pytest.raises(ImageError, match=NO_SIGNATURE):
        pc.boot.start(pc.guest)


def test_force_boots_without_signature() -> None:
    pc = Pc(Drives(disks=[disk(b"code")]), force=True)
    pc.boot.start(pc.guest)
    assert pc.at(0x7C00, 4) == b"code"


def test_an_empty_first_sector_is_called_that() -> None:
    pc = Pc(Drives(disks=[disk(bytes(1024))]))
    with pytest.raises(ImageError, match="its first sector is empty"):
        pc.boot.start(pc.guest)


def test_all_drives_faults_are_told_when_none_boots() -> None:
    pc = Pc(Drives(floppies=[floppy(b"no")], disks=[disk(bytes(512))]))
    with pytest.raises(
        ImageError, match=r"^disk\.img: its first sector is empty.*; floppy\.img: has no boot signature"
    ):
        pc.boot.start(pc.guest)


@pytest.mark.parametrize("drives", [Drives(), Drives(cds=[CdDrive(None)])])
def test_an_order_without_any_medium_is_the_options_fault(drives: Drives) -> None:
    pc = Pc(drives)
    with pytest.raises(OptionError, match=r"^--boot: 'cad' names no drive"):
        pc.boot.start(pc.guest)


@pytest.mark.parametrize("order", ["", "x", "aa", "abc", "cadn0"])
def test_an_order_that_makes_no_sense_is_refused(order: str) -> None:
    with pytest.raises(OptionError, match=r"^--boot: "):
        DiskBoot(Drives(), order=order)


def test_a_drive_that_cannot_be_booted_is_passed_over_with_a_note_on_the_screen() -> None:
    pc = Pc(Drives(floppies=[floppy(sector(b"a"))], disks=[disk(b"data")]))
    assert pc.boot.start(pc.guest).drive == 0
    assert "".join(pc.shown) == (
        "Booting from Hard Disk...\r\nBoot failed: not a bootable disk\r\n\r\nBooting from Floppy...\r\n"
    )


def called(pc: Pc, vector: int) -> tuple[int, int, int, int]:
    """Call INT 19h or 18h; where its stub goes on, where its IRET leads, and DL."""
    call = fake_call(vector, pc.guest)
    (pc.boot.int19 if vector == 0x19 else pc.boot.int18)(call)
    stack = pc.at(call.guest.registers.get("esp"), 6)
    way_on, ip, cs = (int.from_bytes(stack[at : at + 2], "little") for at in (0, 2, 4))
    return way_on, cs, ip, call.dl


def test_int_19h_boots_again_from_the_first_drive() -> None:
    pc = Pc(Drives(**ALL))
    pc.boot.start(pc.guest)
    pc.guest.memory.fill(PhysAddr(0x7C00), 512)
    assert called(pc, 0x19)[1:] == (0, 0x7C00, 0x80)
    assert pc.at(0x7C00, 1) == b"c"


def test_int_18h_leads_to_one_drive_after_the_other_and_then_nowhere() -> None:
    pc = Pc(Drives(**ALL))
    pc.boot.start(pc.guest)
    for text, number in ((b"a", 0x00), (b"cd", 0xE0)):
        assert called(pc, 0x18)[0] == AT["boot"]
        assert called(pc, 0x19)[1:] == (0, 0x7C00, number)
        assert pc.at(0x7C00, len(text)) == text
    pc.shown.clear()
    assert called(pc, 0x18)[0] != AT["boot"]
    assert pc.shown == ["No bootable device.\r\n"]


def test_int_19h_after_int_18h_was_never_called_starts_anew() -> None:
    pc = Pc(Drives(**ALL))
    pc.boot.start(pc.guest)
    called(pc, 0x18)
    called(pc, 0x19)
    assert called(pc, 0x19)[3] == 0x80


def test_int_19h_with_nothing_left_to_boot_leaves_its_way_to_int_18h() -> None:
    medium = Medium.from_bytes("disk.img", sector(b"c"))
    pc = Pc(Drives(disks=[HardDisk(medium)]))
    pc.boot.start(pc.guest)
    medium.write(0, bytes(512))
    before = called(pc, 0x18)
    assert called(pc, 0x19) == before

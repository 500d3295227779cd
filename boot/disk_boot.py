"""What firmware does last: find a drive with something to boot, load it to 0x7C00 and jump there.

::

    device        loaded                                 DL         must have
    a  floppy     first sector to 0000:7C00              00h        55 AA at offset 510
    c  hard disk  first sector (MBR) to 0000:7C00        80h        55 AA at offset 510
    d  CD         what the boot catalog says             E0h, or    an El Torito boot catalog
                                                         00h, 80h   if the CD emulates such a drive

The program starts in real mode with interrupts enabled, AX = AA55h, the drive in DL, all other registers and segments
zero, SS:SP = 0000:6F00 and the A20 gate open, as SeaBIOS leaves the processor.

When nothing is found before the machine starts, that is the user's mistake.  Later (INT 19h, INT 18h) it is shown on
the guest's screen, and the next device in order is tried.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 19h"; Compaq, Phoenix, Intel, "BIOS Boot
Specification" 1.01, "Boot" and "INT 18h"; SeaBIOS under QEMU 7.2 for the registers.
Not modelled: boot menus, network boot (order letter n is passed over), expansion ROMs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hillemu.boot.bios import disk_cd
from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.disk_tables import write_drive_counts
from hillemu.boot.bios.drives import CdDrive, Drive, Drives
from hillemu.boot.bios.rom import AT
from hillemu.boot.el_torito import boot_image, read_boot_entry
from hillemu.emu.errors import ImageError, OptionError
from hillemu.emu.guest import Guest, Segment
from hillemu.emu.i386.address import PhysAddr

DEFAULT_ORDER = "cad"
_LETTERS = "acdn"

LOAD_SEGMENT = 0x07C0
_STACK = 0x6F00
_MAGIC_AX = 0xAA55
_SIGNATURE_AT, _SIGNATURE = 510, b"\x55\xaa"
_BOOT_SECTOR_BYTES = 512
_EFLAGS_IF = 0x202
_CR0_ET = 0x10
_REAL_MODE_DATA, _REAL_MODE_CODE = 0x9300, 0x9B00
_PORT_92H, _A20, _FAST_RESET = 0x92, 0x02, 0x01


class Booted(NamedTuple):
    """What is about to run: at ``segment:offset``, with `drive` in DL."""

    drive: int
    segment: int
    offset: int
    description: str
    """For people: ``hard disk 80h (disk.img)``."""

    @property
    def entry(self) -> PhysAddr:
        return PhysAddr((self.segment << 4) + self.offset)


def check_order(order: str) -> str:
    """Return `order` if it is letters of "acdn", each once at most; raises `OptionError`."""
    if not order or len(set(order)) < len(order) or any(letter not in _LETTERS for letter in order):
        raise OptionError(
            "--boot",
            f"{order!r} is not an order of drives: a is the floppy, c the hard disk, d the CD, as in {'cad'!r}",
        )
    return order


class DiskBoot:
    """Boots from `drives` in `order`; `force` boots sectors without signature too; `show` writes on the guest's screen.

    Register `int19` and `int18` for these vectors.
    """

    def __init__(
        self,
        drives: Drives,
        *,
        order: str = DEFAULT_ORDER,
        force: bool = False,
        show: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._drives = drives
        self._order = check_order(order)
        self._force = force
        self._show = show
        self._tried = 0
        """How many of the devices in order have been booted or found wanting."""
        self._goes_on = False
        """INT 18h has led to INT 19h: go on behind those tried."""

    def start(self, guest: Guest) -> Booted:
        """Load what boots first into `guest`, whose firmware is in place, and set its registers to run it.

        Raises `ImageError` that says of each device why it cannot be booted, `OptionError` if there is none.
        """
        faults: list[ImageError] = []
        booted = self._boot(guest, 0, faults)
        if booted is None:
            raise self._nothing(faults)
        guest.write_port(_PORT_92H, guest.read_port(_PORT_92H) & ~_FAST_RESET | _A20)
        registers = guest.registers
        for name in ("ds", "es", "fs", "gs", "ss"):
            registers.set_segment(name, Segment(0, 0, 0xFFFF, _REAL_MODE_DATA))
        registers.set_segment("cs", Segment(booted.segment, booted.segment << 4, 0xFFFF, _REAL_MODE_CODE))
        registers.set("eip", booted.offset)
        registers.set("esp", _STACK)
        registers.set("eflags", _EFLAGS_IF)
        registers.set("cr0", _CR0_ET)  # at reset, caches are off; firmware has switched them on
        for name, value in _general_registers(booted).items():
            registers.set(name, value)
        return booted

    def int19(self, call: BiosCall) -> None:
        """Bootstrap: have the stub's IRET lead to what is loaded, or leave it leading to INT 18h."""
        first = self._tried if self._goes_on else 0
        self._goes_on = False
        booted = self._boot(call.guest, first, [])
        if booted is not None:
            call.return_to(booted.segment, booted.offset)
            call.interrupts = True
            for name, value in _general_registers(booted).items():
                call.guest.registers.set(name, value)

    def int18(self, call: BiosCall) -> None:
        """Boot failed: try the next device; when there is none, the stub halts."""
        if self._tried < len(self._devices()):
            self._goes_on = True
            call.go_on_at(AT["boot"])
        else:
            self._show("No bootable device.\r\n")

    def reset(self) -> None:
        """As at power-on."""
        self._tried, self._goes_on = 0, False
        self._drives.reset()

    def _boot(self, guest: Guest, first: int, faults: list[ImageError]) -> Booted | None:
        """Load from a device, the first from number `first` on that can be booted; `faults` gets why others cannot."""
        self._drives.reset()
        devices = self._devices()
        for number in range(first, len(devices)):
            self._tried = number + 1
            drive = devices[number]
            self._show(f"Booting from {_SHOWN[drive.kind]}...\r\n")
            try:
                return self._load(guest, drive)
            except ImageError as error:
                faults.append(error)
                self._show(f"Boot failed: {_SHOWN_FAULTS[drive.kind]}\r\n\r\n")
            finally:
                write_drive_counts(guest.memory, self._drives)
        return None

    def _devices(self) -> list[Drive]:
        """The drives to try: of floppies and hard disks only the first, as BIOSes do; of CDs all with something in."""
        found: list[Drive] = []
        for letter in self._order:
            if letter == "a":
                found += self._drives.floppies[:1]
            elif letter == "c":
                found += self._drives.disks[:1]
            elif letter == "d":
                found += [cd for cd in self._drives.cds if cd.medium]
        return found

    def _load(self, guest: Guest, drive: Drive) -> Booted:
        if isinstance(drive, CdDrive):
            return self._load_from_cd(guest, drive)
        assert drive.medium is not None, "floppy drives and hard disks are made with one"
        sector = drive.read(0, 1)
        if sector[_SIGNATURE_AT:] != _SIGNATURE and not self._force:
            raise ImageError(drive.medium.path, _why_no_signature(sector))
        guest.memory.write(PhysAddr(LOAD_SEGMENT << 4), sector)
        return _booted(drive, drive.number, LOAD_SEGMENT)

    def _load_from_cd(self, guest: Guest, cd: CdDrive) -> Booted:
        assert cd.medium is not None, "empty drives are not tried"
        entry = read_boot_entry(cd.medium)
        image = boot_image(cd.medium, entry)
        number = disk_cd.begin(self._drives, cd, entry)
        guest.memory.write(PhysAddr(entry.load_segment << 4), image)
        return _booted(cd, number, entry.load_segment)

    def _nothing(self, faults: list[ImageError]) -> ImageError | OptionError:
        if not faults:
            return OptionError("--boot", f"{self._order!r} names no drive that has anything in it")
        first, *others = faults
        return ImageError(first.path, "; ".join((first.fault, *(str(other) for other in others))))


_SHOWN = {"floppy": "Floppy", "hard disk": "Hard Disk", "CD": "DVD/CD"}
_SHOWN_FAULTS = {"floppy": "not a bootable disk", "hard disk": "not a bootable disk", "CD": "not a bootable CD"}


def _booted(drive: Drive, number: int, segment: int) -> Booted:
    """Programs expect to be at 0000:7C00, so what is below 64 KiB starts with CS = 0."""
    return Booted(number, segment & 0xF000, (segment & 0x0FFF) << 4, drive.describe())


def _general_registers(booted: Booted) -> dict[str, int]:
    zeros = dict.fromkeys(("ebx", "ecx", "esi", "edi", "ebp"), 0)
    return {"eax": _MAGIC_AX, "edx": booted.drive, **zeros}


def _why_no_signature(sector: bytes) -> str:
    if not any(sector):
        return "its first sector is empty: there is nothing to boot (--force-boot starts it anyway)"
    found = sector[_SIGNATURE_AT:].hex(" ").upper()
    return (
        f"has no boot signature: at offset 510 stands {found} instead of 55 AA, so it is no boot disk "
        "(--force-boot starts it anyway)"
    )

"""Which INT 13h calls are compared with SeaBIOS on QEMU: machines with drives, and a list of calls for each."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from el_torito_image import boot_entry, cd_image, validation_entry
from int13 import BUFFER, PROGRAM_BYTES, Answer, Ask, packet, program

from hillemu.boot.bios import disk_cd
from hillemu.boot.bios.drives import CdDrive, Drives, FloppyDrive, HardDisk
from hillemu.boot.el_torito import read_boot_entry
from hillemu.emu.media import Medium

MIB = 1 << 20
PACKETS = {
    0x8800: packet(2, 1),
    0x8820: packet(0, 1),
    0x8840: packet(2, 0x7FFFFFFF),
    0x8860: packet(200, 1),
    0x8880: packet(1, 1, size=8),
    0x88A0: packet(128, 0),
    **{
        at: struct.pack("<H", size)
        for at, size in ((0x8900, 26), (0x8940, 30), (0x8980, 66), (0x89D0, 74), (0x8A20, 8))
    },
}
"""Disk address packets, and buffers of AH=48h, which begin with their size."""


def every_call(drive: int) -> list[Ask]:
    """Every function, with good and bad parameters."""

    def ask(
        ax: int, *, bx: int = BUFFER, cx: int = 1, head: int = 0, si: int = 0, dump: tuple[int, int] = (0, 0)
    ) -> Ask:
        return Ask(ax, bx, cx, head << 8 | drive, si, *dump)

    return [
        ask(0x0000),
        ask(0x0100),
        ask(0x0201, dump=(BUFFER, 16)),
        ask(0x0200),
        ask(0x0281),
        ask(0x0201, cx=0),
        ask(0x0100),
        ask(0x0201, cx=0xFFFF),
        ask(0x0201, head=0x40),
        ask(0x0202, cx=9, dump=(BUFFER, 16)),
        ask(0x0202, cx=8, head=1),
        ask(0x0301, cx=5),
        ask(0x0401),
        ask(0x0401, cx=0),
        ask(0x0600),
        ask(0x0800),
        ask(0x0A01),
        ask(0x1500),
        ask(0x1600),
        ask(0x4100, bx=0x55AA),
        ask(0x4200, si=0x8800, dump=(0x8800, 16)),
        ask(0x4200, si=0x8820),
        ask(0x4200, si=0x8860, dump=(0x8860, 16)),
        ask(0x4200, si=0x8880),
        ask(0x4200, si=0x88A0, dump=(0x88A0, 16)),
        ask(0x4300, si=0x8800),
        ask(0x4400, si=0x8800),
        ask(0x4500),
        ask(0x4502),
        ask(0x4600),
        ask(0x4501),
        ask(0x4501),
        ask(0x4507),
        ask(0x4600),
        ask(0x4700, si=0x8800),
        ask(0x4800, si=0x8900, dump=(0x8900, 26)),
        ask(0x4800, si=0x8940, dump=(0x8942, 24)),  # without the size, and the address that follows
        ask(0x4800, si=0x8980, dump=(0x899E, 36)),
        ask(0x4800, si=0x89D0, dump=(0x89EE, 44)),
        ask(0x4800, si=0x8A20),
        ask(0x4900),
        ask(0x4E01),
        ask(0x4E07),
        ask(0x5000),
    ]


def hard_disk_calls(drive: int) -> list[Ask]:
    return [
        *every_call(drive),
        Ask(0x0900, dx=drive),
        Ask(0x0C01, cx=1, dx=drive),
        Ask(0x0D00, dx=drive),
        Ask(0x1000, dx=drive),
        Ask(0x1100, dx=drive),
        Ask(0x1400, dx=drive),
        Ask(0x4200, si=0x8840, dx=drive, dump_at=0x8840, dump_bytes=16),
        Ask(0x4400, si=0x8840, dx=drive),
        Ask(0x4700, si=0x8840, dx=drive),
        Ask(0x0201, BUFFER, 1, drive + 1),
        Ask(0x0100, dx=drive, dump_at=0x475, dump_bytes=1),
    ]


def floppy_calls(drive: int) -> list[Ask]:
    return [
        *every_call(drive),
        Ask(0x0202, 0xFE00, 2, drive),
        Ask(0x0202, BUFFER, 0x0101, drive, dump_at=BUFFER, dump_bytes=16),
        Ask(0x0280, BUFFER, 1, drive),
        Ask(0x0501, BUFFER, 0x0101, drive),
        Ask(0x0901, dx=drive),
        Ask(0x0C01, cx=1, dx=drive),
        Ask(0x0100, dx=drive, dump_at=0x475, dump_bytes=1),
    ]


def shape_calls(drive: int) -> list[Ask]:
    """What geometry the drive has."""
    return [
        Ask(0x0800, dx=drive),
        Ask(0x1500, dx=drive),
        Ask(0x4800, dx=drive, si=0x8900, dump_at=0x8900, dump_bytes=26),
        Ask(0x0401, cx=0xFFFF, dx=drive | 0xFF00),
    ]


class Case(NamedTuple):
    """Files of a machine, made in a folder; QEMU's arguments for them; our drives with them; the calls."""

    make: Callable[[Path], bytes]
    """Makes the files; returns what the BIOS loads at 0x7C00, and the program loads itself."""
    arguments: Callable[[Path], Sequence[str]]
    drives: Callable[[Path], Drives]
    asks: Sequence[Ask]


def _sparse(path: Path, data: bytes, size: int) -> None:
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(size)


def hard_disk(size: int, asks: Sequence[Ask], entry: bytes = b"") -> Case:
    """One hard disk whose first partition table entry is `entry`."""
    partition = {0x7C00 + 0x1BE: entry} if entry else {}

    def make(folder: Path) -> bytes:
        loaded = program(asks, {**PACKETS, **partition})
        _sparse(folder / "disk.img", loaded, size)
        return loaded

    return Case(
        make,
        lambda folder: ["-drive", f"file={folder / 'disk.img'},format=raw,if=ide"],
        lambda folder: Drives(disks=[HardDisk(Medium.open(folder / "disk.img"))]),
        asks,
    )


def floppy(size: int, asks: Sequence[Ask]) -> Case:
    def make(folder: Path) -> bytes:
        loaded = program(asks, PACKETS)
        _sparse(folder / "floppy.img", loaded, size)
        return loaded

    return Case(
        make,
        lambda folder: ["-drive", f"file={folder / 'floppy.img'},format=raw,if=floppy"],
        lambda folder: Drives(floppies=[FloppyDrive(Medium.open(folder / "floppy.img"))]),
        asks,
    )


def bootable_cd(media_type: int, asks: Sequence[Ask], size: int = 1474560) -> Case:
    """A CD that boots, beside a hard disk and a floppy that say who they are."""

    def make(folder: Path) -> bytes:
        partition = {0x7C00 + 0x1BE: partition_entry(3, 32, 20)} if media_type == 4 else {}
        loaded = program(asks, {**PACKETS, **partition})
        entry = boot_entry(media_type=media_type, sectors=1 if media_type else PROGRAM_BYTES // 512)
        (folder / "cd.iso").write_bytes(cd_image(loaded.ljust(size, b"\0"), validation_entry(), entry))
        _sparse(folder / "disk.img", b"hard disk", MIB)
        _sparse(folder / "floppy.img", b"floppy", 1474560)
        return loaded

    def arguments(folder: Path) -> Sequence[str]:
        disk, floppy_image = folder / "disk.img", folder / "floppy.img"
        others = ["-drive", f"file={disk},format=raw,if=ide", "-drive", f"file={floppy_image},format=raw,if=floppy"]
        return ["-cdrom", str(folder / "cd.iso"), "-boot", "d", *others]

    def drives(folder: Path) -> Drives:
        cd = Medium.open(folder / "cd.iso", sector_bytes=2048)
        floppies = [FloppyDrive(Medium.open(folder / "floppy.img"))]
        found = Drives(floppies, [HardDisk(Medium.open(folder / "disk.img"))], [CdDrive(cd)])
        disk_cd.begin(found, found.cds[0], read_boot_entry(cd))
        return found

    return Case(make, arguments, drives, asks)


def partition_entry(last_head: int, last_sector: int, last_cylinder: int) -> bytes:
    return struct.pack("<8B2I", 0x80, 0, 1, 0, 6, last_head, last_sector, last_cylinder, 32, 1000)


def _moved(drive: int) -> list[Ask]:
    """Calls of a real drive that an emulated one has moved to `drive`, before and after."""
    return [Ask(0x0201, BUFFER, 1, drive, dump_at=BUFFER, dump_bytes=9), Ask(0x4B01, dx=drive ^ 1, si=0x8B00)]


CASES: Mapping[str, Case] = {
    "hard disk of 10 MiB": hard_disk(10 * MIB, hard_disk_calls(0x80)),
    "floppy of 1.44 MB": floppy(1474560, floppy_calls(0x00)),
    "floppy of 1.2 MB": floppy(1228800, floppy_calls(0x00)),
    "floppy of 2.88 MB": floppy(2949120, floppy_calls(0x00)),
    "CD without emulation": bootable_cd(
        0, [*every_call(0xE0), Ask(0x4B01, dx=0xE0, si=0x8B00, dump_at=0x8B00, dump_bytes=19)]
    ),
    "CD with a floppy of 1.44 MB": bootable_cd(2, [*every_call(0x00), *_moved(0x01)]),
    "CD with a hard disk": bootable_cd(4, [*every_call(0x80), *_moved(0x81)]),
    **{
        f"geometry of {size // MIB} MiB{note}": hard_disk(size, shape_calls(0x80), entry)
        for size, note, entry in (
            (1 * MIB, "", b""),
            (504 * MIB, "", b""),
            (505 * MIB, "", b""),
            (1100 * MIB, "", b""),
            (5 << 30, "", b""),
            (200 << 30, "", b""),
            (100 * MIB, " made with 4 heads", partition_entry(3, 32, 100)),
            (100 * MIB, " made with 8 heads, 17 sectors", partition_entry(7, 0xC0 | 17, 100)),
            (3 << 30, " made with 64 heads", partition_entry(63, 63, 100)),
            (40 << 30, " made with 128 heads", partition_entry(127, 63, 100)),
        )
    },
}

DIFFERENT = {("CD with a hard disk", 0x0800): "SeaBIOS counts the emulated disk twice"}
"""Where our answer differs from SeaBIOS's, by case and AX, and why."""

RECORD = Path(__file__).with_name("int13_seabios.txt")
"""What SeaBIOS 1.16 on QEMU 7.2 answers; a differential test compares it with the QEMU that is installed."""


def recorded() -> dict[str, list[Answer]]:
    """The answers in `RECORD`, by case."""
    cases: dict[str, list[Answer]] = {}
    for line in RECORD.read_text(encoding="ascii").splitlines():
        if line.startswith("# "):
            cases[line[2:]] = answers = []
        else:
            ax, bx, cx, dx, carry, memory = line.split(" ")
            answers.append(Answer(*(int(word, 16) for word in (ax, bx, cx, dx, carry)), memory))
    return cases


def as_text(cases: Mapping[str, Sequence[Answer]]) -> str:
    """What `recorded` reads."""
    lines = []
    for name, answers in cases.items():
        lines.append(f"# {name}")
        lines += [f"{a.ax:04x} {a.bx:04x} {a.cx:04x} {a.dx:04x} {a.carry} {a.memory}" for a in answers]
    return "\n".join(lines) + "\n"

"""Which image goes into which drive: what IMAGE, --floppy, --disk and --cdrom mean together.

::

    floppy drives  A 00h  B 01h        IMAGE, if it is a floppy, then --floppy in order
    IDE            primary master      80h...   hard disks: IMAGE, if it is one, then --disk in order, wherever
                   primary slave                no CD is
                   secondary master    E0h...   CDs: IMAGE, if it is one, then --cdrom in order, from here on
                   secondary slave

>>> plan = plan_drives(("os.img", "disk"), disks=("data.img",), cdroms=("tools.iso",))
>>> [place and place.path for place in plan.ide], plan.order
(['os.img', 'data.img', 'tools.iso', None], 'cad')

IMAGE is booted first, the other drives after it in the order of QEMU: hard disk, floppy, CD.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from hillemu.boot.bios.drives import CdDrive, Drives, FloppyDrive, HardDisk
from hillemu.boot.disk_boot import DEFAULT_ORDER, check_order
from hillemu.emu.errors import ImageError, OptionError
from hillemu.emu.geometry import FLOPPY_FORMATS
from hillemu.emu.media import CD_SECTOR_BYTES, SECTOR_BYTES, Medium

if TYPE_CHECKING:
    from hillemu.boot.image import Image

FLOPPY, DISK, CD = "floppy", "disk", "cd"
"""Kinds of drive, and what ``--format`` calls them."""

_LETTERS = {FLOPPY: "a", DISK: "c", CD: "d"}
_FLOPPY_DRIVES, _IDE_PLACES, _FIRST_CD_PLACE = 2, 4, 2
_ISO_9660_AT, _ISO_9660 = 0x8001, b"CD001"


class Place(NamedTuple):
    """An image and the kind of drive that it is for."""

    path: str
    kind: str


class DrivePlan(NamedTuple):
    """What is where."""

    floppies: tuple[str, ...]
    """Paths of the images in A and B."""
    ide: tuple[Place | None, ...]
    """The four places: primary master and slave, secondary master and slave."""
    order: str
    """Which kinds of drive are booted, first to last: letters of "acd"."""


def kind_of_drive(image: Image) -> str:
    """The kind of drive that `image` is for, by its contents and size: anything can be a hard disk.

    A CD with a partition table as well, to be written to a USB stick, is a CD.
    """
    if image.has(_ISO_9660_AT, _ISO_9660):
        return CD
    is_floppy = any(image.size_bytes == floppy.sector_count * SECTOR_BYTES for floppy in FLOPPY_FORMATS)
    return FLOPPY if is_floppy else DISK


def plan_drives(
    image: tuple[str, str] | None = None,
    *,
    floppies: Sequence[str] = (),
    disks: Sequence[str] = (),
    cdroms: Sequence[str] = (),
    boot: str | None = None,
) -> DrivePlan:
    """Give every image a drive; `image` is IMAGE's path and kind, `boot` what the user says about the order.

    Raises `OptionError` when there are more images than drives, or for an order that makes no sense.
    """
    path, kind = image or ("", "")
    floppies = (*((path,) if kind == FLOPPY else ()), *floppies)
    disks = (*((path,) if kind == DISK else ()), *disks)
    cdroms = (*((path,) if kind == CD else ()), *cdroms)
    if len(floppies) > _FLOPPY_DRIVES:
        raise OptionError("--floppy", f"there are {_FLOPPY_DRIVES} floppy drives for {len(floppies)} images")
    if len(disks) + len(cdroms) > _IDE_PLACES:
        option = "--disk" if disks else "--cdrom"
        raise OptionError(option, f"there are {_IDE_PLACES} IDE drives for {len(disks)} disks and {len(cdroms)} CDs")
    return DrivePlan(tuple(floppies), _ide_places(disks, cdroms), _order(kind, boot))


def open_drives(plan: DrivePlan, *, writable: bool = False) -> Drives:
    """Open all images of `plan`; with `writable`, what the guest writes to floppies and disks reaches the files.

    Raises `ImageError` for an image that cannot be used; then none stays open.
    """
    opened: list[Medium] = []

    def medium(path: str, *, is_cd: bool = False) -> Medium:
        if is_cd:
            opened.append(Medium.open(path, sector_bytes=CD_SECTOR_BYTES))
        else:
            opened.append(Medium.open(path, writable=writable))
        return opened[-1]

    try:
        return Drives(
            [FloppyDrive(medium(path)) for path in plan.floppies],
            [HardDisk(medium(at.path), slot) for slot, at in enumerate(plan.ide) if at and at.kind == DISK],
            [CdDrive(medium(at.path, is_cd=True), slot) for slot, at in enumerate(plan.ide) if at and at.kind == CD],
        )
    except ImageError:
        for one in opened:
            one.close()
        raise


def _ide_places(disks: Sequence[str], cdroms: Sequence[str]) -> tuple[Place | None, ...]:
    places: list[Place | None] = [None] * _IDE_PLACES
    cd_places = (*range(_FIRST_CD_PLACE, _IDE_PLACES), *range(_FIRST_CD_PLACE))
    for place, path in zip(cd_places, cdroms, strict=False):
        places[place] = Place(path, CD)
    free = [place for place, taken in enumerate(places) if taken is None]
    for place, path in zip(free, disks, strict=False):
        places[place] = Place(path, DISK)
    return tuple(places)


def _order(kind: str, boot: str | None) -> str:
    if boot is not None:
        return check_order(boot)
    first = _LETTERS.get(kind, "")
    return first + DEFAULT_ORDER.replace(first, "") if first else DEFAULT_ORDER

"""Which image goes into which drive: what IMAGE, --floppy, --disk and --cdrom mean together.

::

    floppy drives  A 00h  B 01h        IMAGE, if it is a floppy, then --floppy in order
    IDE            primary master      80h...   hard disks: IMAGE, if it is one, then --disk in order, wherever
                   primary slave                no CD is
                   secondary master    E0h...   CDs: IMAGE, if it is one, then --cdrom in order, from here on
                   secondary slave

>>> plan = plan_drives(("os.img", Kind.DISK), disks=("data.img",), cdroms=("tools.iso",))
>>> [place and place.path for place in plan.ide], plan.order
(['os.img', 'data.img', 'tools.iso', None], 'cad')

IMAGE is booted first, the other drives after it in the order of QEMU: hard disk, floppy, CD.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from hillemu.boot.bios.drives import CdDrive, Drives, FloppyDrive, HardDisk
from hillemu.boot.detect import FLOPPY_BYTES, Kind
from hillemu.boot.disk_boot import DEFAULT_ORDER, check_order
from hillemu.emu.errors import ImageError, OptionError
from hillemu.emu.media import CD_SECTOR_BYTES, Medium

if TYPE_CHECKING:
    from hillemu.boot.image import Image

_LETTERS = {Kind.FLOPPY: "a", Kind.DISK: "c", Kind.CD: "d"}
_FLOPPY_DRIVES, _IDE_PLACES, _FIRST_CD_PLACE = 2, 4, 2
_ISO_9660_AT, _ISO_9660 = 0x8001, b"CD001"


class Place(NamedTuple):
    """An image and the kind of drive that it is for."""

    path: str
    kind: Kind


class DrivePlan(NamedTuple):
    """What is where."""

    floppies: tuple[str, ...]
    """Paths of the images in A and B."""
    ide: tuple[Place | None, ...]
    """The four places: primary master and slave, secondary master and slave."""
    order: str
    """Which kinds of drive are booted, first to last: letters of "acd"."""


def kind_of_drive(image: Image) -> Kind:
    """The kind of drive that `image` is for, whether it can be booted or not: anything can be a hard disk.

    `detect` asks for a boot signature; this is for images that somebody wants in a drive all the same.
    """
    if image.has(_ISO_9660_AT, _ISO_9660):
        return Kind.CD
    return Kind.FLOPPY if image.size_bytes in FLOPPY_BYTES else Kind.DISK


def plan_drives(
    image: tuple[str, Kind] | None = None,
    *,
    floppies: Sequence[str] = (),
    disks: Sequence[str] = (),
    cdroms: Sequence[str] = (),
    boot: str | None = None,
) -> DrivePlan:
    """Give every image a drive; `image` is IMAGE's path and kind of drive, `boot` the order that the user wants.

    Raises `OptionError` when there are more images than drives, or for an order that makes no sense.
    """
    if image is not None:
        path, kind = image
        floppies = [path, *floppies] if kind is Kind.FLOPPY else floppies
        disks = [path, *disks] if kind is Kind.DISK else disks
        cdroms = [path, *cdroms] if kind is Kind.CD else cdroms
    if len(floppies) > _FLOPPY_DRIVES:
        raise OptionError("--floppy", f"there are {_FLOPPY_DRIVES} floppy drives for {len(floppies)} images")
    if len(disks) + len(cdroms) > _IDE_PLACES:
        option = "--disk" if disks else "--cdrom"
        raise OptionError(option, f"there are {_IDE_PLACES} IDE drives for {len(disks)} disks and {len(cdroms)} CDs")
    return DrivePlan(tuple(floppies), _ide_places(disks, cdroms), _order(image[1] if image else None, boot))


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
            [HardDisk(medium(at.path), slot) for slot, at in enumerate(plan.ide) if at and at.kind is Kind.DISK],
            [
                CdDrive(medium(at.path, is_cd=True), slot)
                for slot, at in enumerate(plan.ide)
                if at and at.kind is Kind.CD
            ],
        )
    except ImageError:
        for one in opened:
            one.close()
        raise


def _ide_places(disks: Sequence[str], cdroms: Sequence[str]) -> tuple[Place | None, ...]:
    places: list[Place | None] = [None] * _IDE_PLACES
    cd_places = (*range(_FIRST_CD_PLACE, _IDE_PLACES), *range(_FIRST_CD_PLACE))
    for place, path in zip(cd_places, cdroms, strict=False):
        places[place] = Place(path, Kind.CD)
    free = [place for place, taken in enumerate(places) if taken is None]
    for place, path in zip(free, disks, strict=False):
        places[place] = Place(path, Kind.DISK)
    return tuple(places)


def _order(kind: Kind | None, boot: str | None) -> str:
    if boot is not None:
        return check_order(boot)
    first = _LETTERS.get(kind, "") if kind else ""
    return first + DEFAULT_ORDER.replace(first, "") if first else DEFAULT_ORDER

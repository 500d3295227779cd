"""Which image goes into which drive."""

from __future__ import annotations

from pathlib import Path

import pytest

from hillemu.boot.detect import Kind
from hillemu.boot.drive_plan import kind_of_drive, open_drives, plan_drives
from hillemu.boot.image import Image
from hillemu.emu.errors import ImageError, OptionError


def ide(**options: list[str]) -> list[str]:
    return [f"{place.kind}:{place.path}" if place else "-" for place in plan_drives(**options).ide]


def test_disks_fill_the_places_around_cds() -> None:
    assert ide(disks=["0", "1", "2", "3"]) == ["disk:0", "disk:1", "disk:2", "disk:3"]
    assert ide(disks=["0", "1", "2"], cdroms=["x"]) == ["disk:0", "disk:1", "cd:x", "disk:2"]
    assert ide(disks=["0"], cdroms=["x", "y"]) == ["disk:0", "-", "cd:x", "cd:y"]
    assert ide(cdroms=["x", "y", "z"]) == ["cd:z", "-", "cd:x", "cd:y"]


@pytest.mark.parametrize(("kind", "order"), [(Kind.FLOPPY, "acd"), (Kind.DISK, "cad"), (Kind.CD, "dca")])
def test_image_is_the_first_of_its_kind_and_booted_first(kind: Kind, order: str) -> None:
    plan = plan_drives(("image", kind), floppies=["f"], disks=["h"], cdroms=["d"])
    first = {Kind.FLOPPY: plan.floppies[0], Kind.DISK: plan.ide[0], Kind.CD: plan.ide[2]}[kind]
    assert first == "image" or (first is not None and first[0] == "image")
    assert plan.order == order


def test_what_the_user_says_about_the_order_counts() -> None:
    assert plan_drives(("image", Kind.DISK), boot="d").order == "d"
    with pytest.raises(OptionError, match=r"^--boot: 'e'"):
        plan_drives(("image", Kind.DISK), boot="e")


def test_more_images_than_drives_are_refused() -> None:
    with pytest.raises(OptionError, match=r"^--floppy: .*2 floppy drives for 3"):
        plan_drives(("image", Kind.FLOPPY), floppies=["1", "2"])
    with pytest.raises(OptionError, match=r"^--disk: .*4 IDE drives for 4 disks and 1 CDs"):
        plan_drives(("image", Kind.DISK), disks=["1", "2", "3"], cdroms=["d"])
    with pytest.raises(OptionError, match=r"^--cdrom: "):
        plan_drives(cdroms=list("12345"))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (bytes(368640), Kind.FLOPPY),
        (bytes(2949120), Kind.FLOPPY),
        (bytes(1474561), Kind.DISK),
        (b"x", Kind.DISK),
        (bytes(0x8001) + b"CD001", Kind.CD),
    ],
)
def test_the_kind_of_drive_is_told_by_size_and_contents(data: bytes, kind: Kind) -> None:
    assert kind_of_drive(Image("image", data)) is kind


def test_opened_drives_have_the_places_of_the_plan(tmp_path: Path) -> None:
    for name in ("a", "h1", "h2", "h3", "cd"):
        (tmp_path / name).write_bytes(name.encode().ljust(4096, b"\0"))
    disks = [str(tmp_path / name) for name in ("h1", "h2", "h3")]
    drives = open_drives(plan_drives((str(tmp_path / "a"), Kind.FLOPPY), disks=disks, cdroms=[str(tmp_path / "cd")]))
    assert [disk.slot for disk in drives.disks] == [0, 1, 3]
    assert [(cd.slot, cd.sector_bytes) for cd in drives.cds] == [(2, 2048)]
    assert [drives.find(number).read(0, 1)[:2] for number in (0x80, 0x81, 0x82, 0xE0, 0)] == [  # type: ignore[union-attr]
        b"h1", b"h2", b"h3", b"cd", b"a\0",
    ]  # fmt: skip
    drives.close()


def test_writes_reach_the_files_only_when_they_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(1024))
    for writable in (False, True):
        drives = open_drives(plan_drives(disks=[str(path)]), writable=writable)
        drives.disks[0].write(1, b"w" * 512)
        drives.close()
        assert (path.read_bytes()[512:] == b"w" * 512) is writable


@pytest.mark.parametrize("bad", ["missing.img", "empty.img", "."])
def test_one_bad_image_is_named_and_the_others_are_let_go(bad: str, tmp_path: Path) -> None:
    good = tmp_path / "good.img"
    good.write_bytes(bytes(512))
    (tmp_path / "empty.img").touch()
    name = str(tmp_path / bad)
    with pytest.raises(ImageError) as raised:
        open_drives(plan_drives(disks=[str(good), name]), writable=True)
    assert raised.value.path == name
    open_drives(plan_drives(disks=[str(good)]), writable=True).close()  # who writes is alone, so it is free again

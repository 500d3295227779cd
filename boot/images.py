"""Builds the guest images that ship with hillemu from the sources in boot/asm.

``python -m hillemu.boot.images`` rebuilds all of them; with ``--check`` it writes nothing and exits with status 1 if
one is not what its source gives.  A source that cannot be assembled is reported in one line, with status 125.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from hillemu.boot.assembler import assemble_file
from hillemu.boot.disk_image import disk_image
from hillemu.boot.image import Image
from hillemu.boot.shipped import shipped_folder
from hillemu.emu.errors import UserMistake

SOURCES = Path(__file__).parent / "asm"
IMAGES: Mapping[str, str] = {
    "demo.elf": "demo.s",
    "hello_sector.bin": "hello_sector.s",
    "bios.bin": "bios.s",
    "kernel.elf": "kernel.s",
    "memory_test.elf": "memory_test.s",
    "bitmap_boot.bin": "bitmap_boot.s",
    "bitmap.elf": "bitmap_kernel.s",
    "bitmap_paging.elf": "bitmap_paging.s",
    "bitmap_protection.elf": "bitmap_protection.s",
    "orange_boot.bin": "orange_boot.s",
    "orange.elf": "orange_kernel.s",
    "orange_init.elf": "orange_init.s",
}
"""Image by image, the source it is built from."""
DISKS: Mapping[str, tuple[str, str]] = {
    "bitmap.img": ("bitmap_boot.bin", "bitmap.elf"),
    "orange.img": ("orange_boot.bin", "orange.elf"),
}
"""Disks, put together (`disk_image`) from a boot sector with its loader, and a kernel."""
DRAWN: Mapping[str, str] = {"video.bin": "hillemu.boot.bios.video_rom"}
"""Images that are not assembled: the module whose `built_rom` makes each."""

_STALE, _USER_MISTAKE = 1, 125


def build_image(name: str) -> bytes:
    """The bytes of the image `name`, fresh from its source; raises `AssemblyError`."""
    if name in DRAWN:
        built: bytes = import_module(DRAWN[name]).built_rom()
        return built
    if name in DISKS:
        boot, kernel = (Image(part, build_image(part)) for part in DISKS[name])
        return disk_image(boot, kernel)
    return assemble_file(_short(SOURCES / IMAGES[name])).data


def image_folder() -> Path:
    """Where the images of this installation lie."""
    return Path(shipped_folder())


def main(arguments: Sequence[str] | None = None, folder: Path | None = None) -> int:
    """Rebuild or check the images; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given not in ([], ["--check"]):
        print("usage: python -m hillemu.boot.images [--check]", file=sys.stderr)
        return _USER_MISTAKE
    try:
        return _check(folder or image_folder()) if given else _rebuild(folder or image_folder())
    except UserMistake as error:
        print(error, file=sys.stderr)
        return _USER_MISTAKE


def _check(folder: Path) -> int:
    names = [*IMAGES, *DISKS, *DRAWN]
    present = {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}
    stale = [name for name in names if present.get(name) != build_image(name)]
    for name in stale:
        print(f"{_short(folder / name)} is not what {_source_of(name)} gives: run `make images`", file=sys.stderr)
    return _STALE if stale else 0


def _rebuild(folder: Path) -> int:
    for name in (*IMAGES, *DISKS, *DRAWN):
        data = build_image(name)
        (folder / name).write_bytes(data)
        print(f"{_short(folder / name)}: {len(data)} bytes")
    return 0


def _source_of(name: str) -> str:
    if name in DISKS:
        return " with ".join(DISKS[name])
    return str(_short(SOURCES / IMAGES[name])) if name in IMAGES else DRAWN[name]


def _short(path: Path) -> Path:
    """The path as a person in this folder would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())

"""The front door of this room: puts a kernel into a machine, whatever kind of kernel it is.

>>> from hillemu.boot.image import BootOptions, Image
>>> from hillemu.emu.guest import FakeGuest
>>> load_image(FakeGuest(4 << 20), Image("notes.txt", b"Dear diary,"), BootOptions())
Traceback (most recent call last):
...
hillemu.emu.errors.ImageError: notes.txt: is a text file, not a kernel

Disks, floppies and CDs are not loaded but booted, by the firmware; ask `kind_of` first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.boot.detect import Kind, detect, is_disk_kind, refusal
from hillemu.boot.firmware import NO_FIRMWARE, Firmware
from hillemu.boot.image import BootOptions, Image, Loaded
from hillemu.emu.errors import OptionError

if TYPE_CHECKING:
    from hillemu.emu.guest import Guest

LINUX16 = "linux16"
"""Linux, started in real mode; what ``auto`` means too.  ``linux`` starts 32-bit code."""

_KINDS = {
    "multiboot": Kind.MULTIBOOT1,
    "multiboot2": Kind.MULTIBOOT2,
    "linux": Kind.LINUX,
    LINUX16: Kind.LINUX,
    "disk": Kind.DISK,
    "floppy": Kind.FLOPPY,
    "cd": Kind.CD,
}
FORMATS = ("auto", *_KINDS)
"""What ``--format`` may say; ``auto`` looks into the file."""


def kind_of(image: Image, format: str = "auto") -> Kind:  # noqa: A002 - the word that --format uses
    """What `image` is to be booted as: what `format` says, one of `FORMATS`, or what it looks like.

    Raises `OptionError` for a format that does not exist, `ImageError` for an image that cannot be booted at all.
    """
    if format not in FORMATS:
        raise OptionError("--format", f"{format!r} is not a format; use {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    kind = _KINDS[format] if format in _KINDS and image.size_bytes else detect(image)
    if kind not in _KINDS.values():
        raise image.fault(refusal(image, kind))
    return kind


def load_image(guest: Guest, image: Image, options: BootOptions, firmware: Firmware = NO_FIRMWARE) -> Loaded:
    """Load the kernel `image` into `guest`, which is as after a reset, and make it ready to start.

    Raises `ImageError` for an image, a module or an initial RAM disk that cannot be used, `OptionError` for an option
    that makes no sense.  Nothing is written to the guest in either case.
    """
    kind = kind_of(image, options.format)
    if is_disk_kind(kind):
        raise image.fault(refusal(image, kind))
    if kind is Kind.LINUX:
        if options.modules:
            raise OptionError("--module", "is for Multiboot kernels; a Linux kernel's initial RAM disk is --initrd")
        from hillemu.boot.linux import load_linux

        return load_linux(guest, image, options, firmware, real_mode=options.format != "linux")
    if options.initrds:
        raise OptionError("--initrd", "is for Linux kernels; a Multiboot kernel's modules are --module")
    if kind is Kind.MULTIBOOT2:
        from hillemu.boot.multiboot2 import load_multiboot2

        return load_multiboot2(guest, image, options, firmware)
    from hillemu.boot.multiboot1 import load_multiboot1

    return load_multiboot1(guest, image, options, firmware)

"""The front door of this room: puts an image into a machine, whatever kind of image it is.

>>> from hillemu.boot.image import BootOptions, Image
>>> from hillemu.emu.guest import FakeGuest
>>> load_image(FakeGuest(4 << 20), Image("notes.txt", b"Dear diary,"), BootOptions())
Traceback (most recent call last):
...
hillemu.emu.errors.ImageError: notes.txt: is a text file, not a kernel
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.boot.detect import Kind, detect, refusal
from hillemu.boot.image import BootOptions, Image, Loaded
from hillemu.boot.multiboot1 import load_multiboot1
from hillemu.emu.errors import OptionError

if TYPE_CHECKING:
    from hillemu.emu.guest import Guest

FORMATS = ("auto", "multiboot")
"""What ``--format`` may say; ``auto`` looks into the file."""


def load_image(guest: Guest, image: Image, options: BootOptions) -> Loaded:
    """Load `image` into `guest`, which is as after a reset, and make it ready to start.

    Raises `ImageError` for an image or a module that cannot be used, `OptionError` for an option that makes no sense.
    Nothing is written to the guest in either case.
    """
    if options.format not in FORMATS:
        raise OptionError("--format", f"{options.format!r} is not a format; use {' or '.join(FORMATS)}")
    kind = Kind.MULTIBOOT1 if options.format == "multiboot" and image.size_bytes else detect(image)
    if kind is not Kind.MULTIBOOT1:
        raise image.fault(refusal(image, kind))
    return load_multiboot1(guest, image, options)

"""The images that come with hillemu, found without importlib.resources (which takes longer than booting one)."""

from __future__ import annotations

import os
from importlib.util import find_spec

from hillemu.emu.errors import UserMistake


def shipped_folder() -> str:
    """Where the images of this installation lie."""
    spec = find_spec("hillemu.images")
    if spec is None or spec.origin is None:
        raise UserMistake("the folder of the images is missing; install hillemu again")
    return os.path.dirname(spec.origin)


def shipped_path(name: str) -> str:
    """Where the image `name` lies."""
    return os.path.join(shipped_folder(), name)


def shipped_image(name: str) -> bytes:
    """The bytes of the image `name`; raises `UserMistake` if the installation is not complete."""
    try:
        with open(shipped_path(name), "rb") as file:
            return file.read()
    except OSError as error:
        raise UserMistake(f"the image {name} is missing ({error.strerror}); install hillemu again") from None

"""What `--display` means: nothing, the text screen, or a picture of the screen in a PNG file at the end of the run.

The picture is written beside its place and then renamed, so that whoever looks finds a whole picture or none.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.errors import OptionError

if TYPE_CHECKING:
    from hillemu.emu.devices.video.picture import Picture
    from hillemu.emu.devices.video.stdvga import StdVga

OPTION = "--display"
SUFFIX = ".png"


class Display(NamedTuple):
    """A checked `--display`."""

    shows_text: bool
    png: str | None = None
    """Where the picture goes."""


def parse_display(value: str) -> Display:
    """Read the option's value.

    >>> parse_display("text")
    Display(shows_text=True, png=None)
    >>> parse_display("screen.png")
    Display(shows_text=True, png='screen.png')

    Raises `OptionError` for anything else.
    """
    if value in ("none", "text"):
        return Display(value == "text")
    if value.lower().endswith(SUFFIX) and os.path.basename(value) != SUFFIX:
        return Display(True, value)
    raise OptionError(OPTION, f"{value!r} is neither 'none' nor 'text' nor the name of a {SUFFIX} file")


def check_png(path: str) -> None:
    """Refuse a place where no picture can be written, before the machine is switched on."""
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        raise OptionError(OPTION, f"{path} is a folder")
    if not os.path.isdir(folder):
        raise OptionError(OPTION, f"{folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OptionError(OPTION, f"no file can be made in {folder}")


def save_png(picture: Picture, path: str) -> None:
    """Save `picture` as a PNG file; raises `OptionError` when that fails, and leaves no part of it."""
    from hillemu.terminal.png import png_file

    write_whole(path, png_file(*picture))


def write_whole(path: str, data: bytes) -> None:
    """Have `path` hold `data`, or what it held before."""
    unfinished = f"{path}.{os.getpid()}.part"
    try:
        with open(unfinished, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except (OSError, ValueError) as error:
        _remove(unfinished)
        raise OptionError(OPTION, f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except (OSError, ValueError):
        return


def screen_lines(card: StdVga, text_lines: list[str]) -> list[str]:
    """What the live view and the end of a run show: the text, or one line that tells of a picture."""
    if not card.dispi.enabled and card.vga.in_text_mode:
        return text_lines
    from hillemu.emu.devices.video.picture import mode_name

    return [f"{mode_name(card)} (use {OPTION} FILE{SUFFIX} for a picture)"]

"""Waits for a text on the serial port or on the screen."""

from __future__ import annotations

import re
from collections.abc import Callable

from hillemu.emu.devices.serial_log import SerialLog
from hillemu.emu.devices.video.text_screen import TextScreen
from hillemu.emu.errors import OptionError

WINDOW_CHARACTERS = 1024
"""A match on the serial port must lie within so many of its latest characters."""


def text_pattern(pattern: str | re.Pattern[str], where: str) -> re.Pattern[str]:
    """A regular expression whose ``^`` and ``$`` stand for lines; raises `OptionError` for what is none."""
    try:
        return re.compile(pattern, re.MULTILINE) if isinstance(pattern, str) else pattern
    except (re.error, OverflowError, RecursionError) as error:
        raise OptionError(where, f"{pattern!r} is not a regular expression: {error}") from None


class TextWatch:
    """Calls `on_match(pattern)` as soon as the serial port has sent text that matches; the screen is asked.

    It only looks; `close` it when the run is over.
    """

    def __init__(
        self, pattern: str | re.Pattern[str], log: SerialLog, screen: TextScreen, on_match: Callable[[str], None]
    ) -> None:
        self.pattern = text_pattern(pattern, "until")
        self._log = log
        self._screen = screen
        self._on_match = on_match
        self._recent = ""
        self._seen_cells = b""
        log.observers.append(self._byte)

    def close(self) -> None:
        self._log.observers.remove(self._byte)

    def _byte(self, byte: int) -> None:
        self._recent += chr(byte)
        if byte > 0x7F:  # let the log put multi-byte characters together
            self._recent = self._log.text[-WINDOW_CHARACTERS:]
        if len(self._recent) > 2 * WINDOW_CHARACTERS:
            self._recent = self._recent[-WINDOW_CHARACTERS:]
        if self.pattern.search(self._recent):
            self._recent = ""
            self._on_match(self.pattern.pattern)

    def screen_matches(self) -> bool:
        """Whether the screen, if it has changed, matches: with rows that end at their last character, or run on."""
        cells = self._screen.cells
        if cells == self._seen_cells:
            return False
        self._seen_cells = cells
        lines = self._screen.lines
        # A prompt ends with a space, which is on the screen like all the others behind it.
        with_blanks = "\n".join(line.ljust(self._screen.size[1]) for line in lines)
        return any(self.pattern.search(shown) for shown in (self._screen.text, with_blanks))

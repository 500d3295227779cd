"""Claims about what the kernel says, on its serial port or on the screen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hillemu.grading.claims import HOLDS, Claim, Seen
from hillemu.grading.course_text import printable, shortened

Patterns = tuple[re.Pattern[str], ...]
SHOWN_CHARACTERS = 100
"""Of what the kernel said, in a reason."""


@dataclass(frozen=True)
class SerialInOrder(Claim):
    """The serial text has a match of each of `patterns`, each behind the one before."""

    patterns: Patterns

    @property
    def texts(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(f"serial '{one.pattern}'" for one in self.patterns)

    of_the_run = True

    def judge(self, seen: Seen) -> Sequence[str]:
        at, reasons = 0, []
        for one in self.patterns:
            if found := one.search(seen.serial, at):
                at = found.end()
                reasons.append(HOLDS)
            elif at and one.search(seen.serial):
                reasons.append("the serial port sent it, but before what should come first")
            else:
                reasons.append(f"the serial port never sent it; {_last_line(seen.serial)}")
        return reasons


@dataclass(frozen=True)
class Absent(Claim):
    """Neither the serial text nor the screen has a match of `patterns`."""

    patterns: Patterns

    @property
    def texts(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(f"absent '{one.pattern}'" for one in self.patterns)

    of_the_run = True

    def judge(self, seen: Seen) -> Sequence[str]:
        screen = "\n".join(seen.machine.screen_lines())
        return [self._reason(one, seen.serial, screen) for one in self.patterns]

    @staticmethod
    def _reason(pattern: re.Pattern[str], serial: str, screen: str) -> str:
        for where, text in (("the serial port sent", serial), ("the screen shows", screen)):
            if found := pattern.search(text):
                start = text.rfind("\n", 0, found.start()) + 1
                return f"{where} {_quoted(text[start:].partition(chr(10))[0])}"
        return HOLDS


@dataclass(frozen=True)
class OnScreen(Claim):
    """The screen has a match of each of `patterns`, in any order."""

    patterns: Patterns

    @property
    def texts(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(f"screen '{one.pattern}'" for one in self.patterns)

    def judge(self, seen: Seen) -> Sequence[str]:
        lines = seen.machine.screen_lines()
        shown = [_quoted(line) for line in lines if line.strip()]
        reason = f"its last line is {shown[-1]}" if shown else "it is empty"
        return [
            HOLDS if one.search("\n".join(lines)) else f"the screen does not show it; {reason}" for one in self.patterns
        ]


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return f"its last line was {_quoted(lines[-1])}" if lines else "it sent nothing"


def _quoted(text: str) -> str:
    return f'"{shortened(printable(text.rstrip()), SHOWN_CHARACTERS)}"'

"""How a run can fail a test, and where the guest stood then.

::

    GuestFault
    +-- GuestFailure          also an AssertionError: the test failed, nothing is wrong with it
        +-- BudgetExceeded    the run used up its budget
        +-- StoppedEarly      the guest ended before it came to where it was to come

The message holds what one looks for first; a failed test's report has the whole of it
(`hillemu.testing.sections`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.emu.errors import GuestFault
from hillemu.testing.sections import exception_lines, place, screen_rows, serial_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hillemu.machine import Machine

SHOWN_LINES = 5
"""Of the serial text and the screen."""
SHOWN_EXCEPTIONS = 4


class GuestFailure(GuestFault, AssertionError):
    """The guest did not do what the test had it do; the message says where it stood."""

    def __init__(self, what: str, machine: Machine) -> None:
        self.what = what
        """What went wrong, in one line."""
        super().__init__(what + "\n" + "\n".join(_where_it_stood(machine)))


class BudgetExceeded(GuestFailure):
    """The run used up its budget."""


class StoppedEarly(GuestFailure):
    """The guest ended before it came to where it was to come."""


def _where_it_stood(machine: Machine) -> list[str]:
    """The place, the end of the serial text, the end of the screen, and the last exceptions; some fifteen lines."""
    return [
        f"  at: {place(machine)}",
        *_block("serial text", serial_lines(machine)),
        *_block("screen", screen_rows(machine)),
        *(f"  exception: {line}" for line in exception_lines(machine)[-SHOWN_EXCEPTIONS:] or ["none"]),
    ]


def _block(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return [f"  {title}: empty"]
    cut = len(lines) - SHOWN_LINES
    head = f"  {title}{f', the last {SHOWN_LINES} of {len(lines)} lines' if cut > 0 else ''}:"
    return [head, *(f"    | {line}" for line in lines[-SHOWN_LINES:])]

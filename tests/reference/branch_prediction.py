"""The Pentium's branch target buffer in plain Python, from Intel's and Agner Fog's descriptions.

A branch is known by the linear address of its last byte: six bits choose one of 64 sets of four ways, the others are
the tag.  A history of two bits counts up where the branch is taken and down where not, except that history 0 is no
entry at all, and a taken branch without entry begins with 3.  Of a full set the way is given up that a counter of all
replacements says.  (Developer's Manual, "BTB Test Registers"; Agner Fog, "Branch prediction in P1".)

In the clock behind a misprediction no target is loaded, so that every branch is predicted to fall through ("Consecutive
branches").
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from instruction_decoding import decode
from instruction_trace import Event, Step

CONDITIONAL = frozenset(("Jcc", "JCXZ", "LOOP", "LOOPE", "LOOPNE"))
NEAR_BRANCHES = CONDITIONAL | {"JMP", "CALL", "RET"}
SETS, WAYS = 64, 4


class Entry(NamedTuple):
    """A branch that was taken."""

    tag: int
    target: int
    history: int
    """1 to 3."""


class Predictor:
    """What a trace's branches take beyond the clock table; `penalty` knows the items of the penalties' table."""

    def __init__(self, penalty: Callable[[str], int]) -> None:
        self._buffer = Buffer()
        self._clocks = {
            (False, False): penalty("mispredicted_direct"),
            (False, True): penalty("mispredicted_direct"),
            (True, False): penalty("mispredicted_u"),
            (True, True): penalty("mispredicted_v"),
        }
        self._behind_branch = 0  # how many instructions have been executed since the last near branch

    def charge(self, entry: Step | Event, is_in_v: bool) -> int:
        """The clocks of the next entry, which went to the V pipe or did not."""
        if isinstance(entry, Event):
            self._buffer.interrupt()
            if entry.loads_cr3:
                self._buffer.clear()
            return 0
        kind = _kind_of(entry.code, entry.bits)
        if entry.loads_cr3:
            self._buffer.clear()
        if not kind.is_near_branch:
            self._behind_branch += 1
            return 0
        is_first = self._behind_branch == 0 or (self._behind_branch == 1 and is_in_v)
        self._behind_branch = 0
        last_byte = entry.linear + len(entry.code) - 1 & 0xFFFFFFFF
        wrong = self._buffer.mispredicted(last_byte, entry.taken, entry.target, is_first)
        return self._clocks[kind.is_conditional, is_in_v] if wrong else 0


class _Kind(NamedTuple):
    is_near_branch: bool
    is_conditional: bool


@cache
def _kind_of(code: bytes, bits: int) -> _Kind:
    instruction = decode(code, bits)
    name = instruction.mnemonic
    is_near = name in NEAR_BRANCHES and "far" not in instruction.form.split()
    return _Kind(is_near, name in CONDITIONAL)


class Buffer:
    """The 256 entries, and whether the pipeline has just been flushed."""

    def __init__(self) -> None:
        self.sets: list[list[Entry | None]] = [[None] * WAYS for _ in range(SETS)]
        self.replaced = 0
        self.flushed = False

    def clear(self) -> None:
        """CR3 was loaded."""
        self.sets = [[None] * WAYS for _ in range(SETS)]

    def interrupt(self) -> None:
        """The next instruction is a handler's."""
        self.flushed = False

    def mispredicted(self, last_byte: int, taken: bool, target: int, is_in_first_clock: bool) -> bool:
        """Whether a branch that has now been executed was predicted wrongly; `is_in_first_clock`: behind another one.

        `target` is where it led, if it was taken.
        """
        ways, tag = self.sets[last_byte % SETS], last_byte // SETS
        found = next((entry for entry in ways if entry is not None and entry.tag == tag), None)
        predicts = found.target if found and found.history >= 2 else None
        if self.flushed and is_in_first_clock:
            predicts = None
        self.flushed = predicts != (target if taken else None)
        if found is not None:
            history = min(found.history + 1, 3) if taken else found.history - 1
            later = Entry(tag, target if taken else found.target, history)
            ways[ways.index(found)] = later if history else None
        elif taken:
            if None not in ways:
                ways[self.replaced % WAYS] = None
                self.replaced += 1
            ways[ways.index(None)] = Entry(tag, target, 3)
        return self.flushed

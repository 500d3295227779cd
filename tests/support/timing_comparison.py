"""Compares what the native core charges with the reference, one instruction at a time."""

from __future__ import annotations

from typing import Any

from instruction_clocks import Clock
from instruction_decoding import decode
from instruction_recording import Recorder, Recording
from instruction_trace import Event, Step

NO_HARDWARE = (0xB0, 0xB1)
"""Where guests call the hosted kernel and the firmware."""
PART = 20_000
"""Steps that are recorded before they are compared: a trace of millions needs no memory."""


class Comparison:
    """A guest that is executed step by step beside the reference."""

    def __init__(self, lab: Any, processor: str) -> None:
        self.processor = processor
        self.recorder = Recorder(lab)
        self.compared = 0
        """Instructions whose cycles were compared; a REP with all its iterations is one."""
        self.events = 0
        """Exceptions and interrupts among them."""
        self._clock = Clock(processor, at_once=NO_HARDWARE)

    def run(self, steps: int) -> str:
        """Execute so many more steps, or up to the guest's HLT; where the two first differ, or ""."""
        while steps > 0 and not self.recorder.has_ended:
            recording = self.recorder.record(min(steps, PART))
            if difference := self._difference(recording):
                return difference
            steps -= PART
        return ""

    def _difference(self, recording: Recording) -> str:
        wanted = recording.sums(self._clock.cycles(recording.entries))
        start = 0
        for (count, found), reference in zip(recording.groups, wanted, strict=True):
            if found != reference:
                shown = recording.entries[max(0, start - 4) : start + count]
                lines = [f"{self.processor}: native {found}, reference {reference}", *map(_line, shown)]
                return "\n".join(lines)
            start += count
        self.compared += len(recording.groups)
        self.events += sum(isinstance(entry, Event) for entry in recording.entries)
        return ""


def difference(lab: Any, processor: str, limit: int = 100_000) -> str:
    """Execute a laboratory's guest to its HLT; where the two first differ, with what came before, or ""."""
    return Comparison(lab, processor).run(limit)


def _line(entry: Step | Event) -> str:
    if isinstance(entry, Event):
        return f"    {entry.kind} in {entry.mode} mode: {entry.case}"
    instruction = decode(entry.code, entry.bits)
    words = [f"    {entry.linear:08x}  {entry.code.hex():20}  {instruction.mnemonic} {instruction.form}"]
    words += [f"n={entry.count}"] if entry.count else []
    words += ["taken"] if entry.taken else []
    words += [entry.outcome] if entry.outcome else []
    return "  ".join(words)

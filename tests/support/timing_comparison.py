"""Compares what the native core charges with the reference, one instruction at a time."""

from __future__ import annotations

from typing import Any

from instruction_clocks import cycles
from instruction_decoding import decode
from instruction_recording import Recording, record
from instruction_trace import Event, Step


def difference(lab: Any, processor: str, limit: int = 100_000) -> str:
    """Execute a laboratory's guest to its HLT; where the two first differ, with what came before, or ""."""
    return difference_of(record(lab, limit), processor)


def difference_of(recording: Recording, processor: str) -> str:
    """The same of a recording."""
    wanted = recording.sums(cycles(processor, recording.entries))
    start = 0
    for (count, found), reference in zip(recording.groups, wanted, strict=True):
        if found != reference:
            shown = recording.entries[max(0, start - 4) : start + count]
            lines = [f"{processor}: native {found}, reference {reference}", *map(_line, shown)]
            return "\n".join(lines)
        start += count
    return ""


def _line(entry: Step | Event) -> str:
    if isinstance(entry, Event):
        return f"    {entry.kind} in {entry.mode} mode: {entry.case}"
    instruction = decode(entry.code, entry.bits)
    words = [f"    {entry.linear:08x}  {entry.code.hex():20}  {instruction.mnemonic} {instruction.form}"]
    words += [f"n={entry.count}"] if entry.count else []
    words += ["taken"] if entry.taken else []
    words += [entry.outcome] if entry.outcome else []
    return "  ".join(words)

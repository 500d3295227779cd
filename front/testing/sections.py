"""What a failed test's report tells of a machine: where it stands, its serial text, its screen, its crash report.

Everything is bounded in length, and control characters of the guest's are spelt out: a kernel gone wild must fill
neither a log nor a terminal with escape sequences.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hillemu.machine import Machine

LONGEST_LINES = 100
LONGEST_LINE_CHARACTERS = 500
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Section(NamedTuple):
    """A part of a report."""

    title: str
    text: str


def sections_of(machine: Machine, *, name: str = "", told: str = "") -> list[Section]:
    """What there is to tell of `machine`, which the report calls `name`.

    `told` is the failure's message: what that shows from its first line to its last is not told again.
    """
    suffix = f" of {name}" if name else ""
    serial, screen = serial_lines(machine), screen_rows(machine)
    found = [Section(f"hillemu: machine{suffix}", _summary(machine))]
    for title, lines in (("serial text", serial), ("screen", screen)):
        if lines and not _is_within(lines, told):
            found.append(Section(f"hillemu: {title}{suffix}", "\n".join(bounded(lines))))
    if _deserves_a_crash_report(machine):
        lines = [printable(line) for line in machine.crash_report().splitlines()]
        found.append(Section(f"hillemu: crash report{suffix}", "\n".join(bounded(lines, keep_end=False))))
    return found


def place(machine: Machine) -> str:
    """Where the processor is, as ``0x00100018 <main+0x8>, kernel.c:42, after 1,234 instructions, 0.001 s virtual``."""
    at = machine.cpu.linear_eip
    line = machine.symbols.line(at)
    seconds = machine.clock.now_ns / 10**9
    source = f", {line}" if line else ""
    return (
        f"{machine.symbols.describe(at)}{source}, "
        f"after {machine.cpu.instructions:,} instructions, {seconds:.3f} s virtual"
    )


def serial_lines(machine: Machine) -> list[str]:
    """What the guest sent to COM1, and to COM2 behind it."""
    lines = text_lines(machine.serial.text)
    if second := text_lines(machine.serial2.text):
        lines += ["(COM2)", *second]
    return lines


def screen_rows(machine: Machine) -> list[str]:
    """The rows of the screen that have text."""
    return [printable(row) for row in machine.screen_lines() if row.strip()]


def exception_lines(machine: Machine) -> list[str]:
    """The last exceptions, oldest first; interrupts are none."""
    from hillemu.emu.stop import Stop, StopReason
    from hillemu.report.deliveries import delivery_lines
    from hillemu.report.stopped import StoppedMachine
    from hillemu.report.view import Scene

    stop = machine.last_stop or Stop(StopReason.INTERRUPTED)
    deliveries = [one for one in machine.deliveries if one.kind == "exception"]
    if not deliveries:
        return []
    return delivery_lines(
        Scene(StoppedMachine(stop, machine.cpu.processor, machine.memory, deliveries, machine.symbols))
    )


def text_lines(text: str) -> list[str]:
    """Lines to print, without blank ones at the end."""
    lines = [printable(line.rstrip("\r")) for line in text.split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def printable(line: str) -> str:
    """`line` with control characters spelt out, and not too long.

    >>> printable("\\x1b[31mpanic")
    '\\\\x1b[31mpanic'
    """
    line = _UNPRINTABLE.sub(lambda match: f"\\x{ord(match[0]):02x}", line)
    if len(line) > LONGEST_LINE_CHARACTERS:
        return f"{line[:LONGEST_LINE_CHARACTERS]}... ({len(line):,} characters)"
    return line


def bounded(lines: Sequence[str], *, keep_end: bool = True) -> list[str]:
    """At most `LONGEST_LINES` of `lines`, from their end or their beginning, and how many were left out."""
    left_out = len(lines) - LONGEST_LINES
    if left_out <= 0:
        return list(lines)
    if keep_end:
        return [f"... ({left_out:,} lines before)", *lines[-LONGEST_LINES:]]
    return [*lines[:LONGEST_LINES], f"... ({left_out:,} more lines)"]


def _summary(machine: Machine) -> str:
    from hillemu.sizes import format_size

    stop = machine.last_stop
    lines = [f"at: {place(machine)}"]
    if stop is not None:
        lines.insert(0, f"stopped: {stop.reason}" + (f" ({stop.detail})" if stop.detail else ""))
    if path := getattr(machine, "kernel_path", ""):
        lines.insert(0, f"kernel: {path}, {format_size(machine.memory.size_bytes)}, cpu {machine.cpu.model}")
    lines += [f"note: {printable(note)}" for note in bounded(getattr(machine, "notes", ()))]
    return "\n".join(lines)


def _is_within(lines: Sequence[str], told: str) -> bool:
    return "\n".join(f"    | {line}" for line in lines) in told


def _deserves_a_crash_report(machine: Machine) -> bool:
    """Whether the guest did not come to where somebody wanted it to stop: it died, hangs, or goes on and on."""
    from hillemu.emu.stop import StopReason

    wanted = (StopReason.UNTIL, StopReason.BREAKPOINT, StopReason.WATCHPOINT, StopReason.EXIT, StopReason.POWER_OFF)
    return machine.last_stop is not None and machine.last_stop.reason not in wanted

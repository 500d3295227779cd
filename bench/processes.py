"""Runs a machine in a process of its own and takes the time at the host when its guest sends a byte."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

TIMEOUT_S = 300
EXIT_STATUS = 1
"""What isa-debug-exit makes of the value 0."""


class BenchError(Exception):
    """A machine did not do what the benchmark needs; no figure can be given."""


class Span(NamedTuple):
    """A loop that ran: seconds between its two marks, and its checksum."""

    seconds: float
    checksum: str


@contextlib.contextmanager
def running(command: list[str], *, stdin: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[bytes]]:
    """Start `command`, usually with nothing to read; end it, if it has not ended itself, at the end of the block."""
    with subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        try:
            yield process
        finally:
            process.kill()


def time_between_marks(command: list[str]) -> Span:
    """Run a loop to its end (see guests/harness.inc) and time it between `<` and `>`."""
    with running(command) as process:
        received = b""
        started = ended = 0.0
        while piece := _read(process):
            now = perf_counter()
            received += piece
            started = started or (now if b"<" in piece else 0.0)
            ended = ended or (now if b">" in piece else 0.0)
        status = process.wait(TIMEOUT_S)
        if status != EXIT_STATUS or not received.startswith(b"<>"):
            raise BenchError(f"{_describe(command)}: status {status}, sent {received!r}{_complaint(process)}")
    return Span(ended - started, received[2:].decode("ascii"))


def time_to_first_byte(command: list[str]) -> float:
    """Seconds from before the process is made until its guest's first byte is here."""
    started = perf_counter()
    with running(command) as process:
        piece = _read(process)
        seconds = perf_counter() - started
        if piece[:1] != b"<":
            raise BenchError(f"{_describe(command)}: sent {piece!r} instead of its first byte{_complaint(process)}")
    return seconds


def peak_rss_at_first_byte(command: list[str]) -> int:
    """The most host memory in bytes that the process has had resident by its guest's first byte."""
    with running(command) as process:
        if _read(process)[:1] != b"<":
            raise BenchError(f"{_describe(command)}: no first byte{_complaint(process)}")
        status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


def _read(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return os.read(process.stdout.fileno(), 4096)


def _complaint(process: subprocess.Popen[bytes]) -> str:
    process.kill()
    assert process.stderr is not None
    return f"\n{process.stderr.read().decode(errors='replace')}".rstrip()


def _describe(command: list[str]) -> str:
    return " ".join(command)

"""A course's Makefile: build what a grade script asks for, and find out how QEMU would have been started.

The Makefile stays the course's.  It is given a ``QEMU=`` of ours that starts nothing: it writes down its arguments.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from shlex import join, quote
from typing import NamedTuple

from hillemu.emu.errors import UserMistake

# Makefiles ask a QEMU for its options (`$(QEMU) -help | grep ...`) before they start it, or never start it.
_RECORDER = """\
#!/bin/sh
for word; do case $word in -help|--help|-h|-version|--version) exit 0;; esac; done
pwd > {record}
for word; do printf '%s\\0' "$word" >> {record}; done
"""


class Started(NamedTuple):
    """How a Makefile would have started QEMU."""

    arguments: list[str]
    folder: Path
    """Where: file names are relative to it."""
    output: bytes
    """What make and its commands printed before."""


def make(*targets: str) -> None:
    """Run ``make`` with `targets`; if it fails, so does the script, with status 1: make has said why."""
    if _run(["make", *targets]).returncode:
        sys.exit(1)


def make_and_record(target_base: str, make_args: Sequence[str], *, verbose: bool = False) -> Started:
    """Have ``make`` build and start ``TARGET_BASE-nox-gdb`` (or ``TARGET_BASE-gdb``, where there is no other).

    Raises `UserMistake` with make's words if it fails, or never starts a QEMU.
    """
    with tempfile.TemporaryDirectory(prefix="hillemu-") as folder:
        record = Path(folder) / "arguments"
        recorder = Path(folder) / "qemu-system-i386"
        recorder.write_text(_RECORDER.format(record=quote(str(record))))
        recorder.chmod(0o755)
        said = b""
        for target in (f"{target_base}-nox-gdb", f"{target_base}-gdb"):
            command = ["make", "-s", "--no-print-directory", target, f"QEMU={recorder}", *make_args]
            if verbose:
                print("\n$", join(command), flush=True)
            done = _run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            said = done.stdout
            if done.returncode and b"No rule to make target" in said and target.encode() in said:
                continue
            if done.returncode:
                raise UserMistake(f"'make {target}' failed (status {done.returncode}):\n{_text(said)}")
            if not record.exists():
                raise UserMistake(
                    f"'make {target}' has not started QEMU: it must do so by $(QEMU), as JOS and xv6 do\n{_text(said)}"
                )
            return _read(record, said)
        raise UserMistake(f"the Makefile has neither {target_base}-nox-gdb nor {target_base}-gdb:\n{_text(said)}")


def _run(command: list[str], **options: int) -> subprocess.CompletedProcess[bytes]:
    sys.stdout.flush()
    try:
        return subprocess.run(command, check=False, **options)  # type: ignore[call-overload, no-any-return]
    except FileNotFoundError:
        raise UserMistake("make is not installed, and a grade script builds the kernel by it") from None


def _read(record: Path, said: bytes) -> Started:
    folder, words = record.read_text(errors="surrogateescape").split("\n", 1)
    return Started(words.split("\0")[:-1], Path(folder), said)


def _text(said: bytes) -> str:
    return said.decode("utf-8", "replace").rstrip()

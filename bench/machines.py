"""Who competes: command lines that boot an image with COM1 on standard output."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

Command = list[str]
"""A program and its arguments."""
Booter = Callable[[Path], Command]
"""Gives the command that boots an image."""

QEMU = "qemu-system-i386"


def qemu_path() -> str | None:
    """Where QEMU is, or `None`."""
    return shutil.which(QEMU)


def hillemu(program: Command, mem: str = "64M") -> Booter:
    """`program` is how hillemu is called; what it would say on standard error is left out."""
    return lambda image: [*program, "boot", str(image), "--mem", mem, "--display", "none", "--quiet"]


def qemu(*options: str) -> Booter:
    """QEMU's PC with 64M of memory and the exit device that the loops end with."""
    machine = [QEMU, "-m", "64M", "-display", "none", "-serial", "stdio", "-no-reboot"]
    exit_port = ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
    return lambda image: [*machine, *exit_port, *options, "-kernel", str(image)]


def plain_qemu(*options: str) -> Booter:
    """QEMU as one types it to start a kernel, and `options` more."""
    return lambda image: [QEMU, "-kernel", str(image), "-display", "none", "-serial", "stdio", *options]

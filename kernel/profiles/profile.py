"""What a profile is: a kernel of ours with its boot chain, its layout and its parts, under a name.

A profile is a value that costs nothing until its kernel is made, so that all of them can be listed.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from hillemu.boot.handoff import Handoff
    from hillemu.emu.guest import Guest
    from hillemu.kernel.options import KernelOptions


class ProfileKernel(Protocol):
    """The Python behind a profile's machine code.  One for each boot of the machine.

    Whoever makes it has the machine call `trap` for writes to `TRAP_PORT`.  Making it touches nothing of the
    machine but memory: the guest has not run yet, and its firmware may have.
    """

    reports: list[str]
    """Everything that went wrong, as it was printed."""

    @property
    def running_program(self) -> int:
        """The pid of the program whose turn it is; 0 if there is none."""

    def trap(self, guest: Guest, value: int, /) -> None:
        """Do what the machine code asks for by writing `value` to the trap port; takes no virtual time."""

    def check(self) -> list[str]:
        """Contradictions anywhere in the kernel's structures, as sentences; none if all is well.

        Raises `UserMistake` before there are structures.
        """


KernelFactory = Callable[["Guest", "Handoff", "KernelOptions"], ProfileKernel]


class BootsFrom(Enum):
    """How a profile's image gets into memory."""

    MULTIBOOT = "multiboot"
    """`Profile.image` is an ELF file that the loader puts into memory, with the command line and modules."""
    DISK = "disk"
    """`Profile.image` is a disk, whose boot sector the BIOS starts.  What the user brings comes by `Handoff`."""


class Profile(NamedTuple):
    """One kernel; `hillemu.kernel.profiles.registry` knows all."""

    name: str
    title: str
    """One line, without a full stop."""
    boots_from: BootsFrom
    image: str
    """The shipped image that boots."""
    symbols: str
    """The shipped ELF file that has the kernel's symbols, and says where it lies."""
    physical_layout: str
    """Drawn, low addresses first, without the last line feed."""
    virtual_layout: str
    make: KernelFactory
    programs: tuple[str, ...] = ()
    """Shipped programs that run when the user brings none."""
    checks: tuple[str, ...] = ()
    """What ``--check`` may name; empty: it checks all there is."""
    program_space: tuple[int, int] = (0, 0xC0000000)
    """The addresses that programs may have: the first, and the first behind them."""
    words: tuple[str, ...] = ()
    """The words that its command line knows, as ``frames=N``."""
    parts: tuple[str, ...] = ("on_boot",)
    """Which of the user's own parts it uses, as `KernelOptions` names them."""

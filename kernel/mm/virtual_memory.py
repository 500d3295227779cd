"""Puts virtual memory together: spaces, page cache, swap, reclaim, on top of `KernelMemory`."""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.reports import Report, unheard
from hillemu.kernel.mm.address_space import AddressSpace
from hillemu.kernel.mm.assembly import KernelMemory
from hillemu.kernel.mm.files import File
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.kernel_space import KernelSpace

Kill = Callable[[AddressSpace, str], None]
"""End the program that has this space, and destroy the space; the sentence says why."""


class VirtualMemory:
    """All address spaces and what they share."""

    spaces: dict[int, AddressSpace]

    @classmethod
    def build(
        cls,
        memory: KernelMemory,
        kernel: KernelSpace,
        *,
        kill: Kill | None = None,
        report: Report = unheard,
    ) -> VirtualMemory:
        raise AssertionError("the skeleton of the interface")

    def add_module(self, name: str, base: int, size_bytes: int) -> File:
        """A boot module in RAM becomes a file."""
        raise AssertionError("the skeleton of the interface")

    def find_file(self, name: str) -> File | None: ...

    def create_space(self, name: str = "") -> AddressSpace | OutOfMemory:
        raise AssertionError("the skeleton of the interface")

    def reclaim(self, frames: int) -> int:
        """Free page frames, by evicting pages; how many were freed."""
        raise AssertionError("the skeleton of the interface")

    def check(self) -> list[str]: ...

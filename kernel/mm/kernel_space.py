"""The kernel half of every address space, 0xC0000000 and above, as the boot code has left it and as it grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import Frame, VirtAddr
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.pmm import Pmm


def no_tlb() -> None:
    """There is no processor that could remember a translation."""


class KernelSpace:
    """The kernel half; address spaces are made with it and follow its changes."""

    cr3: int

    @classmethod
    def adopt(
        cls,
        memory: GuestMemory,
        cr3: int,
        pmm: Pmm,
        *,
        pae: bool = False,
        no_execute: bool = False,
        flush_tlb: Callable[[], None] = no_tlb,
    ) -> KernelSpace:
        """Take over the page directory that the boot code runs on."""
        raise AssertionError("the skeleton of the interface")

    def map(self, at: VirtAddr, frames: Sequence[Frame], flags: int) -> OutOfMemory | None: ...

    def unmap(self, at: VirtAddr, count: int) -> OutOfMemory | None:
        """Take pages away, also out of the direct map: a guard page."""

    def extend_direct_map(self) -> OutOfMemory | None:
        """Map all RAM below 256 MiB that the boot code has left out."""

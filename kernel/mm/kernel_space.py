"""The kernel half of every address space, 0xC0000000 and above: what the boot code has mapped, and what is added.

All programs share it.  With PAE they share its directory; with 32-bit paging each has its own directory, whose upper
quarter is a copy that is kept up to date here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.layout import DIRECT_MAP_BYTES, KERNEL_BASE
from hillemu.kernel.mm.direct_map import DirectMap
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.page_tables import (
    ACCESSED,
    DIRTY,
    LARGE,
    PAE,
    PRESENT,
    TWO_LEVEL,
    USER,
    WRITABLE,
    PageTables,
)
from hillemu.kernel.mm.pmm import Pmm

_FOUR_GIB = 1 << 32


def no_tlb() -> None:
    """There is no processor that could remember a translation."""


class KernelSpace:
    """The kernel half in `tables`, the boot code's; `flush_tlb` has the processor forget translations.

    `no_execute` says whether EFER.NXE is set: then pages of programs without PROT_EXEC are marked.
    """

    def __init__(self, tables: PageTables, flush_tlb: Callable[[], None], no_execute: bool) -> None:
        self.tables, self.flush_tlb, self.no_execute = tables, flush_tlb, no_execute
        self.direct, self.pmm = tables.direct, tables.pmm
        self._followers: list[PageTables] = []

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
    ) -> Self:
        """Take over the tables that the boot code runs on.

        Raises `InvalidParameters` if they do not map the kernel where it belongs, or `no_execute` without `pae`.
        """
        if no_execute and not pae:
            raise InvalidParameters("paging: only PAE's entries have a no-execute bit")
        direct = DirectMap(memory)
        if not 0 < cr3 < direct.end:
            raise InvalidParameters(f"paging: CR3 {cr3:#x} is not in the direct map")
        tables = PageTables(direct, pmm, cr3 & (-32 if pae else -PAGE_SIZE), PAE if pae else TWO_LEVEL)
        entry = tables.entry(KERNEL_BASE + cr3)
        if not entry & PRESENT or entry & tables.frame_mask != cr3 & -PAGE_SIZE:
            raise InvalidParameters(f"paging: 0x{KERNEL_BASE + cr3:08X} does not lead to physical {cr3:#x}")
        return cls(tables, flush_tlb, no_execute)

    @property
    def cr3(self) -> int:
        """Of the tables that have a kernel half only: for the idle task."""
        return self.tables.cr3

    # ---- mappings -----------------------------------------------------------------------------------------------

    def map(self, at: int, frames: Sequence[int], flags: int = WRITABLE) -> OutOfMemory | None:
        """Map pages of the kernel; all of them, or nothing has changed.

        Raises `InvalidParameters` for addresses of programs, and if something is mapped there already.
        """
        self._must_be_kernel(at, at + (len(frames) << PAGE_SHIFT))
        failed = self.tables.map(at, frames, flags)
        self._tell_followers(at, at + (len(frames) << PAGE_SHIFT))
        return failed

    def unmap(self, at: int, count: int = 1) -> OutOfMemory | None:
        """Take pages away, out of the direct map too: so a guard page is made.

        A large page is cut for it; None if all went well, and otherwise nothing has changed that a program could see.
        """
        end = at + (count << PAGE_SHIFT)
        self._must_be_kernel(at, end)
        span = 1 << self.tables.format.shift
        for first in (at, *range((at & -span) + span, end, span)):
            if self.tables.words[self.tables.directory_slot(first)] & PRESENT:
                slot = self.tables.make(first)
                self._tell_followers(first, first + 1)
                if isinstance(slot, OutOfMemory):
                    return slot
        self.tables.unmap(at, end)
        self._tell_followers(at, end)
        self.flush_tlb()
        return None

    def extend_direct_map(self, *, large_pages: bool = True) -> OutOfMemory | None:
        """Map what the boot code has left out of RAM below 256 MiB, at physical address + 0xC0000000.

        `large_pages` needs CR4.PSE with 32-bit paging.
        """
        span = 1 << self.tables.format.shift
        end = min(self.direct.end, DIRECT_MAP_BYTES)
        for phys in range(0, end, span):
            at = KERNEL_BASE + phys
            slot = self.tables.directory_slot(at)
            if self.tables.words[slot] & (LARGE | PRESENT) == LARGE | PRESENT:
                continue
            if not self.tables.words[slot] & PRESENT and large_pages and phys + span <= end:
                self.tables.words[slot] = phys | PRESENT | WRITABLE | LARGE
                continue
            first = self.tables.make(at)
            if isinstance(first, OutOfMemory):
                self._tell_followers(KERNEL_BASE, at)
                return first
            for number in range(min(span, end - phys) >> PAGE_SHIFT):
                if not self.tables.words[first + number]:
                    self.tables.words[first + number] = phys + (number << PAGE_SHIFT) | PRESENT | WRITABLE
        self._tell_followers(KERNEL_BASE, KERNEL_BASE + end)
        return None

    def drop_user_half(self) -> None:
        """Take away what the boot code has mapped below 0xC0000000, to come up: page 0 must be nobody's."""
        tables = self.tables
        if tables.format is PAE:
            for number in range(3):  # the processor reads these again when CR3 is loaded
                self.direct.u64[(tables.cr3 >> 3) + number] = 0
        else:
            for at in range(0, KERNEL_BASE, 1 << tables.format.shift):
                tables.words[tables.directory_slot(at)] = 0
        self.flush_tlb()

    # ---- those who share it ---------------------------------------------------------------------------------------

    def new_tables(self, info: int) -> PageTables | OutOfMemory:
        """Tables for a program, with this kernel half."""
        tables = PageTables.create(self.tables, info)
        if not isinstance(tables, OutOfMemory):
            self._followers.append(tables)
        return tables

    def forget_tables(self, tables: PageTables) -> None:
        """Free what `new_tables` gave; it must not be in CR3 any more."""
        self._followers.remove(tables)
        tables.destroy()

    def count_tables(self) -> int:
        """How many tables of the kernel half are from the page allocator: the others are the boot code's."""
        tables, count = self.tables, 0
        for pde in tables.kernel_half():
            if pde & (PRESENT | LARGE) == PRESENT:
                count += self.pmm.table.record((pde & tables.frame_mask) >> PAGE_SHIFT).owner is Owner.PAGE_TABLE
        return count

    def check(self) -> list[str]:
        """Programs whose kernel half is another, as sentences; none if all is well."""
        found = []
        tables = self.tables
        told = ~(ACCESSED | DIRTY)  # the processor writes these into whichever directory it uses
        half = tables.kernel_half()
        for follower in self._followers:
            for number, (ours, theirs) in enumerate(zip(half, follower.kernel_half(), strict=True)):
                if ours != theirs and (ours ^ theirs) & told:
                    at = KERNEL_BASE + (number << tables.format.shift)
                    found.append(f"paging: CR3 {follower.cr3:#x} has {theirs:#x} at 0x{at:08X}, the kernel {ours:#x}")
        for at, entry in tables.walk(KERNEL_BASE, _FOUR_GIB):
            if entry & USER and entry & PRESENT and tables.words[tables.directory_slot(at)] & USER:
                found.append(f"paging: programs may touch the kernel's page at 0x{at:08X} ({entry:#x})")
        return found

    def share(self, at: int) -> None:
        """Give all programs the directory entry of `at`."""
        self._tell_followers(at, at + 1)

    def _tell_followers(self, at: int, end: int) -> None:
        if self.tables.format is PAE:
            return
        for first in range(at & -(1 << self.tables.format.shift), end, 1 << self.tables.format.shift):
            entry = self.tables.words[self.tables.directory_slot(first)]
            for follower in self._followers:
                follower.words[follower.directory_slot(first)] = entry

    def _must_be_kernel(self, at: int, end: int) -> None:
        if at & PAGE_SIZE - 1 or not KERNEL_BASE <= at <= end <= _FOUR_GIB:
            raise InvalidParameters(f"paging: 0x{at:08X}-0x{end - 1:08X} are no pages of the kernel")

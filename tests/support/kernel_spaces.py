"""Virtual memory without a processor: a memory, the page tables that boot code would leave, and everything on top.

The boot tables lie in the range that is reserved for the kernel's image, and map the direct map's first MiBs at
0xC0000000, in large pages, and once more from 0 on, as code that switches paging on must have it.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.control import NXE, PAE, PG, PSE, WP, ControlState
from hillemu.emu.i386.entries import LargePageEntry, PaeLargePageEntry, PageDirectoryPointerEntry
from hillemu.kernel.layout import REACH_FRAMES_32BIT, REACH_FRAMES_PAE
from hillemu.kernel.mm.assembly import KernelMemory
from hillemu.kernel.mm.boot_memory import Reserved
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.mm.kernel_space import KernelSpace
from hillemu.kernel.mm.memory_map import MemoryRegion
from hillemu.kernel.mm.virtual_memory import VirtualMemory

KERNEL = Reserved(PhysAddr(0x100000), PhysAddr(0x120000), "kernel")
BOOT_CR3 = 0x110000
MODULE_BASE = 0x118000


def put_boot_tables(memory: Any, pae: bool) -> None:
    """Boot page tables at `BOOT_CR3`, which map the first 4 MiB twice."""
    if pae:
        for index, directory in ((0, BOOT_CR3 + 0x1000), (3, BOOT_CR3 + 0x2000)):
            pointer = PageDirectoryPointerEntry.of(directory=directory >> 12, present=1)
            memory.write(PhysAddr(BOOT_CR3 + 8 * index), pointer.to_bytes(8, "little"))
            for number in range(2):
                entry = PaeLargePageEntry.at(PhysAddr(number << 21), present=1, writable=1)
                memory.write(PhysAddr(directory + 8 * number), entry.to_bytes(8, "little"))
        return
    first = LargePageEntry.at(PhysAddr(0), present=1, writable=1)
    memory.set_u32(PhysAddr(BOOT_CR3), first)
    memory.set_u32(PhysAddr(BOOT_CR3 + 4 * 0x300), first)


def control_of(cr3: int, pae: bool, no_execute: bool = False) -> ControlState:
    """The control registers that the kernel runs with."""
    return ControlState(PG | WP | 1, cr3, PAE if pae else PSE, NXE if no_execute else 0)


def make_vm(
    size_bytes: int = 8 << 20,
    *,
    pae: bool = False,
    no_execute: bool = False,
    memory: Any = None,
    regions: Any = None,
    debug: Options | None = None,
    **options: Any,
) -> Any:
    """Virtual memory of a machine; `.reports` has what it says, `.flushes` counts what the TLB was told."""
    memory = memory or FakeMemory(size_bytes)
    put_boot_tables(memory, pae)
    found = SimpleNamespace(memory=memory, reports=[], flushes=0, pae=pae, no_execute=no_execute)

    def flush() -> None:
        found.flushes += 1

    found.kernel_memory = KernelMemory.build(
        memory,
        regions or [MemoryRegion(0, 0x9FC00, 1), MemoryRegion(1 << 20, size_bytes - (1 << 20), 1)],
        [KERNEL],
        debug=debug or Options(),
        reach_frames=REACH_FRAMES_PAE if pae else REACH_FRAMES_32BIT,
        report=found.reports.append,
    )
    found.pmm = found.kernel_memory.pmm
    found.kernel = KernelSpace.adopt(memory, BOOT_CR3, found.pmm, pae=pae, no_execute=no_execute, flush_tlb=flush)
    found.vm = VirtualMemory.build(found.kernel_memory, found.kernel, report=found.reports.append, **options)
    found.check = found.vm.check
    found.control = lambda space: control_of(space.cr3, pae, no_execute)
    return found

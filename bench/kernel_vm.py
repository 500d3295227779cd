"""The hosted kernel's virtual memory without a processor: what a page fault's handler costs, `map`, `fork`.

All run on the machine's real memory, `PhysicalMemory`, which the host has given out already: how long a host takes for
a page that is used for the first time differs by the factor of ten from host to host.  All times are of the processor,
which other work on the host changes least.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from statistics import median
from time import process_time
from typing import Any

from figures import Goal, interleaved, table
from processes import BenchError

from hillemu.emu.i386.address import Frame, PhysAddr
from hillemu.emu.i386.entries import LargePageEntry, PaeLargePageEntry, PageDirectoryPointerEntry
from hillemu.emu.memory import PhysicalMemory
from hillemu.kernel.mm.address_space import AddressSpace
from hillemu.kernel.mm.assembly import KernelMemory
from hillemu.kernel.mm.boot_memory import Reserved
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.kernel_space import KernelSpace
from hillemu.kernel.mm.memory_map import MemoryRegion
from hillemu.kernel.mm.outcomes import COW, ZERO
from hillemu.kernel.mm.page_tables import USER, WRITABLE
from hillemu.kernel.mm.virtual_memory import VirtualMemory

MEMORY_BYTES = 64 << 20
PAGES = 4000
MAPPED = 1024
FAULT_US, MAP_MS = 8.0, 0.5
BOOT_CR3 = 0x100000
_FAULT_CODE = 6  # a write by user mode to a page that is not present
_WRITE_CODE = 7  # the same, and the page is present


def measure(*, rounds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Microseconds of everything, `rounds` times."""
    measures: dict[str, Callable[[], float]] = {}
    for name, pae in (("32-bit", False), ("PAE", True)):
        measures[f"demand paging, {name}"] = partial(_faults, pae)
        measures[f"copy on write, {name}"] = partial(_copies, pae)
        measures[f"fork of {PAGES} pages, {name}"] = partial(_fork, pae)
        measures[f"map {MAPPED} pages, {name}"] = partial(_map, pae)
    gc.disable()
    try:
        return interleaved(rounds, measures, tell)
    finally:
        gc.enable()


def report(found: dict[str, Any]) -> tuple[str, list[Goal]]:
    """The table, and what should have come out."""
    rows = [(name, f"{median(runs):,.2f}", f"{min(runs):,.2f}") for name, runs in found.items()]
    goals = []
    for name in ("32-bit", "PAE"):
        fault, mapped = median(found[f"demand paging, {name}"]), median(found[f"map {MAPPED} pages, {name}"])
        goals.append(Goal(f"kernel: us in a demand-paging fault's handler, {name}", fault, FAULT_US))
        goals.append(Goal(f"kernel: ms to map {MAPPED:,} pages in one call, {name}", mapped / 1000, MAP_MS))
    return table(("virtual memory", "us", "best"), rows), goals


def _space(pae: bool) -> AddressSpace:
    memory = PhysicalMemory(MEMORY_BYTES)
    memory.write(PhysAddr(1 << 20), b"\xa5" * (MEMORY_BYTES - (1 << 20)))
    memory.fill(PhysAddr(BOOT_CR3), 0x2000)
    if pae:
        pointer = PageDirectoryPointerEntry.of(directory=(BOOT_CR3 >> 12) + 1, present=1)
        memory.write(PhysAddr(BOOT_CR3 + 24), pointer.to_bytes(8, "little"))
        entry = PaeLargePageEntry.at(PhysAddr(0), present=1, writable=1)
        memory.write(PhysAddr(BOOT_CR3 + 0x1000), entry.to_bytes(8, "little"))
    else:
        memory.set_u32(PhysAddr(BOOT_CR3 + 0xC00), LargePageEntry.at(PhysAddr(0), present=1, writable=1))
    kernel = KernelMemory.build(
        memory,
        [MemoryRegion(1 << 20, MEMORY_BYTES - (1 << 20), 1)],
        [Reserved(PhysAddr(BOOT_CR3), PhysAddr(BOOT_CR3 + 0x2000), "boot page tables")],
    )
    space = VirtualMemory.build(kernel, KernelSpace.adopt(memory, BOOT_CR3, kernel.pmm, pae=pae)).create_space()
    if isinstance(space, OutOfMemory):
        raise BenchError(f"no memory for an address space: {space}")
    return space


def _checked(space: AddressSpace, seconds: float, count: int) -> float:
    if faults := space.vm.check():
        raise BenchError(f"virtual memory contradicts itself: {faults[0]}")
    return seconds / count * 1e6


def _touch_all(space: AddressSpace, at: int, code: int, expected: object) -> float:
    fault = space.fault
    started = process_time()
    for page in range(at, at + PAGES * 4096, 4096):
        outcome = fault(page, code)
    seconds = process_time() - started
    if outcome != expected:
        raise BenchError(f"the last fault was settled as {outcome}, not {expected}")
    return seconds


def _faults(pae: bool) -> float:
    space = _space(pae)
    at = space.mmap(0, PAGES * 4096, 3, 0)
    return _checked(space, _touch_all(space, at, _FAULT_CODE, ZERO), PAGES)


def _copies(pae: bool) -> float:
    space = _space(pae)
    at = space.mmap(0, PAGES * 4096, 3, 0)
    _touch_all(space, at, _FAULT_CODE, ZERO)
    child = space.fork()
    if isinstance(child, OutOfMemory):
        raise BenchError(f"fork: {child}")
    return _checked(space, _touch_all(child, at, _WRITE_CODE, COW), PAGES)


def _fork(pae: bool) -> float:
    space = _space(pae)
    at = space.mmap(0, PAGES * 4096, 3, 0)
    _touch_all(space, at, _FAULT_CODE, ZERO)
    started = process_time()
    space.fork()
    return _checked(space, process_time() - started, 1)


def _map(pae: bool) -> float:
    space = _space(pae)
    frames = [Frame(0x2000 + number) for number in range(MAPPED)]
    started = process_time()
    space.tables.map(0x10000000, frames, USER | WRITABLE)
    seconds = process_time() - started
    if len(space.tables.unmap(0x10000000, 0x10000000 + MAPPED * 4096)) != MAPPED:
        raise BenchError("map has not mapped all pages")
    return _checked(space, seconds, 1)

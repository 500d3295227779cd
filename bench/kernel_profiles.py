"""The allocators of profiles `bitmap` and `orange`: Python on structures in guest memory, without a processor.

All run on the machine's real memory, `PhysicalMemory`.  Processor time is taken, as nothing here waits.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from random import Random
from statistics import median
from time import process_time
from typing import Any

from figures import Goal, interleaved, table
from processes import BenchError

from hillemu.emu.i386.address import Frame, PhysAddr
from hillemu.emu.memory import PhysicalMemory
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.mm.frames import FrameRun
from hillemu.kernel.profiles.bitmap.kernel_heap import KernelHeap
from hillemu.kernel.profiles.bitmap.page_bitmap import PageBitmap
from hillemu.kernel.profiles.bitmap.replayed import NoPageTables
from hillemu.kernel.profiles.orange.check import check
from hillemu.kernel.profiles.orange.memory_manager import MemoryManager
from hillemu.kernel.profiles.orange.replayed import leave_what_the_loader_leaves

MEMORY_BYTES = 64 << 20
LIVE, PAIRS = 5000, 100_000
PAGES, ROUNDS = 512, 20
PAIRS_PER_SECOND, VM_ALLOC_MS = 150_000, 1.0
_VM_ALLOC = f"orange: vm_alloc of {PAGES} pages, ms"
_VM_ALLOC_HOLES = f"orange: vm_alloc of {PAGES} pages, 1 GB with holes, ms"
_FILLED_AT = 0x40000000
_MANAGER_AT, _HEAP_AT = PhysAddr(0x20000), PhysAddr(0x21000)


def measure(*, rounds: int, shorter: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Pairs a second of the heaps, milliseconds of `vm_alloc`, `rounds` times; `shorter` divides the repetitions."""
    pairs = PAIRS // shorter
    plain, aided = Options(red_zones=False, poison=False), Options()
    measures: dict[str, Callable[[], float]] = {
        "bitmap: best fit, pairs/s": partial(_pairs, pairs, plain, False),
        "bitmap: best fit with fences and poison, pairs/s": partial(_pairs, pairs, aided, False),
        "bitmap: pools and best fit, pairs/s": partial(_pairs, pairs, plain, True),
        "bitmap: alloc_page, 90 % full, scattered, /s": _pages,
        _VM_ALLOC: partial(_vm_alloc, 64, False, shorter),
        _VM_ALLOC_HOLES: partial(_vm_alloc, 1024, True, shorter),
    }
    gc.disable()
    try:
        return interleaved(rounds, measures, tell)
    finally:
        gc.enable()


def report(found: dict[str, Any]) -> tuple[str, list[Goal]]:
    """The table, and what should have come out."""
    rows = [(name, f"{median(runs):,.2f}", f"{min(runs):,.2f}", f"{max(runs):,.2f}") for name, runs in found.items()]
    heap = median(found["bitmap: best fit, pairs/s"])
    goals = [
        Goal(f"kernel: bitmap's kmalloc/kfree pairs a second, {LIVE:,} live", heap, PAIRS_PER_SECOND, at_least=True),
        Goal(f"kernel: ms of orange's vm_alloc of {PAGES} pages", median(found[_VM_ALLOC]), VM_ALLOC_MS),
        Goal("kernel: the same on 1 GB with holes everywhere", median(found[_VM_ALLOC_HOLES]), VM_ALLOC_MS),
    ]
    return table(("profile", "median", "least", "most"), rows), goals


def _page_bitmap(memory: PhysicalMemory) -> PageBitmap:
    return PageBitmap.create(memory, _MANAGER_AT, [FrameRun(Frame(0), Frame(MEMORY_BYTES >> 12))])


def _pairs(pairs: int, aids: Options, use_pools: bool) -> float:
    """Pairs of kfree and kmalloc among 5,000 live blocks; up to 512 bytes, one in fifty up to 16 KiB."""
    memory = PhysicalMemory(MEMORY_BYTES)
    heap = KernelHeap(memory, _HEAP_AT, _page_bitmap(memory), NoPageTables(), use_pools=use_pools, aids=aids)
    kmalloc, kfree = (heap.kmalloc, heap.kfree) if use_pools else (heap.blocks.kmalloc, heap.blocks.kfree)
    dice = Random(3)
    sizes = [dice.randint(2049, 16384) if dice.random() < 0.02 else dice.randint(1, 512) for _ in range(pairs)]
    places = [dice.randrange(LIVE) for _ in range(pairs)]
    live = [kmalloc(dice.randint(1, 512)) for _ in range(LIVE)]
    started = process_time()
    for place, size in zip(places, sizes, strict=True):
        kfree(live[place])
        live[place] = kmalloc(size)
    seconds = process_time() - started
    if faults := heap.check():
        raise BenchError(f"the heap contradicts itself: {faults[0]}")
    if heap.figures().allocations != LIVE:
        raise BenchError(f"{heap.figures().allocations} blocks are live, not {LIVE}")
    return pairs / seconds


def _pages() -> float:
    """The lowest free page is found, a thousand at a time, after as many were freed anywhere."""
    pages = _page_bitmap(PhysicalMemory(MEMORY_BYTES))
    order = [pages.alloc_page() for _ in range(pages.free_pages)]
    Random(4).shuffle(order)
    tenth, batch, batches = len(order) // 10, 1000, 10
    for at in order[:tenth]:
        pages.free_page(at)
    seconds = 0.0
    for number in range(batches):
        for at in order[tenth + number * batch : tenth + (number + 1) * batch]:
            pages.free_page(at)
        started = process_time()
        for _ in range(batch):
            pages.alloc_page()
        seconds += process_time() - started
    if faults := pages.check():
        raise BenchError(f"the bitmap contradicts itself: {faults[0]}")
    return batch * batches / seconds


def _vm_alloc(megabytes: int, with_holes: bool, shorter: int) -> float:
    """With holes, every 64th page of memory is free, and nothing else but what the last megabytes have."""
    memory = PhysicalMemory(megabytes << 20)
    leave_what_the_loader_leaves(memory, [(1 << 20, megabytes - 1 << 20)])
    manager = MemoryManager.init_mm(memory, PhysAddr(0x9000))
    if with_holes:
        size = manager.free_frames - 2 * PAGES << 12
        if not manager.vm_alloc(_FILLED_AT, size):
            raise BenchError("vm_alloc refused to fill memory")
        for at in range(_FILLED_AT, _FILLED_AT + size, 64 << 12):
            manager.vm_free(at, 1)
    at, size = 0x10000000, PAGES << 12
    seconds, times = 0.0, max(1, ROUNDS // shorter)
    for _ in range(times):
        started = process_time()
        got = manager.vm_alloc(at, size)
        seconds += process_time() - started
        if got != at or not manager.vm_free(at, size):
            raise BenchError(f"vm_alloc gave 0x{got:X}, or vm_free refused it")
    if faults := check(manager):
        raise BenchError(f"pf_list contradicts itself: {faults[0]}")
    return seconds / times * 1e3

"""The allocators of profiles `bitmap` and `orange`: Python on structures in guest memory, without a processor.

All run on the machine's real memory, `PhysicalMemory`.
"""

from __future__ import annotations

import gc
from array import array
from collections.abc import Callable
from functools import partial
from random import Random
from statistics import median
from time import perf_counter
from typing import Any

from figures import Goal, interleaved, table
from processes import BenchError

from hillemu.emu.i386.address import Frame, PhysAddr, VirtAddr
from hillemu.emu.memory import PhysicalMemory
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.mm.frames import FrameRun
from hillemu.kernel.profiles.bitmap.kernel_heap import KernelHeap
from hillemu.kernel.profiles.bitmap.page_bitmap import PageBitmap
from hillemu.kernel.profiles.orange.memory_manager import MemoryManager

MEMORY_BYTES = 64 << 20
LIVE, PAIRS = 5000, 100_000
PAGES, ROUNDS = 512, 20
PAIRS_PER_SECOND, VM_ALLOC_MS = 150_000, 1.0
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
        f"orange: vm_alloc of {PAGES} pages, ms": partial(_vm_alloc, shorter),
    }
    gc.disable()
    try:
        return interleaved(rounds, measures, tell)
    finally:
        gc.enable()


def report(found: dict[str, Any]) -> tuple[str, list[Goal]]:
    """The table, and what should have come out."""
    rows = [(name, f"{median(runs):,.2f}", f"{min(runs):,.2f}", f"{max(runs):,.2f}") for name, runs in found.items()]
    heap, pages = median(found["bitmap: best fit, pairs/s"]), median(found[f"orange: vm_alloc of {PAGES} pages, ms"])
    goals = [
        Goal(f"kernel: bitmap's kmalloc/kfree pairs a second, {LIVE:,} live", heap, PAIRS_PER_SECOND, at_least=True),
        Goal(f"kernel: ms of orange's vm_alloc of {PAGES} pages", pages, VM_ALLOC_MS),
    ]
    return table(("profile", "median", "least", "most"), rows), goals


class _Mapped:
    """`KernelMapper`: page tables are not what is measured."""

    def map_page(self, _virt: VirtAddr, _phys: PhysAddr, _flags: int, /) -> int:
        return 0

    def unmap_page(self, _virt: VirtAddr, /) -> int:
        return 0


def _page_bitmap(memory: PhysicalMemory) -> PageBitmap:
    return PageBitmap.create(memory, _MANAGER_AT, [FrameRun(Frame(0), Frame(MEMORY_BYTES >> 12))])


def _pairs(pairs: int, aids: Options, use_pools: bool) -> float:
    """Pairs of kfree and kmalloc among 5,000 live blocks; up to 512 bytes, one in fifty up to 16 KiB."""
    memory = PhysicalMemory(MEMORY_BYTES)
    heap = KernelHeap(memory, _HEAP_AT, _page_bitmap(memory), _Mapped(), use_pools=use_pools, aids=aids)
    kmalloc, kfree = (heap.kmalloc, heap.kfree) if use_pools else (heap.blocks.kmalloc, heap.blocks.kfree)
    dice = Random(3)
    sizes = [dice.randint(2049, 16384) if dice.random() < 0.02 else dice.randint(1, 512) for _ in range(pairs)]
    places = [dice.randrange(LIVE) for _ in range(pairs)]
    live = [kmalloc(dice.randint(1, 512)) for _ in range(LIVE)]
    started = perf_counter()
    for place, size in zip(places, sizes, strict=True):
        kfree(live[place])
        live[place] = kmalloc(size)
    seconds = perf_counter() - started
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
        started = perf_counter()
        for _ in range(batch):
            pages.alloc_page()
        seconds += perf_counter() - started
    if faults := pages.check():
        raise BenchError(f"the bitmap contradicts itself: {faults[0]}")
    return batch * batches / seconds


def _vm_alloc(shorter: int) -> float:
    memory = PhysicalMemory(MEMORY_BYTES)
    _leave_what_oranges_loader_leaves(memory)
    manager = MemoryManager.init_mm(memory, PhysAddr(0x9000))
    at, size = 0x10000000, PAGES << 12
    seconds = 0.0
    for _ in range(max(1, ROUNDS // shorter)):
        started = perf_counter()
        got = manager.vm_alloc(at, size)
        seconds += perf_counter() - started
        if got != at or not manager.vm_free(at, size):
            raise BenchError(f"vm_alloc gave 0x{got:X}, or vm_free refused it")
    return seconds / max(1, ROUNDS // shorter) * 1e3


def _leave_what_oranges_loader_leaves(memory: PhysicalMemory) -> None:
    """One range of memory at 0x8000, page tables that map all of it one to one."""
    memory.write(PhysAddr(0x8000), array("I", [1, 1 << 20, MEMORY_BYTES - (1 << 20)]).tobytes())
    tables = MEMORY_BYTES >> 22
    directory = [0x101003 + (number << 12) for number in range(tables)]
    memory.write(PhysAddr(0x100000), array("I", directory).tobytes())
    memory.write(PhysAddr(0x101000), array("I", range(3, MEMORY_BYTES, 0x1000)).tobytes())

"""The document's four checkpoints: what ``--check bitmap,pagetables,heap,usage`` looks at.

============  ======================================================================================
`bitmap`      every page that is marked used has exactly one owner, and the free pages are counted
`pagetables`  kernel space maps what it should, as it should, in every directory; programs' pages are theirs
`heap`        list, index and pages of the heap agree, handles and pools too, and the fences hold
`usage`       what was taken and given back over time adds up to what is in use now
============  ======================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, PhysAddr
from hillemu.kernel.mm.bits import set_bits
from hillemu.kernel.mm.page_tables import PRESENT, USER, WRITABLE
from hillemu.kernel.profiles.bitmap.block_heap import HeapWord
from hillemu.kernel.profiles.bitmap.layout import HEAP_BASE, KERNEL_END, USER_BASE
from hillemu.kernel.profiles.bitmap.page_bitmap import PageBitmap, PageCount
from hillemu.kernel.profiles.bitmap.page_window import PageWindow
from hillemu.kernel.profiles.bitmap.paging import PageDirectory
from hillemu.kernel.profiles.bitmap.pools import PoolCount

if TYPE_CHECKING:
    from hillemu.kernel.profiles.bitmap.kernel import BitmapKernel

_RIGHTS = PRESENT | WRITABLE | USER
_FOUR_GIB = 1 << 32


def owners(kernel: BitmapKernel) -> Iterator[tuple[int, str]]:
    """Every page that somebody has, by its number, with a name for the owner."""
    for frame, part in kernel.heap.frames():
        yield frame, f"the kernel's {part}"
    for frame, place in kernel.residents.places.items():
        yield frame, f"the program's page 0x{place.at:08X}"
    for page in kernel.residents.policy_pages:
        yield page >> PAGE_SHIFT, "the replacement policy"
    for page in kernel.given:
        yield page >> PAGE_SHIFT, "the kernel, by alloc_page"
    for directory in kernel.paging.programs:
        yield directory.cr3 >> PAGE_SHIFT, "a program's page directory"
        for at, table in directory.tables(KERNEL_END, _FOUR_GIB):
            yield table >> PAGE_SHIFT, f"the page table of 0x{at:08X}"
    for at, table in kernel.paging.kernel.tables(0, KERNEL_END):
        if not kernel.pages.is_reserved(table >> PAGE_SHIFT):
            yield table >> PAGE_SHIFT, f"the page table of 0x{at:08X}"


def given_out(pages: PageBitmap) -> Iterator[int]:
    """The numbers of all pages that are marked used, but not reserved."""
    for number in range(len(pages.used)):
        for bit in set_bits(pages.used[number] & ~pages.reserved[number]):
            yield 64 * number + bit


def check_bitmap(kernel: BitmapKernel) -> list[str]:
    """The bitmap against itself and against all who have pages."""
    pages = kernel.pages
    had: dict[int, str] = {}
    found = []
    for page, owner in owners(kernel):
        if page in had:
            found.append(f"bitmap: page {page:#x} belongs to {had[page]} and to {owner}")
        had[page] = owner
    found += pages.check(had)
    found += [
        f"bitmap: page {page:#x} is marked used, but it is nobody's" for page in given_out(pages) if page not in had
    ]
    return found


def check_pagetables(kernel: BitmapKernel) -> list[str]:
    """Kernel space page by page, and the programs' half of every directory."""
    found = list(_identity_map(kernel))
    for part, window in kernel.heap.windows.items():
        found += _window(kernel, part, window)
    for directory in kernel.paging.programs:
        found += _followers(kernel, directory)
        found += _program(kernel, directory)
    return found


def _identity_map(kernel: BitmapKernel) -> Iterator[str]:
    symbols, tables = kernel.symbols, kernel.paging.kernel
    unmapped = {0, symbols["boot_stack_guard"], symbols["program_stack_guard"]}
    text = range(symbols["kernel_image"], symbols["kernel_data"])
    end = kernel.words[symbols["mapped_end"] >> 2]
    for base in range(0, end, 1 << 22):
        slot = tables.slot(base)
        for at in range(base, min(base + (1 << 22), end), PAGE_SIZE):
            entry = tables.words[slot + (at - base >> PAGE_SHIFT)] if slot else 0
            wanted = 0 if at in unmapped else at | PRESENT | (0 if at in text else WRITABLE)
            if entry & (-PAGE_SIZE | _RIGHTS) != wanted:
                yield f"pagetables: 0x{at:08X} has the entry {entry:#x}, not {wanted:#x}"
    for at, entry in tables.entries(end & -(1 << 22), HEAP_BASE):
        if at >= end and entry & PRESENT:
            yield f"pagetables: 0x{at:08X} is mapped ({entry:#x}), beyond the RAM that is mapped where it lies"
    for at, _ in tables.tables(0, KERNEL_END):
        pde = tables.words[tables.directory_slot(at)]
        if pde & _RIGHTS != PRESENT | WRITABLE:
            yield f"pagetables: the directory's entry for kernel space 0x{at:08X} is {pde:#x}, with other rights"


def _window(kernel: BitmapKernel, part: str, window: PageWindow) -> Iterator[str]:
    tables = kernel.paging.kernel
    for at, entry in tables.entries(window.base, window.end):
        if entry & PRESENT and not window.holds(at):
            yield f"pagetables: 0x{at:08X} is mapped ({entry:#x}), but the kernel's {part} has no page there"
        elif entry & PRESENT and (entry & -PAGE_SIZE, entry & _RIGHTS) != (window.phys(at), PRESENT | WRITABLE):
            yield f"pagetables: the kernel's {part} at 0x{at:08X} has the entry {entry:#x}, not {window.phys(at):#x}"
    for page in window.delta:
        if not tables.entry(page << PAGE_SHIFT) & PRESENT:
            yield f"pagetables: the kernel's {part} at 0x{page << PAGE_SHIFT:08X} is not mapped"


def _followers(kernel: BitmapKernel, directory: PageDirectory) -> Iterator[str]:
    ours = kernel.paging.kernel
    accessed = 0x20  # the processor writes it into whichever directory it uses
    for base in range(0, KERNEL_END, 1 << 22):
        theirs, own = (one.words[one.directory_slot(base)] for one in (directory, ours))
        if (theirs ^ own) & ~accessed:
            yield (
                f"pagetables: the directory at 0x{directory.cr3:X} has {theirs:#x} for kernel space 0x{base:08X}, "
                f"the kernel's has {own:#x}"
            )


def _program(kernel: BitmapKernel, directory: PageDirectory) -> Iterator[str]:
    residents, running = kernel.residents, kernel.programs.running
    space = running.space if running is not None and running.space.directory is directory else None
    for at, entry in directory.entries(USER_BASE, _FOUR_GIB):
        if not entry & PRESENT:
            continue
        place = residents.places.get(entry >> PAGE_SHIFT)  # type: ignore[call-overload]  # a Frame is an int
        if place is None and _may_be_mapped(kernel, entry):
            continue
        if place is None or (place.directory, place.at) != (directory, at):
            yield f"pagetables: 0x{at:08X} leads to page {entry >> PAGE_SHIFT:#x}, which is not this program's"
        if not entry & USER:
            yield f"pagetables: the program's page 0x{at:08X} has the entry {entry:#x}, without PTE_U"
        if space is not None and bool(entry & WRITABLE) != bool(space.prot_at(at) & 2):
            yield f"pagetables: the program's page 0x{at:08X} has the entry {entry:#x}, which are not its rights"
    for frame, place in residents.places.items():
        if place.directory is directory and (entry := directory.entry(place.at)) >> PAGE_SHIFT != frame:
            yield f"pagetables: page {frame:#x} should be at 0x{place.at:08X}, whose entry is {entry:#x}"


def _may_be_mapped(kernel: BitmapKernel, entry: int) -> bool:
    """Whether `map_page` may have put this into a program's memory: a page that ring 0 has, or none of RAM."""
    return PhysAddr(entry & -PAGE_SIZE) in kernel.given or kernel.pages.is_reserved(entry >> PAGE_SHIFT)


def check_heap(kernel: BitmapKernel) -> list[str]:
    """The heap's list, index, pages and fences; handles, pools, guarded allocations."""
    return kernel.heap.check()


def check_usage(kernel: BitmapKernel) -> list[str]:
    """Counters against what is there; the samples that were taken."""
    found = []
    counts, pages = kernel.pages.counts, kernel.pages
    in_use = sum(1 for _ in given_out(pages))
    taken = counts[PageCount.ALLOCATED] - counts[PageCount.FREED] & 0xFFFFFFFF
    if taken != in_use:
        found.append(f"usage: {taken} pages were taken and not given back, but {in_use} are marked used")
    words, objects = kernel.heap.blocks.words, kernel.heap.pools.counts
    in_blocks = sum(1 for block in kernel.heap.blocks.blocks() if not block.is_free)
    in_pools = sum(kernel.heap.pools.used().values())
    for part, made, freed, living in (
        ("blocks", words[HeapWord.ALLOCATED], words[HeapWord.FREED], in_blocks),
        ("objects of pools", objects[PoolCount.ALLOCATED], objects[PoolCount.FREED], in_pools),
    ):
        if (left := made - freed & 0xFFFFFFFF) != living:
            found.append(f"usage: {left} {part} were allocated and not freed, but {living} are in use")
    return found + kernel.usage.check(pages.total_pages)


CHECKS: Mapping[str, Callable[[BitmapKernel], list[str]]] = {
    "bitmap": check_bitmap,
    "pagetables": check_pagetables,
    "heap": check_heap,
    "usage": check_usage,
}
"""By the names that ``--check`` takes."""

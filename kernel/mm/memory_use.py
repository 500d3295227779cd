"""What memory is used for, in frames: the numbers that meminfo and vmstat print.

All of it is counted when asked, from the frame table, the page tables and the page cache; nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE
from hillemu.kernel.layout import DIRECT_MAP_BYTES, KERNEL_BASE
from hillemu.kernel.mm.files import SharedMemory
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.page_tables import ACCESSED, LARGE, PRESENT
from hillemu.kernel.mm.protection import MAP_PRIVATE, PROT_WRITE

if TYPE_CHECKING:
    from hillemu.kernel.mm.assembly import KernelMemory
    from hillemu.kernel.mm.kernel_space import KernelSpace
    from hillemu.kernel.mm.pmm import Pmm
    from hillemu.kernel.mm.virtual_memory import VirtualMemory


class MemoryUse(NamedTuple):
    """Frames, unless the name says otherwise; `shared` is shared anonymous memory, which is part of `cached`."""

    total: int
    free: int
    high_total: int
    high_free: int
    anonymous: int
    cached: int
    shared: int
    changed: int
    """Pages of files that are newer than the file, and not shared memory."""
    mapped: int
    """Pages of the cache that page tables map."""
    active_anonymous: int
    active_file: int
    """Those that programs have used since reclaim looked at them last: their A bits are set."""
    slab: int
    kmalloc: int
    kernel_stacks: int
    page_tables: int
    swap_total: int
    swap_free: int
    committed: int
    """What programs may come to need: their private writable areas, and shared memory."""
    direct_small: int
    """The part of the direct map that is mapped by small pages, ..."""
    direct_large: int
    """... and by large ones."""
    large_kib: int
    """The size of a large page."""


def memory_use(memory: KernelMemory, vm: VirtualMemory | None = None) -> MemoryUse:
    """Count; without `vm` there are no programs, and no page tables."""
    pmm = memory.pmm
    used = frames_by_owner(pmm)
    high = [zone for zone in pmm.zones if zone.name == "HighMem"]
    cached, shared, changed = vm.files.counts() if vm is not None else (0, 0, 0)
    accessed = set(_accessed_frames(vm)) if vm is not None else set()
    mapped = active_anonymous = active_file = 0
    shared_frames = set(vm.files.frames(shared_only=True)) if vm is not None else set()
    for frame, record in pmm.table.used():
        if record.owner is Owner.PAGE_CACHE:
            mapped += record.references > 1
            active_file += frame in accessed and frame not in shared_frames
            active_anonymous += frame in accessed and frame in shared_frames
        elif record.owner is Owner.ANONYMOUS:
            active_anonymous += frame in accessed
    small, large, large_kib = _direct_map(vm.kernel) if vm is not None else (0, 0, 0)
    swap = vm.swap if vm is not None else None
    return MemoryUse(
        total=pmm.managed_frames,
        free=pmm.free_frames,
        high_total=sum(zone.managed_frames for zone in high),
        high_free=sum(zone.allocator.free_frames for zone in high),
        anonymous=used.get(Owner.ANONYMOUS, 0),
        cached=cached,
        shared=shared,
        changed=changed,
        mapped=mapped,
        active_anonymous=active_anonymous,
        active_file=active_file,
        slab=used.get(Owner.SLAB, 0),
        kmalloc=used.get(Owner.KMALLOC, 0),
        kernel_stacks=used.get(Owner.STACK, 0),
        page_tables=used.get(Owner.PAGE_TABLE, 0),
        swap_total=swap.slots if swap is not None else 0,
        swap_free=swap.slots - swap.used if swap is not None else 0,
        committed=_committed(vm) if vm is not None else 0,
        direct_small=small,
        direct_large=large,
        large_kib=large_kib,
    )


def frames_by_owner(pmm: Pmm) -> dict[Owner | int, int]:
    """How many frames each owner has, of those that allocators have given out."""
    found: dict[Owner | int, int] = {}
    for _, record in pmm.table.used():
        found[record.owner] = found.get(record.owner, 0) + 1
    return found


def _accessed_frames(vm: VirtualMemory) -> Iterator[int]:
    wanted = PRESENT | ACCESSED
    for space in vm.spaces.values():
        mask = space.tables.frame_mask
        yield from ((entry & mask) >> PAGE_SHIFT for _, entry in space.tables.walk() if entry & wanted == wanted)


def _committed(vm: VirtualMemory) -> int:
    frames = 0
    shared: dict[int, int] = {}
    for space in vm.spaces.values():
        for area in space.areas:
            if area.flags & MAP_PRIVATE and area.prot & PROT_WRITE:
                frames += area.end - area.start >> PAGE_SHIFT
            elif area.file and isinstance(file := vm.files.file(area.file), SharedMemory):
                shared[area.file] = file.size_bytes >> PAGE_SHIFT
    return frames + sum(shared.values())


def _direct_map(kernel: KernelSpace) -> tuple[int, int, int]:
    tables = kernel.tables
    span = 1 << tables.format.shift
    small = large = 0
    for at in range(KERNEL_BASE, KERNEL_BASE + DIRECT_MAP_BYTES, span):
        pde = tables.words[tables.directory_slot(at)]
        if pde & (PRESENT | LARGE) == PRESENT | LARGE:
            large += span >> PAGE_SHIFT
        else:
            small += sum(entry & PRESENT for _, entry in tables.walk(at, at + span))
    return small, large, span // PAGE_SIZE * (PAGE_SIZE >> 10)

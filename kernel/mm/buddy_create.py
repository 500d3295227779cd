"""Makes a buddy zone: its structures in guest memory, and free blocks over all usable frames.

Prints what the document "buddy_init" of profile hillson prints, with two differences on purpose: its arrays are sized
from the map instead of 150,000 entries, and all of memory is managed instead of one block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import Frame, PhysAddr
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.mm.buddy import Buddy
from hillemu.kernel.mm.buddy_layout import HEADER, MAGIC, RESERVED, Geometry, frames_that_fit
from hillemu.kernel.mm.frames import MAX_ORDER, FrameRun
from hillemu.kernel.mm.words import words


def create(
    memory: GuestMemory,
    at: PhysAddr,
    runs: Iterable[FrameRun],
    *,
    base: int,
    end: int,
    room_bytes: int | None = None,
    min_order: int = 0,
    max_order: int = MAX_ORDER,
    log: Callable[[str], None] = lambda line: None,
) -> Buddy:
    """Manage `runs`, which lie between frames `base` and `end`, with structures at `at`, in zeroed memory.

    `runs` are ascending, disjoint and not adjacent; `base` is a multiple of the largest block.  Raises
    `InvalidParameters`, with the line that the kernel prints, for orders or sizes that cannot be, for structures that
    need more than `room_bytes`, and if no page is left.
    """
    total = end - base
    runs = tuple(runs)
    if not 0 <= min_order <= max_order <= MAX_ORDER or total <= 0 or base % (1 << max_order) or base < 0:
        raise InvalidParameters("buddy_init: invalid parameters")
    if any(not base <= run.first < run.end <= end for run in runs):
        raise InvalidParameters("buddy_init: invalid parameters")
    log(f"buddy_init: base_page={base}, total_pages={total}, max_order={max_order}")
    geometry = Geometry(total, max_order)
    if room_bytes is not None and geometry.size_bytes > room_bytes:
        fit = frames_that_fit(room_bytes, max_order)
        raise InvalidParameters(f"buddy_init: ERROR - need {total} blocks, but MAX_BUDDY_BLOCKS={fit}")
    log(f"buddy_init: using arrays at 0x{at:08X} for {total} blocks")
    _write_header(memory, at, geometry, base, total, sum(map(len, runs)), min_order, max_order)
    log("buddy_init: creating initial free blocks")
    _reserve_all_but(memory, PhysAddr(at + geometry.state_offset), runs, base, total)
    zone = Buddy(memory, at)
    zone.top[max_order + 1] = 1
    for run in runs:
        _add_run(zone, run)
    blocks = zone.free_blocks()
    if not any(blocks):
        raise InvalidParameters("buddy_init: ERROR - no available pages")
    largest = max(order for order, count in enumerate(blocks) if count)
    count = sum(blocks)
    log(f"buddy_init: initialized {count} block{'s' * (count > 1)} (order {largest} = {1 << largest} pages)")
    log(f"buddy_init: base_page={base:#x}, max_order={largest}")
    return zone


def _write_header(
    memory: GuestMemory,
    at: PhysAddr,
    geometry: Geometry,
    base: int,
    total: int,
    managed: int,
    min_order: int,
    max_order: int,
) -> None:
    blocks, groups, summary = (
        b"".join(offset.to_bytes(4, "little") for offset, _ in level) for level in geometry.levels
    )
    HEADER.write(
        memory,
        at,
        magic=MAGIC,
        base_page=base,
        total_pages=total,
        managed_pages=managed,
        min_order=min_order,
        max_order=max_order,
        top=geometry.top_offset,
        state=geometry.state_offset,
        blocks=blocks,
        groups=groups,
        summary=summary,
    )


def _reserve_all_but(memory: GuestMemory, state: PhysAddr, runs: tuple[FrameRun, ...], base: int, total: int) -> None:
    previous = base
    for first, last in (*runs, FrameRun(Frame(base + total), Frame(base + total))):
        memory.fill(PhysAddr(state + previous - base), first - previous, RESERVED)
        previous = last


def _add_run(zone: Buddy, run: FrameRun) -> None:
    """Cut a run into the largest blocks that start at multiples of their size."""
    at = run.first - zone.base
    end = run.end - zone.base
    smallest = 1 << zone.min_order
    if lost := -at % smallest:
        _give_up(zone, at, min(at + lost, end))
        at += lost
    while end - at >= smallest:
        order = min(zone.max_order, (end - at).bit_length() - 1)
        if at:
            order = min(order, (at & -at).bit_length() - 1)
        _set_free(zone, order, at >> order)
        at += 1 << order
    if at < end:
        _give_up(zone, at, end)


def _give_up(zone: Buddy, first: int, end: int) -> None:
    """Frames at the ends of a run that are less than the smallest block cannot be managed."""
    for index in range(first, end):
        zone.state[index] = RESERVED
    managed = words(zone.memory, PhysAddr(zone.at + HEADER.offset("managed_pages")), 1)
    managed[0] -= end - first


def _set_free(zone: Buddy, order: int, index: int) -> None:
    for level in zone.levels:
        level[order][index >> 6] |= 1 << (index & 63)
        index >>= 6
    zone.top[order] |= 1 << index

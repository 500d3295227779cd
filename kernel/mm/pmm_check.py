"""Verifies physical memory: each allocator by itself, the frame table by itself, and that both tell the same story."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from hillemu.kernel.mm.frame_table import INSIDE, ORDER_SHIFT, Owner

if TYPE_CHECKING:
    from hillemu.kernel.mm.frames import FrameRun
    from hillemu.kernel.mm.pmm import Pmm, PmmZone


def check(pmm: Pmm) -> list[str]:
    """Contradictions, as sentences; none if all is well."""
    found = []
    for zone in pmm.zones:
        own_check = getattr(zone.allocator, "check", None)
        if own_check is not None:
            found += [f"zone {zone.name}: {finding}" for finding in own_check()]
    used: set[int] = set()
    inside_until = 0
    for frame, record in pmm.table.used():
        used.add(frame)
        if record.order is not None:
            if frame < inside_until:
                found.append(f"frame table: the block at {frame:#x} starts inside another")
            inside_until = frame + (1 << record.order)
            if not record.references:
                found.append(f"frame table: the block at {frame:#x} is in use, but nobody holds it")
            if frame & (1 << record.order) - 1:
                found.append(
                    f"frame table: the block at {frame:#x} (order {record.order}) is not at a multiple of its size"
                )
        elif frame >= inside_until or not pmm.table.entries[frame] >> ORDER_SHIFT & INSIDE or record.references:
            found.append(f"frame table: the entry of frame {frame:#x} ({record}) belongs to no block")
        if record.owner in (Owner.NOBODY, Owner.RESERVED) or not isinstance(record.owner, Owner):
            found.append(f"frame table: frame {frame:#x} is in use by {record.owner_name}")
    for zone in pmm.zones:
        found += _compare(zone, used)
    outside = [frame for frame in used if not any(zone.first <= frame < zone.end for zone in pmm.zones)]
    if outside:
        found.append(f"frame table: {len(outside)} frames are in use that no zone has, the first is {outside[0]:#x}")
    return found


def _is_in(frame: int, runs: tuple[FrameRun, ...]) -> bool:
    number = bisect_right(runs, frame, key=lambda run: run.first)
    return number > 0 and frame < runs[number - 1].end


def _compare(zone: PmmZone, used: set[int]) -> list[str]:
    """What is in use by the table is what is not free in the allocator."""
    found = []
    here = {frame for frame in used if zone.first <= frame < zone.end}
    strangers = [frame for frame in here if not _is_in(frame, zone.runs)]
    if strangers:
        found.append(f"zone {zone.name}: frame {min(strangers):#x} is in use, but was never given to the allocator")
    free = zone.allocator.free_frames
    if free != zone.managed_frames - len(here):
        found.append(
            f"zone {zone.name}: {zone.managed_frames} frames, {len(here)} in use by the frame table, "
            f"but the allocator has {free} free"
        )
    is_free = getattr(zone.allocator, "is_free", None)
    if is_free is not None:
        both = [frame for frame in sorted(here) if is_free(frame)]
        if both:
            found.append(f"zone {zone.name}: frame {both[0]:#x} is free in the allocator and in use by the frame table")
    return found

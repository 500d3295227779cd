"""An address space in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hillemu.emu.i386.address import PAGE_SIZE
from hillemu.emu.i386.spaces import Region, Regions, Tables, regions_of, size_text


@dataclass(frozen=True, slots=True)
class Statistics:
    """Sizes are in bytes of virtual address space unless the name says otherwise; nothing mapped counts as zero.

    `pages` counts pages by their size in bytes.  `frames` is how many 4 KiB frames are mapped at least once,
    `shared_frames` how many more than once.  `largest_gap_bytes` is the longest range without any page.
    """

    mapped_bytes: int
    user_bytes: int
    writable_bytes: int
    executable_bytes: int
    writable_executable_bytes: int
    pages: dict[int, int]
    accessed_pages: int
    dirty_pages: int
    global_pages: int
    cache_disabled_pages: int
    regions: int
    tables: int
    table_bytes: int
    frames: int
    shared_frames: int
    largest_gap_bytes: int

    def __str__(self) -> str:
        sizes = ", ".join(f"{count:,} x {size_text(size)}" for size, count in sorted(self.pages.items())) or "none"
        rows = (
            ("mapped", f"{self.mapped_bytes / 1024:,.0f} KiB in {self.regions:,} regions; pages: {sizes}"),
            ("user", f"{self.user_bytes / 1024:,.0f} KiB"),
            ("writable", f"{self.writable_bytes / 1024:,.0f} KiB"),
            ("executable", f"{self.executable_bytes / 1024:,.0f} KiB"),
            ("both", f"{self.writable_executable_bytes / 1024:,.0f} KiB writable and executable"),
            (
                "flags",
                f"{self.accessed_pages:,} accessed, {self.dirty_pages:,} dirty, {self.global_pages:,} global, "
                f"{self.cache_disabled_pages:,} cache-disabled pages",
            ),
            ("tables", f"{self.tables:,} in {self.table_bytes / 1024:,.0f} KiB"),
            ("frames", f"{self.frames:,} of 4 KiB, {self.shared_frames:,} of them mapped more than once"),
            ("gap", f"{self.largest_gap_bytes / 1024:,.0f} KiB at most without a page"),
        )
        return "\n".join(f"{name:<10} {text}" for name, text in rows)


def statistics_of(tables: Tables) -> Statistics:
    """Count what `tables` map."""
    regions = regions_of(tables)
    pages: Counter[int] = Counter()
    sums: Counter[str] = Counter()
    for region in regions:
        pages[region.page_size_bytes] += region.pages
        _add_bytes(sums, region)
        sums["accessed"] += region.accessed_pages
        sums["dirty"] += region.dirty_pages
        sums["global"] += region.global_pages
        sums["cache_disabled"] += region.cache_disabled_pages
    frames, shared = _count_frames(regions)
    return Statistics(
        mapped_bytes=sums["mapped"],
        user_bytes=sums["user"],
        writable_bytes=sums["writable"],
        executable_bytes=sums["executable"],
        writable_executable_bytes=sums["both"],
        pages=dict(sorted(pages.items())),
        accessed_pages=sums["accessed"],
        dirty_pages=sums["dirty"],
        global_pages=sums["global"],
        cache_disabled_pages=sums["cache_disabled"],
        regions=len(regions),
        tables=len(tables.frames),
        table_bytes=len(tables.frames) * PAGE_SIZE,
        frames=frames,
        shared_frames=shared,
        largest_gap_bytes=_largest_gap(regions),
    )


def _add_bytes(sums: Counter[str], region: Region) -> None:
    rights, size_bytes = region.rights, region.size_bytes
    sums["mapped"] += size_bytes
    sums["user"] += size_bytes * rights.user
    sums["writable"] += size_bytes * rights.writable
    sums["executable"] += size_bytes * rights.executable
    sums["both"] += size_bytes * (rights.writable and rights.executable)


def _count_frames(regions: Regions) -> tuple[int, int]:
    """How many frames are mapped, and how many of them more than once: a sweep over starts and ends."""
    columns = regions.columns
    borders = [(at, 1) for at in columns.phys]
    borders += [(at + size, -1) for at, size in zip(columns.phys, columns.size_bytes, strict=True)]
    borders.sort()
    mapped = shared = depth = last = 0
    for at, step in borders:
        mapped += (at - last) * (depth > 0)
        shared += (at - last) * (depth > 1)
        depth += step
        last = at
    return mapped // PAGE_SIZE, shared // PAGE_SIZE


def _largest_gap(regions: Regions) -> int:
    end = largest = 0
    for start, size_bytes in zip(regions.columns.start, regions.columns.size_bytes, strict=True):
        largest = max(largest, start - end)
        end = start + size_bytes
    return max(largest, (1 << 32) - end)

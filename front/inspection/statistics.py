"""An address space in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hillemu.emu.i386.address import PAGE_SIZE
from hillemu.emu.i386.spaces import EXECUTABLE, USER, WRITABLE, Columns, Tables, regions_of, size_text


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
    columns = regions_of(tables).columns
    by_rights: Counter[int] = Counter()
    by_page_size: Counter[int] = Counter()
    for size_bytes, page_size_bytes, rights in zip(
        columns.size_bytes, columns.page_size_bytes, columns.rights, strict=True
    ):
        by_rights[rights] += size_bytes
        by_page_size[page_size_bytes] += size_bytes

    def bytes_with(mask: int) -> int:
        return sum(size_bytes for rights, size_bytes in by_rights.items() if rights & mask == mask)

    frames, shared = _count_frames(columns)
    return Statistics(
        mapped_bytes=bytes_with(0),
        user_bytes=bytes_with(USER),
        writable_bytes=bytes_with(WRITABLE),
        executable_bytes=bytes_with(EXECUTABLE),
        writable_executable_bytes=bytes_with(WRITABLE | EXECUTABLE),
        pages={size: total // size for size, total in sorted(by_page_size.items())},
        accessed_pages=sum(columns.accessed),
        dirty_pages=sum(columns.dirty),
        global_pages=sum(columns.global_),
        cache_disabled_pages=sum(columns.cache_disabled),
        regions=len(columns.start),
        tables=len(tables.frames),
        table_bytes=len(tables.frames) * PAGE_SIZE,
        frames=frames,
        shared_frames=shared,
        largest_gap_bytes=_largest_gap(columns),
    )


def _count_frames(columns: Columns) -> tuple[int, int]:
    """How many frames are mapped, and how many of them more than once: a sweep over starts and ends.

    A border is twice its address, and one more if a run begins there.
    """
    import numpy as np

    start, size = (np.array(column, dtype=np.int64) for column in (columns.phys, columns.size_bytes))
    borders = np.sort(np.concatenate((start * 2 + 1, (start + size) * 2)))
    depth = np.cumsum(np.where(borders & 1, 1, -1))[:-1]
    length = np.diff(borders >> 1)
    mapped, shared = (int(length[depth > least].sum()) for least in (0, 1))
    return mapped // PAGE_SIZE, shared // PAGE_SIZE


def _largest_gap(columns: Columns) -> int:
    end = largest = 0
    for start, size_bytes in zip(columns.start, columns.size_bytes, strict=True):
        largest = max(largest, start - end)
        end = start + size_bytes
    return max(largest, (1 << 32) - end)

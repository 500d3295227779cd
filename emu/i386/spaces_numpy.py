"""The runs of an address space with numpy: all page tables at once, as matrices.

A table is a row, however many entries share it, so the largest space is 1,048,576 elements.  What is reserved and how
rights combine is as in `hillemu.emu.i386.paging`; `spaces_plain` says the same entry by entry.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from hillemu.emu.i386.control import PagingMode
from hillemu.emu.i386.spaces import (
    ACCESSED,
    CACHE_DISABLED,
    DIRTY,
    EXECUTABLE,
    GLOBAL,
    RIGHTS,
    Columns,
    attributes_mask,
)
from hillemu.emu.i386.spaces_plain import (
    attributes_of,
    large_pages_of,
    page_tables_of,
    table_entry_reserved,
)
from hillemu.emu.i386.spaces_tables import PRESENT, Link, Tables, frame_mask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]
    Leaves = tuple[Words, Words, Words, NDArray[np.uint16]]
    """Virtual starts, physical starts, sizes in bytes, attributes; ascending."""


def runs_by_numpy(tables: Tables, key_mask: int) -> Columns:
    """Join the pages of `tables` to runs that are alike in the attributes of `key_mask`."""
    import numpy as np

    start, phys, size, attributes = _leaves(tables)
    if not start.size:
        return Columns(*(array("Q") for _ in Columns._fields))
    key = attributes & key_mask
    is_new = (start[1:] != start[:-1] + size[:-1]) | (phys[1:] != phys[:-1] + size[:-1])
    is_new |= (size[1:] != size[:-1]) | (key[1:] != key[:-1])
    first = np.concatenate(([0], np.flatnonzero(is_new) + 1))

    def in_run(values: NDArray[np.uint64]) -> array[int]:
        return _column(np.add.reduceat(values, first))

    counts = (in_run((attributes & flag != 0).astype(np.uint64)) for flag in (ACCESSED, DIRTY, GLOBAL, CACHE_DISABLED))
    rights = (attributes[first] & RIGHTS).astype(np.uint64)
    return Columns(
        _column(start[first]), _column(phys[first]), in_run(size), _column(size[first]), _column(rights), *counts
    )


def _leaves(tables: Tables) -> Leaves:
    import numpy as np

    small = _small_pages(tables, page_tables_of(tables))
    large = np.array(list(large_pages_of(tables)), dtype=np.uint64).reshape(-1, 4).T
    if not large.size:
        return small
    start, phys, size = (np.concatenate((a, b)) for a, b in zip(small[:3], large[:3], strict=True))
    attributes = np.concatenate((small[3], large[3].astype(np.uint16)))
    order = np.argsort(start)
    return start[order], phys[order], size[order], attributes[order]


def _small_pages(tables: Tables, links: list[Link]) -> Leaves:
    import numpy as np

    pae = tables.control.mode is PagingMode.PAE
    width = 512 if pae else 1024
    words = np.frombuffer(b"".join(tables.frames[link.table] for link in links), "<u8" if pae else "<u4")
    refused = table_entry_reserved(tables) | PRESENT
    at = np.flatnonzero((words & words.dtype.type(refused)) == PRESENT)
    raw = words[at].astype(np.uint64)
    row = at // width
    first = np.array([link.start for link in links], dtype=np.uint64)
    start = first[row] + ((at % width) << 12).astype(np.uint64)

    mask = attributes_mask(tables.control)
    granted = np.array([attributes_of(link.step.entry, mask) | 0xFFFF & ~RIGHTS for link in links], dtype=np.uint16)
    attributes = raw.astype(np.uint16) & np.uint16(mask & ~EXECUTABLE)
    attributes[raw >> np.uint64(63) == 0] |= np.uint16(EXECUTABLE)
    attributes &= granted[row]
    return start, raw & np.uint64(frame_mask(tables.control)), np.full(at.size, 0x1000, np.uint64), attributes


def _column(values: NDArray[np.uint64]) -> array[int]:
    column = array("Q")
    column.frombytes(values.tobytes())
    return column

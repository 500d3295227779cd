"""The seed's `vm_alloc_map` and `vm_free_unmap`: pages at once, not on demand; all of them, or none.

Flags are those of page-table entries, as the seed has them: only the right to write counts; a program's pages are
always present, and its own.  Sizes and addresses are rounded outwards to pages.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.i386.address import PAGE_SHIFT, page_down, page_up
from hillemu.emu.reports import unheard
from hillemu.kernel.mm.address_space import AddressSpace
from hillemu.kernel.mm.page_tables import WRITABLE
from hillemu.kernel.mm.protection import (
    MAP_ANONYMOUS,
    MAP_FIXED_NOREPLACE,
    MAP_POPULATE,
    MAP_PRIVATE,
    PROT_READ,
    PROT_WRITE,
)


def vm_alloc_map(space: AddressSpace, virt: int, size: int, flags: int, log: Callable[[str], None] = unheard) -> int:
    """Map zeroed pages at `virt`: 0, or -1 and nothing has changed.

    Refused: no bytes, page 0, addresses of the kernel, and pages where something is mapped already.
    """
    if size <= 0 or virt < 0:
        return -1
    start, end = page_down(virt), page_up(virt + size)
    log(f"vm_alloc_map: virt=0x{start:x}, size={size}, pages={end - start >> PAGE_SHIFT}")
    prot = PROT_READ | (PROT_WRITE if flags & WRITABLE else 0)
    how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE
    if space.mmap(start, end - start, prot, how) != start:
        log(f"vm_alloc_map: failed to map {end - start >> PAGE_SHIFT} pages at 0x{start:x}")
        return -1
    return 0


def vm_free_unmap(space: AddressSpace, virt: int, size: int) -> None:
    """Unmap all pages that the `size` bytes at `virt` touch, and free them."""
    if size > 0 and virt >= 0:
        space.munmap(page_down(virt), page_up(virt + size) - page_down(virt))

"""Between the kernel and a program's memory, every page checked as the processor would check it.

A pointer that leads nowhere is a value, never an exception; pages that are not in memory are brought in.  What was
copied before the first bad page stays copied.  Pages that are read and written are marked so (A and D), as by the
processor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.emu.i386.address import PAGE_MASK, PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.kernel.layout import KERNEL_BASE
from hillemu.kernel.mm.outcomes import Fault, Killed
from hillemu.kernel.mm.page_faults import WRITE, settle
from hillemu.kernel.mm.page_tables import ACCESSED, DIRTY, PRESENT, USER, WRITABLE

if TYPE_CHECKING:
    from hillemu.kernel.mm.address_space import AddressSpace


def copy_in(space: AddressSpace, at: int, count: int) -> bytes | Fault:
    """`count` bytes of the program's memory at `at`."""
    if (fault := _refused(at, count)) is not None:
        return fault
    parts = []
    end = at + count
    while at < end:
        phys = _reach(space, at, 0)
        if phys < 0:
            return Fault(VirtAddr(at))
        part = min(PAGE_SIZE - (at & PAGE_MASK), end - at)
        parts.append(space.vm.memory.read(PhysAddr(phys), part))
        at += part
    return b"".join(parts)


def copy_in_string(space: AddressSpace, at: int, limit: int) -> bytes | Fault:
    """The bytes at `at` up to a NUL, without it; `limit` bytes if there is none among them."""
    if (fault := _refused(at, 0)) is not None:
        return fault
    found = b""
    while len(found) < limit:
        phys = _reach(space, at, 0) if at < KERNEL_BASE else -1
        if phys < 0:
            return Fault(VirtAddr(at))
        part = min(PAGE_SIZE - (at & PAGE_MASK), limit - len(found))
        text, zero, _ = space.vm.memory.read(PhysAddr(phys), part).partition(b"\0")
        found += text
        if zero:
            break
        at += part
    return found


def copy_out(space: AddressSpace, at: int, data: bytes) -> bool:
    """Write to the program's memory; False if it may not write there itself."""
    if _refused(at, len(data)) is not None:
        return False
    done = 0
    while done < len(data):
        phys = _reach(space, at + done, WRITE)
        if phys < 0:
            return False
        part = min(PAGE_SIZE - (at + done & PAGE_MASK), len(data) - done)
        space.vm.memory.write(PhysAddr(phys), data[done : done + part])
        done += part
    return True


def _refused(at: int, count: int) -> Fault | None:
    if 0 <= at <= at + count <= KERNEL_BASE:
        return None
    return Fault(VirtAddr(max(at, KERNEL_BASE) & 0xFFFFFFFF))


def _reach(space: AddressSpace, at: int, write: int) -> int:
    """The physical address of a byte that the program may use so; -1 if it may not."""
    tables = space.tables
    needed = PRESENT | USER | (WRITABLE if write else 0)
    mark = ACCESSED | (DIRTY if write else 0)
    while True:
        slot = tables.find(at)
        entry = tables.words[slot] if slot else 0
        if entry & needed == needed:
            if entry & mark != mark:
                tables.words[slot] = entry | mark
            return (entry & tables.frame_mask) + (at & PAGE_MASK)
        if isinstance(settle(space, at, write | entry & PRESENT, may_kill=False), Killed):
            return -1

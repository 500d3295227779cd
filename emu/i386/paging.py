"""The page walk: from a virtual address to a physical one, through the guest's own tables.

>>> from hillemu.emu.guest import FakeMemory
>>> memory = FakeMemory(0x4000)
>>> memory.set_u32(PhysAddr(0x1C00), 0x2003)
>>> control = ControlState(cr0=0x80000001, cr3=0x1000)
>>> print(translate(memory, VirtAddr(0xC0001234), control).explain())
CR3 0x00001000
PDE[0x300] @0x00001C00 = PageDirectoryEntry(0x00002003 table=0x2 writable present)
PTE[0x001] @0x00002004 = not present
=> 0xC0001234: PTE[0x001] is not present: a read by supervisor mode raises #PF, error code 0x0

The walk only looks: it sets no accessed or dirty bit and knows no TLB, so it tells what a processor with an empty TLB
would do.  PAE pointers (PDPTEs) are read from memory at each walk, though a processor loads them with CR3.

Not modelled: 4-level paging, protection keys, the A20 gate.

Source: Intel SDM Vol. 3A, "32-Bit Paging", "PAE Paging", "Access Rights".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hillemu.emu.i386.address import PAGE_MASK, PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.emu.i386.control import ALL_RIGHTS, PAE, PEEK, PG, PSE, READ, Access, ControlState, rights_of
from hillemu.emu.i386.entries import (
    LargePageEntry,
    PaeDirectoryEntry,
    PaeLargePageEntry,
    PaeTableEntry,
    PageDirectoryEntry,
    PageDirectoryPointerEntry,
    PageTableEntry,
    PagingEntry,
)
from hillemu.emu.i386.outcomes import (
    Denied,
    Mapped,
    NotPresent,
    OutsideRam,
    ReservedBit,
    Translation,
    Visit,
)

_PRESENT, _LARGE, _NO_EXECUTE = 1, 1 << 7, 1 << 63
_EVERYTHING = (1 << 64) - 1
_PDPTE_RESERVED = 0x1E6  # bits 8-5 and 2-1
_POINTER_SHIFT = 30
_ADDRESS = PaeTableEntry.frame.mask
_LARGE_DOUBTFUL = 0x3FE000
_Kind = Callable[[int], PagingEntry]
_Level = tuple[str, int, int, _Kind, _Kind | None, int]
"""The manual's name; where the index lies in the address; the class of an entry, and of one with PS set; low bits that
may be reserved: most entries have none of them set, and need no closer look."""
_LEGACY_LEVELS: tuple[_Level, ...] = (
    ("PDE", 22, 0x3FF, PageDirectoryEntry, LargePageEntry, 0),
    ("PTE", 12, 0x3FF, PageTableEntry, None, 0),
)
_PAE_LEVELS: tuple[_Level, ...] = (
    ("PDPTE", _POINTER_SHIFT, 0x3, PageDirectoryPointerEntry, None, _PDPTE_RESERVED),
    ("PDE", 21, 0x1FF, PaeDirectoryEntry, PaeLargePageEntry, 0),
    ("PTE", 12, 0x1FF, PaeTableEntry, None, 0),
)


class TableMemory(Protocol):
    """Physical memory that holds the tables; `IndexError` where neither RAM nor ROM answers."""

    def u32(self, at: PhysAddr) -> int: ...

    def u64(self, at: PhysAddr) -> int: ...


class ReadableMemory(TableMemory, Protocol):
    """Physical memory whose bytes can be read too."""

    def read(self, at: PhysAddr, count: int) -> bytes: ...


def translate(memory: TableMemory, at: VirtAddr, control: ControlState, access: Access = READ) -> Translation:
    """Walk the tables for one access to the byte at `at` (0 to 0xFFFFFFFF)."""
    cr4 = control.cr4
    if not control.cr0 & PG:
        return Mapped(at, access, control, (), PhysAddr(at), 1 << 32, ALL_RIGHTS)
    pae = cr4 & PAE
    # Plain integers from here to the outcome: a call of `PhysAddr` for each level would be a tenth of the walk.
    table: int = control.cr3 & (0xFFFFFFE0 if pae else 0xFFFFF000)
    word_at: Callable[..., int] = memory.u64 if pae else memory.u32
    entry_bytes = 8 if pae else 4
    trail: tuple[Visit, ...] = ()
    grants = _EVERYTHING
    for level, shift, mask, kind, large_kind, doubtful in _PAE_LEVELS if pae else _LEGACY_LEVELS:
        index = at >> shift & mask
        entry_at = table + index * entry_bytes
        try:
            raw = word_at(entry_at)
        except IndexError:
            return OutsideRam(at, access, control, trail, level, index, PhysAddr(entry_at))
        if raw & _LARGE and large_kind is not None and (pae or cr4 & PSE):
            kind, doubtful = large_kind, _LARGE_DOUBTFUL
        trail += ((level, index, entry_at, kind, raw),)
        if not raw & _PRESENT:
            return NotPresent(at, access, control, trail)
        if (raw & doubtful or raw >> control.physical_bits) and (reserved := reserved_bits(kind(raw), control)):
            return ReservedBit(at, access, control, trail, reserved)
        if shift != _POINTER_SHIFT:  # A PDPTE has no say in rights.
            grants &= raw ^ _NO_EXECUTE
        if kind is large_kind:
            table = kind(raw).base
            break
        table = raw & _ADDRESS
    rights = rights_of(grants)
    if reason := rights.refusal(access, control):
        return Denied(at, access, control, trail, rights, reason)
    size_bytes = 1 << shift
    return Mapped(at, access, control, trail, PhysAddr(table + (at & size_bytes - 1)), size_bytes, rights)


def read_virtual(memory: ReadableMemory, at: VirtAddr, count: int, control: ControlState) -> bytes:
    """Read up to `count` bytes at `at` as a look from outside; shorter where the first unreadable page begins.

    Addresses wrap at 4 GiB.
    """
    found = bytearray()
    while len(found) < count:
        here = VirtAddr(at + len(found) & 0xFFFFFFFF)
        part = min(count - len(found), PAGE_SIZE - (here & PAGE_MASK))
        outcome = translate(memory, here, control, PEEK)
        if not isinstance(outcome, Mapped):
            break
        try:
            found += memory.read(outcome.phys, part)
        except IndexError:
            break
    return bytes(found)


def reserved_bits(entry: PagingEntry, control: ControlState) -> int:
    """The bits set in `entry` that the manual reserves under `control`; zero for a good entry."""
    if isinstance(entry, LargePageEntry):
        # Bits 20-13 are address bits 39-32, as far as the processor has that many; bit 21 is always reserved.
        width = min(max(control.physical_bits, 32), 40)
        return entry & 0x3FFFFF & -(1 << width - 19)
    if entry.BITS == 32:
        return 0
    beyond_address = _NO_EXECUTE - (1 << control.physical_bits)
    if isinstance(entry, PageDirectoryPointerEntry):
        return entry & (beyond_address | _NO_EXECUTE | _PDPTE_RESERVED)
    reserved = beyond_address if control.no_execute else beyond_address | _NO_EXECUTE
    if isinstance(entry, PaeLargePageEntry):
        reserved |= 0x1FE000  # bits 20-13
    return entry & reserved

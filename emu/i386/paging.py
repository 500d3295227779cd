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

from typing import Protocol

from hillemu.emu.i386.address import PAGE_MASK, PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.emu.i386.control import PEEK, PSE, READ, Access, ControlState, PagingMode, Rights
from hillemu.emu.i386.entries import (
    LargePageEntry,
    LeafEntry,
    PaeDirectoryEntry,
    PaeLargePageEntry,
    PaeTableEntry,
    PageDirectoryEntry,
    PageDirectoryPointerEntry,
    PageTableEntry,
    PagingEntry,
    RightsEntry,
)
from hillemu.emu.i386.outcomes import (
    Denied,
    Mapped,
    NotPresent,
    OutsideRam,
    ReservedBit,
    Step,
    Translation,
)

_LARGE = 1 << 7
_NO_EXECUTE = 1 << 63
_PDPTE_RESERVED = 0x1E6  # bits 8-5 and 2-1
_LEVELS = {
    PagingMode.LEGACY: (("PDE", 22, 0x3FF), ("PTE", 12, 0x3FF)),
    PagingMode.PAE: (("PDPTE", 30, 0x3), ("PDE", 21, 0x1FF), ("PTE", 12, 0x1FF)),
}


class TableMemory(Protocol):
    """Physical memory that holds the tables; `IndexError` where neither RAM nor ROM answers."""

    def u32(self, at: PhysAddr) -> int: ...


class ReadableMemory(TableMemory, Protocol):
    """Physical memory whose bytes can be read too."""

    def read(self, at: PhysAddr, count: int) -> bytes: ...


def translate(memory: TableMemory, at: VirtAddr, control: ControlState, access: Access = READ) -> Translation:
    """Walk the tables for one access to the byte at `at` (0 to 0xFFFFFFFF)."""
    if control.mode is PagingMode.OFF:
        return Mapped(at, access, control, (), PhysAddr(at), 1 << 32, Rights())
    steps: list[Step] = []
    rights = Rights()
    table = control.root
    for level, shift, mask in _LEVELS[control.mode]:
        index = at >> shift & mask
        try:
            entry_at, entry = _load(memory, table, index, level, control)
        except IndexError:
            entry_at = PhysAddr(table + index * _entry_size_bytes(control))
            return OutsideRam(at, access, control, tuple(steps), level, index, entry_at)
        steps.append(Step(level, index, entry_at, entry))
        if not entry.present:
            return NotPresent(at, access, control, tuple(steps))
        if reserved := reserved_bits(entry, control):
            return ReservedBit(at, access, control, tuple(steps), reserved)
        rights = _narrow(rights, entry)
        if isinstance(entry, LeafEntry):
            break
        table = entry.base
    if reason := rights.refusal(access, control):
        return Denied(at, access, control, tuple(steps), rights, reason)
    size_bytes = 1 << shift
    return Mapped(at, access, control, tuple(steps), PhysAddr(entry.base + (at & size_bytes - 1)), size_bytes, rights)


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


def _entry_size_bytes(control: ControlState) -> int:
    return 8 if control.mode is PagingMode.PAE else 4


def _load(
    memory: TableMemory, table: PhysAddr, index: int, level: str, control: ControlState
) -> tuple[PhysAddr, PagingEntry]:
    at = PhysAddr(table + index * _entry_size_bytes(control))
    raw = memory.u32(at)
    if control.mode is PagingMode.LEGACY:
        if level == "PTE":
            return at, PageTableEntry(raw)
        return at, LargePageEntry(raw) if raw & _LARGE and control.cr4 & PSE else PageDirectoryEntry(raw)
    raw |= memory.u32(PhysAddr(at + 4)) << 32
    if level == "PDPTE":
        return at, PageDirectoryPointerEntry(raw)
    if level == "PTE":
        return at, PaeTableEntry(raw)
    return at, PaeLargePageEntry(raw) if raw & _LARGE else PaeDirectoryEntry(raw)


def _narrow(rights: Rights, entry: PagingEntry) -> Rights:
    """What is left of `rights` after `entry`: every level must agree."""
    if not isinstance(entry, RightsEntry):
        return rights
    return Rights(
        user=rights.user and entry.user,
        writable=rights.writable and entry.writable,
        executable=rights.executable and not (entry.BITS == 64 and bool(entry & _NO_EXECUTE)),
    )

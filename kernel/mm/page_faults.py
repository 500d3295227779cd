"""What to do about a page fault.

::

    no area, or no right    -> Killed                                        SIGSEGV
    entry empty, no file    -> a frame of zeros                              ZERO     demand paging
    entry empty, a file     -> the page cache's frame, read-only if private  FILE     behind the file's end: SIGBUS
    entry leads to swap     -> a frame, read back                            SWAP
    write to a read-only    -> the last owner may write; others get a copy   COW
    below a growing stack   -> the stack's area grows, and then as above

Running out of frames changes nothing that a program could see: `settle` has pages evicted and starts again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, Frame, PhysAddr
from hillemu.emu.i386.errorcodes import PageFaultError
from hillemu.kernel.layout import KERNEL_BASE, PROGRAM_BASE
from hillemu.kernel.mm.areas import FILE, FLAGS, PAGE, PROT, START
from hillemu.kernel.mm.counters import Event
from hillemu.kernel.mm.frame_table import OWNER_SHIFT, REFERENCES_MASK, Owner
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.outcomes import (
    COW,
    SIGBUS,
    SIGKILL,
    SPURIOUS,
    SWAP,
    ZERO,
    FaultOutcome,
    Killed,
)
from hillemu.kernel.mm.outcomes import (
    FILE as FILE_PAGE,
)
from hillemu.kernel.mm.page_tables import ACCESSED, DIRTY, PRESENT, WRITABLE
from hillemu.kernel.mm.protection import MAP_GROWSDOWN, MAP_SHARED, PROT_EXEC, PROT_WRITE, describe
from hillemu.kernel.mm.reverse_map import PAGE_NUMBER_BITS
from hillemu.kernel.mm.task_memory import ID, RESIDENT, SWAPPED

if TYPE_CHECKING:
    from hillemu.kernel.mm.address_space import AddressSpace
    from hillemu.kernel.mm.areas import Area

STACK_MAX_BYTES = 8 << 20
STACK_GAP_BYTES = 256 * PAGE_SIZE
"""A stack grows no nearer than this to what lies below it."""
BATCH = 32
"""How many frames are made free at once."""

WRITE, FETCH = PageFaultError.write.mask, PageFaultError.fetch.mask
USER, RESERVED_BIT = PageFaultError.user.mask, PageFaultError.reserved_bit.mask
# Members of an IntEnum cost 50 ns each to look up.
_ANONYMOUS, _PGZERO_FAULT = Owner.ANONYMOUS, int(Event.PGZERO_FAULT)
_ANONYMOUS_ALONE = Owner.ANONYMOUS << OWNER_SHIFT | 1
_ZEROS = bytes(PAGE_SIZE)
_OWNER_MASK = 0xFF << OWNER_SHIFT
_OWNER_AND_REFERENCES = _OWNER_MASK | REFERENCES_MASK


def settle(space: AddressSpace, at: int, code: int, *, may_kill: bool = True) -> FaultOutcome:
    """Resolve a fault at `at` with error code `code`; the frame that it needs may cost another program its life.

    With `may_kill` false, running out ends in `Killed` for nobody but whoever asks, who may still turn back.
    """
    while True:
        outcome = resolve(space, at, code)
        if not isinstance(outcome, OutOfMemory):
            return outcome
        vm = space.vm
        # With frames left, it was a page table that found none: they must lie in the direct map.
        if vm.reclaim.shrink(BATCH, direct_map_only=vm.pmm.free_frames > 0):
            continue
        cause = f"{space.name} needs a frame for 0x{at:08X}: {outcome}"
        if not may_kill:
            return Killed(f"out of memory: {cause}", SIGKILL)
        reason = vm.end_somebody(space, cause)
        if reason is not None:
            return Killed(reason, SIGKILL)


def resolve(space: AddressSpace, at: int, code: int) -> FaultOutcome | OutOfMemory:
    """One attempt; with `OutOfMemory` nothing has changed but perhaps a page table that is still empty."""
    areas = space.areas
    area = areas.locate(at)
    if not area:
        return _below_a_stack(space, at, code)
    u32 = areas.u32
    prot = u32[area + PROT]
    if code & (WRITE | FETCH | RESERVED_BIT):
        if code & WRITE and not prot & PROT_WRITE:
            return segv(space, at, code, f"its area is {describe(prot)}")
        if code & FETCH and not prot & PROT_EXEC:
            return segv(space, at, code, f"its area is {describe(prot)}")
        if code & RESERVED_BIT:
            return segv(space, at, code, "a paging entry is damaged")
    elif not prot:
        return segv(space, at, code, f"its area is {describe(prot)}")
    tables = space.tables
    slot = tables.find(at)
    if not slot:
        made = tables.make(at, space.record[ID])
        if isinstance(made, OutOfMemory):
            return made
        slot = made
    entry = tables.words[slot]
    if entry & PRESENT:
        return _present(space, at, code, slot, entry, u32[area + FLAGS])
    vm = space.vm
    flags = vm.entry_flags[prot] | (ACCESSED | DIRTY if code & WRITE else ACCESSED)
    if entry:
        return _swap_in(space, at, slot, entry, flags)
    if file := u32[area + FILE]:
        page = u32[area + PAGE] + (at - u32[area + START] >> PAGE_SHIFT)
        return _file_page(space, at, code, slot, flags, file, page, u32[area + FLAGS])
    record = space.record
    frame = vm.pmm.alloc(0, _ANONYMOUS, record[ID] << PAGE_NUMBER_BITS | at >> PAGE_SHIFT, high=True)
    if type(frame) is OutOfMemory:  # isinstance() would take 70 ns to say no
        return frame
    base = frame << PAGE_SHIFT
    vm.memory.write(base, _ZEROS)  # type: ignore[arg-type]  # calling PhysAddr takes as long as all of `base`
    tables.words[slot] = base | flags
    record[RESIDENT] += 1
    events = vm.counters.words
    events[_PGZERO_FAULT] = events[_PGZERO_FAULT] + 1 & 0xFFFFFFFF
    if vm.page_added is not None:
        vm.page_added(frame)
    return ZERO


def segv(space: AddressSpace, at: int, code: int, why: str) -> Killed:
    """The program did what it may not."""
    access = "fetch from" if code & FETCH else "write to" if code & WRITE else "read of"
    mode = "" if code & USER else " by the kernel on its behalf"
    return Killed(f"{space.name}: {access} 0x{at:08X}{mode}: {why}")


def _present(space: AddressSpace, at: int, code: int, slot: int, entry: int, flags: int) -> FaultOutcome | OutOfMemory:
    """The page is there: the fault is a write to a shared page, or older than the entry."""
    if not code & WRITE or entry & WRITABLE:
        return SPURIOUS
    vm, words = space.vm, space.tables.words
    old = Frame((entry & space.tables.frame_mask) >> PAGE_SHIFT)
    owned = vm.pmm.table.entries[old] & _OWNER_AND_REFERENCES
    if owned == _ANONYMOUS_ALONE or flags & MAP_SHARED:
        words[slot] = entry | WRITABLE | ACCESSED | DIRTY
        vm.kernel.flush_tlb()
        return COW
    new = _copy(space, at, old)
    if isinstance(new, OutOfMemory):
        return new
    words[slot] = entry & ~space.tables.frame_mask | new << PAGE_SHIFT | WRITABLE | ACCESSED | DIRTY
    vm.pmm.release(old)
    vm.kernel.flush_tlb()
    return COW


def _copy(space: AddressSpace, at: int, old: Frame) -> Frame | OutOfMemory:
    """A frame of the program's own with what is in `old`."""
    vm = space.vm
    new = vm.pmm.alloc(0, _ANONYMOUS, space.record[ID] << PAGE_NUMBER_BITS | at >> PAGE_SHIFT, high=True)
    if not isinstance(new, OutOfMemory):
        vm.memory.write(PhysAddr(new << PAGE_SHIFT), vm.memory.read(PhysAddr(old << PAGE_SHIFT), PAGE_SIZE))
        vm.counters.count(Event.PGCOW)
        if vm.page_added is not None:
            vm.page_added(new)
    return new


def _swap_in(space: AddressSpace, at: int, slot: int, entry: int, flags: int) -> FaultOutcome | OutOfMemory:
    """A frame of the program's own, whoever else still has the page in swap."""
    vm = space.vm
    assert vm.swap is not None, "entries lead to swap only if there is one"
    frame = vm.pmm.alloc(0, _ANONYMOUS, space.record[ID] << PAGE_NUMBER_BITS | at >> PAGE_SHIFT, high=True)
    if isinstance(frame, OutOfMemory):
        return frame
    place = entry >> PAGE_SHIFT
    vm.memory.write(PhysAddr(frame << PAGE_SHIFT), vm.swap.get(place))
    vm.swap.release(place)
    space.tables.words[slot] = frame << PAGE_SHIFT | flags | DIRTY
    space.record[SWAPPED] -= 1
    space.record[RESIDENT] += 1
    vm.counters.count(Event.PSWPIN)
    vm.counters.count(Event.PGMAJFAULT)
    if vm.page_added is not None:
        vm.page_added(frame)
    return SWAP


def _file_page(
    space: AddressSpace, at: int, code: int, slot: int, flags: int, file: int, page: int, area_flags: int
) -> FaultOutcome | OutOfMemory:
    vm = space.vm
    read_in = not vm.files.holds(file, page)
    frame = vm.files.get(file, page)
    if isinstance(frame, OutOfMemory):
        return frame
    if frame is None:
        reason = f"{space.name}: 0x{at:08X} lies behind the end of {vm.files.file(file).name}, which is mapped there"
        return Killed(reason, SIGBUS)
    shared = bool(area_flags & MAP_SHARED)
    if code & WRITE and not shared:
        new = _copy(space, at, frame)
        if isinstance(new, OutOfMemory):
            return new
        frame = new
    else:
        if vm.pmm.references(frame) == REFERENCES_MASK:
            return Killed(f"{space.name}: page {page} of {vm.files.file(file).name} is mapped too often", SIGBUS)
        vm.pmm.hold(frame)
        if not shared:
            flags &= ~WRITABLE
    space.tables.words[slot] = frame << PAGE_SHIFT | flags
    space.record[RESIDENT] += 1
    if read_in:
        vm.counters.count(Event.PGMAJFAULT)
        if vm.page_added is not None:
            vm.page_added(frame)
    return FILE_PAGE


def _below_a_stack(space: AddressSpace, at: int, code: int) -> FaultOutcome | OutOfMemory:
    page = at & -PAGE_SIZE
    stack = space.areas.following(at) if PROGRAM_BASE <= at < KERNEL_BASE else None
    if stack is None or not stack.flags & MAP_GROWSDOWN or stack.end - page > 2 * STACK_MAX_BYTES:
        return segv(space, at, code, "nothing is mapped there")
    if stack.end - page > STACK_MAX_BYTES:
        return segv(space, at, code, f"the stack may have {STACK_MAX_BYTES >> 20} MiB")
    below: Area | None = space.areas.preceding(at)
    if below is not None and below.end + STACK_GAP_BYTES > page:
        return segv(space, at, code, f"the stack would run into what ends at 0x{below.end:08X}")
    space.areas.grow_down(stack, page)
    return resolve(space, at, code)

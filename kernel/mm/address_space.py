"""A program's address space: its areas, its page tables, its record in guest memory, and what it may ask for.

Results are those of the system calls: an address or 0, or a negative `Errno`; a call that fails has changed nothing.

Not modelled: overcommit limits, locked pages, `mremap`, `msync` (changed pages of files are written back when they
leave memory, or when the file is closed).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, Frame, VirtAddr, page_up
from hillemu.kernel.errno import Errno
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.layout import HEAP_BASE, MMAP_BASE, MMAP_END, PROGRAM_BASE, STACK_END
from hillemu.kernel.mm.areas import Area, AreaMap
from hillemu.kernel.mm.counters import Event
from hillemu.kernel.mm.files import File, SharedMemory
from hillemu.kernel.mm.forking import fork
from hillemu.kernel.mm.frame_table import OWNER_SHIFT, Owner
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.outcomes import Fault, FaultOutcome, Killed
from hillemu.kernel.mm.page_faults import BATCH, WRITE, resolve, settle
from hillemu.kernel.mm.page_tables import DIRTY, NO_EXECUTE, PRESENT, USER, WRITABLE, PageTables
from hillemu.kernel.mm.protection import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_GROWSDOWN,
    MAP_KNOWN,
    MAP_POPULATE,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_ALL,
    PROT_READ,
    PROT_WRITE,
    describe,
)
from hillemu.kernel.mm.task_memory import (
    AREA_COUNT,
    BRK,
    FAULTS,
    HEAP_END,
    HEAP_MAX,
    HEAP_START,
    MMAP_CURSOR,
    RESIDENT,
    SWAPPED,
)
from hillemu.kernel.mm.user_copy import copy_in, copy_in_string, copy_out
from hillemu.kernel.mm.words import Words

if TYPE_CHECKING:
    from hillemu.kernel.mm.virtual_memory import VirtualMemory

_PAGE_CACHE, _PGFAULT, _SEGV = int(Owner.PAGE_CACHE), int(Event.PGFAULT), int(Event.SEGV)
_KEPT_FLAGS = MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN
_ANYBODYS = MAP_PRIVATE | MAP_ANONYMOUS
_FIRST_STACK_BYTES = 4 * PAGE_SIZE


class AddressSpace:
    """Made by `VirtualMemory.create_space`; `at` is where its ``struct task_memory`` lies, `record` are its words."""

    def __init__(
        self, vm: VirtualMemory, at: VirtAddr, record: Words, tables: PageTables, areas: AreaMap, name: str
    ) -> None:
        self.vm, self.at, self.record, self.tables, self.areas = vm, at, record, tables, areas
        self.cr3 = tables.cr3
        self.name = name
        """For reports: the program's name and number."""

    # ---- page faults --------------------------------------------------------------------------------------------

    def fault(self, address: int, error_code: int) -> FaultOutcome:
        """Resolve a page fault at `address` (CR2) with the processor's `error_code`."""
        outcome = resolve(self, address, error_code)
        if type(outcome) is OutOfMemory:  # isinstance() would take 70 ns to say no
            outcome = settle(self, address, error_code)
        events, record = self.vm.counters.words, self.record
        if type(outcome) is Killed:
            events[_SEGV] = events[_SEGV] + 1 & 0xFFFFFFFF
        else:
            events[_PGFAULT] = events[_PGFAULT] + 1 & 0xFFFFFFFF
            record[FAULTS] = record[FAULTS] + 1 & 0xFFFFFFFF
        return outcome

    # ---- life ---------------------------------------------------------------------------------------------------

    def fork(self) -> AddressSpace | OutOfMemory:
        """A child with the same memory, copied on write."""
        return fork(self)

    def destroy(self) -> None:
        """Give everything back.  Its page tables must not be in CR3 any more."""
        files = {area.file for area in self.areas if area.file}
        self._release(self.tables.unmap(0, STACK_END))
        self.areas.destroy()
        self.vm.forget(self)
        self.vm.close_shared_memory(files)

    # ---- system calls -------------------------------------------------------------------------------------------

    def brk(self, new: int) -> int:
        """Move the end of the heap to `new`, to the byte; the break that is in force then, changed or not."""
        record = self.record
        current = record[BRK]
        if not record[HEAP_START] <= new <= record[HEAP_MAX]:
            return current
        old_end, new_end = page_up(current), page_up(new)
        if new_end != old_end and not self._reserve(1):
            return current
        if new_end > old_end:
            if self.areas.between(old_end, new_end):
                return current
            self.areas.add(Area(old_end, new_end, PROT_READ | PROT_WRITE, _ANYBODYS))
        elif new_end < old_end:
            self._unmap(new_end, old_end)
        record[BRK], record[HEAP_END] = new, new_end
        return new

    def mmap(
        self, hint: int, length: int, prot: int, flags: int, file: File | None = None, offset: int = 0
    ) -> int | Errno:
        """Map `length` bytes of `file` from `offset` on, or zeros; the address.

        `flags` may be 0, as the seed's program has it: private and anonymous then, unless there is a `file`.
        """
        if not flags:
            flags = MAP_PRIVATE if file is not None else _ANYBODYS
        error = self._mmap_error(length, prot, flags, file, offset)
        if error is not None:
            return error
        at = self._choose(hint, page_up(length), flags)
        if isinstance(at, Errno):
            return at
        end = at + page_up(length)
        if not self._reserve(2):
            return Errno.ENOMEM
        if flags & MAP_ANONYMOUS:
            file = SharedMemory(f"shared memory of {self.name}", end - at) if flags & MAP_SHARED else None
            offset = 0
        number = self._open(file) if file is not None else 0
        if isinstance(number, Errno):
            return number
        if flags & MAP_FIXED:
            self._unmap(at, end)
        self.areas.add(Area(at, end, prot, flags & _KEPT_FLAGS, number, offset >> PAGE_SHIFT if number else 0))
        if flags & MAP_POPULATE and not self.populate(at, end):
            self._unmap(at, end)
            return Errno.ENOMEM
        return at

    def munmap(self, at: int, length: int) -> int:
        """Take away all pages from `at` on, mapped or not; 0, EINVAL or ENOMEM."""
        end = at + page_up(length)
        if at & PAGE_SIZE - 1 or length <= 0 or not 0 <= at < end <= STACK_END:
            return Errno.EINVAL
        if not self._reserve(1):
            return Errno.ENOMEM
        self._unmap(at, end)
        return 0

    def mprotect(self, at: int, length: int, prot: int) -> int:
        """Change the rights of pages that must all be mapped; 0, EINVAL, ENOMEM or EACCES."""
        end = at + page_up(length)
        if at & PAGE_SIZE - 1 or length < 0 or prot & ~PROT_ALL:
            return Errno.EINVAL
        if not 0 <= at <= end <= STACK_END:
            return Errno.ENOMEM
        areas = self.areas.between(at, end)
        covered = at
        for area in areas:
            if area.start > covered:
                return Errno.ENOMEM
            covered = area.end
        if covered < end or not self._reserve(3):
            return Errno.ENOMEM
        if prot & PROT_WRITE and any(
            area.flags & MAP_SHARED and area.file and not self.vm.files.file(area.file).writable for area in areas
        ):
            return Errno.EACCES
        keep = ~(USER | NO_EXECUTE | (0 if prot & PROT_WRITE else WRITABLE))
        add = self.vm.entry_flags[prot] & ~WRITABLE  # a write will tell whether the page is the program's own
        for part in self.areas.remove(at, end):
            self.areas.add(part._replace(prot=prot))
            self.tables.rewrite(part.start, part.end, keep, add)
        self.vm.kernel.flush_tlb()
        return 0

    def add_stack(self, top_bytes: int = 0) -> int | Errno:
        """A stack that grows down from 0xC0000000, with at least `top_bytes` from the start; its end, or ENOMEM."""
        start = STACK_END - page_up(max(top_bytes, _FIRST_STACK_BYTES))
        if self.areas.between(start, STACK_END) or not self._reserve(1):
            return Errno.ENOMEM
        self.areas.add(Area(start, STACK_END, PROT_READ | PROT_WRITE, _ANYBODYS | MAP_GROWSDOWN))
        return STACK_END

    # ---- its memory, from the kernel ----------------------------------------------------------------------------

    def copy_in(self, at: int, count: int) -> bytes | Fault:
        """`count` bytes of the program's memory."""
        return copy_in(self, at, count)

    def copy_in_string(self, at: int, limit: int) -> bytes | Fault:
        """The bytes at `at` up to a NUL, without it; `limit` bytes if there is none among them."""
        return copy_in_string(self, at, limit)

    def copy_out(self, at: int, data: bytes) -> bool:
        """Write to the program's memory; False if it may not write there itself."""
        return copy_out(self, at, data)

    def populate(self, at: int, end: int) -> bool:
        """Bring in all pages of areas from `at` up to `end`; False if memory runs out, and nobody dies for it."""
        for area in self.areas.between(at, end):
            code = WRITE if area.prot & PROT_WRITE else 0
            for page in range(max(area.start, at), min(area.end, end) if area.prot else 0, PAGE_SIZE):
                outcome = settle(self, page, code, may_kill=False)
                if isinstance(outcome, Killed):
                    return False
        return True

    # ---- what there is ------------------------------------------------------------------------------------------

    def statistics(self) -> dict[str, int]:
        """Sizes in pages, but for `brk`."""
        record = self.record
        return {
            "size": sum(area.end - area.start for area in self.areas) >> PAGE_SHIFT,
            "resident": record[RESIDENT],
            "swapped": record[SWAPPED],
            "page_tables": len(self.tables.own_frames()),
            "areas": record[AREA_COUNT],
            "faults": record[FAULTS],
            "brk": record[BRK],
        }

    def maps(self) -> Iterator[str]:
        """The areas, as /proc/pid/maps has them."""
        for area in self.areas:
            kind = "s" if area.flags & MAP_SHARED else "p"
            name = "[stack]" if area.flags & MAP_GROWSDOWN else "[heap]" if area.start == HEAP_BASE else ""
            if area.file:
                name = self.vm.files.file(area.file).name
            offset = area.page << PAGE_SHIFT
            yield f"{area.start:08x}-{area.end:08x} {describe(area.prot)}{kind} {offset:08x} {name}".rstrip()

    def check(self) -> list[str]:
        """Contradictions between areas, page tables and the record, as sentences; none if all is well."""
        from hillemu.kernel.mm.space_check import check

        return check(self)

    # ---- pieces -------------------------------------------------------------------------------------------------

    def _mmap_error(self, length: int, prot: int, flags: int, file: File | None, offset: int) -> Errno | None:
        kind = flags & (MAP_SHARED | MAP_PRIVATE)
        if length <= 0 or kind not in (MAP_SHARED, MAP_PRIVATE) or prot & ~PROT_ALL or flags & ~MAP_KNOWN:
            return Errno.EINVAL
        if page_up(length) > STACK_END - PROGRAM_BASE:
            return Errno.ENOMEM
        if flags & MAP_ANONYMOUS:
            return None
        if flags & MAP_GROWSDOWN or offset & PAGE_SIZE - 1 or offset < 0:
            return Errno.EINVAL
        if file is None:
            return Errno.EBADF
        if offset + page_up(length) > 1 << 32:
            return Errno.EOVERFLOW
        if kind == MAP_SHARED and prot & PROT_WRITE and not file.writable:
            return Errno.EACCES
        return None

    def _choose(self, hint: int, size: int, flags: int) -> int | Errno:
        """Where a new mapping goes."""
        if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE):
            if hint & PAGE_SIZE - 1:
                return Errno.EINVAL
            if 0 <= hint < PROGRAM_BASE:
                return Errno.EPERM
            if hint < 0 or hint + size > STACK_END:
                return Errno.ENOMEM
            if flags & MAP_FIXED_NOREPLACE and self.areas.between(hint, hint + size):
                return Errno.EEXIST
            return hint
        hint = page_up(hint)
        if PROGRAM_BASE <= hint <= STACK_END - size and not self.areas.between(hint, hint + size):
            return hint
        at = self.areas.gap(size, self.record[MMAP_CURSOR], MMAP_END)
        if at < 0:
            at = self.areas.gap(size, MMAP_BASE, MMAP_END)
        if at < 0:
            return Errno.ENOMEM
        self.record[MMAP_CURSOR] = at + size
        return at

    def _open(self, file: File) -> int | Errno:
        while True:
            try:
                number = self.vm.files.open(file)
            except InvalidParameters as refused:
                self.vm.report(f"mmap: {refused}")
                return Errno.EINVAL
            if not isinstance(number, OutOfMemory):
                return number
            if not self.vm.reclaim.shrink(BATCH, direct_map_only=True):
                return Errno.ENOMEM

    def _reserve(self, count: int) -> bool:
        """Room for so many areas more."""
        while self.areas.reserve(count) is not None:
            if not self.vm.reclaim.shrink(BATCH, direct_map_only=True):
                return False
        return True

    def _unmap(self, at: int, end: int) -> None:
        parts = self.areas.remove(at, end)
        if not parts:
            return
        taken: list[int] = []
        for part in parts:
            taken += self.tables.unmap(part.start, part.end)
        self._release(taken)
        self.vm.kernel.flush_tlb()
        self.vm.close_shared_memory({part.file for part in parts if part.file})

    def _release(self, entries: Iterable[int]) -> None:
        """Give back the pages that these entries led to, in memory or in swap."""
        vm = self.vm
        owners, mask, release = vm.pmm.table.entries, self.tables.frame_mask, vm.pmm.release
        resident = swapped = 0
        for entry in entries:
            if entry & PRESENT:
                frame = Frame((entry & mask) >> PAGE_SHIFT)
                if entry & DIRTY and owners[frame] >> OWNER_SHIFT & 0xFF == _PAGE_CACHE:
                    vm.files.mark_changed(frame)
                release(frame)
                resident += 1
            elif vm.swap is not None:
                vm.swap.release(entry >> PAGE_SHIFT)
                swapped += 1
        self.record[RESIDENT] -= resident
        self.record[SWAPPED] -= swapped

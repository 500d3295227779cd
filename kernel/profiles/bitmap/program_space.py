"""A program's memory above 0x40000000: which ranges it may use, and how a page of them comes when it is touched.

No page is there before it is touched.  Then it is made from the program's file, as zeros, or from the swap store.  What
is outside the ranges, as the guard page below the stack's last one, ends the program; so does writing to what is
read-only, the program's text first of all.

Not modelled: the right to execute, which 32-bit paging does not have.
"""

from __future__ import annotations

from typing import NamedTuple

from hillemu.emu.i386.address import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, PhysAddr, VirtAddr, page_down, page_up
from hillemu.emu.i386.errorcodes import PageFaultError
from hillemu.kernel.mm.files import File
from hillemu.kernel.mm.outcomes import FILE, SIGKILL, SPURIOUS, SWAP, ZERO, Fault, FaultOutcome, Killed
from hillemu.kernel.mm.page_tables import ACCESSED, DIRTY, PRESENT, USER, WRITABLE
from hillemu.kernel.mm.protection import PROT_READ, PROT_WRITE, describe
from hillemu.kernel.profiles.bitmap.layout import BREAK_MOST, STACK_BYTES, STACK_END, USER_BASE
from hillemu.kernel.profiles.bitmap.paging import PageDirectory
from hillemu.kernel.profiles.bitmap.residents import CHANGED, Count, Residents
from hillemu.kernel.program_file import ProgramFile, Segment

_WRITE = PageFaultError.write.mask


class Region(NamedTuple):
    """Whole pages, `start` up to, not including, `end`, with the same rights."""

    start: VirtAddr
    end: VirtAddr
    prot: int
    name: str


class ProgramSpace:
    """The memory of one program, `name`, which runs `program` out of `file`."""

    def __init__(
        self, residents: Residents, directory: PageDirectory, program: ProgramFile, file: File, name: str
    ) -> None:
        self.residents, self.directory, self.name = residents, directory, name
        self._file, self._segments = file, program.segments
        self._parts = tuple(_region(segment, file.name) for segment in program.segments)
        at = VirtAddr(max(part.end for part in self._parts))
        self.heap = Region(at, at, PROT_READ | PROT_WRITE, "[heap]")
        self.stack = Region(VirtAddr(STACK_END - STACK_BYTES), STACK_END, PROT_READ | PROT_WRITE, "[stack]")
        self.break_ = at
        """Where the heap ends, to the byte."""

    @property
    def regions(self) -> tuple[Region, ...]:
        """All that the program may use, ascending."""
        return (*self._parts, self.heap, self.stack)

    # ---- page faults --------------------------------------------------------------------------------------------

    def fault(self, address: int, error_code: int) -> FaultOutcome:
        """Resolve a page fault at `address` (CR2) with the processor's `error_code`."""
        outcome = self._resolve(address, error_code)
        self.residents.count(Count.KILLED if isinstance(outcome, Killed) else Count.FAULTS)
        return outcome

    def _resolve(self, address: int, error_code: int) -> FaultOutcome:
        page, prot = page_down(address), self.prot_at(address)
        if not prot or (error_code & _WRITE and not prot & PROT_WRITE):
            return Killed(self._why(address, error_code, prot))
        entry = self.directory.entry(page)
        if entry & PRESENT:
            return SPURIOUS
        phys = self.residents.take()
        if not phys:
            return Killed(f"{self.name}: out of memory at 0x{address:08X}", SIGKILL)
        flags = PRESENT | USER | (WRITABLE if prot & PROT_WRITE else 0)
        # Used already: if it left before the instruction ran again, that instruction might never run.
        flags |= ACCESSED | DIRTY if error_code & _WRITE else ACCESSED
        if entry:
            content, outcome = self.residents.fetch(entry >> PAGE_SHIFT), SWAP
            flags |= CHANGED
        else:
            content = self.initial(page)
            outcome = FILE if any(content) else ZERO
        self.residents.memory.write(phys, content)
        if not self.residents.add(phys, self.directory, VirtAddr(page), flags):
            return Killed(f"{self.name}: out of memory: no page for a page table", SIGKILL)
        self.residents.count({SWAP: Count.FROM_SWAP, FILE: Count.FROM_FILE, ZERO: Count.ZEROED}[outcome])
        return outcome

    def initial(self, page: int) -> bytes:
        """What the page at `page` has when it comes for the first time."""
        content = bytearray(PAGE_SIZE)
        for segment in self._segments:
            first = max(segment.start, page)
            end = min(segment.start + segment.file_bytes, page + PAGE_SIZE)
            if first < end:
                data = self._file.read(segment.offset + first - segment.start, end - first)
                content[first - page : end - page] = data
        return bytes(content)

    def prot_at(self, address: int) -> int:
        """What the program may do at `address`; 0 is nothing.  On a page that segments share it is what either may."""
        prot = 0
        for region in self.regions:
            if region.start <= address < region.end:
                prot |= region.prot
        return prot

    def _why(self, address: int, error_code: int, prot: int) -> str:
        access = "write to" if error_code & _WRITE else "read of"
        if prot:
            return f"{self.name}: {access} read-only page 0x{page_down(address):08X} ({describe(prot)})"
        if self.stack.start - PAGE_SIZE <= address < self.stack.start:
            return f"{self.name}: {access} 0x{address:08X}, in the guard page below its stack"
        return f"{self.name}: {access} 0x{address:08X}, which is not the program's"

    # ---- system calls -------------------------------------------------------------------------------------------

    def brk(self, new: int) -> int:
        """Move the end of the heap to `new`; where it is then, changed or not."""
        if self.heap.start <= new <= self.heap.start + BREAK_MOST:
            end = VirtAddr(page_up(new))
            for at in range(end, self.heap.end, PAGE_SIZE):
                self.residents.release(self.directory, VirtAddr(at))
            self.heap, self.break_ = self.heap._replace(end=end), VirtAddr(new)
        return self.break_

    # ---- its memory, from the kernel ----------------------------------------------------------------------------

    def copy_in(self, at: int, count: int) -> bytes | Fault:
        """`count` bytes of the program's memory."""
        pieces = []
        while count > 0:
            here = min(count, PAGE_SIZE - (at & PAGE_MASK))
            phys = self._reach(at, 0)
            if isinstance(phys, Fault):
                return phys
            pieces.append(self.residents.memory.read(phys, here))
            at += here
            count -= here
        return b"".join(pieces)

    def copy_out(self, at: int, data: bytes) -> Fault | None:
        """Write to the program's memory, where it may do so itself."""
        done = 0
        while done < len(data):
            here = min(len(data) - done, PAGE_SIZE - (at + done & PAGE_MASK))
            phys = self._reach(at + done, _WRITE)
            if isinstance(phys, Fault):
                return phys
            self.residents.memory.write(phys, data[done : done + here])
            done += here
        return None

    def _reach(self, at: int, error_code: int) -> PhysAddr | Fault:
        """Where the byte at `at` lies, after a fault if it must; its page counts as used."""
        if not self.prot_at(at):
            return Fault(VirtAddr(at))  # kernel space is in this directory, too
        entry = self.directory.entry(at)
        if not entry & PRESENT or (error_code and not entry & WRITABLE):
            if isinstance(self.fault(at, error_code | USER), Killed):
                return Fault(VirtAddr(at))
            entry = self.directory.entry(at)
        slot = self.directory.slot(at)
        self.directory.words[slot] = entry | (ACCESSED | DIRTY if error_code else ACCESSED)
        return PhysAddr((entry & -PAGE_SIZE) + (at & PAGE_MASK))

    def destroy(self) -> None:
        """Give all pages back."""
        for at, _ in tuple(self.directory.entries(USER_BASE, 1 << 32)):
            self.residents.release(self.directory, at)


def _region(segment: Segment, name: str) -> Region:
    start, end = VirtAddr(page_down(segment.start)), VirtAddr(page_up(segment.end))
    return Region(start, end, segment.prot | PROT_READ, name)

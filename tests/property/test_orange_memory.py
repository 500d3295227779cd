"""Profile orange's MM against a plain model: dictionaries of pages, and a set of free frames.

The model knows nothing of lists and page tables.  What it says is compared with what a walk of the guest's page tables
finds, page by page, and with `check`.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from orange_memory import CountedFlushes, make_mm

from hillemu.emu.i386.address import PAGE_SIZE, VirtAddr
from hillemu.emu.i386.control import ControlState
from hillemu.emu.i386.outcomes import Mapped
from hillemu.emu.i386.paging import translate
from hillemu.kernel.profiles.orange.check import check
from hillemu.kernel.profiles.orange.memory_manager import MemoryManager, MmCount
from hillemu.kernel.profiles.orange.pf_list import Protection
from hillemu.kernel.profiles.orange.process_memory import Area, ProcessMemory, window_of

MIB = 1 << 20
FIRST_FREE, END = 0x50C, 0x7E0
"""Frames that can be handed out on a machine with 8 MB."""
BASES = (0x00508000, 0x00700000, 0x00C00000, *range(0x08000000, 0x40000000, 0x08000000), 0x3FFF0000, 0xFFE00000)
PLACES = st.builds(lambda base, page: base + page * PAGE_SIZE, st.sampled_from(BASES), st.integers(0, 400))
SIZES = st.one_of(st.integers(1, 8 * PAGE_SIZE), st.integers(1, 300 * PAGE_SIZE))
PROTECTIONS = st.sampled_from([Protection.READ_ONLY, Protection.READ_WRITE])


class OrangeModel(RuleBasedStateMachine):
    """One machine, rule by rule."""

    @initialize()
    def boot(self) -> None:
        self.flush = CountedFlushes()
        self.mm: MemoryManager = make_mm(8, flush=self.flush)
        self.free = set(range(FIRST_FREE, END))
        self.mapped: dict[int, tuple[int, Protection]] = {}
        """Page to frame, of what vm_alloc has mapped."""
        self.kept = {*range(FIRST_FREE), *range(END, 0x800)}
        """Pages that are mapped one to one for ever."""
        self.processes: dict[int, tuple[ProcessMemory, bytes]] = {}
        self.expected = dict.fromkeys(MmCount, 0)

    def first_fit(self, pages: int) -> int | None:
        for frame in sorted(self.free):
            if self.free.issuperset(range(frame, frame + pages)):
                return frame
        return None

    def take(self, linear: int, pages: int, protection: Protection) -> int | None:
        """Where the model puts it; None if it refuses."""
        page = linear // PAGE_SIZE
        used = self.kept | self.mapped.keys()
        if not used.isdisjoint(range(page, page + pages)):
            self.expected[MmCount.OVERLAPPING] += 1
            return None
        frame = self.first_fit(pages)
        if frame is None:
            self.expected[MmCount.EXHAUSTED] += 1
            return None
        for number in range(pages):
            self.mapped[page + number] = (frame + number, protection)
        self.free -= set(range(frame, frame + pages))
        self.expected[MmCount.ALLOCATED] += 1
        return frame

    @rule(linear=PLACES, size=SIZES, protection=PROTECTIONS)
    def alloc(self, linear: int, size: int, protection: Protection) -> None:
        if linear + size > 1 << 32:
            self.expected[MmCount.INVALID_ALLOC] += 1
            assert self.mm.vm_alloc(linear, size, protection) == 0
            return
        flushes = self.flush.count
        frame = self.take(linear, -(-size // PAGE_SIZE), protection)
        assert self.mm.vm_alloc(linear, size, protection) == (linear if frame is not None else 0)
        assert self.flush.count == flushes
        if frame is not None:
            assert self.mm.physical(linear) == frame * PAGE_SIZE

    @rule(linear=PLACES, size=SIZES)
    def give_back(self, linear: int, size: int) -> None:
        pages = range(linear // PAGE_SIZE, linear // PAGE_SIZE + -(-size // PAGE_SIZE))
        good = linear + size <= 1 << 32 and self.mapped.keys() >= set(pages)
        flushes = self.flush.count
        assert self.mm.vm_free(linear, size) == good
        self.expected[MmCount.FREED if good else MmCount.INVALID_FREE] += 1
        if good:
            assert self.flush.count > flushes, "the processor may remember where these pages were"
            self.free |= {self.mapped.pop(page)[0] for page in pages}

    @precondition(lambda self: self.mapped)
    @rule(data=st.data())
    def give_back_what_is_there(self, data: st.DataObject) -> None:
        page = data.draw(st.sampled_from(sorted(self.mapped)))
        if page * PAGE_SIZE < window_of(0) or page >= window_of(16) // PAGE_SIZE:
            count = 1
            while page + count in self.mapped and count < 64:
                count += 1
            self.give_back(page * PAGE_SIZE, count * PAGE_SIZE - data.draw(st.integers(0, PAGE_SIZE - 1)))

    @rule(linear=PLACES, size=st.integers(1, 40 * PAGE_SIZE), protection=PROTECTIONS)
    def protect(self, linear: int, size: int, protection: Protection) -> None:
        pages = range(linear // PAGE_SIZE, linear // PAGE_SIZE + -(-size // PAGE_SIZE))
        good = linear + size <= 1 << 32 and self.mapped.keys() >= set(pages)
        assert self.mm.vm_protect(linear, size, protection) == good
        if not good:
            self.expected[MmCount.INVALID_FREE] += 1
            return
        for page in pages:
            self.mapped[page] = (self.mapped[page][0], protection)

    @rule(slot=st.integers(0, 3), pages=st.integers(1, 40), start=st.integers(0, 2000), text=st.binary(max_size=5000))
    def make_process(self, slot: int, pages: int, start: int, text: bytes) -> None:
        if slot in self.processes:
            return
        code = Area(VirtAddr(0x40000000 + start * PAGE_SIZE), 2, False)
        areas = (code, Area(VirtAddr(0xBFFFFFFF + 1 - pages * PAGE_SIZE), pages, True))
        tables = {page >> 10 for area in areas for page in range(area.start >> 12, area.end >> 12)}
        frame = self.take(window_of(slot), 1 + len(tables) + 2 + pages, Protection.READ_WRITE)
        made = ProcessMemory.create(self.mm, slot, areas, lambda memory: memory.load(code.start, text))
        assert (made is None) == (frame is None)
        if made is not None and frame is not None:
            assert made.base == frame * PAGE_SIZE
            self.note_text(made)
            self.processes[slot] = (made, text)

    @precondition(lambda self: self.processes)
    @rule(data=st.data(), slot=st.integers(0, 3), note=st.binary(min_size=1, max_size=9))
    def fork(self, data: st.DataObject, slot: int, note: bytes) -> None:
        parent, text = self.processes[data.draw(st.sampled_from(sorted(self.processes)))]
        if slot in self.processes:
            return
        frame = self.take(window_of(slot), parent.pages, Protection.READ_WRITE)
        child = parent.fork(slot)
        assert (child is None) == (frame is None)
        if child is not None:
            self.note_text(child)
            self.processes[slot] = (child, text)
            top = 0xC0000000 - len(note)
            before = parent.copy_in(top, len(note))
            assert child.copy_in(top, len(note)) == before
            assert child.copy_out(top, note)
            assert (parent.copy_in(top, len(note)), child.copy_in(top, len(note))) == (before, note)

    @precondition(lambda self: self.processes)
    @rule(data=st.data())
    def end_process(self, data: st.DataObject) -> None:
        space, text = self.processes.pop(data.draw(st.sampled_from(sorted(self.processes))))
        assert space.copy_in(space.areas[0].start, len(text)) == text
        assert not space.copy_out(space.areas[0].start, b"x"), "its code is read-only"
        space.destroy()
        self.expected[MmCount.FREED] += 1
        first = space.window // PAGE_SIZE
        self.free |= {self.mapped.pop(page)[0] for page in range(first, first + space.pages)}

    def note_text(self, space: ProcessMemory) -> None:
        """The two pages of code, behind directory and tables, are read-only in the window, too."""
        first = space.window // PAGE_SIZE + space.pages - sum(area.pages for area in space.areas)
        for page in (first, first + 1):
            self.mapped[page] = (self.mapped[page][0], Protection.READ_ONLY)

    @invariant()
    def the_counts_agree(self) -> None:
        if hasattr(self, "mm"):
            assert self.mm.free_frames == len(self.free)
            assert {what: self.mm.count(what) for what in MmCount} == self.expected

    def teardown(self) -> None:
        if not hasattr(self, "mm"):
            return
        users = [mapping for space, _ in self.processes.values() for mapping in space.mappings()]
        assert check(self.mm, users) == []
        found = {at // PAGE_SIZE: entry for at, entry in self.mm.tables.mappings()}
        assert found.keys() == self.kept | self.mapped.keys()
        control = ControlState(cr0=0x80010011, cr3=0x100000)
        for page, (frame, protection) in self.mapped.items():
            walked = translate(self.mm.memory, VirtAddr(page * PAGE_SIZE), control)
            assert isinstance(walked, Mapped)
            assert walked.phys == frame * PAGE_SIZE
            assert walked.rights.writable == (protection is Protection.READ_WRITE)
        for space, text in self.processes.values():
            theirs = ControlState(cr0=0x80010011, cr3=space.cr3)
            for area in space.areas:
                walked = translate(self.mm.memory, area.start, theirs)
                assert isinstance(walked, Mapped)
                assert walked.rights.user
                assert walked.rights.writable == area.writable
            for page in (page for page in self.mapped if page < 0x40000):
                walked = translate(self.mm.memory, VirtAddr(page * PAGE_SIZE), theirs)
                assert isinstance(walked, Mapped), "the first GiB is the kernel's in every address space"
                assert walked.phys == self.mapped[page][0] * PAGE_SIZE
            kernel = translate(self.mm.memory, VirtAddr(0x501000), theirs)
            assert isinstance(kernel, Mapped)
            assert (kernel.phys, kernel.rights.user) == (0x501000, False)
            assert space.copy_in(space.areas[0].start, len(text)) == text


TestOrange = OrangeModel.TestCase
TestOrange.settings = settings(
    max_examples=45,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

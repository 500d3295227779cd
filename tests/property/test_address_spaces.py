"""Address spaces against a plain model: a dictionary of pages with their rights and their content.

Programs map, unmap, protect, fork, write and read, through the kernel and as a processor would: by the page walk of
`hillemu.emu.i386.paging`, which knows nothing of the kernel's tables but what lies in memory.  Memory is so short that
pages come and go all the time.  The machine takes more than 10,000 steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from kernel_spaces import MODULE_BASE, make_vm

from hillemu.emu.i386.address import PhysAddr, VirtAddr
from hillemu.emu.i386.control import Access
from hillemu.emu.i386.outcomes import Mapped, PageFault
from hillemu.emu.i386.paging import translate
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.memory_map import MemoryRegion
from hillemu.kernel.mm.outcomes import SIGBUS, SIGSEGV, Fault, Killed
from hillemu.kernel.mm.page_tables import ACCESSED, DIRTY
from hillemu.kernel.mm.protection import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_POPULATE,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
)
from hillemu.kernel.mm.replacement import Ageing, Clock
from hillemu.kernel.mm.swap import HostSwap

PAGE = 4096
ZEROS = bytes(PAGE)
BASE, PLACES = 0x003FA000, 14
"""Where fixed mappings go: across the border between two page tables."""
HEAP = 0x08000000
FILE_BYTES = 3 * PAGE + 100
FILE_PAGES = 4
USABLE_BYTES = 1600 << 10
NO_AIDS = Options(red_zones=False, poison=False)
MOST_SPACES, MOST_PAGES = 3, 40

READ_WRITE = PROT_READ | PROT_WRITE
RIGHTS = st.sampled_from([READ_WRITE] * 5 + [0, PROT_READ, PROT_READ | PROT_EXEC, PROT_WRITE])
WHO = st.integers(0, 5)
USES = st.sampled_from(["write", "write", "write", "read", "fetch", "kernel writes", "kernel reads"])


class Page(NamedTuple):
    """A page of the model: `content` is None while it shows page `shown` of a file or of shared memory."""

    prot: int
    content: bytes | None
    shown: tuple[Any, int] | None = None
    is_shared: bool = False


class Space(NamedTuple):
    """An address space and its model."""

    real: Any
    pages: dict[int, Page]

    def __repr__(self) -> str:
        return f"<{self.real.name}, {len(self.pages)} pages>"


class AddressSpaceModel(RuleBasedStateMachine):
    @initialize(pae=st.booleans(), policy=st.sampled_from([Clock, Ageing]))
    def build(self, pae: bool, policy: Any) -> None:
        regions = [MemoryRegion(1 << 20, USABLE_BYTES, 1)]
        self.made = make_vm(
            4 << 20, regions=regions, pae=pae, no_execute=pae, policy=policy, swap=HostSwap(2 << 20), debug=NO_AIDS
        )
        self.pae = pae
        self.vm = self.made.vm
        content = bytes(range(256)) * 49
        self.made.memory.write(PhysAddr(MODULE_BASE), content[:FILE_BYTES])
        self.file = self.vm.add_module("file", MODULE_BASE, FILE_BYTES)
        padded = content[:FILE_BYTES].ljust(FILE_PAGES * PAGE, b"\0")
        self.shown = {("file", page): padded[page * PAGE : (page + 1) * PAGE] for page in range(FILE_PAGES)}
        self.spaces: list[Space] = []
        self.number = self.steps = 0
        self.add_space(self.vm.create_space("first"), {})

    def add_space(self, real: Any, pages: dict[int, Page]) -> None:
        assert not isinstance(real, OutOfMemory)
        self.spaces.append(Space(real, pages))

    def pick(self, who: int) -> Space:
        return self.spaces[who % len(self.spaces)]

    def content_of(self, page: Page) -> bytes | None:
        """What a program sees there; None behind a file's end."""
        return page.content if page.shown is None else self.shown.get(page.shown)

    # ---- mapping ------------------------------------------------------------------------------------------------

    @rule(
        who=WHO, place=st.integers(-1, PLACES - 1), count=st.integers(1, 6), prot=RIGHTS,
        kind=st.sampled_from(["anonymous", "anonymous", "file", "shared file", "shared"]), first=st.integers(0, 3),
        populate=st.booleans(),
    )  # fmt: skip
    def mmap(self, who: int, place: int, count: int, prot: int, kind: str, first: int, populate: bool) -> None:
        space = self.pick(who)
        if len(space.pages) + count > MOST_PAGES:
            return
        flags = MAP_SHARED if "shared" in kind else MAP_PRIVATE
        flags |= (0 if "file" in kind else MAP_ANONYMOUS) | (MAP_FIXED if place >= 0 else 0)
        if populate and "file" not in kind:
            flags |= MAP_POPULATE
        file, offset = (self.file, first * PAGE) if "file" in kind else (None, 0)
        at = space.real.mmap(BASE + place * PAGE if place >= 0 else 0, count * PAGE - 7, prot, flags, file, offset)
        assert at > 0
        if place >= 0:
            assert at == BASE + place * PAGE
        else:
            assert not any(at + number * PAGE in space.pages for number in range(count)), "something is there already"
        self.number += 1
        for number in range(count):
            if "file" in kind:
                shown: Any = ("file", first + number)
            elif kind == "shared":
                shown = (self.number, number)
                self.shown[shown] = ZEROS
            else:
                shown = None
            space.pages[at + number * PAGE] = Page(prot, None if shown else ZEROS, shown, "shared" in kind)

    @rule(who=WHO, place=st.integers(0, PLACES - 1), count=st.integers(1, 3))
    def munmap(self, who: int, place: int, count: int) -> None:
        space = self.pick(who)
        assert space.real.munmap(BASE + place * PAGE, count * PAGE) == 0
        for number in range(count):
            space.pages.pop(BASE + (place + number) * PAGE, None)

    @rule(who=WHO, number=st.integers(0, 1000), count=st.integers(1, 4), prot=RIGHTS)
    def mprotect(self, who: int, number: int, count: int, prot: int) -> None:
        space = self.pick(who)
        start = self.page_at(space, number)
        touched = range(start, start + count * PAGE, PAGE)
        is_whole = all(at in space.pages for at in touched)
        assert space.real.mprotect(start, count * PAGE, prot) == (0 if is_whole else -12)
        for at in touched if is_whole else ():
            space.pages[at] = space.pages[at]._replace(prot=prot)

    @rule(who=WHO, size=st.integers(-1, 9 * PAGE))
    def brk(self, who: int, size: int) -> None:
        space = self.pick(who)
        got = space.real.brk(HEAP + size)
        if size < 0:
            return
        assert got == HEAP + size
        end = HEAP + size + PAGE - 1 & -PAGE
        for at in range(HEAP, HEAP + 10 * PAGE, PAGE):
            if at >= end:
                space.pages.pop(at, None)
            elif at not in space.pages:
                space.pages[at] = Page(READ_WRITE, ZEROS)

    # ---- programs -----------------------------------------------------------------------------------------------

    @rule(who=WHO)
    def fork(self, who: int) -> None:
        space = self.pick(who)
        if len(self.spaces) < MOST_SPACES:
            self.add_space(space.real.fork(), dict(space.pages))

    @rule(who=WHO)
    def exit(self, who: int) -> None:
        space = self.pick(who)
        if len(self.spaces) > 1:
            self.spaces.remove(space)
            space.real.destroy()

    @rule(frames=st.integers(1, 12))
    def reclaim(self, frames: int) -> None:
        before = self.made.pmm.free_frames
        assert self.made.pmm.free_frames - before <= self.vm.free_up(frames)

    # ---- using memory -------------------------------------------------------------------------------------------

    def page_at(self, space: Space, number: int) -> int:
        """Mostly a page that there is."""
        pages = sorted(space.pages)
        return pages[number % len(pages)] if pages and number % 16 else BASE + (number % PLACES - 1) * PAGE

    def expected(self, space: Space, at: int, access: Access) -> int:
        """0, or the signal that this access ends in."""
        page = space.pages.get(at & -PAGE)
        if page is None:
            return SIGSEGV
        allowed = page.prot & PROT_WRITE if access.write else page.prot
        if access.fetch and self.pae:
            allowed = page.prot & PROT_EXEC
        if not allowed:
            return SIGSEGV
        return 0 if self.content_of(page) is not None else SIGBUS

    def store(self, space: Space, at: int, data: bytes) -> None:
        """The model's memory after a write within one page."""
        page, offset = space.pages[at & -PAGE], at & PAGE - 1
        old = self.content_of(page)
        assert old is not None
        new = old[:offset] + data + old[offset + len(data) :]
        if page.is_shared:
            self.shown[page.shown] = new  # type: ignore[index]
        else:
            space.pages[at & -PAGE] = Page(page.prot, new)

    @rule(uses=st.lists(st.tuples(WHO, st.integers(0, 1000), st.integers(0, 90), USES), min_size=1, max_size=12))
    def programs_run(self, uses: list[tuple[int, int, int, str]]) -> None:
        for who, number, offset, use in uses:
            space = self.pick(who)
            at = self.page_at(space, number) + offset
            value = bytes([number & 0xFF, offset, who]) * (1 + number % 3)
            if use == "kernel writes":
                self.the_kernel_writes(space, at, value)
            elif use == "kernel reads":
                self.the_kernel_reads(space, at + 37 * number % PAGE, 23 * number % (3 * PAGE))
            else:
                self.a_processor_uses(space, at, value, Access(user=True, write=use == "write", fetch=use == "fetch"))

    def a_processor_uses(self, space: Space, at: int, value: bytes, access: Access) -> None:
        """Walk, fault, walk again: as often as a processor would."""
        signal = self.expected(space, at, access)
        control = self.made.control(space.real)
        for _ in range(3):
            outcome = translate(self.made.memory, VirtAddr(at), control, access)
            if isinstance(outcome, Mapped):
                break
            assert isinstance(outcome, PageFault)
            settled = space.real.fault(at, int(outcome.error_code))
            if isinstance(settled, Killed):
                assert settled.signal == signal, settled
                return
        assert isinstance(outcome, Mapped), outcome
        assert not signal, f"0x{at:08X} can be used: {outcome.explain()}"
        slot = space.real.tables.find(at)
        space.real.tables.words[slot] |= ACCESSED | (DIRTY if access.write else 0)
        if access.write:
            self.made.memory.write(outcome.phys, value)
            self.store(space, at, value)
        content = self.content_of(space.pages[at & -PAGE])
        assert self.made.memory.read(PhysAddr(outcome.phys & -PAGE), PAGE) == content

    def the_kernel_writes(self, space: Space, at: int, value: bytes) -> None:
        signal = self.expected(space, at, Access(user=True, write=True))
        assert space.real.copy_out(at, value) == (not signal)
        if not signal:
            self.store(space, at, value)

    def the_kernel_reads(self, space: Space, start: int, count: int) -> None:
        expected: bytes | Fault = b""
        at = start
        while at < start + count:
            if self.expected(space, at, Access(user=True)):
                expected = Fault(VirtAddr(at))
                break
            content = self.content_of(space.pages[at & -PAGE])
            assert content is not None
            assert isinstance(expected, bytes)
            expected += content[at & PAGE - 1 :][: start + count - at]
            at = (at & -PAGE) + PAGE
        assert space.real.copy_in(start, count) == expected

    # ---- always -------------------------------------------------------------------------------------------------

    @invariant()
    def everything_agrees(self) -> None:
        if not hasattr(self, "steps"):
            return
        self.steps += 1
        assert not self.made.reports, "somebody was killed, or a structure was misused"
        if self.steps % 10 == 0:
            assert self.made.check() == []
        if self.steps % 5 == 0:
            for space in self.spaces:
                self.compare_areas(space)

    def compare_areas(self, space: Space) -> None:
        """The areas cover what the model has, with its rights."""
        real = {}
        for area in space.real.areas:
            real.update(dict.fromkeys(range(area.start, area.end, PAGE), area.prot))
        assert real == {at: page.prot for at, page in space.pages.items()}

    def teardown(self) -> None:
        for space in getattr(self, "spaces", ()):
            space.real.destroy()
        if hasattr(self, "made"):
            assert self.made.check() == []
            left = {record.owner for _, record in self.made.pmm.table.used()}
            assert not left & {Owner.ANONYMOUS}, "pages have outlived their programs"
            assert not self.vm.swap.used


TestAddressSpaces = AddressSpaceModel.TestCase
TestAddressSpaces.settings = settings(
    max_examples=65,  # of some 160 steps each
    stateful_step_count=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)

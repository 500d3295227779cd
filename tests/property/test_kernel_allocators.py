"""The kernel's allocators against plain models: sets of frames, and byte ranges in a dictionary.

Each machine takes 10,000 steps and more; `check` verifies all structures along the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import Frame, PhysAddr, VirtAddr
from hillemu.kernel.errors import BadFree
from hillemu.kernel.mm.assembly import KernelMemory
from hillemu.kernel.mm.bitmap import Bitmap
from hillemu.kernel.mm.buddy import Buddy
from hillemu.kernel.mm.buddy_create import create
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import FrameRun, OutOfMemory
from hillemu.kernel.mm.memory_map import MemoryRegion

FRAMES = 192
RUNS = (FrameRun(Frame(1), Frame(50)), FrameRun(Frame(52), Frame(191)))
USABLE = {frame for run in RUNS for frame in run.frames()}
AT = PhysAddr(0x1000)
ORDERS = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 4, 5, 6])

STEPS = settings(
    max_examples=130,
    stateful_step_count=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class FrameModel(RuleBasedStateMachine):
    """Any frame allocator against the set of free frames, rule by rule."""

    blocks = Bundle("blocks")

    def __init__(self) -> None:
        super().__init__()
        self.free = set(USABLE)
        self.used: dict[int, int] = {}
        self.steps = 0

    @rule(target=blocks, order=ORDERS)
    def alloc(self, order: int) -> tuple[int, int]:
        got = self.allocate(order)
        if got is None:
            return -1, order
        block = range(got, got + (1 << order))
        assert got % (1 << order) == 0
        assert self.free.issuperset(block), "handed out, but not free"
        self.free.difference_update(block)
        self.used[got] = order
        return got, order

    @rule(block=consumes(blocks))
    def give_back(self, block: tuple[int, int]) -> None:
        frame, order = block
        if frame >= 0:
            self.release(frame, order)
            del self.used[frame]
            self.free.update(range(frame, frame + (1 << order)))

    @rule(frame=st.integers(-1, FRAMES + 1), order=st.integers(0, 7))
    def a_bad_free_is_refused(self, frame: int, order: int) -> None:
        if self.is_refused(frame, order):
            try:
                self.release(frame, order)
            except BadFree:
                return
            raise AssertionError(f"frame {frame}, order {order} was freed")

    @invariant()
    def the_structures_agree(self) -> None:
        self.steps += 1
        if self.steps % 10 == 0:
            assert self.findings() == []
            assert self.count_free() == len(self.free)

    def fits(self, order: int) -> bool:
        """Whether an aligned block of that order is free: the slow way."""
        size = 1 << order
        return any(self.free.issuperset(range(at, at + size)) for at in range(0, FRAMES, size))

    def is_refused(self, frame: int, order: int) -> bool:
        return self.used.get(frame) != order

    # What the machines below provide.
    allocate: Callable[[int], int | None]
    release: Callable[[int, int], None]
    findings: Callable[[], list[str]]
    count_free: Callable[[], int]


class BuddyModel(FrameModel):
    """Free blocks are always merged, so what fits by the set of frames is found; and it is the right one."""

    def __init__(self) -> None:
        super().__init__()
        self.buddy: Buddy = create(FakeMemory(0x4000), AT, RUNS, base=0, end=FRAMES, max_order=6)
        self.release = lambda frame, order: self.buddy.free(Frame(frame), order)
        self.findings = self.buddy.check

    def allocate(self, order: int) -> int | None:  # type: ignore[override]
        expected = self.expected(order)
        got = self.buddy.alloc(order)
        assert (None if isinstance(got, OutOfMemory) else got) == expected
        return expected

    def expected(self, order: int) -> int | None:
        """Of the maximal free blocks, the smallest sufficient order's lowest."""
        maximal: dict[int, int] = {}
        at = 0
        while at < FRAMES:
            size = next((1 << o for o in range(6, -1, -1) if at % (1 << o) == 0 and self.is_run(at, 1 << o)), 0)
            if size:
                maximal[at] = size
            at += size or 1
        sufficient = [(size, at) for at, size in maximal.items() if size >= 1 << order]
        return min(sufficient)[1] if sufficient else None

    def is_run(self, at: int, size: int) -> bool:
        return self.free.issuperset(range(at, at + size))

    def count_free(self) -> int:  # type: ignore[override]
        return self.buddy.free_frames


class BitmapModel(FrameModel):
    """What fits by the set of frames is found, wherever."""

    def __init__(self) -> None:
        super().__init__()
        self.bitmap = Bitmap.create(FakeMemory(0x4000), AT, RUNS, base=0, end=FRAMES)
        self.release = lambda frame, order: self.bitmap.free(Frame(frame), order)
        self.findings = self.bitmap.check

    def allocate(self, order: int) -> int | None:  # type: ignore[override]
        got = self.bitmap.alloc(order)
        assert isinstance(got, OutOfMemory) == (not self.fits(order))
        return None if isinstance(got, OutOfMemory) else got

    def is_refused(self, frame: int, order: int) -> bool:
        """A bitmap cannot tell how long a block was: only what is not all in use is refused."""
        in_use = USABLE - self.free
        return frame % (1 << order) != 0 or not in_use.issuperset(range(frame, frame + (1 << order)))

    def count_free(self) -> int:  # type: ignore[override]
        return self.bitmap.free_frames


class PmmModel(RuleBasedStateMachine):
    """References of blocks against a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        regions = [MemoryRegion(1 << 20, 3 << 20, 1)]
        self.kernel = KernelMemory.build(FakeMemory(4 << 20), regions)
        self.pmm = self.kernel.pmm
        self.total = self.pmm.free_frames
        self.held: dict[int, tuple[int, int]] = {}
        self.steps = 0

    @rule(order=ORDERS, owner=st.sampled_from([Owner.KERNEL, Owner.ANONYMOUS]), high=st.booleans())
    def alloc(self, order: int, owner: Owner, high: bool) -> None:
        got = self.pmm.alloc(order, owner, info=order, high=high)
        if not isinstance(got, OutOfMemory):
            assert got not in self.held
            self.held[got] = order, 1

    @rule(data=st.data())
    def hold(self, data: Any) -> None:
        if self.held:
            frame = data.draw(st.sampled_from(sorted(self.held)))
            order, count = self.held[frame]
            assert self.pmm.hold(Frame(frame)) == count + 1
            self.held[frame] = order, count + 1

    @rule(data=st.data())
    def release(self, data: Any) -> None:
        if self.held:
            frame = data.draw(st.sampled_from(sorted(self.held)))
            order, count = self.held.pop(frame)
            assert self.pmm.release(Frame(frame)) == count - 1
            if count > 1:
                self.held[frame] = order, count - 1

    @rule(frame=st.integers(-1, 1030), order=st.integers(0, 10))
    def free(self, frame: int, order: int) -> None:
        expected = self.held.get(frame) == (order, 1)
        try:
            self.pmm.free(Frame(frame), order)
        except BadFree:
            assert not expected
        else:
            assert expected, f"frame {frame}, order {order} was freed"
            del self.held[frame]

    @invariant()
    def the_structures_agree(self) -> None:
        self.steps += 1
        if self.steps % 25 == 0:
            assert self.pmm.check() == []
        if self.steps % 5 == 0:
            assert self.pmm.free_frames == self.total - sum(1 << order for order, _ in self.held.values())


SIZES = st.one_of(
    st.integers(0, 64), st.integers(1, 2048), st.sampled_from([2047, 2048, 2049, 4096, 4097]), st.integers(2049, 40_000)
)


class KmallocModel(RuleBasedStateMachine):
    """Contents and addresses against a dictionary of byte strings."""

    @initialize(red_zones=st.booleans(), poison=st.booleans())
    def build(self, red_zones: bool, poison: bool) -> None:
        self.reports: list[str] = []
        self.memory = KernelMemory.build(
            FakeMemory(3 << 20),
            [MemoryRegion(1 << 20, 2 << 20, 1)],
            debug=Options(red_zones, poison),
            report=self.reports.append,
        )
        # A small pool, so that its end is met: the rest is in use for ever.
        self.memory.pool.kmalloc_early(1_020_000)
        self.kmalloc = self.memory.kmalloc
        self.live: dict[int, bytes] = {}
        self.dead: set[int] = set()
        self.frames = self.memory.pmm.free_frames
        self.steps = 0

    def accept(self, at: int, size: int, content: bytes = b"") -> None:
        """A new allocation overlaps no other; fill it with what tells it from others."""
        if not at:
            assert size == 0 or "failed to allocate" in self.reports[-1]
            self.reports.clear()
            return
        assert at % 8 == 0
        for other, data in self.live.items():
            assert at + size <= other or other + len(data) <= at, f"{at:#x} overlaps {other:#x}"
        data = content[:size].ljust(size, bytes([at >> 3 & 0xFF]))
        self.memory.direct.write(VirtAddr(at), data)
        self.live[at] = data
        self.dead.discard(at)

    @rule(size=SIZES)
    def allocate(self, size: int) -> None:
        self.accept(self.kmalloc.kmalloc(size), size)

    @rule(size=SIZES)
    def allocate_zeroed(self, size: int) -> None:
        at = self.kmalloc.kzalloc(size)
        assert not at or self.memory.direct.read(at, size) == bytes(size)
        self.accept(at, size)

    @rule(size=st.integers(1, 3000), shift=st.integers(0, 13))
    def allocate_aligned(self, size: int, shift: int) -> None:
        at = self.kmalloc.kmalloc_aligned(size, 1 << shift)
        assert at % (1 << shift) == 0
        self.accept(at, size)

    @rule(data=st.data(), size=SIZES)
    def reallocate(self, data: Any, size: int) -> None:
        if not self.live:
            return
        at = data.draw(st.sampled_from(sorted(self.live)))
        content = self.live[at]
        other = self.kmalloc.krealloc(VirtAddr(at), size)
        if not other and size:
            self.reports.clear()
            assert self.memory.direct.read(VirtAddr(at), len(content)) == content
            return
        del self.live[at]
        if other != at:
            self.dead.add(at)
        kept = min(size, len(content))
        assert not other or self.memory.direct.read(other, kept) == content[:kept]
        self.accept(other, size, content)

    @rule(data=st.data())
    def free(self, data: Any) -> None:
        if self.live:
            at = data.draw(st.sampled_from(sorted(self.live)))
            content = self.live.pop(at)
            assert self.memory.direct.read(VirtAddr(at), len(content)) == content
            assert self.kmalloc.kfree(VirtAddr(at))
            self.dead.add(at)

    @rule(data=st.data())
    def free_again(self, data: Any) -> None:
        """A double free, or, when the table has forgotten the address, an unknown pointer."""
        if self.dead:
            at = data.draw(st.sampled_from(sorted(self.dead)))
            assert not self.kmalloc.kfree(VirtAddr(at))
            assert self.reports.pop().startswith("kfree: WARNING")

    @rule(offset=st.integers(1, 7))
    def free_the_middle(self, offset: int) -> None:
        if self.live:
            assert not self.kmalloc.kfree(VirtAddr(next(iter(self.live)) + offset))
            assert "unknown pointer" in self.reports.pop()

    @invariant()
    def the_structures_agree(self) -> None:
        self.steps += 1
        if self.steps % 10 == 0:
            assert self.memory.kmalloc.check() == []
            assert self.reports == []

    def teardown(self) -> None:
        if not hasattr(self, "live"):
            return
        for at in self.live:
            assert self.kmalloc.kfree(VirtAddr(at))
        assert self.memory.check() == []
        self.memory.caches.shrink()
        if self.memory.table.capacity == 1024:
            assert self.memory.pmm.free_frames == self.frames


TestBuddy = BuddyModel.TestCase
TestBuddy.settings = STEPS
TestBitmap = BitmapModel.TestCase
TestBitmap.settings = STEPS
TestPmm = PmmModel.TestCase
TestPmm.settings = STEPS
TestKmalloc = KmallocModel.TestCase
TestKmalloc.settings = STEPS

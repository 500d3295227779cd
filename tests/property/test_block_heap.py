"""The heap of profile `bitmap` against the plainest model: a list of blocks that is walked from its start."""

from __future__ import annotations

from bitmap_memory import HEAP_AT, HEAP_BASE, BitmapMemory
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hillemu.emu.i386.address import PAGE_SIZE
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.profiles.bitmap.block_heap import BlockHeap

SIZES = st.one_of(st.integers(1, 64), st.sampled_from([64, 128, 4068, 4080, 4084, 4088]), st.integers(1, 9000))


class PlainHeap:
    """What the document says, by looking at every block: [address, size, is_free], ascending."""

    def __init__(self) -> None:
        self.blocks: list[list[int]] = []
        self.end = int(HEAP_BASE)

    def kmalloc(self, size: int, pages: int) -> int:
        need = (size + 3) // 4 * 4
        best = self.smallest(need)
        if best is None:
            tail = self.blocks[-1] if self.blocks and self.blocks[-1][2] else None
            missing = need - tail[1] if tail else need + 12
            grown = (missing + PAGE_SIZE - 1) // PAGE_SIZE
            if grown > pages:
                return 0
            if tail is None:
                self.blocks.append([self.end, -12, 1])
            self.blocks[-1][1] += grown * PAGE_SIZE
            self.end += grown * PAGE_SIZE
            best = len(self.blocks) - 1
        at, room, _ = self.blocks[best]
        self.blocks[best] = [at, room, 0]
        if room - need >= 16:
            self.blocks[best : best + 1] = [[at, need, 0], [at + 12 + need, room - need - 12, 1]]
        return at + 12

    def smallest(self, need: int) -> int | None:
        best = None
        for number, (_, size, is_free) in enumerate(self.blocks):
            if is_free and size >= need and (best is None or size < self.blocks[best][1]):
                best = number
        return best

    def kfree(self, content: int) -> bool:
        for block in self.blocks:
            if block[0] + 12 == content and not block[2]:
                block[2] = 1
                merged: list[list[int]] = []
                for at, size, is_free in self.blocks:
                    if merged and is_free and merged[-1][2]:
                        merged[-1][1] += 12 + size
                    else:
                        merged.append([at, size, is_free])
                self.blocks = merged
                return True
        return False


class HeapModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.made = BitmapMemory(size_bytes=0x140000)
        self.made.scatter()
        self.made.pages.reclaim = lambda: self.made.heap.trim()
        self.plain = PlainHeap()
        self.contents: dict[int, bytes] = {}
        self.stamp = 0

    @rule(size=SIZES)
    def kmalloc(self, size: int) -> None:
        expected = self.plain.kmalloc(size, self.made.pages.free_pages)
        assert self.made.heap.kmalloc(size) == expected
        if expected:
            self.stamp += 1
            self.contents[expected] = self.stamp.to_bytes(4, "little") * ((size + 3) // 4)
            self.made.window.write(expected, self.contents[expected])

    @precondition(lambda self: self.contents)
    @rule(which=st.integers(0, 1 << 16), repeat=st.booleans())
    def kfree(self, which: int, repeat: bool) -> None:
        content = sorted(self.contents)[which % len(self.contents)]
        assert self.made.window.read(content, len(self.contents[content])) == self.contents.pop(content)
        assert self.made.heap.kfree(content)
        self.plain.kfree(content)
        if repeat:
            assert not self.made.heap.kfree(content), "freed twice"

    @rule(offset=st.integers(-8, 1 << 16))
    def kfree_of_anything(self, offset: int) -> None:
        content = HEAP_BASE + 4 * offset
        assert self.made.heap.kfree(content) == self.plain.kfree(content)
        self.contents.pop(content, None)

    @rule()
    def trim(self) -> None:
        self.given_back(self.made.heap.trim())

    @rule()
    def somebody_takes_every_page(self) -> None:
        taken = self.made.exhaust()
        while page := self.made.pages.alloc_page():
            taken.append(page)
        before = self.made.heap.window.top
        for page in taken:
            assert self.made.pages.free_page(page)
        self.given_back((self.plain.end - before) // PAGE_SIZE)

    def given_back(self, given: int) -> None:
        self.plain.end -= given * PAGE_SIZE
        if given:
            self.plain.blocks[-1][1] -= given * PAGE_SIZE
            if self.plain.blocks[-1][1] < 0:
                self.plain.blocks.pop()
        elif self.plain.blocks and self.plain.blocks[-1][2]:
            assert self.plain.blocks[-1][1] < PAGE_SIZE + 4

    @rule()
    def open_again(self) -> None:
        self.made.heap = BlockHeap(self.made.memory, HEAP_AT, self.made.window, self.made.reports.append, PLAIN)

    @invariant()
    def the_list_in_memory_is_the_models(self) -> None:
        assert [list(block) for block in self.made.list_in_memory()] == self.plain.blocks
        assert not self.made.check()


PLAIN = Options(red_zones=False, poison=False)
TestTheHeapIsThePlainOne = HeapModel.TestCase
TestTheHeapIsThePlainOne.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)

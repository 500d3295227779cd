"""Row B6: compaction: blocks behind handles move together, and what becomes of their contents and of the list."""

from __future__ import annotations

from typing import Any

import pytest
from bitmap_memory import HEAP_BASE, BitmapMemory
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hillemu.emu.i386.address import PhysAddr
from hillemu.kernel.errors import Corruption
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.profiles.bitmap.handles import Handles, TableWord

B = int(HEAP_BASE)
AT = PhysAddr(0x20300)
TABLE = 12 + 32 * 8
"""The first table of handles, with its header: it lies in front of all they lead to."""
AIDED = Options(red_zones=True, poison=True)


class Made(BitmapMemory):
    def __init__(self, aids: Any = None) -> None:
        super().__init__(aids=aids)
        self.scatter()
        self.handles = Handles(self.memory, AT, self.heap, self.reports.append)

    def fill(self, *sizes: int) -> list[int]:
        """Handles of these sizes, each filled with its number."""
        got = [self.handles.halloc(size) for size in sizes]
        for handle, size in zip(got, sizes, strict=True):
            self.window.write(self.handles.address(handle), bytes([handle]) * size)
        return got


@pytest.fixture
def made() -> Made:
    return Made()


def test_a_handle_leads_to_a_block_of_the_heap(made: Made) -> None:
    handle = made.handles.halloc(100)
    assert handle == 1
    assert made.handles.address(handle) == B + TABLE + 12
    entries = made.memory.u32(PhysAddr(AT + 4 * TableWord.ENTRIES))
    assert (entries, made.u32(entries + 8), made.u32(entries + 12)) == (B + 12, B + TABLE + 12, 0)


def test_compaction_by_hand(made: Made) -> None:
    """A hole of 100, a movable 40, a hole of 60, a movable 20, then what is free: all free bytes become one block."""
    a, b, c, d = made.fill(100, 40, 60, 20)
    made.handles.hfree(a)
    made.handles.hfree(c)
    rest = made.heap.largest_free
    done = made.handles.compact()
    assert (done.blocks, done.moved_bytes) == (2, 60)
    assert (done.largest_before, done.largest_after) == (rest, rest + 100 + 12 + 60 + 12)
    assert str(done) == f"compaction: 2 blocks moved (60 bytes), largest free block {rest} -> {rest + 184} bytes"
    assert made.list_in_memory()[1:] == [(B + TABLE, 40, 0), (B + TABLE + 52, 20, 0), (B + TABLE + 84, rest + 184, 1)]
    assert made.handles.address(b) == B + TABLE + 12
    assert made.handles.address(d) == B + TABLE + 64
    assert made.window.read(made.handles.address(b), 40) == bytes([b]) * 40
    assert made.window.read(made.handles.address(d), 20) == bytes([d]) * 20
    assert not made.check()
    assert not made.handles.check()


def test_what_is_locked_and_what_has_no_handle_stays(made: Made) -> None:
    a, b, c, d, e = made.fill(100, 40, 60, 20, 30)
    fixed = made.heap.kmalloc(8)
    (f,) = made.fill(16)
    at = made.handles.lock(c)
    for handle in (a, d):
        made.handles.hfree(handle)
    made.handles.compact()
    assert made.handles.address(c) == at
    assert made.handles.address(b) == B + TABLE + 12, "moved to where a was"
    assert made.handles.address(e) == at + 60 + 12, "moved to where d was, behind the locked block"
    assert made.heap.block_of(fixed)
    made.handles.unlock(c)
    done = made.handles.compact()
    assert (made.handles.address(c), made.handles.address(e)) == (B + TABLE + 64, B + TABLE + 64 + 72)
    assert done.blocks == 2, "f cannot move: it lies right behind what has no handle"
    assert made.window.read(made.handles.address(f), 16) == bytes([f]) * 16


def test_compaction_makes_an_allocation_possible_that_was_not(made: Made) -> None:
    got = made.fill(*[1000] * 30)
    made.exhaust()
    for handle in got[::2]:
        made.handles.hfree(handle)
    made.heap.make_room = lambda: False
    assert made.handles.halloc(5000) == 0
    done = made.handles.compact()
    assert done.largest_before < 5000 <= 15 * 1012 - 12 <= done.largest_after
    assert made.handles.halloc(5000)
    assert not made.check()


def test_an_allocation_that_fails_for_fragments_compacts_and_tries_again(made: Made) -> None:
    got = made.fill(*[1000] * 30)
    made.exhaust()
    for handle in got[::2]:
        made.handles.hfree(handle)
    assert made.heap.largest_free < 5000
    assert made.heap.kmalloc(5000)
    assert made.handles.words[TableWord.COMPACTIONS] == 1
    assert made.heap.kmalloc(50_000) == 0, "and what cannot be found even so is NULL"
    assert made.handles.words[TableWord.COMPACTIONS] == 2
    for handle in got[1::2]:
        assert made.window.read(made.handles.address(handle), 1000) == bytes([handle]) * 1000
    assert not made.check()


def test_what_compaction_brings_together_at_the_end_needs_fewer_pages(made: Made) -> None:
    """The free block at the end, one page, and a hole of 1000 bytes that moves to the end: together it is enough."""
    got = made.fill(*[1000] * 4)
    tail = made.heap.largest_free
    taken = made.exhaust()
    made.handles.hfree(got[0])
    made.pages.free_page(taken[0])
    assert made.heap.kmalloc(tail + 4096 + 1000)
    assert made.pages.free_pages == 0


def test_a_second_compaction_moves_nothing(made: Made) -> None:
    got = made.fill(10, 20, 30, 40)
    made.handles.hfree(got[1])
    assert made.handles.compact().blocks == 2
    again = made.handles.compact()
    assert (again.blocks, again.moved_bytes, again.largest_before) == (0, 0, again.largest_after)
    assert made.handles.words[TableWord.COMPACTIONS] == 2
    assert made.handles.words[TableWord.MOVED] == 2


def test_the_table_grows_and_keeps_its_handles(made: Made) -> None:
    got = [made.handles.halloc(20) for _ in range(200)]
    assert sorted(got) == list(range(1, 201))
    assert made.handles.words[TableWord.CAPACITY] == 256
    assert len({made.handles.address(handle) for handle in got}) == 200
    assert sum(not is_free for _, _, is_free in made.list_in_memory()) == 201, "the smaller tables were freed"
    made.handles.hfree(77)
    assert made.handles.halloc(4) == 77, "the lowest that is free"
    assert not made.check()
    assert not made.handles.check()


def test_a_handle_that_gets_no_memory_is_0_and_nothing_is_lost(made: Made) -> None:
    made.handles.halloc(4)
    made.exhaust()
    before = made.list_in_memory()
    assert made.handles.halloc(5000) == 0
    assert made.list_in_memory() == before
    assert made.handles.halloc(0) == 0
    assert made.handles.halloc(4) == 2


def test_without_room_for_a_table_there_is_no_handle(made: Made) -> None:
    made.exhaust()
    assert made.handles.halloc(4) == 0
    assert not made.check()


@pytest.mark.parametrize(
    ("call", "handle", "words"),
    [
        ("hfree", 0, "hfree: ignored handle 0, which is none"),
        ("hfree", 32, "hfree: ignored handle 32, which is none"),
        ("lock", -1, "lock: ignored handle -1, which is none"),
        ("unlock", 7, "unlock: ignored handle 7, which is free"),
        ("unlock", 1, "unlock: ignored handle 1, which is not locked"),
        ("hfree", 2, "hfree: ignored handle 2, which is locked 2 times"),
        ("address", 3, "address: ignored handle 3, which leads to 0x30000158, where nothing is allocated"),
        ("hfree", 3, "hfree: ignored handle 3, which leads to 0x30000158, where nothing is allocated"),
    ],
)
def test_what_makes_no_sense_is_ignored_counted_and_reported(made: Made, call: str, handle: int, words: str) -> None:
    made.fill(20, 20, 20)
    made.handles.lock(2)
    made.handles.lock(2)
    made.heap.kfree(made.handles.address(3))
    before = made.list_in_memory()
    assert not getattr(made.handles, call)(handle)
    assert made.list_in_memory() == before
    assert made.reports == [words]
    assert made.handles.words[TableWord.REFUSED] == 1


def test_locks_are_counted(made: Made) -> None:
    (handle,) = made.fill(20)
    assert made.handles.lock(handle) == made.handles.lock(handle) == made.handles.address(handle)
    assert [made.handles.unlock(handle) for _ in range(3)] == [True, True, False]
    assert made.handles.hfree(handle)


def test_handles_that_are_there_already_are_opened_as_they_are(made: Made) -> None:
    got = made.fill(10, 20, 30)
    made.handles.hfree(got[1])
    again = Handles(made.memory, AT, made.heap)
    assert again.live() == [got[0], got[2]]
    assert again.halloc(4) == got[1]


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        ("entry", 0x12345678, "handle 1 leads to 0x12345678, where nothing is allocated"),
        ("entry", B + TABLE + 12 + 32, "handles 1 and 2 both lead to 0x30000138"),
        ("locks", 5, "handle 3 is free, but locked"),
        ("table", 0x1000, "handle_table.entries is 0x1000, not 0x3000000c"),
    ],
)
def test_whatever_is_overwritten_is_found(made: Made, where: str, value: int, words: str) -> None:
    made.fill(20, 20)
    assert not made.handles.check()
    if where == "table":
        made.memory.set_u32(PhysAddr(AT + 4 * TableWord.ENTRIES), value)
    else:
        made.set_u32(B + 12 + (8 if where == "entry" else 3 * 8 + 4), value)
    assert made.handles.check() == [f"heap: {words}"]
    made.handles.compact()
    made.handles.address(1)


def test_a_table_that_is_no_allocation_is_not_opened(made: Made) -> None:
    made.fill(20)
    made.memory.set_u32(PhysAddr(AT + 4 * TableWord.ENTRIES), B + 0x800)
    with pytest.raises(Corruption, match="the table is at 0x30000800, where nothing is allocated"):
        Handles(made.memory, AT, made.heap)


def test_fences_and_poison_hold_when_blocks_move() -> None:
    made = Made(aids=AIDED)
    got = made.fill(100, 40, 60, 20, 3000, 5000)
    for number in (0, 2, 4):
        made.handles.hfree(got[number])
    made.handles.compact()
    assert made.heap.kmalloc(8000)
    assert made.reports == []
    assert not made.check()


class HandleModel(RuleBasedStateMachine):
    """Whatever moves keeps its content, its locks and its place among the others; the list and the index agree."""

    def __init__(self) -> None:
        super().__init__()
        self.made = Made()
        self.live: dict[int, tuple[bytes, int]] = {}
        self.fixed: dict[int, bytes] = {}
        self.stamp = 0

    def content(self, size: int) -> bytes:
        self.stamp += 1
        return (self.stamp.to_bytes(4, "little") * (size // 4 + 1))[:size]

    @rule(size=st.integers(1, 300))
    def halloc(self, size: int) -> None:
        handle = self.made.handles.halloc(size)
        assert handle
        assert handle not in self.live
        self.live[handle] = self.content(size), 0
        self.made.window.write(self.made.handles.address(handle), self.live[handle][0])

    @rule(size=st.integers(1, 300))
    def kmalloc(self, size: int) -> None:
        at = self.made.heap.kmalloc(size)
        self.fixed[at] = self.content(size)
        self.made.window.write(at, self.fixed[at])

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0, 1 << 16), call=st.sampled_from(["hfree", "hfree", "lock", "unlock"]))
    def change(self, which: int, call: str) -> None:
        handle = sorted(self.live)[which % len(self.live)]
        content, locks = self.live[handle]
        done = bool(getattr(self.made.handles, call)(handle))
        if call == "lock":
            assert done
            self.live[handle] = content, locks + 1
        elif call == "unlock":
            assert done == (locks > 0)
            self.live[handle] = content, max(locks - 1, 0)
        else:
            assert done == (locks == 0)
            if done:
                del self.live[handle]

    @rule()
    def compact(self) -> None:
        addresses = {handle: self.made.handles.address(handle) for handle in self.live}
        free = self.made.heap.free_bytes + 12 * sum(1 for block in self.made.heap.blocks() if block.is_free)
        done = self.made.handles.compact()
        after = {handle: self.made.handles.address(handle) for handle in self.live}
        assert sorted(addresses, key=addresses.__getitem__) == sorted(after, key=after.__getitem__)
        assert all(after[handle] == addresses[handle] for handle, (_, locks) in self.live.items() if locks)
        assert all(after[handle] <= addresses[handle] for handle in self.live)
        assert done.blocks == sum(after[handle] != addresses[handle] for handle in self.live)
        assert free == self.made.heap.free_bytes + 12 * sum(1 for block in self.made.heap.blocks() if block.is_free)
        movable = {after[handle] for handle, (_, locks) in self.live.items() if not locks}
        for block in self.made.heap.blocks():
            assert not (block.is_free and block.after.content in movable), "it could have moved further"

    @invariant()
    def contents_are_kept(self) -> None:
        for handle, (content, _) in self.live.items():
            assert self.made.window.read(self.made.handles.address(handle), len(content)) == content
        for at, content in self.fixed.items():
            assert self.made.window.read(at, len(content)) == content
        assert not self.made.check()
        assert not self.made.handles.check()


TestCompactionKeepsEverything = HandleModel.TestCase
TestCompactionKeepsEverything.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)

"""Row B3: the heap of `block_header_t`: best fit, split, merge with both neighbours, growth by pages."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from bitmap_memory import FIRST_PAGE, HEAP_AT, HEAP_BASE, HEAP_END, SIZE_BYTES, BitmapMemory
from c_structures import Made, compile_facts

from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.kernel.errors import Corruption, InvalidParameters
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.profiles.bitmap.best_fit import best_fit
from hillemu.kernel.profiles.bitmap.block_heap import BlockHeap, HeapWord
from hillemu.kernel.profiles.bitmap.block_index import HEADER, Block

B = int(HEAP_BASE)
AIDED = Options(red_zones=True, poison=True)


@pytest.fixture
def made() -> BitmapMemory:
    return BitmapMemory()


def allocate(made: BitmapMemory, *sizes: int) -> list[int]:
    return [made.heap.kmalloc(size) for size in sizes]


def holes(made: BitmapMemory, *sizes: int) -> list[int]:
    """Free blocks of these sizes in this order, kept apart by allocations of 4 bytes; their contents' addresses."""
    got = []
    for size in sizes:
        got.append(made.heap.kmalloc(size))
        made.heap.kmalloc(4)
    for at in got:
        made.heap.kfree(at)
    return got


def counts(made: BitmapMemory) -> dict[str, int]:
    return {word.name: made.heap.words[word] for word in HeapWord if made.heap.words[word] and word > HeapWord.END}


def test_the_header_is_laid_out_as_gcc_does_it(tmp_path: Path, gcc_m32: str) -> None:
    text = "typedef struct header { unsigned size; unsigned char is_free; struct header* next; } t0;"
    _, (facts,) = compile_facts([Made(text, ("size", "is_free", "next"), ())], tmp_path, gcc_m32)
    assert facts.size_bytes == HEADER.size_bytes == 12
    assert facts.offsets == {name: HEADER.offset(name) for name in HEADER.members}


def test_a_list_by_hand(made: BitmapMemory) -> None:
    """Three allocations in the first page, then the middle one freed: every word, as the document draws it."""
    assert allocate(made, 100, 30, 8) == [B + 12, B + 124, B + 168]
    rest = 4096 - 4 * 12 - 100 - 32 - 8
    assert made.list_in_memory() == [(B, 100, 0), (B + 112, 32, 0), (B + 156, 8, 0), (B + 176, rest, 1)]
    assert made.heap.kfree(B + 124)
    assert made.list_in_memory() == [(B, 100, 0), (B + 112, 32, 1), (B + 156, 8, 0), (B + 176, rest, 1)]
    assert not made.check()


@pytest.mark.parametrize(("asked", "size"), [(1, 4), (4, 4), (5, 8), (13, 16), (1024, 1024)])
def test_sizes_are_rounded_up_to_four(made: BitmapMemory, asked: int, size: int) -> None:
    content = made.heap.kmalloc(asked)
    assert content % 4 == 0
    assert made.u32(content - 12) == size


def test_the_smallest_block_that_is_large_enough_is_taken(made: BitmapMemory) -> None:
    large, exact, small = holes(made, 200, 80, 40)
    assert allocate(made, 60, 40, 60) == [exact, small, large]


def test_of_blocks_of_one_size_the_lowest_is_taken(made: BitmapMemory) -> None:
    first, second, third = holes(made, 64, 64, 64)
    assert allocate(made, 64, 64, 64) == [first, second, third]
    made.heap.kfree(third)
    made.heap.kfree(first)
    assert allocate(made, 64) == [first], "not the one that was freed last or first, but the lowest"


@pytest.mark.parametrize(("asked", "split"), [(64, False), (52, False), (49, False), (48, True), (4, True)])
def test_a_block_is_split_if_a_header_and_four_bytes_are_left(made: BitmapMemory, asked: int, split: bool) -> None:
    (at,) = holes(made, 64)
    made.heap.kmalloc(asked)
    blocks = {header: (size, is_free) for header, size, is_free in made.list_in_memory()}
    need = asked + 3 & -4
    assert blocks[at - 12] == ((need if split else 64), 0)
    assert (blocks.get(at + need) == (64 - need - 12, 1)) == split
    assert not made.check()


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("abc", [(0, 16 + 12 + 20 + 12 + 24, 1)]),
        ("cba", [(0, 16 + 12 + 20 + 12 + 24, 1)]),
        ("acb", [(0, 16 + 12 + 20 + 12 + 24, 1)]),
        ("ab", [(0, 16 + 12 + 20, 1), (60, 24, 0)]),
        ("ba", [(0, 16 + 12 + 20, 1), (60, 24, 0)]),
        ("bc", [(0, 16, 0), (28, 20 + 12 + 24, 1)]),
        ("ac", [(0, 16, 1), (28, 20, 0), (60, 24, 1)]),
    ],
)
def test_what_is_freed_merges_with_both_neighbours(made: BitmapMemory, order: str, expected: list[Any]) -> None:
    contents = dict(zip("abc", allocate(made, 16, 20, 24), strict=True))
    made.heap.kmalloc(4)  # so that the rest of the page is no neighbour
    for name in order:
        made.heap.kfree(contents[name])
    found = [(header - B, size, is_free) for header, size, is_free in made.list_in_memory()][:-2]
    assert found == expected
    assert not made.check()


def test_a_heap_without_allocations_is_one_block(made: BitmapMemory) -> None:
    contents = allocate(made, 300, 5000, 8, 77, 4096)
    for content in (contents[3], contents[0], contents[4], contents[1], contents[2]):
        made.heap.kfree(content)
    ((header, size, is_free),) = made.list_in_memory()
    assert (header, size, is_free) == (B, made.heap.size_bytes - 12, 1)


def test_the_heap_grows_by_just_the_pages_that_are_missing(made: BitmapMemory) -> None:
    assert made.heap.size_bytes == 0, "no page before the first allocation"
    made.heap.kmalloc(4096 - 12)
    assert made.heap.size_bytes == 4096, "header and content are one page"
    made.heap.kmalloc(4)
    assert made.heap.size_bytes == 8192
    made.heap.kmalloc(8192)  # 4096 - 16 - 12 bytes are free at the end already
    assert made.heap.size_bytes == 4 * 4096
    assert not made.check()
    assert made.pages.free_pages == SIZE_BYTES // PAGE_SIZE - FIRST_PAGE - 4


def test_pages_that_lie_apart_make_one_heap(made: BitmapMemory) -> None:
    """Contiguity is by mapping: content and headers go across pages that are no neighbours in physical memory."""
    made.scatter()
    made.heap.kfree(made.heap.kmalloc(20_000))
    contents = allocate(made, 4080, 6000, 4090, 100)
    frames = [entry >> 12 for entry in made.mapper.mapped.values()]
    assert all(second != first + 1 for first, second in pairwise(frames))
    assert any((content - 12) & 0xFFF > 0xFF4 for content in contents), "a header in two pages is among them"
    for number, content in enumerate(contents):
        size = made.heap.block_of(content).size  # type: ignore[union-attr]  # it was just allocated
        made.window.write(content, bytes([number]) * size)
    assert not made.check()
    assert [made.u32(content) & 0xFF for content in contents] == [0, 1, 2, 3]
    for content in contents:
        made.heap.kfree(content)
    assert len(made.list_in_memory()) == 1


@pytest.mark.parametrize("size", [0, -1, HEAP_END - HEAP_BASE + 1, 0xFFFFFFFF, 1 << 40])
def test_what_cannot_be_is_null(made: BitmapMemory, size: int) -> None:
    assert made.heap.kmalloc(size) == 0
    assert counts(made) == ({"FAILED": 1} if size else {})
    assert len(made.reports) == bool(size)


def test_null_when_pages_run_out_and_nothing_has_changed(made: BitmapMemory) -> None:
    made.heap.kmalloc(100)
    before = made.list_in_memory(), made.pages.free_pages
    assert made.heap.kmalloc(made.pages.free_pages * PAGE_SIZE + 4096) == 0
    assert (made.list_in_memory(), made.pages.free_pages) == before
    assert "kmalloc: failed to allocate" in made.reports[-1]
    assert counts(made) == {"ALLOCATED": 1, "FAILED": 1}
    assert not made.check()


def test_null_when_no_page_can_be_mapped_and_the_pages_are_given_back(made: BitmapMemory) -> None:
    free = made.pages.free_pages
    made.mapper.left = 3
    assert made.heap.kmalloc(5 * PAGE_SIZE) == 0
    assert (made.pages.free_pages, made.mapper.mapped, made.list_in_memory()) == (free, {}, [])
    assert not made.check()


@pytest.mark.parametrize(
    ("offset", "kind", "words"),
    [
        (-12, "INTERIOR", "kfree: ignored 0x30000000, inside the 100 bytes at 0x3000000C"),
        (4, "INTERIOR", "kfree: ignored 0x30000010, inside the 100 bytes at 0x3000000C"),
        (112, "DOUBLE", "kfree: ignored 0x3000007C, which is free already"),
        (116, "DOUBLE", "kfree: ignored 0x30000080, which is free already"),
        (0x10000, "UNKNOWN", "kfree: ignored 0x3001000C, which is not in the heap"),
        (-0x3000000C + 0x1234, "UNKNOWN", "kfree: ignored 0x00001234, which is not in the heap"),
    ],
)
def test_a_bad_free_is_ignored_counted_and_reported(made: BitmapMemory, offset: int, kind: str, words: str) -> None:
    first, second = allocate(made, 100, 50)
    made.heap.kfree(second)
    before = made.list_in_memory()
    assert not made.heap.kfree(first + offset)
    assert made.list_in_memory() == before
    assert counts(made) == {"ALLOCATED": 2, "FREED": 1, kind: 1}
    assert made.reports == [words]


def test_freeing_null_is_no_fault(made: BitmapMemory) -> None:
    assert not made.heap.kfree(0)
    assert counts(made) == {}
    assert made.reports == []


@pytest.mark.parametrize("word", [0, 4, 5, 8], ids=["size", "is_free", "padding", "next"])
@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_a_header_that_was_overwritten_is_reported_and_the_heap_goes_on(
    made: BitmapMemory, which: int, word: int
) -> None:
    """`which`: the block that is freed, its free neighbours, or the free block that is taken."""
    contents = allocate(made, 40, 40, 40, 40, 4)
    made.heap.kfree(contents[0])
    made.heap.kfree(contents[2])
    damaged = contents[(1, 0, 2, 0)[which]] - 12
    phys = PhysAddr(made.window.phys(damaged + word))
    made.memory.write(phys, b"\x41\x41")
    assert [line for line in made.check() if f"the header at 0x{damaged:08X} is " in line]
    if which == 3:
        assert made.heap.kmalloc(40) == contents[0]
    else:
        assert made.heap.kfree(contents[1])
    assert len(made.reports) == 1
    assert f"heap: the header at 0x{damaged:08X} was overwritten: size=" in made.reports[0]
    assert "4141" in made.reports[0].split("was overwritten")[1].split("was size")[0]
    assert made.heap.words[HeapWord.OVERWRITTEN] == 1
    assert not made.check()


@pytest.mark.parametrize("freed", [True, False])
def test_the_last_header_is_compared_when_the_heap_grows(made: BitmapMemory, freed: bool) -> None:
    _, last = allocate(made, 100, 4096 - 12 - 112)
    if freed:
        made.heap.kfree(last)
    made.set_u32(last - 12, 7)
    made.heap.kmalloc(5000)
    assert made.heap.words[HeapWord.OVERWRITTEN] == 1
    assert not made.check()


def test_the_last_header_is_compared_when_the_heap_shrinks(made: BitmapMemory) -> None:
    _, last = allocate(made, 100, 20_000)
    made.heap.kfree(last)
    made.set_u32(last - 12 + 8, 0x41)
    assert made.heap.trim() == 4
    assert made.heap.words[HeapWord.OVERWRITTEN] == 1
    assert not made.check()


def test_a_header_in_two_pages_is_compared_too(made: BitmapMemory) -> None:
    made.heap.kfree(made.heap.kmalloc(5000))
    first, second = allocate(made, 4096 - 12 - 4, 100)
    assert (second - 12) & 0xFFF == 0xFFC
    made.set_u32(second - 12, 0xDEAD0000)
    assert made.heap.kfree(second)
    assert made.heap.words[HeapWord.OVERWRITTEN] == 1
    assert not made.check()
    assert made.heap.kfree(first)
    assert not made.check()


def test_headers_that_are_right_cost_no_second_look(made: BitmapMemory) -> None:
    """Of neighbours and of what is taken or freed, as long as they lie in one page each."""
    contents = allocate(made, *[100] * 8, 2000)

    def look(block: Block) -> None:
        raise AssertionError(f"{block} was as it should be")

    lists = best_fit(made.heap.index, made.window, look)
    by_address = made.heap.index.by_address
    for number in (1, 3, 2, 6, 8, 7):
        lists.release(by_address[contents[number] - 12])
    for need in (40, 200, 324, 60, 1000):
        assert lists.take(need)
    assert not made.check()


def test_a_heap_that_is_there_already_is_opened_as_it_is(made: BitmapMemory) -> None:
    """Everything that counts lies in guest memory: the index is made from the list."""
    contents = allocate(made, 100, 5000, 30)
    made.heap.kfree(contents[1])
    again = BlockHeap(made.memory, HEAP_AT, made.window)
    assert not again.check()
    assert [(one.at, one.size, one.is_free) for one in again.blocks()] == made.list_in_memory()
    assert again.kmalloc(4000) == contents[1]


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (B, 101, "the header at 0x30000000 is size=0x65"),
        (B, 0, "the header at 0x30000000 is size=0x0"),
        (B + 4, 2, "is_free=0x2"),
        (B + 8, B + 0x40, "a block is at 0x30000040, but the one before it ends at 0x30000070"),
        (B + 8, 0, "the list ends at 0x30000070, but its pages at 0x30001000"),
        (B + 0x70, 0x10000, "size=0x10000"),
    ],
)
def test_a_list_that_cannot_be_followed_is_not_opened(made: BitmapMemory, at: int, value: int, words: str) -> None:
    allocate(made, 100, 200)
    made.set_u32(at, value)
    with pytest.raises(Corruption) as error:
        BlockHeap(made.memory, HEAP_AT, made.window)
    assert words in str(error.value)


def test_a_heap_that_ends_elsewhere_than_its_pages_is_not_opened(made: BitmapMemory) -> None:
    allocate(made, 100)
    made.memory.set_u32(PhysAddr(HEAP_AT + 4 * HeapWord.END), B + 0x9000)
    assert made.check() == ["heap: heap.end is 0x30009000, not 0x30001000"]
    with pytest.raises(Corruption, match="it ends at 0x30009000, but its pages at 0x30001000"):
        BlockHeap(made.memory, HEAP_AT, made.window)


def test_trim_gives_back_the_pages_that_only_the_last_free_block_has(made: BitmapMemory) -> None:
    free = made.pages.free_pages
    contents = allocate(made, 100, 20_000)
    made.heap.kfree(contents[1])
    assert made.heap.trim() == 4
    assert made.list_in_memory() == [(B, 100, 0), (B + 112, 4096 - 124, 1)]
    assert made.pages.free_pages == free - 1
    assert made.heap.trim() == 0
    made.heap.kfree(contents[0])
    assert made.heap.trim() == 1
    assert (made.list_in_memory(), made.pages.free_pages, made.mapper.mapped) == ([], free, {})
    assert not made.check()
    assert allocate(made, 50) == [B + 12], "and it grows again"


def test_trim_leaves_a_last_block_that_is_in_use(made: BitmapMemory) -> None:
    allocate(made, 4096 - 12)
    assert made.heap.trim() == 0


def test_figures_of_the_heap(made: BitmapMemory) -> None:
    holes(made, 100, 300, 200)
    rest = 4096 - 7 * 12 - 600 - 3 * 4
    assert made.heap.free_bytes == 600 + rest
    assert made.heap.largest_free == rest
    assert made.heap.fragmentation == pytest.approx(600 / (600 + rest))
    assert made.heap.block_of(B + 12) is None
    empty = BitmapMemory().heap
    assert (empty.free_bytes, empty.largest_free, empty.fragmentation) == (0, 0, 0.0)


def test_an_index_that_is_wrong_is_found(made: BitmapMemory) -> None:
    holes(made, 100, 300)
    made.heap.index.by_size.pop()
    assert made.check() == ["heap: the index by size or by address does not have the blocks, and only those"]


def test_a_window_that_is_not_whole_pages_is_refused(made: BitmapMemory) -> None:
    with pytest.raises(InvalidParameters, match="0x30000001-0x30001000 is no range of pages"):
        made.new_window(VirtAddr(B + 1), VirtAddr(B + 0x1000))


@pytest.fixture
def aided() -> BitmapMemory:
    return BitmapMemory(aids=AIDED)


def test_a_write_behind_an_allocation_is_found_when_it_is_freed(aided: BitmapMemory) -> None:
    at, _ = allocate(aided, 100, 4)
    aided.window.write(at + 100, b"\x41")
    words = "written behind its bounds: 0x30000070-0x30000070 is 41"
    assert aided.check() == [f"heap: 108 bytes at 0x3000000C: {words}"]
    aided.heap.kfree(at)
    assert aided.reports == [f"kfree: OVERFLOW - 108 bytes at 0x3000000C, {words}"]


def test_a_write_into_free_memory_is_found_when_it_is_given_out(aided: BitmapMemory) -> None:
    at, _ = allocate(aided, 100, 4)
    aided.heap.kfree(at)
    aided.window.write(at + 20, b"\x41\x42")
    words = "written after it was freed: 0x30000020-0x30000021 is 41 42"
    assert aided.check() == [f"heap: 108 bytes at 0x3000000C: {words}"]
    assert aided.heap.kmalloc(100) == at
    assert aided.reports == [f"kmalloc: USE AFTER FREE - {words}"]


def test_each_aid_works_alone() -> None:
    fenced = BitmapMemory(aids=Options(red_zones=True, poison=False))
    at, _ = allocate(fenced, 100, 4)
    fenced.window.write(at + 100, b"\x41" * 9)
    fenced.heap.kfree(at)
    assert len(fenced.reports) == 1
    assert "OVERFLOW" in fenced.reports[0]
    assert fenced.window.read(at, 100) != b"\x6b" * 100

    poisoned = BitmapMemory(aids=Options(red_zones=False, poison=True))
    at, _ = allocate(poisoned, 100, 4)
    assert poisoned.u32(at - 12) == 100, "no room for a fence"
    poisoned.heap.kfree(at)
    poisoned.window.write(at, b"\x41")
    assert poisoned.heap.kmalloc(100) == at
    assert len(poisoned.reports) == 1
    assert "USE AFTER FREE" in poisoned.reports[0]


def test_merging_leaves_nothing_but_poison(aided: BitmapMemory) -> None:
    contents = allocate(aided, 100, 50, 60, 4)
    for content in contents[:3]:
        aided.window.write(content, b"\x11" * 40)
    for content in (contents[0], contents[2], contents[1]):
        aided.heap.kfree(content)
    size = aided.u32(B)
    assert aided.window.read(B + 12, size) == b"\x6b" * size
    assert aided.reports == []
    assert aided.heap.kmalloc(6000)
    aided.heap.kfree(contents[3])
    assert not aided.check()


def test_without_aids_memory_is_not_touched(made: BitmapMemory) -> None:
    (at,) = allocate(made, 16)
    made.window.write(at, b"0123456789abcdef")
    made.heap.kfree(at)
    assert made.heap.kmalloc(16) == at
    assert made.window.read(at, 16) == b"0123456789abcdef"


def test_a_memory_that_shows_no_buffer_gives_the_same_blocks(closed_memory: Any) -> None:
    made = BitmapMemory(memory=closed_memory(SIZE_BYTES))
    contents = allocate(made, 100, 5000, 30)
    assert made.heap.kfree(contents[0])
    assert [entry[1:] for entry in made.list_in_memory()][:3] == [(100, 1), (5000, 0), (32, 0)]
    assert not made.check()

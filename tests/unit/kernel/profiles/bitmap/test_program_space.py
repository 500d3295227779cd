"""A program's memory: which page comes from where, what is refused, and that pages which leave come back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hillemu.emu.guest import FakeGuest
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.kernel.mm.files import BytesFile
from hillemu.kernel.mm.frames import FrameRun
from hillemu.kernel.mm.outcomes import FILE, SPURIOUS, SWAP, ZERO, Fault, Killed
from hillemu.kernel.mm.swap import HostSwap
from hillemu.kernel.mm.words import words_from_zero
from hillemu.kernel.profiles.bitmap.layout import STACK_BYTES, STACK_END
from hillemu.kernel.profiles.bitmap.page_bitmap import PageBitmap
from hillemu.kernel.profiles.bitmap.paging import Paging
from hillemu.kernel.profiles.bitmap.program_space import ProgramSpace
from hillemu.kernel.profiles.bitmap.residents import STATISTICS, Count, Residents
from hillemu.kernel.program_file import ProgramFile, Segment
from hillemu.kernel.replacement_trace import POLICIES

RAM_BYTES = 4 << 20
STATISTICS_AT = PhysAddr(0x2000)
READ, WRITE, USER = 0, 2, 4
TEXT, DATA = 0x40000000, 0x40002000
FILE_BYTES = bytes(range(1, 256)) * 40
DATA_OFFSET, DATA_BYTES, DATA_MEMORY = 0x1800, 100, 3 * PAGE_SIZE


class Made:
    """A program of two segments: text of 5000 bytes, and data of which the file has 100 bytes."""

    def __init__(self, *, limit: int = 0, policy: str = "fifo", slots: int = 64, pages: int = 256) -> None:
        self.guest = FakeGuest(RAM_BYTES)
        memory = self.guest.memory
        run = FrameRun(0x200, 0x200 + pages)  # type: ignore[arg-type]
        self.pages = PageBitmap.create(memory, PhysAddr(0x1000), [run])
        words = words_from_zero(memory, RAM_BYTES, "I")
        self.paging = Paging(memory, words, self.pages, PhysAddr(0x180000), self.guest.flush_tlb)
        self.store = HostSwap(slots * PAGE_SIZE)
        self.residents = Residents(
            memory, self.paging, self.store, POLICIES[policy], limit=limit, statistics_at=STATISTICS_AT
        )
        program = ProgramFile(
            TEXT, (Segment(TEXT, 0, 5000, 5000, 5), Segment(DATA, DATA_OFFSET, DATA_BYTES, DATA_MEMORY, 3))
        )
        directory = self.paging.new_directory()
        assert directory is not None
        self.space = ProgramSpace(self.residents, directory, program, BytesFile("prog", FILE_BYTES), "prog[1]")

    def counts(self) -> dict[str, int]:
        return {name: int(value) for name, value in STATISTICS.read(self.guest.memory, STATISTICS_AT).items() if value}


@pytest.fixture
def made() -> Made:
    return Made()


def test_pages_of_the_file_hold_its_bytes_and_zeros_behind_them(made: Made) -> None:
    assert made.space.fault(TEXT + 0x1234, READ | USER) == FILE
    assert made.space.copy_in(TEXT + 0x1000, 0x1000) == FILE_BYTES[0x1000:5000] + bytes(0x2000 - 5000)
    assert made.space.copy_in(DATA, 200) == FILE_BYTES[DATA_OFFSET : DATA_OFFSET + DATA_BYTES] + bytes(100)
    assert made.space.fault(DATA + PAGE_SIZE, READ | USER) == ZERO
    assert made.counts() == {"faults": 3, "from_file": 2, "zeroed": 1}


def test_no_page_is_there_before_it_is_touched(made: Made) -> None:
    assert made.residents.places == {}
    made.space.fault(DATA, READ | USER)
    assert [place.at for place in made.residents.places.values()] == [DATA]


def test_what_the_kernel_can_do_without_goes_before_a_program_s_page() -> None:
    made = Made()
    assert made.space.fault(DATA + PAGE_SIZE, WRITE | USER) == ZERO
    kept = [made.pages.alloc_page() for _ in range(made.pages.free_pages)]
    made.pages.reclaim = lambda: made.pages.free_page(kept.pop())
    assert made.space.fault(DATA + 2 * PAGE_SIZE, WRITE | USER) == ZERO
    assert len(made.residents.places) == 2
    assert made.counts() == {"faults": 2, "zeroed": 2}, "nothing was evicted"


def test_what_lies_across_pages_is_read_and_written_as_one(made: Made) -> None:
    assert made.space.copy_out(DATA + PAGE_SIZE - 2, b"abcd") is None
    assert made.space.copy_in(DATA + PAGE_SIZE - 3, 6) == b"\0abcd\0"


@pytest.mark.parametrize(
    ("at", "code", "said"),
    [
        (TEXT, WRITE, "prog[1]: write to read-only page 0x40000000 (r-x)"),
        (DATA + DATA_MEMORY, READ, f"prog[1]: read of 0x{DATA + DATA_MEMORY:08X}, which is not the program's"),
        (STACK_END - STACK_BYTES - 1, WRITE, "prog[1]: write to 0xFFFEEFFF, in the guard page below its stack"),
        (STACK_END - STACK_BYTES - PAGE_SIZE - 1, WRITE, "prog[1]: write to 0xFFFEDFFF, which is not the program's"),
        (STACK_END, READ, "prog[1]: read of 0xFFFFF000, which is not the program's"),
        (0x10000, READ, "prog[1]: read of 0x00010000, which is not the program's"),
    ],
)
def test_what_a_program_may_not_touch_ends_it(at: int, code: int, said: str, made: Made) -> None:
    assert made.space.fault(at, code | USER) == Killed(said, 11)
    assert made.counts() == {"killed": 1}
    assert made.residents.places == {}


def test_the_kernel_reads_and_writes_for_a_program_only_what_it_may_itself(made: Made) -> None:
    assert made.space.copy_in(0x3FFFFFFF, 2) == Fault(VirtAddr(0x3FFFFFFF))
    assert made.space.copy_in(DATA + DATA_MEMORY - 1, 2) == Fault(VirtAddr(DATA + DATA_MEMORY))
    assert made.space.copy_out(TEXT, b"x") == Fault(VirtAddr(TEXT))
    made.space.fault(TEXT, READ | USER)
    assert made.space.copy_out(TEXT, b"x") == Fault(VirtAddr(TEXT)), "also when the page is there"
    assert made.space.copy_in(TEXT, 1) == FILE_BYTES[:1]


def test_a_fault_that_has_been_resolved_already_changes_nothing(made: Made) -> None:
    made.space.fault(DATA, WRITE | USER)
    before = made.pages.free_pages
    assert made.space.fault(DATA, WRITE | USER) == SPURIOUS
    assert made.pages.free_pages == before


def test_brk_moves_the_heap_s_end_to_the_byte_within_its_bounds(made: Made) -> None:
    start = DATA + DATA_MEMORY
    assert made.space.brk(0) == start
    assert made.space.brk(start + 5) == start + 5
    assert made.space.fault(start + 4095, WRITE | USER) == ZERO
    assert isinstance(made.space.fault(start + 4096, WRITE | USER), Killed)
    assert made.space.brk(start + (64 << 20) + 1) == start + 5
    free = made.pages.free_pages
    assert made.space.brk(start) == start
    assert made.pages.free_pages == free + 1
    assert isinstance(made.space.fault(start, READ | USER), Killed)


def test_a_changed_page_that_leaves_comes_back_from_swap(made: Made) -> None:
    made = Made(limit=6)
    made.space.copy_out(DATA, b"changed")
    for number in range(6):
        made.space.fault(STACK_END - 1 - number * PAGE_SIZE, WRITE | USER)
    entry = made.space.directory.entry(DATA)
    assert entry & 1 == 0
    assert entry >> 12 == 1, "the first place in swap"
    assert made.space.fault(DATA, READ | USER) == SWAP
    assert made.space.copy_in(DATA, 7) == b"changed"
    assert made.store.pages.keys() == {2}, "place 1 is free again, and the page that made room is in place 2"


def test_a_page_that_was_not_changed_leaves_without_a_trace_and_comes_from_the_file_again() -> None:
    made = Made(limit=6)
    made.space.fault(TEXT, READ | USER)
    for number in range(6):
        made.space.fault(STACK_END - 1 - number * PAGE_SIZE, WRITE | USER)
    assert made.space.directory.entry(TEXT) == 0
    assert "to_swap" not in made.counts()
    assert made.space.fault(TEXT, READ | USER) == FILE


def test_a_page_from_swap_that_was_only_read_is_not_lost_when_it_leaves_again() -> None:
    made = Made(limit=6)
    made.space.copy_out(DATA, b"changed")

    def push_out() -> None:
        for number in range(6):
            made.space.fault(STACK_END - 1 - number * PAGE_SIZE, WRITE | USER)

    for _ in range(3):
        push_out()
        assert made.space.copy_in(DATA, 7) == b"changed"


def test_without_swap_and_clean_pages_a_program_is_killed_for_memory() -> None:
    made = Made(limit=6, slots=0)
    outcomes = [made.space.fault(STACK_END - 1 - number * PAGE_SIZE, WRITE | USER) for number in range(7)]
    assert outcomes[:6] == [ZERO] * 6
    assert outcomes[6] == Killed("prog[1]: out of memory at 0xFFFF8FFF", 9)


def test_a_program_that_ends_leaves_no_page_and_no_place_in_swap() -> None:
    made = Made(limit=6)
    free = made.pages.free_pages
    for number in range(12):
        made.space.fault(STACK_END - 1 - number * PAGE_SIZE, WRITE | USER)
    made.space.destroy()
    assert made.residents.places == {}
    assert made.residents.swapped == 0
    assert made.store.pages == {}
    made.paging.drop_directory(made.space.directory)
    assert made.pages.free_pages == free + 1, "its directory as well"


def test_the_least_frames_go_first_out_under_fifo() -> None:
    made = Made(limit=6)
    order = [STACK_END - PAGE_SIZE * number for number in (3, 1, 7, 2, 9, 5)]
    for at in order:
        made.space.fault(at, WRITE | USER)
    for number, at in enumerate(order[:3]):
        made.space.fault(DATA + number * PAGE_SIZE, WRITE | USER)
        assert not made.space.directory.entry(at) & 1, f"number {number} came first and left first"


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(POLICIES)),
    st.integers(6, 12),
    st.lists(st.tuples(st.integers(0, 18), st.booleans(), st.integers(0, 255)), max_size=80),
)
def test_memory_is_a_plain_array_however_few_frames_there_are(
    policy: str, limit: int, accesses: list[tuple[int, bool, int]]
) -> None:
    """The oracle is a dictionary of bytes; pages 0 to 2 are data, 3 to 18 the stack."""
    made = Made(limit=limit, policy=policy)
    model: dict[int, int] = {}
    for page, is_write, value in accesses:
        at = DATA + page * PAGE_SIZE if page < 3 else STACK_END - (page - 2) * PAGE_SIZE
        initial = FILE_BYTES[DATA_OFFSET + 7] if page == 0 else 0
        if is_write:
            assert made.space.copy_out(at + 7, bytes((value,))) is None
            model[page] = value
        else:
            assert made.space.copy_in(at + 7, 1) == bytes((model.get(page, initial),))
        assert len(made.residents.places) <= limit
    assert made.pages.check(made.residents.places) == []


def test_policies_hear_of_every_page_that_comes() -> None:
    heard: list[int] = []

    class Listening:
        def __init__(self, pages: object) -> None: ...

        def added(self, frame: int) -> None:
            heard.append(frame)

        def victim(self) -> None:
            return None

    made = Made()
    residents = Residents(made.guest.memory, made.paging, made.store, Listening, limit=0, statistics_at=STATISTICS_AT)
    phys = residents.take()
    residents.add(phys, made.space.directory, VirtAddr(DATA), 7)
    assert heard == [phys >> 12]
    assert residents.counts[Count.FAULTS] == 0


def test_a_policy_that_names_what_cannot_go_does_not_stop_the_kernel() -> None:
    class Stubborn:
        def __init__(self, pages: object) -> None: ...

        def victim(self) -> int:
            return 0

    made = Made(limit=6)
    made.residents.policy = Stubborn(None)  # type: ignore[assignment]
    outcomes = [made.space.fault(STACK_END - 1 - number * PAGE_SIZE, WRITE | USER) for number in range(7)]
    assert isinstance(outcomes[6], Killed)

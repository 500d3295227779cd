"""Row H10: swap, page replacement by policies of all kinds, and who dies when nothing is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kernel_spaces import MODULE_BASE, make_vm

from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import Frame, PhysAddr
from hillemu.kernel.errors import Corruption, InvalidParameters
from hillemu.kernel.mm.counters import Event
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.outcomes import SIGKILL, SWAP, ZERO, Killed
from hillemu.kernel.mm.page_tables import ACCESSED, PRESENT
from hillemu.kernel.mm.protection import MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE
from hillemu.kernel.mm.replacement import Ageing, Clock, Pages
from hillemu.kernel.mm.swap import HostSwap, RamSwap, Swap

READ_WRITE = PROT_READ | PROT_WRITE
ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS
SWAP_BYTES = 16 << 20


class Fifo:
    """What a user would write: the page that came first goes first."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.queue: list[Frame] = []

    def added(self, frame: Frame) -> None:
        self.queue.append(frame)

    def victim(self) -> Frame | None:
        while self.queue:
            frame = self.queue.pop(0)
            if self.pages.is_program_page(frame):
                return frame
        return None


class Stubborn:
    """A bad policy: it names one frame for ever, and that cannot go."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages

    def victim(self) -> Frame | None:
        return Frame(1)


def content(number: int) -> bytes:
    return bytes([number & 0xFF, number >> 8]) * 2048


@pytest.mark.parametrize("policy", [Clock, Ageing, Fifo], ids=lambda policy: policy.__name__)
@pytest.mark.parametrize("pae", [False, True], ids=["32-bit", "PAE"])
def test_a_program_may_use_more_than_there_is(policy: Any, pae: bool) -> None:
    """8 MiB hold some 1,600 pages; the program fills 2,400 and finds them all again."""
    made = make_vm(pae=pae, policy=policy, swap=HostSwap(SWAP_BYTES))
    space = made.vm.create_space()
    at = space.mmap(0, 2400 * 4096, READ_WRITE, ANONYMOUS)
    for number in range(2400):
        assert space.copy_out(at + 4096 * number, content(number))
    statistics = space.statistics()
    assert statistics["swapped"] > 700
    assert statistics["resident"] + statistics["swapped"] == 2400
    assert made.check() == []
    for number in range(2400):
        assert space.copy_in(at + 4096 * number, 4096) == content(number)
    assert not made.reports
    counters = made.kernel_memory.counters
    assert counters[Event.PSWPOUT] - counters[Event.PSWPIN] == made.vm.swap.used
    space.destroy()
    assert made.vm.swap.used == 0
    assert made.check() == []


@pytest.mark.parametrize("policy", [Clock, Ageing], ids=lambda policy: policy.__name__)
def test_pages_in_use_stay_and_idle_ones_go(policy: Any) -> None:
    made = make_vm(policy=policy, swap=HostSwap(SWAP_BYTES))
    space = made.vm.create_space()
    at = space.mmap(0, 64 * 4096, READ_WRITE, ANONYMOUS)
    space.copy_out(at, b"x" * 64 * 4096)
    for page in range(64):  # everybody was used; now only every fourth is
        made.vm.reverse_map.was_accessed(frame_at(space, at + 4096 * page))
    for page in range(0, 64, 4):
        space.copy_in(at + 4096 * page, 1)
    assert made.vm.free_up(40) == 40
    kept = [page for page in range(0, 64, 4) if space.tables.entry(at + 4096 * page) & PRESENT]
    assert len(kept) == 16
    assert made.flushes, "the processor must set A bits anew"


def frame_at(space: Any, at: int) -> Frame:
    return Frame((space.tables.entry(at) & space.tables.frame_mask) >> 12)


def test_the_clock_goes_round_and_gives_a_second_chance() -> None:
    made = make_vm(swap=HostSwap(SWAP_BYTES))
    space = made.vm.create_space()
    at = space.mmap(0, 4 * 4096, READ_WRITE, ANONYMOUS)
    space.copy_out(at, b"x" * 4 * 4096)
    frames = sorted(frame_at(space, at + 4096 * page) for page in range(4))
    policy = made.vm.reclaim.policy
    assert policy.victim() == frames[0], "all were used: the first round clears, the second takes"
    assert not any(entry & ACCESSED for _, entry in space.tables.walk())
    made.vm.reclaim.evict(frames[0])
    assert policy.victim() == frames[1]
    space.tables.rewrite(at, at + 4 * 4096, ~0, ACCESSED)
    assert policy.victim() == frames[2], "all were used again: once round, and on from where it stood"


def test_a_shared_page_leaves_all_programs_and_comes_back_to_each() -> None:
    made = make_vm(swap=HostSwap(SWAP_BYTES))
    parent = made.vm.create_space("parent")
    at = parent.mmap(0, 4096, READ_WRITE, ANONYMOUS)
    parent.copy_out(at, b"shared")
    children = [parent.fork() for _ in range(3)]
    frame = frame_at(parent, at)
    assert sorted(name for name, _ in made.vm.holders(frame)) == ["child of parent"] * 3 + ["parent"]
    assert made.vm.reclaim.evict(frame)
    assert made.vm.swap.used == 1
    assert made.check() == []
    assert children[0].fault(at, 4) == SWAP
    children[0].copy_out(at, b"mine!!")
    children[1].destroy()
    assert [one.copy_in(at, 6) for one in (parent, children[0], children[2])] == [b"shared", b"mine!!", b"shared"]
    assert made.vm.swap.used == 0
    assert made.check() == []


def test_a_child_gets_what_is_in_swap() -> None:
    made = make_vm(swap=HostSwap(SWAP_BYTES))
    parent = made.vm.create_space("parent")
    at = parent.mmap(0, 8 * 4096, READ_WRITE, ANONYMOUS)
    parent.copy_out(at, b"abcdefgh" * 4096)
    assert made.vm.free_up(8) == 8
    child = parent.fork()
    assert child.statistics()["swapped"] == 8
    assert made.vm.swap.used == 8
    parent.destroy()
    assert child.copy_in(at, 8 * 4096) == b"abcdefgh" * 4096
    assert made.check() == []


def test_pages_of_files_go_without_swap_and_are_read_again() -> None:
    made = make_vm()
    made.memory.write(PhysAddr(MODULE_BASE), b"file" * 4096)
    file = made.vm.add_module("file", MODULE_BASE, 4 * 4096)
    space = made.vm.create_space()
    at = space.mmap(0, 4 * 4096, READ_WRITE, MAP_SHARED, file)
    space.copy_out(at + 4096, b"FILE")
    space.copy_in(at, 4 * 4096)
    assert made.vm.free_up(100) == 4
    assert file.read(4096, 8) == b"FILEfile", "what was changed was written back"
    assert made.check() == []
    assert space.copy_in(at + 4096, 8) == b"FILEfile"


def test_what_the_kernel_holds_and_what_has_no_other_place_stays() -> None:
    made = make_vm(swap=HostSwap(SWAP_BYTES))
    space = made.vm.create_space()
    at = space.mmap(0, 4096, READ_WRITE, ANONYMOUS)
    shared = space.mmap(0, 4096, READ_WRITE, ANONYMOUS & ~MAP_PRIVATE | MAP_SHARED)
    space.copy_out(at, b"x")
    space.copy_out(shared, b"x")
    held = frame_at(space, at)
    made.pmm.hold(held)
    assert made.vm.free_up(10) == 0
    made.pmm.release(held)
    assert made.vm.free_up(10) == 1
    assert space.copy_in(shared, 1) == b"x"
    assert not made.vm.reclaim.evict(Frame(0x100)), "the kernel's image"


def test_a_policy_that_insists_on_nonsense_is_not_asked_for_ever() -> None:
    made = make_vm(policy=Stubborn, swap=HostSwap(SWAP_BYTES))
    assert made.vm.free_up(1) == 0


class TestOutOfMemory:
    def fill(self, space: Any, pages: int) -> int:
        at = space.mmap(0, pages * 4096, READ_WRITE, ANONYMOUS)
        for number in range(pages):
            assert not isinstance(space.fault(at + number * 4096, 6), Killed)
        return int(at)

    def test_the_largest_program_dies_and_the_others_go_on(self) -> None:
        killed: list[tuple[str, str]] = []
        made = make_vm(kill=lambda victim, why: killed.append((victim.name, why)))
        small, large = made.vm.create_space("small"), made.vm.create_space("large")
        self.fill(large, made.pmm.free_frames - 200)
        self.fill(small, 400)
        assert [name for name, _ in killed] == ["large"]
        assert killed[0][1].startswith("out of memory: killed large (")
        assert "small needs a frame for 0x" in killed[0][1]
        assert made.reports == [killed[0][1]]
        assert list(made.vm.spaces.values()) == [small]
        assert made.kernel_memory.counters[Event.OOM_KILL] == 1
        assert made.check() == []

    def test_a_program_that_is_largest_itself_is_told_so(self) -> None:
        made = make_vm()
        space = made.vm.create_space("hog")
        at = space.mmap(0, 8 << 20, READ_WRITE, ANONYMOUS)
        outcomes = [space.fault(at + page * 4096, 6) for page in range(2048)]
        last = next(outcome for outcome in outcomes if isinstance(outcome, Killed))
        assert last.signal == SIGKILL
        assert last.reason.startswith("out of memory: killed hog")
        space.destroy()
        assert made.check() == []

    def test_swap_comes_first_and_a_full_one_does_not_hang(self) -> None:
        made = make_vm(swap=HostSwap(50 * 4096))
        space = made.vm.create_space("hog")
        room = made.pmm.free_frames
        at = space.mmap(0, 16 << 20, READ_WRITE, ANONYMOUS)
        settled = 0
        while not isinstance(space.fault(at + settled * 4096, 6), Killed):
            settled += 1
        assert made.vm.swap.used == 50
        assert room < settled + 10 < room + 60
        assert made.check() == []

    def test_another_policy_may_choose(self) -> None:
        made = make_vm(oom=lambda spaces: min(spaces, key=lambda space: space.statistics()["resident"]))
        small, large = made.vm.create_space("small"), made.vm.create_space("large")
        self.fill(small, 100)
        at = large.mmap(0, 8 << 20, READ_WRITE, ANONYMOUS)
        while small in made.vm.spaces.values():
            assert large.fault(at, 6) == ZERO
            at += 4096
        assert "killed small" in made.reports[0]


class TestSwapArea:
    def test_reserved_ram_keeps_pages_as_the_host_does(self) -> None:
        memory = FakeMemory(8 << 20)
        store = RamSwap(memory, PhysAddr(0x118000), 8 * 4096)
        made = make_vm(memory=memory, swap=store)
        space = made.vm.create_space()
        at = space.mmap(0, 10 * 4096, READ_WRITE, ANONYMOUS)
        space.copy_out(at, b"0123456789" * 4096)
        assert made.vm.free_up(10) == 8
        assert made.memory.read(PhysAddr(0x118000), 8 * 4096) != bytes(8 * 4096)
        assert space.copy_in(at, 10 * 4096) == b"0123456789" * 4096
        assert made.check() == []

    def test_a_place_that_nobody_uses_leads_nowhere(self) -> None:
        made = make_vm(swap=HostSwap(8 * 4096))
        space = made.vm.create_space()
        at = space.mmap(0, 4096, READ_WRITE, ANONYMOUS)
        space.copy_out(at, b"x")
        made.vm.free_up(1)
        space.tables.words[space.tables.find(at)] = 5 << 12
        assert any("place 5 has 0 references, but 1" in finding for finding in made.check())
        with pytest.raises(Corruption, match="place 5"):
            space.fault(at, 4)

    def test_places_are_used_again(self) -> None:
        made = make_vm()
        swap = Swap(made.vm.direct, made.pmm, HostSwap(3 * 4096))
        assert [swap.put(bytes([number]) * 4096, 1) for number in range(4)] == [1, 2, 3, 0]
        swap.hold(2)
        swap.release(2)
        assert swap.put(bytes(4096), 1) == 0
        swap.release(2)
        assert swap.put(b"z" * 4096, 1) == 2
        assert swap.get(2) == b"z" * 4096
        assert swap.check({1: 1, 2: 1, 3: 1}) == []

    def test_swap_without_memory_for_its_record_is_refused(self) -> None:
        made = make_vm()
        while made.pmm.free_frames:
            made.pmm.alloc(0, Owner.KERNEL)
        with pytest.raises(InvalidParameters, match="swap: no memory"):
            Swap(made.vm.direct, made.pmm, HostSwap(4096))


def test_the_policy_that_the_document_shows_works_as_it_is(root: Path) -> None:
    text = (root / "docs" / "kernel.md").read_text(encoding="utf-8")
    source = text[text.index("## A page-replacement policy of your own") :].split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(source, names)
    made = make_vm(policy=names["Fifo"], swap=HostSwap(SWAP_BYTES))
    space = made.vm.create_space()
    at = space.mmap(0, 4 * 4096, READ_WRITE, ANONYMOUS)
    for page in (2, 0, 3, 1):
        space.copy_out(at + 4096 * page, content(page))
    assert made.vm.free_up(2) == 2
    assert [bool(space.tables.entry(at + 4096 * page) & PRESENT) for page in range(4)] == [False, True, False, True]
    assert space.copy_in(at + 8192, 4096) == content(2)
    assert made.check() == []

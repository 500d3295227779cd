"""Kernel stacks on a guest without a processor."""

from __future__ import annotations

import pytest
from fake_kernel import FakeKernel, program

from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.emu.i386.control import ControlState
from hillemu.emu.i386.outcomes import Mapped, NotPresent
from hillemu.emu.i386.paging import translate
from hillemu.kernel.kernel_stacks import KernelStacks
from hillemu.kernel.layout import STACKS_BASE
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.frames import OutOfMemory


@pytest.fixture
def fake() -> FakeKernel:
    return FakeKernel({"prog": program()}, size_bytes=6 << 20)


@pytest.fixture
def stacks(fake: FakeKernel) -> KernelStacks:
    return fake.kernel.stacks


def taken(stacks: KernelStacks) -> int:
    got = stacks.take()
    assert not isinstance(got, OutOfMemory)
    return got


def test_a_stack_is_mapped_and_the_page_below_is_not(fake: FakeKernel, stacks: KernelStacks) -> None:
    at = taken(stacks)
    control = ControlState(0x80010011, fake.kernel.space.cr3, 0x10)
    assert isinstance(translate(fake.guest.memory, VirtAddr(at), control), NotPresent)
    walked = translate(fake.guest.memory, VirtAddr(at + PAGE_SIZE + 0x123 * 4), control)
    assert isinstance(walked, Mapped)
    assert walked.phys == 4 * stacks.word_index(at + PAGE_SIZE + 0x123 * 4)


def test_programs_see_the_stacks_that_were_made_after_them(fake: FakeKernel, stacks: KernelStacks) -> None:
    at = taken(stacks)
    control = ControlState(0x80010011, fake.cr3, 0x10)
    assert fake.cr3 != fake.kernel.space.cr3
    assert isinstance(translate(fake.guest.memory, VirtAddr(at + PAGE_SIZE), control), Mapped)


def test_what_is_given_back_is_given_out_again(stacks: KernelStacks) -> None:
    before = taken(stacks)
    stacks.give_back(before)
    assert taken(stacks) == before


def test_many_stacks_go_back_to_the_page_allocator(fake: FakeKernel, stacks: KernelStacks) -> None:
    pmm = fake.kernel.memory.pmm
    free = pmm.free_frames
    held = [taken(stacks) for _ in range(30)]
    assert held == sorted(held)
    assert held[0] == STACKS_BASE + 2 * PAGE_SIZE
    assert pmm.free_frames == free - 30
    for at in held:
        stacks.give_back(at)
    assert pmm.free_frames == free - 8
    stacks.free_spares()
    assert pmm.free_frames == free
    assert [taken(stacks) for _ in range(30)] == held


def test_running_out_leaves_nothing_behind(fake: FakeKernel, stacks: KernelStacks) -> None:
    pmm = fake.kernel.memory.pmm
    frames = []
    while not isinstance(frame := pmm.alloc(0, Owner.KERNEL), OutOfMemory):
        frames.append(frame)
    assert isinstance(stacks.take(), OutOfMemory)
    pmm.free(frames.pop())
    at = taken(stacks)
    assert pmm.free_frames == 0
    stacks.give_back(at)
    stacks.free_spares()
    assert pmm.free_frames == 1
    for frame in frames:
        pmm.free(frame)


def test_the_check_notices_a_mapped_guard_page_and_a_lost_frame(fake: FakeKernel, stacks: KernelStacks) -> None:
    at = taken(stacks)
    assert stacks.check() == []
    tables = fake.kernel.space.tables
    slot = tables.find(at + PAGE_SIZE)
    tables.words[slot - 1] = 0x1003
    assert stacks.check() == [f"stack: the guard page at 0x{at:08X} is mapped"]
    tables.words[slot - 1] = 0
    good, tables.words[slot] = tables.words[slot], 0x2003
    (told,) = stacks.check()
    assert told.startswith(f"stack: 0x{at + PAGE_SIZE:08X} leads to frame 0x2, not 0x")
    tables.words[slot] = good
    fake.kernel.memory.pmm.alloc(0, Owner.STACK)
    assert stacks.check() == ["stack: 3 stacks in the frame table, 2 known"]


def test_a_stack_s_words_are_found_by_their_addresses(fake: FakeKernel, stacks: KernelStacks) -> None:
    at = taken(stacks)
    fake.kernel.words[stacks.word_index(at + PAGE_SIZE + 8)] = 0xCAFE
    assert fake.kernel.read_virtual(at + PAGE_SIZE + 8, 2) == b"\xfe\xca"
    assert fake.kernel.read_virtual(at + 8, 2) is None
    assert stacks.word_index(0xC0001000) == 0x400
    assert fake.guest.memory.u32(PhysAddr(4 * stacks.word_index(at + PAGE_SIZE + 8))) == 0xCAFE

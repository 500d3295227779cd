"""Who has a save area for coprocessor registers, and which words the boot code's stub finds; the stub itself is tested
by tests/guest/programs/registers.c on the machine."""

from __future__ import annotations

import struct

import pytest
from fake_kernel import FakeKernel, program

from hillemu.emu.i386.vectors import NM
from hillemu.kernel.coprocessor import FNSAVE, FXSAVE, NONE
from hillemu.kernel.errno import Errno
from hillemu.kernel.process import FPU, Process
from hillemu.kernel.trap_frame import CS, USER_CODE

FORK, EXIT, EXECVE, YIELD = 2, 1, 11, 158


class Coprocessor:
    """A fake kernel with one program, and the words that the stub looks at."""

    def __init__(self, kind: int) -> None:
        self.fake = FakeKernel({"prog": program()})
        self.kernel = self.fake.kernel
        self.set("fpu_kind", kind)

    def set(self, name: str, value: int) -> None:
        self.kernel.words[self.kernel.word_of(name)] = value

    def __getitem__(self, name: str) -> int:
        return self.kernel.words[self.kernel.word_of(name)]

    def first_instruction(self) -> None:
        assert self.kernel.words[self.fake.frame + CS] == USER_CODE
        self.fake.trap(self.fake.frame, NM)
        self.stub_returns()

    def stub_returns(self) -> None:
        """What fpu_switch does with the words, by its description."""
        if self["trap_fpu"] != self["fpu_ready"]:
            self.set("fpu_copy", 0)
            self.set("fpu_ready", self["trap_fpu"])
            self.set("fpu_owner", self["trap_fpu"] or self["fpu_owner"])

    def use_up_slabs(self) -> None:
        """No save area is to be had."""
        areas = self.kernel.memory.caches["fpu_state"]
        areas.alloc = lambda caller=0: 0  # type: ignore[method-assign,assignment,return-value]
        self.kernel.fpu._reclaim = lambda: 0


def area_of(process: Process) -> int:
    return process.record[FPU]


@pytest.mark.parametrize(
    ("kind", "at", "words"),
    [(FNSAVE, 0, (0xFFFF037F, 0xFFFF0000, 0xFFFFFFFF)), (FXSAVE, 0, (0x037F, 0, 0)), (FXSAVE, 24, (0x1F80,))],
)
def test_the_first_instruction_finds_the_state_after_fninit(kind: int, at: int, words: tuple[int, ...]) -> None:
    one = Coprocessor(kind)
    assert one["trap_fpu"] == area_of(one.fake.current) == 0
    one.first_instruction()
    area = area_of(one.fake.current)
    assert one["trap_fpu"] == one["fpu_owner"] == area
    assert area % 16 == 0
    raw = one.kernel.read_virtual(area + at, 4 * len(words))
    assert raw is not None
    assert struct.unpack(f"<{len(words)}I", raw) == words
    assert one.kernel.check() == []


def test_without_a_coprocessor_its_instructions_end_the_program() -> None:
    one = Coprocessor(NONE)
    one.first_instruction()
    assert "prog[1]: #NM device not available" in one.fake.said
    assert "was killed by signal 8 (SIGFPE)" in one.fake.said


def test_whoever_has_no_state_runs_with_the_coprocessor_locked() -> None:
    one = Coprocessor(FXSAVE)
    child = one.fake.call(FORK)
    one.first_instruction()
    area = area_of(one.fake.current)
    one.fake.call(YIELD)
    assert one.fake.current.pid == child
    assert one["trap_fpu"] == 0
    one.stub_returns()
    assert one["fpu_owner"] == area, "its registers stay where they are"
    one.fake.call(YIELD)
    assert one["trap_fpu"] == area


def test_a_child_gets_an_area_and_a_copy_of_the_registers() -> None:
    one = Coprocessor(FXSAVE)
    one.first_instruction()
    pid = one.fake.call(FORK)
    assert pid is not None
    child = one.kernel.processes.by_pid[pid]
    assert one["fpu_copy"] == area_of(child) not in (0, area_of(one.fake.current))
    assert one["fpu_ready"] != one["trap_fpu"] == area_of(one.fake.current), "the stub has to act"
    assert one.kernel.check() == []


def test_another_program_begins_without_state() -> None:
    one = Coprocessor(FXSAVE)
    one.first_instruction()
    space = one.fake.current.space
    assert space is not None
    at = 0xC0000000 - 4096
    assert space.copy_out(at, b"prog\0")
    one.fake.call(EXECVE, at, 0, 0)
    assert area_of(one.fake.current) == one["trap_fpu"] == one["fpu_owner"] == 0
    assert one["fpu_ready"] != 0, "the stub has to act"
    assert one.kernel.memory.caches["fpu_state"].active == 0


def test_the_area_of_a_process_that_ends_is_nobody_s() -> None:
    one = Coprocessor(FXSAVE)
    one.fake.call(FORK)
    one.first_instruction()
    old = area_of(one.fake.current)
    one.fake.call(EXIT, 0)
    assert one["fpu_owner"] == one["trap_fpu"] == 0
    assert one["fpu_ready"] != old, "whoever gets that place next has not got the registers yet"
    assert one.kernel.memory.caches["fpu_state"].active == 0
    one.stub_returns()
    one.first_instruction()  # the child's
    assert area_of(one.fake.current) == old, "the same place"
    assert one["fpu_owner"] == old
    assert one.kernel.check() == []


def test_without_memory_for_it_the_program_ends_and_says_why() -> None:
    one = Coprocessor(FXSAVE)
    one.use_up_slabs()
    one.first_instruction()
    assert "prog[1]: out of memory: it needs a page for its coprocessor registers" in one.fake.said
    assert "was killed by signal 9 (SIGKILL)" in one.fake.said


def test_a_fork_without_memory_for_it_leaves_nothing_behind() -> None:
    one = Coprocessor(FXSAVE)
    one.first_instruction()
    free = one.kernel.memory.pmm.free_frames
    one.use_up_slabs()
    assert one.fake.call(FORK) == Errno.ENOMEM
    assert list(one.kernel.processes.by_pid) == [1]
    assert one["fpu_copy"] == 0
    assert one.kernel.memory.pmm.free_frames in (free, free - 1), "a kernel stack is kept for the next"
    assert one.kernel.check() == []


def test_check_finds_areas_that_are_nobody_s() -> None:
    one = Coprocessor(FXSAVE)
    one.first_instruction()
    one.fake.current.record[FPU] = 0
    found = one.kernel.check()
    assert "fpu: 1 areas in use, 0 known to processes" in found
    assert any(sentence.startswith("fpu: the registers belong at 0xC") for sentence in found)

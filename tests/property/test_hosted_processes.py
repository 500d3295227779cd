"""Processes that fork, write, wait and end at random, against a plain model; everything is verified at every step."""

from __future__ import annotations

from typing import Any

import pytest
from fake_kernel import FakeKernel, program
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

EXIT, FORK, WAITPID, BRK, YIELD, MMAP2, MUNMAP = 1, 2, 7, 45, 158, 192, 91
HEAP, PAGES = 0x08000000, 4
ANY = 0xFFFFFFFF
_PROGRAM: list[bytes] = []

pages = st.integers(0, PAGES - 1)


class Model:
    """A process as a dictionary would have it."""

    def __init__(self, parent: int, memory: dict[int, int]) -> None:
        self.parent, self.memory = parent, memory
        self.status: int | None = None
        """Set when it has ended."""
        self.waits = False


class Processes(RuleBasedStateMachine):
    """Whoever runs makes the next call; who that is, is part of the model: a list of those that are ready."""

    @initialize(pae=st.booleans())
    def boot(self, pae: bool) -> None:
        if not _PROGRAM:
            _PROGRAM.append(program())
        # The first process only keeps the kernel up: it never ends, and nobody sees it end.
        self.fake = FakeKernel({"prog": _PROGRAM[0]}, append="paging=pae" if pae else "")
        assert self.fake.call(BRK, HEAP + PAGES * 4096) == HEAP + PAGES * 4096
        self.models = {1: Model(0, {})}
        self.ready = [1]

    @property
    def me(self) -> Model:
        return self.models[self.ready[0]]

    @rule(page=pages, value=st.integers(1, 0xFFFFFFFF))
    def write(self, page: int, value: int) -> None:
        space: Any = self.fake.current.space
        at = HEAP + 4096 * page
        assert space.copy_out(at, value.to_bytes(4, "little"))
        self.me.memory[page] = value

    @rule(page=pages)
    def touch(self, page: int) -> None:
        self.fake.fault(HEAP + 4096 * page + 8, 6)

    @precondition(lambda self: len(self.models) < 12)
    @rule()
    def fork(self) -> None:
        pid = self.fake.call(FORK)
        assert pid not in self.models
        self.models[pid] = Model(self.ready[0], dict(self.me.memory))
        self.ready.append(pid)

    @rule()
    def give_way(self) -> None:
        self.fake.call(YIELD)
        self.ready.append(self.ready.pop(0))

    @rule()
    def tick(self) -> None:
        self.fake.tick()
        self.ready.append(self.ready.pop(0))

    @precondition(lambda self: self.ready[0] != 1 and len(self.ready) > 1)
    @rule(code=st.integers(0, 255), by_fault=st.booleans())
    def end(self, code: int, by_fault: bool) -> None:
        pid = self.ready.pop(0)
        if by_fault:
            self.fake.fault(0, 6)
        else:
            self.fake.call(EXIT, code)
        status = 11 if by_fault else code << 8
        mine = self.models[pid]
        for child, model in list(self.models.items()):
            if model.parent == pid:
                model.parent = 0
                if model.status is not None:
                    del self.models[child]
        parent = self.models.get(mine.parent)
        if parent is None:
            del self.models[pid]
        elif parent.waits:
            parent.waits = False
            del self.models[pid]
            self.ready.append(mine.parent)
        else:
            mine.status = status

    @rule(may_block=st.booleans())
    def wait(self, may_block: bool) -> None:
        pid = self.ready[0]
        children = {number: model for number, model in self.models.items() if model.parent == pid}
        ended = [number for number, model in children.items() if model.status is not None]
        if may_block and children and not ended and len(self.ready) == 1:
            return  # nobody would be left to play
        result = self.fake.call(WAITPID, ANY, 0, 0 if may_block else 1)
        if not children:
            assert result == -10
        elif ended:
            assert result == ended[0]
            del self.models[ended[0]]
        elif may_block:
            assert result is None
            self.models[self.ready.pop(0)].waits = True
        else:
            assert result == 0

    @rule(length=st.integers(1, 6))
    def map_and_unmap(self, length: int) -> None:
        at = self.fake.call(MMAP2, 0, length * 4096, 3, 0x22, -1, 0)
        assert at is not None
        assert at > 0
        self.fake.fault(at, 6)
        assert self.fake.call(MUNMAP, at, length * 4096) == 0

    @invariant()
    def everybody_has_his_own_memory_and_all_is_sound(self) -> None:
        if not hasattr(self, "ready"):
            return
        by_pid = self.fake.kernel.processes.by_pid
        assert set(by_pid) == set(self.models)
        assert self.fake.current.pid == self.ready[0]
        for pid, model in self.models.items():
            assert by_pid[pid].parent == model.parent
            assert by_pid[pid].record[7] == (model.status or 0)
            space = by_pid[pid].space
            assert (space is None) == (model.status is not None)
            if space is not None:
                for page, value in model.memory.items():
                    assert space.copy_in(HEAP + 4096 * page, 4) == value.to_bytes(4, "little")
        assert self.fake.kernel.check() == []


@pytest.mark.parametrize("steps", [50])
def test_processes_against_a_model(steps: int) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(Processes, settings=settings(max_examples=12, stateful_step_count=steps, deadline=None))

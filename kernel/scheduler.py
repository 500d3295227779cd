"""Who runs in profile `hillson`: round robin, with processes that sleep, and a double-fault task to come back from.

A process may have trapped in ring 0 as well as in ring 3, so its frame is where its trap has put it.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.i386.tss import TSS_32
from hillemu.kernel.mm.words import Words
from hillemu.kernel.process import Process
from hillemu.kernel.process_base import State
from hillemu.kernel.round_robin import RoundRobin

_EIP, _EFLAGS, _ESP, _CR3 = (TSS_32[name][0] // 4 for name in ("eip", "eflags", "esp", "cr3"))


class Scheduler(RoundRobin[Process]):
    """`words` are the direct map's; ``trap_resume`` in the image is where a task continues by its frame."""

    def __init__(
        self,
        words: Words,
        word_of: Callable[[str], int],
        idle_cr3: int,
        trap_resume: int,
        now_ns: Callable[[], int],
    ) -> None:
        super().__init__(words, word_of, idle_cr3)
        self._trap_resume, self._now_ns = trap_resume, now_ns
        self._sleepers: list[Process] = []

    def block(self, state: State) -> None:
        if state is State.SLEEPING:
            assert self.current is not None
            self._sleepers.append(self.current)
        super().block(state)

    def remove(self, process: Process) -> None:
        super().remove(process)
        if process in self._sleepers:
            self._sleepers.remove(process)

    def tick(self) -> None:
        """A tick has passed: wake who has slept enough, and give the next one a turn."""
        if self._sleepers:
            now = self._now_ns()
            due = sorted((one for one in self._sleepers if one.wake_ns <= now), key=lambda one: (one.wake_ns, one.pid))
            for process in due:
                self._sleepers.remove(process)
                self.add(process)
        self.yield_()

    def use_space_of_current(self) -> None:
        """The running process has another address space: return with that."""
        assert self.current is not None
        assert self.current.space is not None
        self._words[self._trap_cr3] = self.current.space.cr3

    def leave_double_fault(self, own_frame: int) -> None:
        """Whoever was chosen runs on when the double-fault task, whose frame this is, returns to the one in `tss`."""
        words = self._words
        words[self._tss + _EIP], words[self._tss + _EFLAGS] = self._trap_resume, 2
        words[self._tss + _ESP] = words[self._trap_frame]
        words[self._tss + _CR3] = words[self._trap_cr3]
        words[self._trap_frame] = own_frame

    def faulted(self) -> tuple[int, int]:
        """EIP and ESP of the task that was interrupted by the double fault."""
        return self._words[self._tss + _EIP], self._words[self._tss + _ESP]

    def _save(self) -> None:
        super()._save()
        if self.current is not None:
            self.current.frame = self._words[self._trap_frame]

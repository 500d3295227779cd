"""Who runs: round robin over what is ready, a tick of the timer each; process 0, the idle loop, when nobody is.

Choosing means telling the boot code's stub which frame to return by: words of the image, ``trap_frame``, ``trap_cr3``,
``trap_fpu``, and ESP0 in the task-state segment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from hillemu.emu.i386.tss import TSS_32
from hillemu.kernel.layout import KERNEL_BASE
from hillemu.kernel.mm.words import Words
from hillemu.kernel.process import FPU, Process, State

_ESP0, _EIP, _EFLAGS, _ESP, _CR3 = (TSS_32[name][0] // 4 for name in ("esp0", "eip", "eflags", "esp", "cr3"))


class Scheduler:
    """`words` are the direct map's; `idle_cr3` are the page tables of the idle loop."""

    def __init__(self, words: Words, symbols: Mapping[str, int], idle_cr3: int, now_ns: Callable[[], int]) -> None:
        self._words, self._now_ns = words, now_ns
        self._trap_frame, self._trap_cr3, self._trap_fpu, self._tss = (
            symbols[name] - KERNEL_BASE >> 2 for name in ("trap_frame", "trap_cr3", "trap_fpu", "tss")
        )
        self._trap_resume = symbols["trap_resume"]
        self.idle_cr3 = idle_cr3
        self.idle_frame = 0
        self.current: Process | None = None
        """Who runs, or ran when the trap came; None is the idle loop."""
        self._ready: deque[Process] = deque()
        self._sleepers: list[Process] = []
        self.switches = 0

    def add(self, process: Process) -> None:
        """`process` is ready, and waits for its turn."""
        process.state = State.READY
        self._ready.append(process)

    def yield_(self) -> None:
        """Whoever runs lets the others go first."""
        if not self._ready:
            return
        self._save()
        if self.current is not None:
            self._ready.append(self.current)
        self.switch()

    def block(self, state: State) -> None:
        """The running process waits for something."""
        self._save()
        assert self.current is not None
        self.current.state = state
        if state is State.SLEEPING:
            self._sleepers.append(self.current)
        self.switch()

    def remove(self, process: Process) -> None:
        """`process` will not run any more; if it runs now, `switch` must follow."""
        if process in self._ready:
            self._ready.remove(process)
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

    def switch(self) -> None:
        """Have the next one run, when the stub returns."""
        words = self._words
        self.current = process = self._ready.popleft() if self._ready else None
        self.switches += 1
        if process is None:
            words[self._trap_frame], words[self._trap_cr3] = self.idle_frame, self.idle_cr3
            words[self._trap_fpu] = 0
            return
        words[self._trap_frame] = process.frame
        words[self._trap_cr3] = process.space.cr3 if process.space else self.idle_cr3
        words[self._trap_fpu] = process.record[FPU]
        words[self._tss + _ESP0] = process.stack_top

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
        """Remember where the frame lies of whoever has trapped."""
        at = self._words[self._trap_frame]
        if self.current is None:
            self.idle_frame = at
        else:
            self.current.frame = at

"""Who runs: round robin over what is ready, a tick of the timer each; the idle loop when nobody is.

Choosing means telling the stub of boot/asm/kernel_traps.inc which frame to return by: words of the image,
``trap_frame``, ``trap_cr3``, ``trap_fpu``, and ESP0 in the task-state segment.  The coprocessor's registers belong to
whoever has used them; the words are those of `hillemu.kernel.fpu`, the areas lie in the table of processes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.tss import TSS_32
from hillemu.kernel.fpu import initial_state
from hillemu.kernel.mm.words import Words
from hillemu.kernel.process import State
from hillemu.kernel.profiles.orange.layout import PAGE_DIRECTORY
from hillemu.kernel.profiles.orange.process import FPU, Process

_ESP0 = TSS_32["esp0"][0] // 4
_NOT_READY = 1
"""In `fpu_ready`: whatever `trap_fpu` is, the stub has to act."""


class Scheduler:
    """`words` are those of low memory, where the image with these `symbols` lies."""

    def __init__(self, memory: GuestMemory, words: Words, symbols: Mapping[str, int]) -> None:
        self._memory, self._words = memory, words
        self._trap_frame, self._trap_cr3, self._tss = (symbols[name] >> 2 for name in ("trap_frame", "trap_cr3", "tss"))
        self._fpu_kind, self._trap_fpu, self._fpu_ready, self._fpu_owner, self._fpu_copy = (
            symbols[name] >> 2 for name in ("fpu_kind", "trap_fpu", "fpu_ready", "fpu_owner", "fpu_copy")
        )
        self.idle_frame = 0
        self.current: Process | None = None
        """Who runs, or ran when the trap came; None is the idle loop."""
        self._ready: deque[Process] = deque()
        self.switches = 0

    def add(self, process: Process) -> None:
        """`process` is ready, and waits for its turn."""
        process.state = State.READY
        self._ready.append(process)

    def yield_(self) -> None:
        """Whoever runs lets the others go first."""
        if not self._ready:
            return
        if self.current is None:
            self.idle_frame = self._words[self._trap_frame]
        else:
            self._ready.append(self.current)
        self.switch()

    def block(self, state: State) -> None:
        """The running process waits for something."""
        assert self.current is not None
        self.current.state = state
        self.switch()

    def remove(self, process: Process) -> None:
        """`process` will not run any more; if it runs now, `switch` must follow."""
        if process in self._ready:
            self._ready.remove(process)

    def switch(self) -> None:
        """Have the next one run, when the stub returns."""
        words = self._words
        self.current = process = self._ready.popleft() if self._ready else None
        self.switches += 1
        if process is None:
            words[self._trap_frame], words[self._trap_cr3], words[self._trap_fpu] = self.idle_frame, PAGE_DIRECTORY, 0
            return
        assert process.space is not None, "only zombies have no memory"
        words[self._trap_frame], words[self._trap_cr3] = process.frame, process.space.cr3
        words[self._trap_fpu] = process.record[FPU]
        words[self._tss + _ESP0] = process.stack_top

    # ---- the coprocessor --------------------------------------------------------------------------------------------

    @property
    def has_coprocessor(self) -> bool:
        return bool(self._words[self._fpu_kind])

    def first_use(self, process: Process) -> None:
        """`process`, which runs, has met #NM: let it have the coprocessor."""
        words = self._words
        if not process.record[FPU]:
            self._memory.write(process.fpu_area, initial_state(words[self._fpu_kind]))
            process.record[FPU] = process.fpu_area
        words[self._trap_fpu], words[self._fpu_ready] = process.record[FPU], _NOT_READY

    def fork_registers(self, parent: Process, child: Process) -> None:
        """`child` gets what the coprocessor's registers of `parent`, which runs, hold."""
        if parent.record[FPU]:
            child.record[FPU] = child.fpu_area
            self._words[self._fpu_copy], self._words[self._fpu_ready] = child.fpu_area, _NOT_READY

    def drop_registers(self, process: Process) -> None:
        """`process` has ended: the registers are not its own any more."""
        at = process.record[FPU]
        if at:
            process.record[FPU] = 0
            for word in (self._trap_fpu, self._fpu_owner, self._fpu_copy):
                if self._words[word] == at:
                    self._words[word] = 0
            self._words[self._fpu_ready] = _NOT_READY

"""Who runs, in every hosted kernel: round robin over what is ready, a tick of the timer each; else the idle loop.

Choosing means telling the stub of boot/asm/kernel_traps.inc which frame to return by: words of the image,
``trap_frame``, ``trap_cr3``, ``trap_fpu``, and ESP0 in the task-state segment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from hillemu.emu.i386.tss import TSS_32
from hillemu.kernel.mm.words import Words
from hillemu.kernel.process_base import ProcessBase, State

_ESP0 = TSS_32["esp0"][0] // 4
P = TypeVar("P", bound=ProcessBase[Any])


class RoundRobin(Generic[P]):
    """`word_of` says where in `words` a variable of the image lies; `idle_cr3` are the idle loop's page tables."""

    def __init__(self, words: Words, word_of: Callable[[str], int], idle_cr3: int) -> None:
        self._words = words
        self._trap_frame, self._trap_cr3, self._trap_fpu, self._tss = (
            word_of(name) for name in ("trap_frame", "trap_cr3", "trap_fpu", "tss")
        )
        self.idle_cr3 = idle_cr3
        self.idle_frame = 0
        self.current: P | None = None
        """Who runs, or ran when the trap came; None is the idle loop."""
        self._ready: deque[P] = deque()
        self.switches = 0

    def add(self, process: P) -> None:
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
        self.switch()

    def remove(self, process: P) -> None:
        """`process` will not run any more; if it runs now, `switch` must follow."""
        if process in self._ready:
            self._ready.remove(process)

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
        words[self._trap_fpu] = process.fpu
        words[self._tss + _ESP0] = process.stack_top

    def _save(self) -> None:
        """Remember where the frame of whoever has trapped lies, as far as that changes from trap to trap."""
        if self.current is None:
            self.idle_frame = self._words[self._trap_frame]

"""The coprocessor registers of processes, in every hosted kernel: whose they are, and when they are saved.

A process gets a save area with its first coprocessor instruction, which faults because CR0.TS is set (#NM); from then
on boot/asm/kernel_fpu.inc loads and saves the registers, by these words of the image::

    fpu_kind     0 no coprocessor, 1 areas as FNSAVE has them (108 bytes), 2 as FXSAVE (512 bytes)
    trap_fpu     the area of whoever goes on when the stub returns; 0: TS will be set
    fpu_ready    what trap_fpu was at the last return; if they differ, the stub acts
    fpu_owner    in whose area the registers belong that the processor has now; 0: in nobody's
    fpu_copy     an area that gets a copy of them at the next return; 0: none

So an area in memory is only as new as its owner's last turn; while its owner runs, the registers are ahead of it.  (The
switch of tasks at a double fault sets TS too.  That ends whoever ran, so nobody goes on for whom TS was clear.)

Source: Intel SDM Vol. 2A, "FSAVE/FNSAVE" and "FXSAVE" (layouts); Vol. 1, "Programming with the x87 FPU", for the state
after FNINIT, in which every program starts.
Not modelled: AVX and whatever else XSAVE would save; no processor model has it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from hillemu.kernel.mm.words import Words
from hillemu.kernel.process_base import ProcessBase

NONE, FNSAVE, FXSAVE = 0, 1, 2
AREA_BYTES = {FNSAVE: 108, FXSAVE: 512}
_NOT_READY = 1
"""In `fpu_ready`: whatever `trap_fpu` is, the stub has to act."""
_CONTROL, _STATUS, _TAGS = 0x037F, 0x0000, 0xFFFF
_MXCSR, _MXCSR_AT = 0x1F80, 24
P = TypeVar("P", bound=ProcessBase[Any])


class Coprocessor(ABC, Generic[P]):
    """Lets processes have the coprocessor; `word_of` says where in `words` a variable of the image lies."""

    def __init__(self, words: Words, word_of: Callable[[str], int]) -> None:
        self._words = words
        self._kind, self._trap_fpu, self._ready, self._owner, self._copy = (
            word_of(name) for name in ("fpu_kind", "trap_fpu", "fpu_ready", "fpu_owner", "fpu_copy")
        )

    @property
    def kind(self) -> int:
        """`NONE`, `FNSAVE` or `FXSAVE`, as the boot code has found it."""
        return self._words[self._kind]

    def first_use(self, process: P) -> bool:
        """`process`, which runs, needs the coprocessor: let it have one; False if there is no memory for its area."""
        if not process.fpu:
            at = self._new_area(process)
            if not at:
                return False
            self._write(at, initial_state(self.kind))
            process.fpu = at
        self._words[self._trap_fpu], self._words[self._ready] = process.fpu, _NOT_READY
        return True

    def fork(self, parent: P, child: P) -> bool:
        """`child` gets what the registers of `parent`, which runs, hold; False if there is no memory for its area."""
        if not parent.fpu:
            return True
        at = self._new_area(child)
        if not at:
            return False
        child.fpu = at
        self._words[self._copy], self._words[self._ready] = at, _NOT_READY
        return True

    def drop(self, process: P) -> None:
        """`process` has no coprocessor state any more: it has ended, or begins another program."""
        at = process.fpu
        if not at:
            return
        process.fpu = 0
        words = self._words
        for word in (self._trap_fpu, self._owner, self._copy):
            if words[word] == at:
                words[word] = 0
        words[self._ready] = _NOT_READY
        self._free_area(at)

    @abstractmethod
    def _new_area(self, process: P) -> int:
        """The address, for the kernel, of an area of 512 bytes, a multiple of 16; 0 if there is no memory."""

    @abstractmethod
    def _free_area(self, at: int) -> None:
        """Nobody needs the area at `at` any more."""

    @abstractmethod
    def _write(self, at: int, data: bytes) -> None:
        """Write to the area at `at`."""


def initial_state(kind: int) -> bytes:
    """An area with the state after FNINIT and, for `FXSAVE`, all SSE exceptions masked.

    >>> [len(initial_state(kind)) for kind in (FNSAVE, FXSAVE)]
    [108, 512]
    """
    state = bytearray(AREA_BYTES[kind])
    if kind == FNSAVE:
        for number, word in enumerate((_CONTROL, _STATUS, _TAGS)):
            state[4 * number : 4 * number + 4] = (0xFFFF0000 | word).to_bytes(4, "little")
    else:
        # FXSAVE keeps a bit for each register that is not empty, so no tags are 0.
        state[0:2] = _CONTROL.to_bytes(2, "little")
        state[_MXCSR_AT : _MXCSR_AT + 4] = _MXCSR.to_bytes(4, "little")
    return bytes(state)

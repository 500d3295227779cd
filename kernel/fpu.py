"""The coprocessor registers of processes: who has a save area, and what lies in it.

A process gets its area with its first coprocessor instruction, which faults because CR0.TS is set (#NM); from then on
boot/asm/kernel_fpu.inc loads and saves the registers, by these words of the image::

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

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hillemu.emu.i386.address import VirtAddr
from hillemu.kernel.layout import KERNEL_BASE
from hillemu.kernel.process import FPU

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hillemu.kernel.mm.direct_map import DirectMap
    from hillemu.kernel.mm.slab_caches import SlabCaches
    from hillemu.kernel.mm.words import Words
    from hillemu.kernel.process import Process

NONE, FNSAVE, FXSAVE = 0, 1, 2
AREA_BYTES = {FNSAVE: 108, FXSAVE: 512}
_ALIGN = 16
_NOT_READY = 1
"""In `fpu_ready`: whatever `trap_fpu` is, the stub has to act."""
_CONTROL, _STATUS, _TAGS = 0x037F, 0x0000, 0xFFFF
_MXCSR, _MXCSR_AT = 0x1F80, 24


class Fpu:
    """Gives areas out and takes them back; `reclaim` makes some frames of the direct map free, or returns 0."""

    def __init__(
        self,
        caches: SlabCaches,
        direct: DirectMap,
        words: Words,
        symbols: Mapping[str, int],
        reclaim: Callable[[], int],
    ) -> None:
        self._direct, self._words, self._reclaim = direct, words, reclaim
        self._kind, self._trap_fpu, self._ready, self._owner, self._copy = (
            symbols[name] - KERNEL_BASE >> 2 for name in ("fpu_kind", "trap_fpu", "fpu_ready", "fpu_owner", "fpu_copy")
        )
        self._areas = caches.create("fpu_state", AREA_BYTES[FXSAVE], align=_ALIGN)

    @property
    def kind(self) -> int:
        """`NONE`, `FNSAVE` or `FXSAVE`, as the boot code has found it."""
        return self._words[self._kind]

    def first_use(self, process: Process) -> bool:
        """`process`, which runs, needs the coprocessor: let it have one; False if there is no memory for its area."""
        words = self._words
        if not process.record[FPU]:
            at = self._new_area()
            if not at:
                return False
            self._direct.write(at, initial_state(self.kind))
            process.record[FPU] = at
        words[self._trap_fpu], words[self._ready] = process.record[FPU], _NOT_READY
        return True

    def fork(self, parent: Process, child: Process) -> bool:
        """`child` gets what the registers of `parent`, which runs, hold; False if there is no memory for its area."""
        if not parent.record[FPU]:
            return True
        at = self._new_area()
        if not at:
            return False
        child.record[FPU] = at
        self._words[self._copy], self._words[self._ready] = at, _NOT_READY
        return True

    def drop(self, process: Process) -> None:
        """`process` has no coprocessor state any more: it has ended, or begins another program."""
        at = process.record[FPU]
        if not at:
            return
        process.record[FPU] = 0
        words = self._words
        for word in (self._trap_fpu, self._owner, self._copy):
            if words[word] == at:
                words[word] = 0
        words[self._ready] = _NOT_READY
        self._areas.free(VirtAddr(at))

    def check(self, processes: Iterable[Process]) -> list[str]:
        """Contradictions between processes and areas; none if all is well."""
        areas = [process.record[FPU] for process in processes if process.record[FPU]]
        found = []
        if self._areas.active != len(areas) or len(set(areas)) != len(areas):
            found.append(f"fpu: {self._areas.active} areas in use, {len(set(areas))} known to processes")
        owner = self._words[self._owner]
        if owner and owner not in areas:
            found.append(f"fpu: the registers belong at 0x{owner:08X}, which is no process's area")
        return found

    def _new_area(self) -> VirtAddr:
        at = self._areas.alloc()
        while not at and self._reclaim():
            at = self._areas.alloc()
        return at


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

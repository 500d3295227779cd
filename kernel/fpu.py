"""The save areas of profile `hillson`'s processes for their coprocessor registers: objects of a slab cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from hillemu.emu.i386.address import VirtAddr
from hillemu.kernel.coprocessor import AREA_BYTES, FXSAVE, Coprocessor
from hillemu.kernel.process import Process

if TYPE_CHECKING:
    from hillemu.kernel.mm.direct_map import DirectMap
    from hillemu.kernel.mm.slab_caches import SlabCaches

_ALIGN = 16


class Fpu(Coprocessor[Process]):
    """Gives areas out and takes them back; `reclaim` makes some frames of the direct map free, or returns 0."""

    def __init__(
        self, caches: SlabCaches, direct: DirectMap, word_of: Callable[[str], int], reclaim: Callable[[], int]
    ) -> None:
        super().__init__(direct.u32, word_of)
        self._direct, self._reclaim = direct, reclaim
        self._areas = caches.create("fpu_state", AREA_BYTES[FXSAVE], align=_ALIGN)

    def check(self, processes: Iterable[Process]) -> list[str]:
        """Contradictions between processes and areas; none if all is well."""
        areas = [process.fpu for process in processes if process.fpu]
        found = []
        if self._areas.active != len(areas) or len(set(areas)) != len(areas):
            found.append(f"fpu: {self._areas.active} areas in use, {len(set(areas))} known to processes")
        owner = self._words[self._owner]
        if owner and owner not in areas:
            found.append(f"fpu: the registers belong at 0x{owner:08X}, which is no process's area")
        return found

    def _new_area(self, process: Process) -> int:
        at = self._areas.alloc()
        while not at and self._reclaim():
            at = self._areas.alloc()
        return at

    def _free_area(self, at: int) -> None:
        self._areas.free(VirtAddr(at))

    def _write(self, at: int, data: bytes) -> None:
        self._direct.write(VirtAddr(at), data)

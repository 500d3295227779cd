"""The save areas of profile `orange`'s processes for their coprocessor registers: each has one in its entry."""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr
from hillemu.kernel.coprocessor import Coprocessor
from hillemu.kernel.mm.words import Words
from hillemu.kernel.profiles.orange.process import Process


class Fpu(Coprocessor[Process]):
    """The areas lie in `memory`, where the kernel is mapped one to one."""

    def __init__(self, memory: GuestMemory, words: Words, word_of: Callable[[str], int]) -> None:
        super().__init__(words, word_of)
        self._memory = memory

    def _new_area(self, process: Process) -> int:
        return process.fpu_area

    def _free_area(self, at: int) -> None:
        """It stays its process's."""

    def _write(self, at: int, data: bytes) -> None:
        self._memory.write(PhysAddr(at), data)

"""What the memory model was told in a run of a machine, given to the reference: it must answer alike."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from memory_format import CR0, CR3, CR4, FETCH, RECORD, RESULT
from memory_system import MemorySystem

if TYPE_CHECKING:
    from hillemu.emu.cpu.core import Processor
    from hillemu.emu.cpu.memory_events import ModelledMemory


class ComparedRun:
    """A machine's memory model from its power-on, beside the reference.

    `ram_bytes` is the machine's RAM: beyond it no page table is present.
    """

    def __init__(self, processor: Processor, memory: ModelledMemory, ram_bytes: int) -> None:
        self.accesses = 0
        self.reference = MemorySystem(memory.geometry._asdict(), bytearray(ram_bytes))
        self._memory = memory
        memory.record(True)
        for register, operation in (("cr3", CR3), ("cr4", CR4), ("cr0", CR0)):
            self.reference.step(operation, 0, 0, 0, 0, processor.get(register), 0)
        self.reference.counters.clear()

    def check(self) -> None:
        """Compare what came since the last time, event for event, and then the contents."""
        records, results = self._memory.recorded()
        wanted, found = array("I", self.reference.run(records)), array("I", results)
        # Of an access that is all hits, the filter knows no physical address.
        for field, name in enumerate(("clocks", "outcome")):
            if wanted[field::3] != found[field::3]:
                number = next(
                    i for i, (a, b) in enumerate(zip(wanted[field::3], found[field::3], strict=True)) if a != b
                )
                record = next(islice(RECORD.iter_unpack(records), number, None))
                expected, actual = (RESULT.unpack_from(one, number * RESULT.size) for one in (wanted, found))
                raise AssertionError(f"event {number}, {record}: {name} are {actual}, not {expected}")
        self.accesses += sum(operation <= FETCH for operation in records[:: RECORD.size])
        entries = [tuple(entry[:3]) for entry in self._memory.tlb()]
        assert entries == [tuple(entry[:3]) for entry in self.reference.tlb()]
        assert [tuple(line) for line in self._memory.lines()] == self.reference.lines()


def accesses(records: bytes) -> Iterator[tuple[int, int, int]]:
    """Of a recording: operation, size and address of each read, write and fetch."""
    for operation, size, _, _, address, _, _ in RECORD.iter_unpack(records):
        if operation <= FETCH:
            yield operation, size, address

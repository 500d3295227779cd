"""Traces recorded from guests, through what `Machine` offers everybody: on_read, on_write, registers and memory.

Instruction fetches are not told to anybody, so they are made up from the addresses of the instructions that access
memory: a 16-byte fetch whenever these move to another 16 bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memory_format import CR0, CR3, CR4, FETCH, READ, RECORD, STORE, USER, WRITE

if TYPE_CHECKING:
    from hillemu import Machine
    from hillemu.emu.cpu.observers import WatchHit

EVERYTHING = range(1 << 32)


class Recorder:
    """Notes what a machine does to memory; `memory` is what was there at the beginning."""

    def __init__(self, machine: Machine, events: int) -> None:
        self.machine = machine
        self.events = events
        self._ram = machine.memory.ram
        self.memory = bytes(self._ram)
        self.records: list[bytes] = []
        self._controls = {CR0: 0, CR3: 0, CR4: 0}
        self._last_fetch = self._last_at = 0
        self._handles = [machine.on_read(EVERYTHING, self._read), machine.on_write(EVERYTHING, self._write)]

    def end(self) -> None:
        for handle in self._handles:
            handle.remove()

    @property
    def trace(self) -> bytes:
        return b"".join(self.records)

    def _read(self, hit: WatchHit) -> None:
        self._access(READ, hit)

    def _write(self, hit: WatchHit) -> None:
        self._access(WRITE, hit)
        # The words around what was written, as they are now: it may be a page table.
        for word in range(hit.physical & ~3, min(hit.physical + hit.size, len(self.memory)), 4):
            self._note(STORE, 0, 0, word, int.from_bytes(self._ram[word : word + 4], "little"), 0)

    def _access(self, kind: int, hit: WatchHit) -> None:
        cpu = self.machine.cpu
        for operation, value in ((CR3, cpu.cr3), (CR4, cpu.cr4), (CR0, cpu.cr0)):
            if self._controls[operation] != value:
                self._controls[operation] = value
                self._note(operation, 0, 0, 0, value, 0)
        user = USER if cpu.cs & 3 == 3 and not cpu.eflags & 1 << 17 else 0
        # Clamped: an access of a task switch may be told with the instruction count from before its instruction.
        clocks = min(max(hit.at - self._last_at, 0), 1000)
        self._last_at = hit.at
        fetch = (cpu.processor.segment("cs").base + hit.eip) & 0xFFFFFFF0
        if fetch != self._last_fetch:
            self._last_fetch = fetch
            self._note(FETCH, 16, user, fetch, 0, 0)
        self._note(kind, hit.size, user, hit.address, 0, clocks)
        if len(self.records) >= self.events:
            self.machine.stop()

    def _note(self, operation: int, size: int, flags: int, address: int, value: int, clocks: int) -> None:
        self.records.append(RECORD.pack(operation, size, flags, 0, address & 0xFFFFFFFF, value & 0xFFFFFFFF, clocks))

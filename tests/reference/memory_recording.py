"""Traces recorded from guests, through what `Machine` offers everybody: on_read, on_write, registers and memory.

Instruction fetches are not told to anybody, so they are made up from the addresses of the instructions that access
memory: a 16-byte fetch whenever these move to another 16 bytes.

What the guest's page tables hold reaches a trace in one of two ways: with every write, as what is in memory then; or
with `tables_only`, when the entries of an access have changed since they were used before.  The latter makes half the
events, and sees what a kernel outside of the guest writes.  It cannot see A and D: by then the access has set them, so
a changed entry is taken to have had neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memory_format import CR0, CR3, CR4, FETCH, PAE, PG, PS, PSE, READ, RECORD, STORE, US, USER, WRITE, A, D, P

if TYPE_CHECKING:
    from hillemu import Machine
    from hillemu.emu.cpu.observers import WatchHit

EVERYTHING = range(1 << 32)


class Recorder:
    """Notes what a machine does to memory, and stops it after so many accesses.

    `memory` is what was there at the beginning, `accesses` how many reads, writes and fetches `trace` has.
    """

    def __init__(self, machine: Machine, accesses: int, *, tables_only: bool = False) -> None:
        self.machine = machine
        self.accesses = 0
        self._wanted = accesses
        self._tables_only = tables_only
        self._entries: dict[int, int] = {}
        self._ram = machine.memory.ram
        self.memory = bytes(self._ram)
        self.trace = bytearray()
        self._controls = {CR0: 0, CR3: 0, CR4: 0}
        self._last_fetch = self._last_at = 0
        self._handles = [machine.on_read(EVERYTHING, self._read), machine.on_write(EVERYTHING, self._write)]

    def end(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _read(self, hit: WatchHit) -> None:
        self._access(READ, hit)

    def _write(self, hit: WatchHit) -> None:
        self._access(WRITE, hit)
        if self._tables_only:
            return
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
        if self._tables_only:
            for at in (fetch, hit.address + hit.size - 1 & 0xFFFFFFFF, hit.address):
                rights = self._tables(at)
            if not rights & US:  # a stack or a descriptor that the processor itself used, on its way to ring 0
                user = 0
        if fetch != self._last_fetch:
            self._last_fetch = fetch
            self._note(FETCH, 16, user, fetch, 0, 0)
        self._note(kind, hit.size, user, hit.address, 0, clocks)
        if self.accesses >= self._wanted:
            self.machine.stop()

    def _tables(self, linear: int) -> int:
        """Note the entries that translate `linear` if they have changed; the rights that they give together."""
        if not self._controls[CR0] & PG or self._controls[CR4] & PAE:
            return US
        entry = self._entry((self._controls[CR3] & ~0xFFF) + 4 * (linear >> 22))
        if entry & P and not (entry & PS and self._controls[CR4] & PSE):
            entry &= self._entry((entry & ~0xFFF) + 4 * (linear >> 12 & 0x3FF))
        return entry

    def _entry(self, at: int) -> int:
        entry = int.from_bytes(self._ram[at : at + 4], "little")
        before = self._entries.get(at)
        if before is None:
            before = int.from_bytes(self.memory[at : at + 4], "little")
        if (entry ^ before) & ~(A | D):
            self._note(STORE, 0, 0, at, entry & ~(A | D), 0)
        self._entries[at] = entry
        return entry

    def _note(self, operation: int, size: int, flags: int, address: int, value: int, clocks: int) -> None:
        self.accesses += operation <= FETCH
        self.trace += RECORD.pack(operation, size, flags, 0, address & 0xFFFFFFFF, value & 0xFFFFFFFF, clocks)

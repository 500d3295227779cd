"""Guests that died on paper: a FakeGuest with tables, code and a history of deliveries, for crash reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hillemu.emu.guest import FakeGuest, FakeMemory, FakeRegisters, Segment
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.descriptors import INTERRUPT_GATE_32, pack_gate, pack_segment, pack_table
from hillemu.emu.stop import Stop, StopReason
from hillemu.report import crash_report

FLAT_CODE = Segment(0x08, 0, 0xFFFFFFFF, 0x00CF9B00)
FLAT_DATA = Segment(0x10, 0, 0xFFFFFFFF, 0x00CF9300)
USER_CODE = Segment(0x1B, 0, 0xFFFFFFFF, 0x00CFFB00)
USER_DATA = Segment(0x23, 0, 0xFFFFFFFF, 0x00CFF300)
GDT, IDT, TSS, DIRECTORY, TABLE, CODE, STACK = 0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x8000, 0x9000
GDT_ENTRIES = [0x00CF9B000000FFFF, 0x00CF93000000FFFF, 0x00CFFB000000FFFF, 0x00CFF3000000FFFF]
TRIPLE = Stop(StopReason.TRIPLE_FAULT, "the processor shut down")
PG_WP_PE = 0x80010001


@dataclass
class Delivered:
    kind: str = "exception"
    vector: int = 14
    error_code: int | None = None
    cs: int = 0x08
    eip: int = CODE + 7
    cr2: int = 0
    at: int = 1000


@dataclass
class Names:
    table: dict[str, int]

    def nearest(self, address: int) -> tuple[str, int] | None:
        below = [(start, name) for name, start in self.table.items() if start <= address < start + 0x100]
        return (max(below)[1], address - max(below)[0]) if below else None


@dataclass
class Dead:
    """A machine that stopped."""

    memory: FakeMemory
    registers: FakeRegisters
    stop: Stop = TRIPLE
    deliveries: Sequence[Delivered] = ()
    symbols: Names = field(default_factory=lambda: Names({"boot": CODE, "main": CODE + 0x100}))

    def report(self) -> str:
        return crash_report(self)

    def section(self, title: str) -> list[str]:
        """The body of the section whose title begins with `title`."""
        lines = self.report().splitlines()
        starts = [number for number, line in enumerate(lines) if line.startswith(f"-- {title}")]
        assert len(starts) == 1, f"{len(starts)} sections {title!r}"
        body = lines[starts[0] + 1 :]
        return [line[2:] for line in body[: body.index("") if "" in body else len(body)]]

    def hints(self) -> list[str]:
        return [line[6:] for line in self.report().splitlines() if line.startswith("hint: ")]

    def map(self, at: int, entry: int) -> None:
        self.memory.set_u32(PhysAddr(TABLE + 4 * (at >> 12 & 0x3FF)), entry)

    def gate(self, vector: int, raw: int) -> None:
        self.memory.write(PhysAddr(IDT + 8 * vector), raw.to_bytes(8, "little"))


def healthy_kernel() -> Dead:
    """A healthy 32-bit kernel with paging on, 64 KiB mapped to itself, EIP 7 bytes into ``boot``."""
    guest = FakeGuest(0x10000)
    memory, registers = guest.memory, guest.registers
    for name in ("ss", "ds", "es", "fs", "gs"):
        registers.set_segment(name, FLAT_DATA)
    registers.set_segment("cs", FLAT_CODE)
    registers.set_segment("gdtr", Segment(0, GDT, 6 * 8 - 1, 0))
    registers.set_segment("idtr", Segment(0, IDT, 0x7FF, 0))
    for name, value in (("eip", CODE + 7), ("esp", STACK + 0x800), ("eflags", 0x202), ("cr0", PG_WP_PE)):
        registers.set(name, value)
    registers.set("cr3", DIRECTORY)
    memory.write(PhysAddr(GDT), pack_table([0, *GDT_ENTRIES, pack_segment(TSS, 0x67, 0x89, 0)]))
    memory.write(PhysAddr(IDT), pack_table([pack_gate(INTERRUPT_GATE_32, 0x08, CODE)] * 256))
    memory.set_u32(PhysAddr(DIRECTORY), TABLE | 7)
    for page in range(1, 16):
        memory.set_u32(PhysAddr(TABLE + 4 * page), page << 12 | 3)
    # push ebp; mov ebp, esp; xor eax, eax; inc ebx; nop; mov eax, [ebx]; call main; ret
    code = "55 89e5 31c0 43 90 8b03 e8f2000000 c3"
    memory.write(PhysAddr(CODE), bytes.fromhex(code))
    return Dead(memory, registers)

"""A local APIC on a bench: enabled, in virtual wire mode, with everything it does kept."""

from __future__ import annotations

from hillemu.emu.clock import Clock
from hillemu.emu.devices.apic.apic_message import FIXED
from hillemu.emu.devices.apic.lapic import Lapic
from hillemu.emu.wires import Line

ID, VERSION, TPR, APR, PPR, EOI, RRD, LDR = 0x20, 0x30, 0x80, 0x90, 0xA0, 0xB0, 0xC0, 0xD0
DFR, SVR, ISR, TMR, IRR, ESR, ICR, ICR_HIGH = 0xE0, 0xF0, 0x100, 0x180, 0x200, 0x280, 0x300, 0x310
LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR = range(0x320, 0x380, 0x10)
INITIAL, CURRENT, DIVIDE = 0x380, 0x390, 0x3E0
MASKED, PERIODIC, LEVEL, REMOTE_IRR = 1 << 16, 1 << 17, 1 << 15, 1 << 14
PIC_VECTOR = 8


class Board:
    """An enabled local APIC in virtual wire mode and what it did."""

    def __init__(self) -> None:
        self.clock = Clock(1_000_000_000)
        self.intr = Line()
        self.did: list[str] = []
        self.ended: list[int] = []
        self.bases: list[int | None] = []
        self.said: list[str] = []
        self.lapic = Lapic(
            clock=self.clock,
            intr=self.intr,
            pic_acknowledge=self._acknowledge,
            nmi=lambda: self.did.append("NMI"),
            init=lambda: self.did.append("INIT"),
            on_eoi=self.ended.append,
            on_base=self.bases.append,
            report=self.said.append,
        )
        self.lapic.set_up_virtual_wire()

    def _acknowledge(self) -> int:
        self.lapic.lint0.set(False)
        return PIC_VECTOR

    def __getitem__(self, offset: int) -> int:
        return self.lapic.read(offset, 4)

    def __setitem__(self, offset: int, value: int) -> None:
        self.lapic.write(offset, 4, value)

    def send(self, vector: int, *, mode: int = FIXED, level: bool = False, to: int = 0, logical: bool = False) -> bool:
        return self.lapic.accept(vector, mode, level, to, logical)

    def vectors(self, base: int) -> set[int]:
        return {32 * n + bit for n in range(8) for bit in range(32) if self[base + 16 * n] >> bit & 1}

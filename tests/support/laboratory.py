"""A laboratory for the processor: a PC without an image, tables made by the host, and code from a few lines.

Code starts at its first line at `CODE`, in flat 32-bit ring 0 with interrupts disabled.  A label ``vector_N`` (N in
decimal) becomes the handler of vector N, by an interrupt gate that ring 3 may use for N >= 32; every other vector ends
in ``cli; hlt``.  Ports from `PROBE` on belong to a recorder.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from hillemu.boot.assembler import AssembledImage, Layout, assemble_text
from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.cpu.models import model_named
from hillemu.emu.guest import Segment
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.pc import Pc
from hillemu.emu.timing.model import TimingModel, timing_model

MIB = 1 << 20
GDT, IDT, TSS, STUB = 0x1000, 0x2000, 0x3000, 0x7000
STACK, RING0_STACK, CODE, PROBE = 0x80000, 0x90000, 0x100000, 0x500
KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA, TASK = 0x08, 0x10, 0x1B, 0x23, 0x28
NO_BITMAP = 0xFFFF


@cache
def assembled(source: str, base: int) -> AssembledImage:
    return assemble_text(source, layout=Layout(flat=True, base=base))


class Recorder:
    """A device that notes every access: (ticks, "in" or "out", offset, size, value).  Reads give the next reply."""

    def __init__(self, ticks: Callable[[], int]) -> None:
        self.log: list[tuple[int, str, int, int, int]] = []
        self.replies: deque[int] = deque()
        self.on_access: Callable[[], None] = lambda: None
        self._ticks = ticks

    def read(self, offset: int, size: int) -> int:
        value = self.replies.popleft() if self.replies else 0
        self.log.append((self._ticks(), "in", offset, size, value))
        self.on_access()
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        self.log.append((self._ticks(), "out", offset, size, value))
        self.on_access()

    @property
    def values(self) -> list[int]:
        return [value for *_, value in self.log]


class Lab:
    """A PC with `source` in it; `pc.processor` is ready to run it."""

    def __init__(self, source: str, cpu: str, size_bytes: int, base: int, timing: str | TimingModel = "") -> None:
        self.exits: list[int] = []
        self.resets = self.power_offs = 0
        self.reports: list[str] = []
        self.pc = Pc(
            size_bytes=size_bytes,
            model=model_named(cpu),
            rtc_base=datetime(2024, 1, 1),
            on_exit=self._exit,
            on_reset=self._reset,
            on_power_off=self._power_off,
            report=self.reports.append,
            timing=timing_model(timing) if isinstance(timing, str) and timing else timing or None,
        )
        self.pc.lapic.set_up_virtual_wire()  # as firmware does: the 8259A's interrupts come through
        self.processor, self.memory = self.pc.processor, self.pc.memory
        self.probe = Recorder(self.processor.ticks)
        self.pc.ports.attach(PROBE, 16, self.probe, name="recorder", width=4)
        image = assembled(source, base)
        self.symbols = image.symbols
        self.memory.write(PhysAddr(base), image.data)
        self._tables()
        self._flat(base)

    def _exit(self, code: int) -> None:
        self.exits.append(code)
        self.processor.stop()

    def _reset(self) -> None:
        self.resets += 1
        self.processor.stop()

    def _power_off(self) -> None:
        self.power_offs += 1
        self.processor.stop()

    def _tables(self) -> None:
        write = self.memory.write
        task = 0x0000_8900_0000_0000 | (TSS & 0xFFFF) << 16 | (104 + 8193 - 1)
        flat = (0x00CF9A000000FFFF, 0x00CF92000000FFFF, 0x00CFFA000000FFFF, 0x00CFF2000000FFFF)
        write(PhysAddr(GDT), struct.pack("<6Q", 0, *flat, task))
        write(PhysAddr(TSS), bytes(104) + b"\xff" * 8193)
        self.memory.set_u32(PhysAddr(TSS + 4), RING0_STACK)
        self.memory.set_u32(PhysAddr(TSS + 8), KERNEL_DATA)
        self.memory.set_u32(PhysAddr(TSS + 100), NO_BITMAP << 16)
        write(PhysAddr(STUB), b"\xfa\xf4")  # cli; hlt
        for vector in range(256):
            self.gate(vector, self.symbols.get(f"vector_{vector}", STUB))

    def gate(self, vector: int, handler: int, attributes: int | None = None) -> None:
        """Write an IDT gate; an interrupt gate unless told otherwise."""
        kind = attributes if attributes is not None else 0xEE00 if vector >= 32 else 0x8E00
        low, high = handler & 0xFFFF | KERNEL_CODE << 16, handler & 0xFFFF0000 | kind
        self.memory.write(PhysAddr(IDT + 8 * vector), struct.pack("<II", low, high))

    def _flat(self, base: int) -> None:
        cpu = self.processor
        cpu.set("cr0", 0x11)
        cpu.set_segment("cs", Segment(KERNEL_CODE, 0, 0xFFFFFFFF, 0xCF9B00))
        for name in ("ss", "ds", "es", "fs", "gs"):
            cpu.set_segment(name, Segment(KERNEL_DATA, 0, 0xFFFFFFFF, 0xCF9300))
        cpu.set_segment("gdtr", Segment(0, GDT, 6 * 8 - 1, 0))
        cpu.set_segment("idtr", Segment(0, IDT, 256 * 8 - 1, 0))
        cpu.set_segment("tr", Segment(TASK, TSS, 104 + 8193 - 1, 0x8B00))
        cpu.set("eip", base)
        cpu.set("esp", STACK)

    # ---- running ------------------------------------------------------------------------------------------------

    def run(self, instructions: int | None = None) -> CoreStop:
        """Run; without a limit, one that no test needs ends a test that hangs."""
        return self.processor.run(instructions=10_000_000 if instructions is None else instructions)

    def step_to_end(self, limit: int = 100_000) -> int:
        """Execute one instruction at a time until the processor halts; return how many there were."""
        for steps in range(limit):
            before = self.processor.instructions
            if self.processor.run(instructions=1) is not CoreStop.LIMIT:
                return steps + self.processor.instructions - before
            assert self.processor.instructions == before + 1
        raise AssertionError(f"still running after {limit} steps")

    @property
    def count(self) -> int:
        return self.processor.instructions

    def get(self, name: str) -> int:
        return self.processor.get(name)

    def word(self, at: int) -> int:
        return self.memory.u32(PhysAddr(at))

    def __getitem__(self, symbol: str) -> int:
        return self.symbols[symbol]

    @property
    def vectors(self) -> list[int]:
        """The vectors of the last deliveries."""
        return [delivery.vector for delivery in self.processor.deliveries]

    def outcome(self) -> dict[str, Any]:
        """All that two runs which should be the same can be compared by."""
        return {
            "instructions": self.count,
            "ticks": self.processor.ticks(),
            "registers": self.processor.registers(),
            "ram": self.memory.sha256(),
            "accesses": self.probe.log,
            "deliveries": self.processor.deliveries,
            "branches": self.pc.cycles.branches if self.pc.cycles else None,
        }


def make_lab(
    source: str, *, cpu: str = "max", size_bytes: int = 16 * MIB, base: int = CODE, timing: str | TimingModel = ""
) -> Lab:
    return Lab(source, cpu, size_bytes, base, timing)

"""A machine that stands in real mode in front of a few lines of assembly, with the built-in BIOS below it."""

from __future__ import annotations

from hillemu.boot.assembler import Layout, assemble_text
from hillemu.emu.guest import Segment
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.stop import Stop, StopReason
from hillemu.machine import Machine

CODE = 0x8000
"""Where the code starts; the stack is below it, all segments are 0."""
RESULTS = 0x7000
MOST_INSTRUCTIONS = 2_000_000


class RealMode:
    """Runs `source` until it stops; `told` is what the user heard, `word` reads results."""

    def __init__(self, source: str, *, keys: str = "") -> None:
        self.told: list[str] = []
        self.machine = Machine(mem="16M", report=self.told.append)
        self.machine.load_demo()
        cpu = self.machine.cpu
        cpu.cr0 = 0x10
        for name, attributes in (("cs", 0x9B00), ("ds", 0x9300), ("es", 0x9300), ("ss", 0x9300)):
            cpu.set_segment(name, Segment(0, 0, 0xFFFF, attributes))
        cpu.set_segment("idtr", Segment(0, 0, 0x3FF, 0))
        cpu.esp = cpu.eip = CODE
        cpu.eflags = 2
        image = assemble_text(".code16\n" + source, layout=Layout(flat=True, base=CODE))
        self.labels = image.symbols
        self.machine.memory.write(PhysAddr(CODE), image.data)
        if keys:
            self.machine.schedule_keys(keys)

    def run(self, most: int = MOST_INSTRUCTIONS) -> Stop:
        return self.machine.run(max_insns=most)

    def word(self, at: int = RESULTS) -> int:
        return int.from_bytes(self.machine.memory.read(PhysAddr(at), 2), "little")

    def byte(self, at: int) -> int:
        return self.machine.memory.read(PhysAddr(at), 1)[0]


STOP = "cli; hlt\n"
SET_VECTOR = """
.macro vector number, handler
    mov word ptr [\\number * 4], offset \\handler
    mov word ptr [\\number * 4 + 2], 0
.endm
"""


def ran(source: str, **options: str) -> RealMode:
    """`source`, with the macro `vector`, until its ``cli; hlt``."""
    real = RealMode(SET_VECTOR + source, **options)
    stop = real.run()
    assert stop.reason is StopReason.HALT, stop
    assert "cli; hlt" in stop.detail
    return real

"""The trace of an execution: what the reference of the timing models is told of each instruction."""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """An instruction that was executed; REP with all its iterations.

    Registers and flags are those before it.  `operand` is what a memory operand held before, 0 without one; of LSL the
    descriptor that is asked about.
    """

    code: bytes
    bits: int
    mode: str
    """real, protected or v86."""
    eip: int
    linear: int
    """The linear address of its first byte."""
    registers: dict[str, int]
    operand: int = 0
    count: int = 0
    """Iterations of REP."""
    is_parted: bool = False
    """Whether a fault or an interrupt came between the iterations of REP; the rest is a step of its own."""
    taken: bool = False
    """Whether a branch was taken."""
    outcome: str = ""
    """What a far transfer or a software interrupt went through: a case of the tables."""
    parameters: int = 0
    """That a call gate copied."""
    switched: bool = False
    """Whether it ended in another task."""
    stored: bool = False
    """Whether CMPXCHG found its operands equal."""
    was_accessed: bool = True
    """The accessed bit of the descriptor that was loaded into a data segment register."""
    precision_control: int = 3

    @property
    def cpl(self) -> int:
        return 0 if self.mode == "real" else 3 if self.mode == "v86" else self.registers["cs"] & 3

    @property
    def iopl(self) -> int:
        return self.registers["eflags"] >> 12 & 3


class Event(NamedTuple):
    """An exception or an interrupt without an instruction."""

    kind: str
    """external, NMI, exception or page fault."""
    mode: str
    """The mode that it interrupted."""
    case: str
    """As the tables have it: same privilege, more privilege, task gate; "" in real mode."""
    refused: Step | None = None
    """The instruction that a fault kept from completing, if it could be fetched."""

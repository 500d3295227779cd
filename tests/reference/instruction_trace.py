"""The trace of an execution: what the reference of the timing models is told of each instruction.

Entries are compared and hashed millions of times, so they hold nothing that no cost depends on.
"""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """An instruction that was executed; REP with all its iterations.

    All is from before it, but for what is told about its outcome.
    """

    code: bytes
    bits: int
    mode: str
    """real, protected or v86."""
    linear: int
    """The linear address of its first byte."""
    cpl: int = 0
    flags: int = 0
    """EFLAGS, those of them that decide what it costs: a condition's, OF of INTO, IOPL of port accesses."""
    port: int | None = None
    """That IN, OUT, INS or OUTS accesses."""
    operand: int = 0
    """What the last operand of MUL, IMUL, BSF and BSR held, and the pointer of a far transfer through memory; of LSL
    the descriptor that is asked about; 0 of others."""
    count: int = 0
    """Iterations of REP."""
    is_parted: bool = False
    """Whether a fault or an interrupt came between the iterations of REP; the rest is a step of its own."""
    taken: bool = False
    """Whether a branch was taken."""
    target: int = 0
    """The linear address that a near branch led to."""
    outcome: str = ""
    """What a far transfer or a software interrupt went through: a case of the tables."""
    parameters: int = 0
    """That a call gate copied."""
    tasks: str = ""
    """The kinds of both where it ended in another task, as the tables' cases have them: 386 to 286."""
    loads_cr3: bool = False
    """Whether it did, by itself or with a task."""
    stored: bool = False
    """Whether CMPXCHG found its operands equal."""
    was_accessed: bool = True
    """The accessed bit of the descriptor that was loaded into a data segment register."""
    precision_control: int = 3

    @property
    def iopl(self) -> int:
        return self.flags >> 12 & 3


class Event(NamedTuple):
    """An exception or an interrupt without an instruction."""

    kind: str
    """external, NMI, exception or page fault."""
    mode: str
    """The mode that it interrupted."""
    case: str
    """As the tables have it: same privilege, more privilege, task gate; "" in real mode."""
    tasks: str = ""
    """The kinds of both tasks, where it went through a task gate."""
    loads_cr3: bool = False
    """Whether the new task did."""
    refused: Step | None = None
    """The instruction that a fault kept from completing, if it could be fetched."""

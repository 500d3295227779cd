"""What a trace of executed instructions takes on an i386, i486 or Pentium, from the manuals' rules in plain Python.

A trace is a list of `Step` (an instruction that was executed, with what its cost depends on) and `Event` (an exception
or an external interrupt).  `cycles` gives the clocks of each, `Clock` those of a trace that comes in parts.

The rules, beside the tables' figures:

=========  ============================================================================================================
i386       an address with two registers or a scaled one takes `index_register` more; a taken branch's ``m`` counts the
           components of the instruction at its target, with which they are counted here (PRM s17.2.2.3;
           AP-500 s3.1)
i486       `agi` if the instruction before wrote the base register, ESP of a stack instruction included (appendix E,
           rule 4); `index_register` (rule 5); `displacement_and_immediate` together (rule 8); `prefix` for each but
           REP, whose clocks are in the figures; `partial_register` if a register is read of which the instruction
           before wrote a byte (AP-500); `target_crosses_line` if a branch leads to an instruction that lies in two
           lines of 16 bytes (Abrash, chapter 19); `descriptor_not_accessed` if a data segment register is loaded with
           such a descriptor (appendix E, note 9)
Pentium    `prefix` for each, REP included; `prefix_0f` except of Jcc; `agi` if an instruction of the clock before wrote
           the base or the index, ESP of a stack instruction included; pairs, below (AP-500 s2, s3); branches that are
           not predicted rightly (branch_prediction.py)
=========  ============================================================================================================

PUSH, POP, CALL, RET and their like do not interlock with each other through ESP (i486 and Pentium).

Two instructions are a pair if the first is UV or PU and the second UV or PV (or the first FX and the second FXCH), the
second has no prefix, neither has both a displacement and an immediate, and the second neither reads nor writes what
the first writes, but for the flags, and ESP of PUSH after PUSH, CALL after PUSH, POP after POP.  It takes as long as
the longer one, and `paired_read_modify_write` more if both read, modify and write memory.  The second's cycles here are
what the pair takes beyond the first.

What an instruction has to do with the one before is modelled in a row only.  A row ends with a branch, REP, the
instruction behind STI and behind one that loads SS (which does the same to no other), and with an event.

A port access takes what its bus waits more (port_waits.py), each iteration of REP for itself.

A REP that an event parts takes its iterations so far; behind the handler it begins anew.  A fault keeps an instruction
from completing, but the branch that led to it takes what it takes.

Not modelled: prefixes hidden behind a longer instruction; interlocks of string instructions and XLAT; bank conflicts,
the x87 beside the integer unit; memory.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from branch_prediction import NEAR_BRANCHES, Predictor
from instruction_cases import case_of, multiplier_of, source_of
from instruction_decoding import Decoded, decode
from instruction_tables import Absent, Tables
from instruction_trace import Event, Step
from port_waits import port_wait

LINE_BYTES, UNKNOWN_CLOCKS = 16, 1
MOST_KNOWN = 2_000_000


def cycles(processor: str, trace: Sequence[Step | Event], *, ports_wait: bool = True) -> list[int]:
    """The clocks of each entry of a trace; a form that the processor lacks takes 1, as documented."""
    return Clock(processor, ports_wait=ports_wait).cycles(trace)


class Clock:
    """One processor at work: what an entry takes depends on it and on a few facts about those before.

    Ports wait for the ISA bus, but those of `at_once`, where no hardware answers.

    So what an entry takes behind given facts, and which facts are then, is worked out by the rules once (`_Rules`)
    and known from then on.  Branch prediction remembers more than that, and is asked each time.
    """

    def __init__(self, processor: str, *, ports_wait: bool = True, at_once: Collection[int] = ()) -> None:
        self._rules = _Rules(processor, ports_wait, at_once)
        self._facts = [_Facts()]
        self._numbers = {self._facts[0]: 0}
        self._known: dict[tuple[int, Step | Event], tuple[int, int]] = {}
        self._at = 0
        self._predictor = Predictor(self._rules.tables.penalty) if processor == "pentium" else None

    def cycles(self, trace: Sequence[Step | Event]) -> list[int]:
        """The clocks of each entry, behind all entries before."""
        found, known, at = list[int](), self._known, self._at
        for entry in trace:
            try:
                clocks, at = known[at, entry]
            except KeyError:
                clocks, at = self._work_out(at, entry)
            if self._predictor is not None:
                clocks += self._predictor.charge(entry, self._facts[at].is_in_v)
            found.append(clocks)
        self._at = at
        return found

    def _work_out(self, at: int, entry: Step | Event) -> tuple[int, int]:
        clocks, facts = self._rules.charge(entry, self._facts[at])
        if facts not in self._numbers:
            self._numbers[facts] = len(self._facts)
            self._facts.append(facts)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[at, entry] = clocks, self._numbers[facts]
        return self._known[at, entry]


class _Before(NamedTuple):
    """The instructions of the clock before; on the i386 and i486 always one."""

    instructions: tuple[Decoded, ...] = ()

    def writes(self) -> set[str]:
        """What an address would have to wait for; ESP of stack instructions is known early."""
        return {name for instruction in self.instructions for name in instruction.writes_late}


class _InU(NamedTuple):
    """What waits in the U pipe for a partner."""

    instruction: Decoded
    kind: str
    clocks: int
    """Without prefixes and interlocks, which come before the pair."""
    waits: bool
    """Whether it had to wait for an address; then both did."""


class _Facts(NamedTuple):
    """What the next entry's clocks depend on."""

    before: _Before = _Before()
    in_u: _InU | None = None
    branched: bool = False
    is_shadowed: bool = False
    """By STI or a load of SS."""
    refill: int = 0
    """Clocks for each component of the next instruction."""
    is_in_v: bool = False
    """Whether the last instruction was the second of a pair."""


class _Rules:
    def __init__(self, processor: str, ports_wait: bool, at_once: Collection[int]) -> None:
        self.processor = processor
        self.ports_wait, self.at_once = ports_wait, at_once
        self.tables = Tables(processor)
        self.before, self.in_u, self.branched, self.is_shadowed, self.refill, self.is_in_v = _Facts()

    def charge(self, entry: Step | Event, facts: _Facts) -> tuple[int, _Facts]:
        """The clocks of an entry behind such facts, and the facts behind it."""
        self.before, self.in_u, self.branched, self.is_shadowed, self.refill, _ = facts
        self.is_in_v = False
        clocks = self._event(entry) if isinstance(entry, Event) else self._step(entry)
        return clocks, _Facts(self.before, self.in_u, self.branched, self.is_shadowed, self.refill, self.is_in_v)

    def _event(self, event: Event) -> int:
        task = self._task_switch("INT", event.mode, event.tasks) if event.tasks else 0
        clocks = self.tables.clocks("INTERRUPT", event.kind, mode=event.mode, case=event.case, size=0, ts=task)
        if event.refused is not None:
            clocks += self._arrival(event.refused, decode(event.refused.code, event.refused.bits))
        self.before, self.in_u, self.branched, self.refill = _Before(), None, False, 0
        # An interrupt comes behind the shadow; a fault leaves it to the handler's first instruction.
        self.is_shadowed = self.is_shadowed and event.refused is not None
        return clocks

    def _step(self, step: Step) -> int:
        instruction = decode(step.code, step.bits)
        clocks = self._in_row(step, instruction) + self._port_wait(step, instruction)
        if instruction.is_branch or instruction.mnemonic.startswith("REP ") or self.is_shadowed:
            self.before, self.in_u = _Before(), None
        shadows = instruction.mnemonic == "STI" or instruction.loads_segment == "ss"
        self.is_shadowed = shadows and not self.is_shadowed
        return clocks

    def _port_wait(self, step: Step, instruction: Decoded) -> int:
        if step.port is None or not self.ports_wait or step.port in self.at_once:
            return 0
        accesses = step.count if instruction.mnemonic.startswith("REP ") else 1
        opcode = step.code[-2 if "imm" in instruction.form else -1]
        bits = instruction.operand_bits if opcode & 1 else 8
        return accesses * port_wait(self.processor, step.port, bits)

    def _in_row(self, step: Step, instruction: Decoded) -> int:
        if step.is_parted:
            # Its iterations only; what is not theirs comes with the rest.
            once, twice = (self._figure(step._replace(count=count), instruction) for count in (2, 3))
            return step.count * (twice - once)
        try:
            return (
                self._on_two_pipes(step, instruction)
                if self.processor == "pentium"
                else self._on_one(step, instruction)
            )
        except Absent:
            clocks = UNKNOWN_CLOCKS + self._arrival(step, instruction)
            self.before, self.in_u, self.branched, self.refill = _Before((instruction,)), None, False, 0
            return clocks

    def _on_one(self, step: Step, instruction: Decoded) -> int:
        clocks = self._figure(step, instruction) + self._address(instruction) + self._arrival(step, instruction)
        if self.processor == "i486":
            clocks += self._penalties_of_i486(step, instruction)
        self.refill = self._figure(step, instruction, m=1) - self._figure(step, instruction)
        self.before = _Before((instruction,))
        self.branched = instruction.mnemonic in NEAR_BRANCHES and step.taken
        return clocks

    # ---- figures --------------------------------------------------------------------------------------------------

    def _figure(self, step: Step, instruction: Decoded, m: int = 0) -> int:
        name, form, case = instruction.mnemonic, instruction.form, case_of(step, instruction)
        switch = {"CALL": "CALL or JMP", "JMP": "CALL or JMP", "IRET": "IRET"}.get(name, "INT")
        if case == "task gate" and name in ("CALL", "JMP"):
            switch += " through task gate"
        source, lowest, highest = source_of(step, instruction)
        by_name = {"ENTER": instruction.level, "CALL": step.parameters}
        if name == "BSF":
            by_name["BSF"] = lowest
        elif name == "BSR":
            by_name["BSR"] = instruction.size - 1 - highest
        return self.tables.clocks(
            name,
            form,
            mode=step.mode,
            case=case,
            size=instruction.size,
            n=by_name.get(name, step.count),
            m=m,
            ts=self._task_switch(switch, step.mode, step.tasks) if step.tasks else 0,
            p=highest,
            source=source,
            multiplier=multiplier_of(step, instruction),
            precision_control=step.precision_control,
        )

    def _task_switch(self, by: str, mode: str, tasks: str) -> int:
        return self.tables.clocks("TASK SWITCH", by, mode=mode, case=tasks, size=0)

    # ---- one pipe -------------------------------------------------------------------------------------------------

    def _arrival(self, step: Step, instruction: Decoded) -> int:
        """What a branch takes by what it leads to, whether that completes or faults."""
        crosses = self.branched and step.linear % LINE_BYTES + instruction.length > LINE_BYTES
        line = self.tables.penalty("target_crosses_line") if crosses else 0
        return self.refill * self._components(instruction) + line

    def _components(self, instruction: Decoded) -> int:
        """Of what is in no table it is not known what its bytes are: all behind the opcode are one."""
        if self.tables.knows(instruction.mnemonic):
            return instruction.components
        opcode = instruction.prefixes + instruction.repeated + instruction.has_0f + 1
        return opcode + (instruction.length > opcode)

    def _address(self, instruction: Decoded) -> int:
        return self.tables.penalty("index_register") if instruction.index else 0

    def _penalties_of_i486(self, step: Step, instruction: Decoded) -> int:
        penalty = self.tables.penalty
        clocks = instruction.prefixes * penalty("prefix")
        if instruction.has_displacement and instruction.has_immediate:
            clocks += penalty("displacement_and_immediate")
        bases = {instruction.base} | ({"esp"} if instruction.uses_stack else set())
        if bases & self.before.writes():
            clocks += penalty("agi")
        if any(instruction.reads_wide & earlier.writes_byte for earlier in self.before.instructions):
            clocks += penalty("partial_register")
        if not step.was_accessed:
            clocks += penalty("descriptor_not_accessed")
        return clocks

    # ---- two pipes ------------------------------------------------------------------------------------------------

    def _on_two_pipes(self, step: Step, instruction: Decoded) -> int:
        clocks = self._figure(step, instruction)
        decoding = self._prefix_clocks(instruction)
        kind = self._pairing(step, instruction)
        first, self.in_u = self.in_u, None
        if first is not None and not decoding and _pairs(first, instruction, kind):
            waits = 0 if first.waits else self._waits(instruction)
            together = max(first.clocks, 0 if first.kind == "FX" else clocks) + waits
            if first.instruction.modifies_memory and instruction.modifies_memory:
                together += self.tables.penalty("paired_read_modify_write")
            self.before = _Before((first.instruction, instruction))
            self.is_in_v = True
            return together - first.clocks
        if first is not None:
            self.before = _Before((first.instruction,))  # it went alone, so its clock is the one before
        waits = self._waits(instruction)
        if instruction.is_branch or kind not in ("UV", "PU", "FX"):
            self.before = _Before((instruction,))
        else:
            self.in_u = _InU(instruction, kind, clocks, waits > 0)
        return decoding + waits + clocks

    def _prefix_clocks(self, instruction: Decoded) -> int:
        clocks = (instruction.prefixes + instruction.repeated) * self.tables.penalty("prefix")
        has_0f = instruction.has_0f and instruction.mnemonic != "Jcc"
        return clocks + (self.tables.penalty("prefix_0f") if has_0f else 0)

    def _pairing(self, step: Step, instruction: Decoded) -> str:
        case = case_of(step, instruction)
        return self.tables.pairing(instruction.mnemonic, instruction.form, step.mode, case, instruction.size)

    def _waits(self, instruction: Decoded) -> int:
        addresses = {instruction.base, instruction.index} | ({"esp"} if instruction.uses_stack else set())
        return self.tables.penalty("agi") if addresses & self.before.writes() else 0


def _pairs(first: _InU, later: Decoded, kind: str) -> bool:
    """Whether an instruction without prefixes goes with the one in U."""
    if first.kind == "FX":
        return later.mnemonic == "FXCH"
    if kind not in ("UV", "PV"):
        return False
    if any(it.has_displacement and it.has_immediate for it in (first.instruction, later)):
        return False
    pushes = first.instruction.is_push and (later.is_push or later.mnemonic == "CALL")
    shared = {"esp"} if pushes or (first.instruction.is_pop and later.is_pop) else set()
    written = first.instruction.writes - shared
    # The store of the accumulator to a fixed address counts as writing it (AP-500).
    writes = later.writes | ({"eax"} if later.form == "moffs,acc" else set())
    return not written & (later.reads | writes)

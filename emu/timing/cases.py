"""The outcomes that an instruction's cost depends on, beside its operands: branch taken, gate, privilege.

An `Outcome` is a question that is answered when the instruction executes; its cases are the answers, and each is a
`case` in the tables.  Cases have their order in the flat arrays too, so the native core knows it.

Real-address mode and virtual-8086 mode have no privilege and no gates of their own, so there most instructions have
one case, the empty text.
"""

from __future__ import annotations

from enum import IntEnum

from hillemu.emu.timing.opcodes import Form


class Mode(IntEnum):
    """How the processor runs: each has figures of its own."""

    REAL = 0
    PROTECTED = 1
    V86 = 2


class Outcome(IntEnum):
    """What decides between an instruction's cases; `CASES` has the answers."""

    ALWAYS = 0
    BRANCH = 1
    REPEAT_COUNT = 2
    CONDITION = 3
    COMPARISON = 4
    TLB = 5
    GRANULARITY = 6
    LEVEL = 7
    SOURCE = 8
    IO_PRIVILEGE = 9
    GATE = 10
    GATE_FROM_V86 = 11
    OVERFLOW = 12
    OVERFLOW_GATE = 13
    OVERFLOW_GATE_FROM_V86 = 14
    FAR_CALL = 15
    FAR_JUMP = 16
    FAR_RETURN = 17
    INTERRUPT_RETURN = 18
    CPL = 19
    TASK = 20
    TASK_FROM_V86 = 21
    NEVER = 22


_GATE = ("same privilege", "more privilege", "task gate")

CASES: dict[Outcome, tuple[str, ...]] = {
    Outcome.ALWAYS: ("",),
    Outcome.BRANCH: ("not taken", "taken"),
    Outcome.REPEAT_COUNT: ("n=0", "n=1", "n>1"),
    Outcome.CONDITION: ("false", "true"),
    Outcome.COMPARISON: ("equal", "not equal"),
    Outcome.TLB: ("TLB hit", "TLB miss"),
    Outcome.GRANULARITY: ("byte granular", "page granular"),
    Outcome.LEVEL: ("level 0", "level 1", "level n"),
    Outcome.SOURCE: ("source 0", "source not 0"),
    Outcome.IO_PRIVILEGE: ("CPL<=IOPL", "CPL>IOPL"),
    Outcome.GATE: _GATE,
    Outcome.GATE_FROM_V86: _GATE[1:],
    Outcome.OVERFLOW: ("OF=0", "OF=1"),
    Outcome.OVERFLOW_GATE: ("OF=0", *(f"OF=1, {gate}" for gate in _GATE)),
    Outcome.OVERFLOW_GATE_FROM_V86: ("OF=0", *(f"OF=1, {gate}" for gate in _GATE[1:])),
    Outcome.FAR_CALL: (
        "code segment",
        "call gate, same privilege",
        "call gate, more privilege",
        "call gate, more privilege, n parameters",
        "TSS",
        "task gate",
    ),
    Outcome.FAR_JUMP: ("code segment", "call gate, same privilege", "TSS", "task gate"),
    Outcome.FAR_RETURN: ("same privilege", "outer privilege"),
    Outcome.INTERRUPT_RETURN: ("same privilege", "outer privilege", "to V86", "task return"),
    Outcome.CPL: ("CPL=0", "CPL>0"),
    Outcome.TASK: ("386 to 386", "386 to V86", "386 to 286", "286 to 386", "286 to V86", "286 to 286"),
    Outcome.TASK_FROM_V86: ("V86 to 386", "V86 to V86", "V86 to 286"),
    Outcome.NEVER: (),
}

TASK_SWITCHES = (
    Form("TASK SWITCH", "CALL or JMP"),
    Form("TASK SWITCH", "CALL or JMP through task gate"),
    Form("TASK SWITCH", "INT"),
    Form("TASK SWITCH", "IRET"),
)
"""What ``ts`` stands for in an expression; a table has their clocks as rows of their own."""

EVENTS = (
    Form("INTERRUPT", "external"),
    Form("INTERRUPT", "NMI"),
    Form("INTERRUPT", "exception"),
    Form("INTERRUPT", "page fault"),
)
"""What happens to a program without an instruction of its own."""

_IN_ANY_MODE = {
    **dict.fromkeys(("Jcc", "JCXZ", "LOOP", "LOOPE", "LOOPNE"), Outcome.BRANCH),
    **dict.fromkeys(("REP MOVS", "REP STOS", "REP LODS", "REP CMPS", "REP SCAS"), Outcome.REPEAT_COUNT),
    "SETcc": Outcome.CONDITION,
    "CMPXCHG": Outcome.COMPARISON,
    "INVLPG": Outcome.TLB,
    "LSL": Outcome.GRANULARITY,
    "ENTER": Outcome.LEVEL,
    "BSF": Outcome.SOURCE,
    "BSR": Outcome.SOURCE,
}
_BY_MODE = {
    Mode.REAL: {"INTO": Outcome.OVERFLOW, "TASK SWITCH": Outcome.NEVER},
    Mode.PROTECTED: {
        **dict.fromkeys(("IN", "OUT", "INS", "OUTS", "REP INS", "REP OUTS"), Outcome.IO_PRIVILEGE),
        **dict.fromkeys(("INT3", "INT", "INTERRUPT"), Outcome.GATE),
        "INTO": Outcome.OVERFLOW_GATE,
        "IRET": Outcome.INTERRUPT_RETURN,
        "RDTSC": Outcome.CPL,
        "TASK SWITCH": Outcome.TASK,
    },
    Mode.V86: {
        **dict.fromkeys(("INT3", "INT", "INTERRUPT"), Outcome.GATE_FROM_V86),
        "INTO": Outcome.OVERFLOW_GATE_FROM_V86,
    },
}


def outcome_of(form: Form, mode: Mode) -> Outcome:
    """What decides between the cases of a form in a mode."""
    if form.mnemonic == "TASK SWITCH" and mode is Mode.V86:
        # Far CALL and JMP are as in real mode there, and IRET knows no nested task.
        return Outcome.TASK_FROM_V86 if form.operands == "INT" else Outcome.NEVER
    if mode is Mode.PROTECTED and form.operands in ("ptr far", "m far"):
        return Outcome.FAR_CALL if form.mnemonic == "CALL" else Outcome.FAR_JUMP
    if mode is Mode.PROTECTED and form.mnemonic == "RET" and form.operands.endswith("far"):
        return Outcome.FAR_RETURN
    return _IN_ANY_MODE.get(form.mnemonic) or _BY_MODE[mode].get(form.mnemonic, Outcome.ALWAYS)


def cases_of(form: Form, mode: Mode) -> tuple[str, ...]:
    """Every case that a table must have a figure for."""
    return CASES[outcome_of(form, mode)]

"""Which case of the tables an executed instruction is, and the values in its figure: from the state before it."""

from __future__ import annotations

from functools import cache

from instruction_decoding import Decoded
from instruction_trace import Step

_FAR = ("ptr far", "m far")


def case_of(step: Step, instruction: Decoded) -> str:
    """The case, "" where there is one figure."""
    name, in_protected = instruction.mnemonic, step.mode == "protected"
    if name in ("Jcc", "JCXZ", "LOOP", "LOOPE", "LOOPNE"):
        return "taken" if step.taken else "not taken"
    if name in ("REP MOVS", "REP STOS", "REP LODS", "REP CMPS", "REP SCAS"):
        return ("n=0", "n=1", "n>1")[min(step.count, 2)]
    if name == "SETcc":
        return "true" if condition(instruction.condition, step.flags) else "false"
    if name == "CMPXCHG":
        return "equal" if step.stored else "not equal"
    if name == "ENTER":
        return ("level 0", "level 1", "level n")[min(instruction.level, 2)]
    if name in ("BSF", "BSR"):
        return "source not 0" if source_of(step, instruction)[0] else "source 0"
    if name == "INVLPG":
        return "TLB hit"
    if name == "LSL":
        return "page granular" if step.operand >> 55 & 1 else "byte granular"
    if name == "INTO":
        overflow = "OF=1" if step.flags >> 11 & 1 else "OF=0"
        return f"{overflow}, {step.outcome}" if step.outcome else overflow
    if in_protected and name in ("IN", "OUT", "INS", "OUTS", "REP INS", "REP OUTS"):
        return "CPL<=IOPL" if step.cpl <= step.iopl else "CPL>IOPL"
    if in_protected and name == "RDTSC":
        return "CPL>0" if step.cpl else "CPL=0"
    is_far = instruction.form in _FAR or instruction.form.endswith("far") or name == "IRET"
    if name in ("INT", "INT3"):
        return step.outcome
    return step.outcome if in_protected and is_far else ""


@cache
def condition(number: int, flags: int) -> bool:
    """Whether a condition holds with these flags, the arithmetic ones.  Source: PRM, appendix "Condition Codes"."""
    carry, parity, zero, sign, overflow = (bool(flags >> bit & 1) for bit in (0, 2, 6, 7, 11))
    holds = (overflow, carry, zero, carry or zero, sign, parity, sign != overflow, zero or sign != overflow)[
        number >> 1
    ]
    return holds != bool(number & 1)


def source_of(step: Step, instruction: Decoded) -> tuple[int, int, int]:
    """The source of BSF or BSR with its lowest and highest set bit (0 without one)."""
    if instruction.mnemonic not in ("BSF", "BSR"):
        return 1, 0, 0
    value = step.operand & (1 << instruction.size) - 1
    return value, (value & -value).bit_length() - 1 if value else 0, max(value.bit_length() - 1, 0)


def multiplier_of(step: Step, instruction: Decoded) -> int:
    """The multiplier: the last operand; of MUL without a sign."""
    if instruction.mnemonic not in ("MUL", "IMUL"):
        return 0
    value = step.operand & (1 << instruction.size) - 1
    is_negative = instruction.mnemonic == "IMUL" and value >> instruction.size - 1
    return value - (1 << instruction.size) if is_negative else value

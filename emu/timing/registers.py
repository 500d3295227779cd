"""Which general registers an encoding reads and writes: what address generation interlocks and pairing depend on.

An access is a word of flags: one for each register that is always meant (EAX bit 0 to EDI bit 7), and one for each way
in which an encoding names another.  Registers of a memory operand's address are not in it.  In operands of 8 bits,
numbers 4 to 7 are AH to BH, parts of registers 0 to 3.

>>> from hillemu.emu.timing.opcodes import slots
>>> reads, writes = accesses(slots()[0x01, 0, False])  # add r/m32, r32
>>> reads == Access.RM | Access.REG, writes == Access.RM
(True, True)

Not in it: ECX of a repeat prefix, flags and segment registers, and what RSM and a task switch load.

Source: Intel 80386 Programmer's Reference Manual, chapter 17, the "Operation" sections.
"""

from __future__ import annotations

from enum import IntFlag

from hillemu.emu.timing.opcodes import Slot, Width


class Access(IntFlag):
    """The flags of an access word."""

    EAX = 1 << 0
    ECX = 1 << 1
    EDX = 1 << 2
    EBX = 1 << 3
    ESP = 1 << 4
    EBP = 1 << 5
    ESI = 1 << 6
    EDI = 1 << 7
    RM = 1 << 8
    """The register of ModR/M's rm."""
    REG = 1 << 9
    """The register of ModR/M's reg field."""
    OPCODE = 1 << 10
    """The register in the opcode's low three bits."""


A, C, D, B, SP, BP, SI, DI = (Access(1 << number) for number in range(8))
NONE = Access(0)

_NAMED = {"E": Access.RM, "R": Access.RM, "U": Access.RM, "G": Access.REG, "Z": Access.OPCODE, "A": A}
_FIRST_IS_ONLY_READ = frozenset(
    ("CMP", "TEST", "PUSH", "BT", "MUL", "DIV", "IDIV", "CALL", "JMP", "BOUND", "LLDT", "LTR", "LMSW", "VERR", "VERW")
)
_FIRST_IS_ONLY_WRITTEN = frozenset(
    (
        *("MOV", "MOVZX", "MOVSX", "LEA", "POP", "SETcc", "IN", "BSF", "BSR", "LDS", "LES", "LFS", "LGS", "LSS"),
        *("SLDT", "STR", "SMSW", "LAR", "LSL"),
    )
)
_SECOND_IS_WRITTEN = frozenset(("XCHG", "XADD"))
_IMPLICIT: dict[str, tuple[Access, Access]] = {
    # mnemonic: read, written
    **dict.fromkeys(("PUSH", "POP", "PUSHF", "POPF", "CALL", "RET", "INT", "INT3", "INTO", "IRET"), (SP, SP)),
    **dict.fromkeys(("AAA", "AAS", "DAA", "DAS", "AAM", "AAD", "CBW", "CMPXCHG"), (A, A)),
    "LAHF": (NONE, A),
    "SAHF": (A, NONE),
    "CWD": (A, D),
    "PUSHA": (A | C | D | B | SP | BP | SI | DI, SP),
    "POPA": (SP, A | C | D | B | SP | BP | SI | DI),
    "ENTER": (SP | BP, SP | BP),
    "LEAVE": (BP, SP | BP),
    "XLAT": (A | B, A),
    **dict.fromkeys(("LOOP", "LOOPE", "LOOPNE"), (C, C)),
    "JCXZ": (C, NONE),
    "MOVS": (SI | DI, SI | DI),
    "CMPS": (SI | DI, SI | DI),
    "STOS": (A | DI, DI),
    "SCAS": (A | DI, DI),
    "LODS": (SI, A | SI),
    "INS": (D | DI, DI),
    "OUTS": (D | SI, SI),
    "CMPXCHG8B": (A | B | C | D, A | D),
    "CPUID": (A, A | B | C | D),
    "RDTSC": (NONE, A | D),
    "RDMSR": (C, A | D),
    "WRMSR": (A | C | D, NONE),
}


def accesses(slot: Slot) -> tuple[Access, Access]:
    """What an encoding reads and what it writes."""
    name = slot.form.mnemonic
    reads, writes = _IMPLICIT.get(name, (NONE, NONE))
    if name in ("MUL", "DIV", "IDIV") or (name == "IMUL" and len(slot.operands) == 1):
        multiplies = name in ("MUL", "IMUL")
        wide = NONE if slot.width is Width.BYTE else D
        reads, writes = A if multiplies else A | wide, A | wide
    if name == "OUT":
        reads |= A
    for place, operand in enumerate(slot.operands):
        named = _NAMED.get(operand[0], NONE) if operand not in ("CL", "DX", "AX") and len(operand) == 2 else NONE
        reads |= {"CL": C, "DX": D}.get(operand, NONE)
        if place == 0:
            only_read = name in _FIRST_IS_ONLY_READ or (name == "IMUL" and len(slot.operands) == 1) or name == "OUT"
            only_written = name in _FIRST_IS_ONLY_WRITTEN or (name == "IMUL" and len(slot.operands) == 3)
            reads |= NONE if only_written else named
            writes |= NONE if only_read else named
        else:
            reads |= named
            writes |= named if name in _SECOND_IS_WRITTEN else NONE
    return reads, writes

"""Random instructions by encoding: every form that does not leave the program, with every kind of operand and prefix.

Left out: transfers, segment and system registers, ports, what loads flags or the x87's state, and divisions (a fault
would end the program).  16-bit BSWAP is undefined.
"""

from __future__ import annotations

from functools import cache
from random import Random

from hillemu.emu.timing.opcodes import Slot, Tail, repeated_form, slots

DATA, DATA_16 = 0x210000, 0x3000
NEWER = frozenset(("CMPXCHG", "XADD", "BSWAP", "CMPXCHG8B"))
"""Than the i386; the Pentium has them all."""
_LEFT_OUT = frozenset(
    (
        *("HLT", "INT", "INT3", "INTO", "IRET", "CALL", "JMP", "RET", "Jcc", "JCXZ", "LOOP", "LOOPE", "LOOPNE", "RSM"),
        *("LDS", "LES", "LSS", "LFS", "LGS", "LTR", "LLDT", "LGDT", "LIDT", "LMSW", "SMSW", "SLDT", "STR", "CLTS"),
        *("VERR", "VERW", "LAR", "LSL", "ARPL", "INVD", "WBINVD", "INVLPG", "WRMSR", "RDMSR", "RDTSC", "CPUID"),
        *("ENTER", "LEAVE", "POPA", "STI", "STD", "POPF", "IN", "OUT", "INS", "OUTS", "BOUND", "DIV", "IDIV", "AAM"),
        *("WAIT", "FLDENV", "FRSTOR", "FLDCW", "FNSAVE"),
    )
)
_SPECIAL = ("sreg", "CR", "DR", "TR")


@cache
def _encodings(has_newer: bool) -> tuple[tuple[int, int, bool, Slot], ...]:
    return tuple(
        (*key, slot)
        for key, slot in slots().items()
        if slot.form.mnemonic not in _LEFT_OUT | (frozenset() if has_newer else NEWER)
        and not any(word in slot.form.operands for word in _SPECIAL)
    )


def program(chance: Random, *, has_newer: bool, groups: int = 20) -> str:
    """Groups of instructions in 32-bit code, each behind new values of some registers; ends with CLI and HLT."""
    lines = ["fninit; fld1; fld1"]
    for _ in range(groups):
        registers = chance.sample(["eax", "ecx", "edx", "ebx", "ebp", "esi", "edi"], chance.randrange(2, 8))
        lines += ["mov esp, 0x78000", *(f"mov {name}, {0x10000 + 4 * chance.randrange(2048)}" for name in registers)]
        codes = [instruction(chance, has_newer) for _ in range(chance.randrange(1, 6))]
        lines += [f".byte {', '.join(map(str, code))}" for code in codes]
    return "\n".join([*lines, "cli; hlt"])


def instruction(chance: Random, has_newer: bool) -> bytes:
    """One instruction; of a repeated string instruction with the MOV that loads its count."""
    opcode, reg, is_memory, slot = chance.choice(_encodings(has_newer))
    prefixes = b"\x66" if chance.random() < 0.2 and slot.form.mnemonic != "BSWAP" else b""
    prefixes += bytes([chance.choice((0x26, 0x3E, 0x36, 0x64))]) if chance.random() < 0.15 else b""
    operand_size, address_size = 16 if b"\x66" in prefixes else 32, 32
    code = bytes((0x0F, opcode & 0xFF)) if opcode >= 0x0F00 else bytes((opcode,))
    if repeated_form(slot.form) is not None:
        if chance.random() < 0.5:
            return prefixes + code
        return bytes((0xB9, chance.randrange(4), 0, 0, 0)) + prefixes + chance.choice((b"\xf2", b"\xf3")) + code
    if chance.random() < 0.1:
        prefixes, address_size = prefixes + b"\x67", 16
    if slot.has_modrm and not is_memory:
        code += bytes((0xC0 | reg << 3 | chance.randrange(8),))
    elif slot.has_modrm:
        code += _memory_operand(chance, reg, address_size)
    length = slot.tail.length(operand_size, address_size)
    if slot.tail is Tail.ADDRESS_SIZE:
        return prefixes + code + _offset(chance, address_size).to_bytes(length, "little")
    return prefixes + code + chance.randbytes(length)


def _memory_operand(chance: Random, reg: int, address_size: int) -> bytes:
    """ModR/M, SIB and displacement, as ModR/M's tables have them."""
    mod, rm = chance.randrange(3), chance.randrange(8)
    code = bytes((mod << 6 | reg << 3 | rm,))
    if address_size == 16:
        fixed = mod == 0 and rm == 6
    else:
        sib = chance.randrange(256)
        code += bytes((sib,)) if rm == 4 else b""
        fixed = mod == 0 and (sib & 7 if rm == 4 else rm) == 5
    if fixed:
        return code + _offset(chance, address_size).to_bytes(address_size // 8, "little")
    if mod == 1:
        return code + bytes((chance.randrange(128),))
    return code + (chance.randrange(4096).to_bytes(address_size // 8, "little") if mod == 2 else b"")


def _offset(chance: Random, address_size: int) -> int:
    return (DATA_16 if address_size == 16 else DATA) + chance.randrange(4096)

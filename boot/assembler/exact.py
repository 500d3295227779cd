"""Instructions that keystone 0.9.2 gets wrong, encoded here.

What it does (each is a test): a 16-bit ``ret``, ``retf`` or ``push 1`` gets an operand-size prefix and so moves four
bytes; a 32-bit ``iret``, ``pushf`` or ``push es`` gets one and moves two; ``ljmp 8:label`` in 32-bit code loses half of
the offset; ``movsd``, ``xlat``, ``iretw``, ``data32`` and segment prefixes are unknown to it.

Sizes without a suffix are those of the code segment, as in GNU as.

Source: Intel SDM Vol. 2, "Instruction Set Reference", the opcode tables; section 2.1, "Instruction Format for
Protected Mode, Real-Address Mode, and Virtual-8086 Mode".
"""

from __future__ import annotations

from hillemu.boot.assembler.expression import Expression, ExpressionError, Register, Value, evaluate
from hillemu.boot.assembler.instruction import Encoding, Hole, Instruction, Prefixes
from hillemu.boot.assembler.operands import Far, Immediate, Memory, has_symbol

_CONDITIONS = (
    ("o",),
    ("no",),
    ("b", "c", "nae"),
    ("ae", "nb", "nc"),
    ("e", "z"),
    ("ne", "nz"),
    ("be", "na"),
    ("a", "nbe"),
    ("s",),
    ("ns",),
    ("p", "pe"),
    ("np", "po"),
    ("l", "nge"),
    ("ge", "nl"),
    ("le", "ng"),
    ("g", "nle"),
)
NEAR: dict[str, tuple[bytes, bytes]] = {
    "jmp": (b"\xeb", b"\xe9"),
    "call": (b"", b"\xe8"),
    **{
        f"j{name}": (bytes((0x70 + code,)), bytes((0x0F, 0x80 + code)))
        for code, names in enumerate(_CONDITIONS)
        for name in names
    },
    "loop": (b"\xe2", b""),
    "loope": (b"\xe1", b""),
    "loopz": (b"\xe1", b""),
    "loopne": (b"\xe0", b""),
    "loopnz": (b"\xe0", b""),
    "jcxz": (b"\xe3", b""),
    "jecxz": (b"\xe3", b""),
}
"""Opcodes of jumps to a label: with an 8-bit and with a full displacement; empty where there is none."""

# Mnemonic: (opcode, operand size in bytes; 0 for the code segment's or for none).
_PLAIN: dict[str, tuple[int, int]] = {
    "xlat": (0xD7, 0),
    "xlatb": (0xD7, 0),
    "leave": (0xC9, 0),
    "iret": (0xCF, 0),
    "iretw": (0xCF, 2),
    "iretd": (0xCF, 4),
    "ret": (0xC3, 0),
    "retw": (0xC3, 2),
    "retd": (0xC3, 4),
    **dict.fromkeys(("retf", "lret"), (203, 0)),
    **dict.fromkeys(("retfw", "lretw"), (203, 2)),
    **dict.fromkeys(("retfd", "lretd"), (203, 4)),
    **{f"pusha{suffix}": (0x60, size) for suffix, size in (("", 0), ("w", 2), ("d", 4))},
    **{f"popa{suffix}": (0x61, size) for suffix, size in (("", 0), ("w", 2), ("d", 4))},
    **{f"pushf{suffix}": (0x9C, size) for suffix, size in (("", 0), ("w", 2), ("d", 4))},
    **{f"popf{suffix}": (0x9D, size) for suffix, size in (("", 0), ("w", 2), ("d", 4))},
    **{
        f"{name}{suffix}": (opcode + (suffix != "b"), size)
        for name, opcode in (
            ("ins", 0x6C),
            ("outs", 0x6E),
            ("movs", 0xA4),
            ("cmps", 0xA6),
            ("stos", 0xAA),
            ("lods", 0xAC),
            ("scas", 0xAE),
        )
        for suffix, size in (("b", 0), ("w", 2), ("d", 4))
    },
}
_SEGMENT_STACK = {
    ("push", "es"): b"\x06",
    ("pop", "es"): b"\x07",
    ("push", "cs"): b"\x0e",
    ("push", "ss"): b"\x16",
    ("pop", "ss"): b"\x17",
    ("push", "ds"): b"\x1e",
    ("pop", "ds"): b"\x1f",
    ("push", "fs"): b"\x0f\xa0",
    ("pop", "fs"): b"\x0f\xa1",
    ("push", "gs"): b"\x0f\xa8",
    ("pop", "gs"): b"\x0f\xa9",
}
_RETURN_POP = {"ret": 0xC2, "retf": 0xCA, "lret": 0xCA}
_PUSH_SIZES = {"push": 0, "pushw": 2, "pushd": 4}
_FAR = {"jmp": 0xEA, "ljmp": 0xEA, "call": 0x9A, "lcall": 0x9A}


def near_target(instruction: Instruction) -> Expression | None:
    """Where a jump or call to a label goes; `None` for every other instruction."""
    name = instruction.mnemonic.removesuffix(" short")
    if name not in NEAR or len(instruction.operands) != 1:
        return None
    operand = instruction.operands[0]
    if isinstance(operand, Immediate):
        return operand.value
    if isinstance(operand, Memory) and not (
        operand.size or operand.segment or operand.base or operand.index or operand.bracketed
    ):
        return operand.displacement
    return None


def encode_exact(instruction: Instruction) -> Encoding | None:
    """Encode an instruction that is not keystone's to encode; `None` leaves it to keystone."""
    name = instruction.mnemonic
    operands = instruction.operands
    if not operands:
        return _plain(instruction)
    first = operands[0]
    if len(operands) == 1 and isinstance(first, Register) and (name, first.name) in _SEGMENT_STACK:
        return Encoding(_SEGMENT_STACK[name, first.name]).prefixed(instruction.prefixes)
    if name in _PUSH_SIZES and len(operands) == 1 and isinstance(first, Immediate):
        return _push(instruction, first.value, first.size or _PUSH_SIZES[name])
    if name in _RETURN_POP and len(operands) == 1 and isinstance(first, Immediate):
        return Encoding(bytes((_RETURN_POP[name], 0, 0)), (Hole(1, 2, first.value),)).prefixed(instruction.prefixes)
    if name == "int" and len(operands) == 1 and isinstance(first, Immediate):
        if _constant(first.value) == 3:
            return Encoding(b"\xcc").prefixed(instruction.prefixes)
        return Encoding(b"\xcd\0", (Hole(1, 1, first.value),)).prefixed(instruction.prefixes)
    if name in _FAR:
        return _far(instruction)
    return None


def _constant(value: Expression) -> int | None:
    if has_symbol(value):
        return None
    return evaluate(value, _no_symbol).number


def _no_symbol(name: str) -> Value:
    raise ExpressionError(name)


def _plain(instruction: Instruction) -> Encoding | None:
    if instruction.mnemonic not in _PLAIN:
        return None
    opcode, size = _PLAIN[instruction.mnemonic]
    sized = Prefixes(operand_size=bool(size) and instruction.operand_size_prefix(size))
    return Encoding(bytes((opcode,))).prefixed(instruction.prefixes.merge(sized))


def _push(instruction: Instruction, value: Expression, size: int) -> Encoding:
    own = Prefixes(operand_size=bool(size) and instruction.operand_size_prefix(size))
    prefixes = instruction.prefixes.merge(own)
    wide = 4 if (instruction.bits == 32) != prefixes.operand_size else 2
    known = _constant(value)
    if known is not None:
        top = 1 << 8 * wide
        signed = known - top if top // 2 <= known < top else known
        if -128 <= signed < 128:
            return Encoding(bytes((0x6A, signed & 0xFF))).prefixed(prefixes)
    return Encoding(b"\x68" + bytes(wide), (Hole(1, wide, value),)).prefixed(prefixes)


def _far(instruction: Instruction) -> Encoding | None:
    """``jmp 8:label`` and ``jmp 8, offset label``."""
    operands = instruction.operands
    if len(operands) == 1 and isinstance(operands[0], Far):
        selector, offset = operands[0].selector, operands[0].offset
    elif len(operands) == 2 and isinstance(operands[0], Immediate) and isinstance(operands[1], Immediate):
        selector, offset = operands[0].value, operands[1].value
    else:
        return None
    wide = 4 if (instruction.bits == 32) != instruction.prefixes.operand_size else 2
    code = bytes((_FAR[instruction.mnemonic],)) + bytes(wide + 2)
    return Encoding(code, (Hole(1, wide, offset), Hole(1 + wide, 2, selector))).prefixed(instruction.prefixes)

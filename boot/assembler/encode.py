"""Encodes one instruction with keystone, and checks what keystone says.

Keystone sees registers and plain numbers only.  A value that is not known yet is a *hole*: the instruction is encoded
with two different placeholders, and the bytes that differ are where the address goes.  So each instruction is
encoded once, whatever the labels' addresses become, and always in its wide form.

Keystone 0.9.2 truncates numbers silently (``mov al, 0x1234``), drops registers (16-bit ``[eax*4 + 8]``) and adds or
forgets operand sizes.  Every encoding is therefore read back by capstone, and what it says must be what was written.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from hillemu.boot.assembler.exact import encode_exact
from hillemu.boot.assembler.expression import Expression, ExpressionError, Register, Value, evaluate
from hillemu.boot.assembler.instruction import SEGMENT_BYTES, Encoding, Hole, Instruction, Prefixes
from hillemu.boot.assembler.operands import (
    POINTER_SIZES,
    SEGMENTS,
    Immediate,
    Memory,
    Operand,
    has_symbol,
)
from hillemu.boot.assembler.readback import check_reads_back

# Pairs whose bytes all differ: 32-bit values first, narrow ones for instructions that refuse those.
_PLACEHOLDERS = ((0x7A5B3C1D, 0x6B4C2D1E), (0x7A5B, 0x6B4C), (0x7A, 0x6B))
_SIZE_NAMES = {size: name for name, size in POINTER_SIZES.items()}
_DESCRIPTOR_TABLES = frozenset(("lgdt", "lidt", "sgdt", "sidt", "lgdtd", "lidtd", "sgdtd", "sidtd"))
_NEEDS_SIZE = frozenset(
    [
        "mov",
        "add",
        "or",
        "adc",
        "sbb",
        "and",
        "sub",
        "xor",
        "cmp",
        "test",
        "inc",
        "dec",
        "neg",
        "not",
        "mul",
        "imul",
        "div",
        "idiv",
        "shl",
        "shr",
        "sal",
        "sar",
        "rol",
        "ror",
        "rcl",
        "rcr",
        "bt",
        "bts",
        "btr",
        "btc",
        "movzx",
        "movsx",
        "fld",
        "fst",
        "fstp",
        "fadd",
        "fsub",
        "fsubr",
        "fmul",
        "fdiv",
        "fdivr",
        "fcom",
        "fcomp",
        "fild",
        "fist",
        "fistp",
        "fiadd",
        "fisub",
        "fimul",
        "fidiv",
    ]
)


# x87 instructions that first wait for pending exceptions: WAIT, then the instruction that does not.
_WAITING = {name: "fn" + name[1:] for name in ("finit", "fclex", "fstcw", "fstsw", "fsave", "fstenv")}
_WAIT = 0x9B


def encode(instruction: Instruction) -> Encoding:
    """Encode `instruction`; `ExpressionError` says why it cannot be done."""
    exact = encode_exact(instruction)
    if exact is not None:
        return exact
    if instruction.mnemonic in _WAITING:
        encoding = encode(replace(instruction, mnemonic=_WAITING[instruction.mnemonic]))
        return encoding.behind(bytes((_WAIT,)))
    _refuse_ambiguous(instruction)
    renamed, operand_size = _sized(instruction)
    encoding = _with_keystone(renamed)
    found, opcode = Prefixes.split(encoding.code)
    removed = len(encoding.code) - len(opcode)
    if operand_size is not None:
        found.operand_size = operand_size
    holes = tuple(Hole(hole.offset - removed, hole.size, hole.value) for hole in encoding.holes)
    for operand in instruction.operands:
        if isinstance(operand, Memory) and operand.segment:
            found = found.merge(Prefixes(segment=SEGMENT_BYTES[operand.segment]))
    return Encoding(opcode, holes).prefixed(found.merge(instruction.prefixes))


def _refuse_ambiguous(instruction: Instruction) -> None:
    """Refuse ``mov [eax], 1``: nothing there has a size, and assemblers disagree on the default."""
    if instruction.mnemonic not in _NEEDS_SIZE:
        return
    sized = [
        isinstance(operand, Register) and instruction.mnemonic not in ("movzx", "movsx")
        for operand in instruction.operands
    ]
    if instruction.mnemonic in ("shl", "shr", "sal", "sar", "rol", "ror", "rcl", "rcr"):
        del sized[1:]  # `shl [eax], cl`: the count has a size, but it is not the operand's
    memory = [operand for operand in instruction.operands if isinstance(operand, Memory)]
    if memory and not any(sized) and not memory[0].size:
        raise ExpressionError("ambiguous operand size: write `byte ptr`, `word ptr` or `dword ptr`")


def _sized(instruction: Instruction) -> tuple[Instruction, bool | None]:
    """The instruction as keystone must see it, and whether the operand-size prefix belongs there.

    `None` trusts keystone's prefix.
    """
    name, operands = instruction.mnemonic, instruction.operands
    first = operands[0] if operands else None
    if name in _DESCRIPTOR_TABLES:
        # Keystone adds a prefix in 32-bit code, and the processor would load 24 bits of the base only.
        wanted = name.endswith("td") and instruction.bits == 16
        return Instruction(instruction.bits, Prefixes(), name[:4], operands), wanted
    if name == "mov" and len(operands) == 2:
        target, source = operands
        if isinstance(target, Register) and target.name in SEGMENTS:
            return instruction, False
        if isinstance(source, Register) and source.name in SEGMENTS and isinstance(target, Memory):
            return instruction, False
    if name in ("jmp", "call", "ljmp", "lcall") and isinstance(first, Memory):
        return _indirect(instruction, first)
    if name == "push" and isinstance(first, Memory) and not first.size:
        return instruction, False
    return instruction, None


def _indirect(instruction: Instruction, pointer: Memory) -> tuple[Instruction, bool | None]:
    far = pointer.far or pointer.size == 6 or instruction.mnemonic.startswith("l")
    if not far and pointer.size == 4 and instruction.bits == 16:
        raise ExpressionError("assemblers disagree whether this is a far jump: write `far ptr` or `word ptr`")
    if not far:
        return instruction, None if pointer.size else False
    bare = Memory(0, pointer.segment, pointer.base, pointer.index, pointer.scale, pointer.displacement)
    name = "l" + instruction.mnemonic.removeprefix("l")
    wanted = pointer.size == 6 and instruction.bits == 16
    return Instruction(instruction.bits, Prefixes(), name, (bare,)), wanted


def _with_keystone(instruction: Instruction) -> Encoding:
    """Encode with keystone, finding the holes, and check the result by reading it back."""
    values = [_value(operand) for operand in instruction.operands if not isinstance(operand, Register)]
    waits = [_waits(instruction, operand) for operand in instruction.operands if not isinstance(operand, Register)]
    known = [0 if late else evaluate(value, _unknown).number for value, late in zip(values, waits, strict=True)]
    if not any(waits):
        code = _assemble(_render(instruction, known), instruction.bits)
        check_reads_back(instruction, code, known)
        return Encoding(code)
    fault: ExpressionError | None = None
    short = [_has_short_address(instruction, item) for item in instruction.operands if not isinstance(item, Register)]
    for pair in _PLACEHOLDERS:
        pairs = [_PLACEHOLDERS[1] if is_short else pair for is_short in short]
        numbers = [own[0] if late else number for number, late, own in zip(known, waits, pairs, strict=True)]
        holes = []
        try:
            code = _assemble(_render(instruction, numbers), instruction.bits)
            for at in (at for at, late in enumerate(waits) if late):
                changed = [*numbers[:at], pairs[at][1], *numbers[at + 1 :]]
                hole = _hole(code, _assemble(_render(instruction, changed), instruction.bits), values[at])
                numbers[at] &= (1 << 8 * hole.size) - 1
                holes.append(hole)
        except ExpressionError as error:
            fault = fault or error
            continue
        check_reads_back(instruction, code, numbers)
        return Encoding(code, tuple(holes))
    raise fault or ExpressionError("invalid operands")


def _hole(code: bytes, other: bytes, value: Expression) -> Hole:
    differing = [at for at, (one, two) in enumerate(zip(code, other, strict=False)) if one != two]
    if len(code) != len(other) or not differing or differing[-1] - differing[0] + 1 != len(differing):
        raise ExpressionError("invalid operands")
    return Hole(differing[0], len(differing), value)


def _value(operand: Operand) -> Expression:
    if isinstance(operand, Immediate):
        return operand.value
    if isinstance(operand, Memory):
        return operand.displacement
    raise ExpressionError("a far address is only for jmp and call")


def _waits(instruction: Instruction, operand: Operand) -> bool:
    """Whether the operand's value becomes a hole."""
    if has_symbol(_value(operand)):
        return True
    # 16-bit code, an index and no base: given a small number, keystone forgets the index.
    return instruction.bits == 16 and isinstance(operand, Memory) and bool(operand.index) and not operand.base


def _has_short_address(instruction: Instruction, operand: Operand) -> bool:
    """Whether the operand lies in memory with a 16-bit address; keystone would widen it for a large number."""
    return isinstance(operand, Memory) and (operand.address_bits or instruction.bits) == 16


def _render(instruction: Instruction, numbers: list[int]) -> str:
    """The instruction's text for keystone, with a number for each operand that is no register."""
    parts = []
    values = iter(numbers)
    for operand in instruction.operands:
        if isinstance(operand, Register):
            parts.append(operand.name)
        elif isinstance(operand, Memory):
            parts.append(_render_memory(operand, next(values)))
        else:
            parts.append(str(next(values)))
    return f"{instruction.mnemonic} {', '.join(parts)}".strip()


def _unknown(name: str) -> Value:
    raise ExpressionError(f"undefined symbol `{name}`")


def _render_memory(operand: Memory, displacement: int) -> str:
    # Without the segment: keystone loses `ds:` before [ebp], so `encode` adds the prefix.
    size = f"{_SIZE_NAMES[operand.size]} ptr " if operand.size else ""
    terms = []
    if operand.base:
        terms.append(operand.base)
    if operand.index:
        terms.append(f"{operand.index}*{operand.scale}" if operand.address_bits == 32 else operand.index)
    if displacement or not terms:
        terms.append(str(displacement))
    return f"{size}[{' + '.join(terms)}]"


@lru_cache(maxsize=2)
def _keystone(bits: int) -> Any:
    from keystone import keystone

    engine: Any = keystone.Ks
    return engine(keystone.KS_ARCH_X86, keystone.KS_MODE_32 if bits == 32 else keystone.KS_MODE_16)


@lru_cache(maxsize=16384)
def _assemble(text: str, bits: int) -> bytes:
    from keystone import keystone

    try:
        code, _ = _keystone(bits).asm(text)
    except keystone.KsError as error:
        raise ExpressionError(_FAULTS.get(error.errno, f"invalid instruction ({error.message})")) from None
    if not code:
        raise ExpressionError("invalid instruction")
    return bytes(code)


# KS_ERR_ASM_INVALIDOPERAND, KS_ERR_ASM_MISSINGFEATURE, KS_ERR_ASM_MNEMONICFAIL.
_FAULTS = {512: "invalid operands", 513: "not an instruction of a 32-bit processor", 514: "invalid mnemonic"}

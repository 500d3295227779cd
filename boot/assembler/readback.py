"""Reads an encoding back with capstone and compares it with what was written.

A second opinion on keystone: registers, memory operand and numbers must be the ones of the source, down to the last
bit, or the instruction is refused.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from hillemu.boot.assembler.expression import ExpressionError, Register
from hillemu.boot.assembler.instruction import Instruction
from hillemu.boot.assembler.operands import Immediate, Memory


def check_reads_back(instruction: Instruction, code: bytes, numbers: list[int]) -> None:
    """Raise `ExpressionError` unless `code` is one instruction with the operands of `instruction`.

    `numbers` has what each immediate and each memory operand, in order, was encoded with.
    """
    decoded = next(_capstone(instruction.bits).disasm(code, 0), None)
    if decoded is None or decoded.size != len(code):
        raise ExpressionError("invalid instruction")
    remaining = list(decoded.operands)
    values = iter(numbers)
    for operand in instruction.operands:
        if isinstance(operand, Memory):
            _check_memory(operand, next(values), decoded, remaining)
        elif isinstance(operand, Immediate):
            _check_number(next(values), decoded, remaining)
        elif isinstance(operand, Register) and not operand.name.startswith("st"):
            _check_register(operand.name, decoded, remaining)


@lru_cache(maxsize=2)
def _capstone(bits: int) -> Any:
    import capstone

    engine: Any = capstone.Cs
    reader = engine(capstone.CS_ARCH_X86, capstone.CS_MODE_32 if bits == 32 else capstone.CS_MODE_16)
    reader.detail = True
    return reader


def _nearest(decoded: Any) -> str:
    return f"the nearest is `{decoded.mnemonic} {decoded.op_str}`"


def _check_register(name: str, decoded: Any, remaining: list[Any]) -> None:
    import capstone

    for item in remaining:
        if item.type == capstone.CS_OP_REG and decoded.reg_name(item.reg) == name:
            remaining.remove(item)
            return
    raise ExpressionError(f"`{name}` cannot be encoded there: {_nearest(decoded)}")


def _check_number(number: int, decoded: Any, remaining: list[Any]) -> None:
    import capstone

    for item in remaining:
        # The 1 of RCL m,1 is part of the opcode, and has no size.
        if item.type == capstone.CS_OP_IMM and _same(item.imm, number, 8 * item.size or 8):
            remaining.remove(item)
            return
    raise ExpressionError(f"{number:#x} does not fit there: {_nearest(decoded)}")


def _check_memory(written: Memory, displacement: int, decoded: Any, remaining: list[Any]) -> None:
    import capstone

    found = next((item for item in remaining if item.type == capstone.CS_OP_MEM), None)
    if found is None:
        raise ExpressionError(f"memory cannot be there: {_nearest(decoded)}")
    remaining.remove(found)
    base, index, segment = (
        decoded.reg_name(number) or "" for number in (found.mem.base, found.mem.index, found.mem.segment)
    )
    scale = found.mem.scale if index else 1
    # The segment prefix is added later.
    if (segment, base, index, scale) != ("", written.base, written.index, written.scale):
        raise ExpressionError(f"this address cannot be encoded: {_nearest(decoded)}")
    if written.size in (1, 2, 4, 10) and found.size != written.size:
        raise ExpressionError(f"this operand size cannot be encoded: {_nearest(decoded)}")
    bits = 8 * decoded.addr_size
    if not _same(found.mem.disp, displacement, bits):
        raise ExpressionError(f"the address {displacement:#x} does not fit into {bits} bits")


def _same(encoded: int, written: int, bits: int) -> bool:
    """Whether `bits` bits hold `written`, signed or unsigned, and `encoded` is the same pattern."""
    return -(1 << bits - 1) <= written < 1 << bits and (encoded - written) % (1 << bits) == 0

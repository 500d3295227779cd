"""Which operand of an instruction goes beyond its segment: what #GP and #SS with error code 0 do not tell.

Only where the registers are still those of the instruction; a guest whose handler ran has changed them.
"""

from __future__ import annotations

from typing import Any

from hillemu.emu.guest import Segment
from hillemu.emu.i386 import vectors
from hillemu.report.disassembly import instruction_at
from hillemu.report.view import DEFAULT_OPERATION_SIZE, Delivery, Scene

_REAL_MODE_LIMIT = 0xFFFF
_CODE_OR_DATA, _CODE, _EXPAND_DOWN = 1 << 12, 1 << 11, 1 << 10


def beyond_limit(scene: Scene, fault: Delivery) -> str | None:
    """The first memory operand that does not lie within its segment's limit."""
    if fault.kind != "exception" or fault.vector not in (vectors.SS, vectors.GP) or fault.error_code:
        return None
    if not scene.protected or (fault.cs, fault.eip) != (scene.cs.selector, scene.offset):
        return None
    found = instruction_at(scene)
    for operand in found.operands if found is not None else ():
        if operand.type != _memory_operand() or found.mnemonic == "lea":
            continue
        name, offset = _segment_and_offset(scene, found, operand.mem)
        segment = scene.registers.segment(name)
        first, last = _bounds(segment)
        if first <= offset and offset + operand.size - 1 <= last:
            continue
        told = (
            f"an operand ({operand.size * 8} bits) at {name.upper()}:0x{offset:08X} is not within the segment, "
            f"whose offsets are 0x{first:X} to 0x{last:X}"
        )
        if last == _REAL_MODE_LIMIT and not first:
            told += (
                f": {name.upper()} has the limit of real mode; load it with a selector after the switch to protected "
                "mode (QEMU runs this: it checks no limits)"
            )
        return told
    return None


def _memory_operand() -> int:
    import capstone.x86

    memory: int = capstone.x86.X86_OP_MEM
    return memory


def _segment_and_offset(scene: Scene, instruction: Any, where: Any) -> tuple[str, int]:
    """The segment register and the effective address of a memory operand of capstone's."""
    base, index = (instruction.reg_name(number) if number else "" for number in (where.base, where.index))
    segment = instruction.reg_name(where.segment) if where.segment else "ss" if base in _STACK_POINTERS else "ds"
    offset = where.disp + _value(scene, base) + _value(scene, index) * where.scale
    return segment, offset & (0xFFFF if instruction.addr_size == 2 else 0xFFFFFFFF)


_STACK_POINTERS = ("esp", "ebp", "sp", "bp")


def _value(scene: Scene, register: str) -> int:
    if not register:
        return 0
    wide = scene.registers.get(register if register.startswith("e") else f"e{register}")
    return wide if register.startswith("e") else wide & 0xFFFF


def _bounds(segment: Segment) -> tuple[int, int]:
    """The first and the last offset that are allowed (Intel SDM Vol. 3A, "Limit Checking")."""
    kind = segment.attributes & (_CODE_OR_DATA | _CODE | _EXPAND_DOWN)
    if kind == _CODE_OR_DATA | _EXPAND_DOWN:
        return segment.limit + 1, 0xFFFFFFFF if segment.attributes & DEFAULT_OPERATION_SIZE else 0xFFFF
    return 0, segment.limit

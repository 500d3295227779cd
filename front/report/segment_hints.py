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
    if found is None:
        return None
    for operand in found.operands:
        if operand.type == _memory_operand() and found.mnemonic != "lea":
            name, offset = _segment_and_offset(scene, found, operand.mem)
            if not _is_within(scene.registers.segment(name), offset, operand.size):
                return _told(scene, name, offset, f"an operand ({operand.size * 8} bits)")
    top = _stack_offset(scene, found.mnemonic)
    if (
        fault.vector != vectors.SS
        or top is None
        or _is_within(scene.registers.segment("ss"), top, scene.code_bits // 8)
    ):
        return None
    return _told(scene, "ss", top, f"what {found.mnemonic.upper()} needs of the stack")


def _told(scene: Scene, name: str, offset: int, what: str) -> str:
    segment = scene.registers.segment(name)
    first, last = _bounds(segment)
    beginning = f"{what} at {name.upper()}:0x{offset:08X} is not within the segment, "
    if first > last:
        return (
            f"{beginning}which has no offsets: it is expand-down, and begins behind its limit 0x{segment.limit:X}; "
            f"clear the E bit (bit 2 of the type) in {name.upper()}'s descriptor (QEMU runs this: it checks no limits)"
        )
    told = f"{beginning}whose offsets are 0x{first:X} to 0x{last:X}"
    if last == _REAL_MODE_LIMIT and not first:
        told += (
            f": {name.upper()} has the limit of real mode; load it with a selector after the switch to protected "
            "mode (QEMU runs this: it checks no limits)"
        )
    return told


def _is_within(segment: Segment, offset: int, size: int) -> bool:
    first, last = _bounds(segment)
    return first <= offset and offset + size - 1 <= last


def _stack_offset(scene: Scene, mnemonic: str) -> int | None:
    """Where an instruction that pushes or pops has its first element; `None` for others."""
    is_32 = bool(scene.registers.segment("ss").attributes & DEFAULT_OPERATION_SIZE)
    mask = 0xFFFFFFFF if is_32 else 0xFFFF
    if mnemonic.startswith(_PUSHES):
        return scene.registers.get("esp") - scene.code_bits // 8 & mask
    if mnemonic.startswith(_POPS):
        return scene.registers.get("ebp" if mnemonic == "leave" else "esp") & mask
    return None


_PUSHES = ("push", "call", "enter")
_POPS = ("pop", "ret", "leave", "iret")


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

"""The instructions around EIP.

x86 code cannot be read backwards.  The lines before EIP start at the function's symbol when it is near; else at the
furthest byte from which decoding runs into EIP exactly, for x86 code falls into step within a few instructions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hillemu.emu.i386.address import page_down
from hillemu.report.view import Scene

BEFORE, AFTER = 6, 8
"""How many instructions are shown before EIP, and from EIP on."""
_REACH_BYTES = 64
_LONGEST_BYTES = 15


class Instruction(NamedTuple):
    """One decoded instruction at offset `address` of CS; `text` is ``(bad)`` for a byte that begins none."""

    address: int
    code: bytes
    text: str


def disassembly_lines(scene: Scene) -> list[str]:
    """A few instructions before EIP, the one at EIP marked with an arrow, and a few behind it."""
    following = scene.read(scene.eip, AFTER * _LONGEST_BYTES)
    if not following:
        return [f"-> 0x{scene.eip:08X} cannot be read"]
    lines = [_line(scene, item, "  ") for item in _before(scene)]
    found = decode(following, scene.offset, scene.code_bits) or [Instruction(scene.offset, following[:1], "(bad)")]
    lines += [_line(scene, item, "->" if item is found[0] else "  ") for item in found[:AFTER]]
    return lines


def decode(code: bytes, address: int, bits: int) -> list[Instruction]:
    """Decode all of `code`, which lies at offset `address` of CS; an instruction that is cut off is left out."""
    engine = _engine(bits)
    found: list[Instruction] = []
    offset = 0
    while offset < len(code):
        for at, size, mnemonic, operands in engine.disasm_lite(code[offset:], address + offset):
            found.append(Instruction(at, code[offset : offset + size], f"{mnemonic} {operands}".rstrip()))
            offset += size
        if offset < len(code):
            if len(code) - offset < _LONGEST_BYTES:
                break
            found.append(Instruction(address + offset, code[offset : offset + 1], "(bad)"))
            offset += 1
    return found


def instruction_at(scene: Scene) -> Any:
    """The instruction at EIP with its operands, as capstone's `CsInsn`; `None` where there is none."""
    engine = _engine(scene.code_bits)
    engine.detail = True
    return next(engine.disasm(scene.read(scene.eip, _LONGEST_BYTES), scene.offset, 1), None)


def _engine(bits: int) -> Any:
    import capstone

    return capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32 if bits == 32 else capstone.CS_MODE_16)  # type: ignore[no-untyped-call]


def _before(scene: Scene) -> list[Instruction]:
    """The last instructions that end exactly at EIP."""
    eip, bits = scene.eip, scene.code_bits
    start = eip - min(_REACH_BYTES, scene.offset, eip)
    if len(scene.read(start, eip - start)) < eip - start:
        start = page_down(eip)
    code = scene.read(start, eip - start)
    symbol = scene.symbols.nearest(eip)
    if symbol is not None and symbol[1] <= eip - start:
        candidates = [eip - start - symbol[1]]
    else:
        candidates = list(range(len(code)))
    for offset in candidates:
        found = decode(code[offset:], scene.offset - len(code) + offset, bits)
        if (
            found
            and found[-1].address + len(found[-1].code) == scene.offset
            and all(item.text != "(bad)" for item in found)
        ):
            return found[-BEFORE:]
    return []


def _line(scene: Scene, item: Instruction, mark: str) -> str:
    text = item.text
    mnemonic, _, target = text.partition(" ")
    if (mnemonic == "call" or mnemonic.startswith(("j", "loop"))) and target.startswith("0x"):
        text += f" {scene.name(scene.cs.base + int(target, 16) & 0xFFFFFFFF)}".rstrip()
    return f"{mark} 0x{scene.cs.base + item.address & 0xFFFFFFFF:08X}  {item.code.hex(' '):<24} {text}"

"""The names of what the map does not have, beside capstone's."""

from __future__ import annotations

import capstone
import pytest

from hillemu.emu.timing.opcodes import X87_ESCAPES, decode
from hillemu.emu.timing.unmapped_opcodes import TWO_BYTE, named

DISASSEMBLER = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
MMX_REGISTERS = ("mm", "xmm")
OPERANDS = bytes([0xC1, 0, 0, 0, 0, 0])
"""ECX or XMM1 and EAX or XMM0, and bytes for an immediate."""

SYNONYMS = {"cmovae": "cmovnb", "cmove": "cmovz", "cmovne": "cmovnz", "cmova": "cmovnbe"} | {
    "cmovge": "cmovnl",
    "cmovg": "cmovnle",
}


def disassembled(opcode: int) -> tuple[str, str]:
    code = bytes([0x0F, opcode - TWO_BYTE]) if opcode >= TWO_BYTE else bytes([opcode])
    first = next(DISASSEMBLER.disasm_lite(code + OPERANDS, 0), (0, 0, "", ""))
    return first[2], first[3]


@pytest.mark.parametrize("opcode", range(TWO_BYTE + 0x40, TWO_BYTE + 0x50))
def test_conditional_moves_have_their_names(opcode: int) -> None:
    mnemonic, _ = disassembled(opcode)
    assert named(opcode) == f"{SYNONYMS.get(mnemonic, mnemonic).upper()} (0F {opcode - TWO_BYTE:02X})"


def test_every_opcode_with_mmx_or_sse_registers_is_called_so() -> None:
    vectors = [
        opcode
        for opcode in range(TWO_BYTE, 2 * TWO_BYTE)
        if any(register in disassembled(opcode)[1] for register in MMX_REGISTERS)
    ]
    assert len(vectors) > 80
    assert [hex(opcode) for opcode in vectors if not named(opcode).startswith(("SSE", "MMX", "EMMS"))] == []


def test_no_opcode_of_the_map_has_a_name_here() -> None:
    whole = [opcode for opcode in range(2 * TWO_BYTE) if opcode not in X87_ESCAPES]
    named_here = [opcode for opcode in whole if not named(opcode).startswith("opcode")]
    encodings = [bytes([0x0F, opcode - TWO_BYTE] if opcode >= TWO_BYTE else [opcode]) for opcode in named_here]
    assert len(named_here) > 100
    assert [code.hex() for code in encodings if decode(code + OPERANDS, bits=32) is not None] == []


@pytest.mark.parametrize("opcode", [TWO_BYTE + 0x34, TWO_BYTE + 0x35, TWO_BYTE + 0x05, TWO_BYTE + 0x0B, 0xD6])
def test_single_instructions_have_the_disassembler_s_names(opcode: int) -> None:
    assert named(opcode).split()[0] == disassembled(opcode)[0].upper()

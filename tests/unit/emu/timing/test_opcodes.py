"""The opcode map against capstone, which was written from newer manuals and knows nothing of ours."""

from __future__ import annotations

import re
from typing import Any

import capstone
import pytest
from capstone import x86
from hypothesis import assume, given
from hypothesis import strategies as st

from hillemu.emu.timing.opcodes import MAX_LENGTH, PREFIXES, Form, Instruction, decode, forms, slots

PADDING = bytes.fromhex("11 22 33 44 55 66 77 08 00 00 00 00 00")
"""Displacement and immediate bytes."""

CONDITIONS = ("o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g")
SAME = {
    **{f"j{condition}": "Jcc" for condition in CONDITIONS},
    **{f"set{condition}": "SETcc" for condition in CONDITIONS},
    **dict.fromkeys(("cwde", "cbw"), "CBW"),
    **dict.fromkeys(("cdq", "cwd"), "CWD"),
    **dict.fromkeys(("pushal", "pushaw"), "PUSHA"),
    **dict.fromkeys(("popal", "popaw"), "POPA"),
    "pushfd": "PUSHF",
    "popfd": "POPF",
    "iretd": "IRET",
    "jecxz": "JCXZ",
    "retf": "RET",
    "lcall": "CALL",
    "ljmp": "JMP",
    "xlatb": "XLAT",
}
"""Capstone's mnemonics where they differ from the tables'."""
STRING = re.compile(r"(?:(rep|repe|repne) )?(movs|cmps|stos|lods|scas|ins|outs)[bwd]")

NEWER = {
    0x0F00 | code
    for first, last in (
        (0x05, 0x05),
        (0x07, 0x07),
        (0x0B, 0x1F),
        (0x28, 0x2F),
        (0x33, 0x7F),
        (0xA6, 0xA7),
        (0xAE, 0xAE),
    )
    for code in range(first, last + 1)
} | {0x0F00 | code for first, last in ((0xB9, 0xB9), (0xC2, 0xC6), (0xD0, 0xFF)) for code in range(first, last + 1)}
"""Two-byte opcodes that came after the Pentium, or only raise #UD."""
OUTSIDE_OF_THE_MAP = {
    0x8E: {"mov"},  # to CS: #UD
    **dict.fromkeys((0xC0, 0xC1, 0xD0, 0xD1, 0xD2, 0xD3), frozenset({"sal"})),  # undocumented /6
    **dict.fromkeys((0xF6, 0xF7), frozenset({"test"})),  # undocumented /1
    **dict.fromkeys((0xC4, 0xC5), frozenset({"vpinsrd", "vmovups", "vmovupd", "vmovss", "vmovsd"})),  # VEX
    0xC6: {"xabort"},
    0xC7: {"xbegin"},
    0xD6: {"salc"},
    0xF1: {"int1"},
    0xD9: {"fstpnce"},
    0xDA: {"fcmovb", "fcmove", "fcmovbe", "fcmovu"},
    0xDB: {
        *("fisttp", "fcmovnb", "fcmovne", "fcmovnbe", "fcmovnu", "fucomi", "fcomi"),
        *("feni8087_nop", "fdisi8087_nop", "fsetpm"),
    },
    0xDD: {"fisttp"},
    0xDF: {"fisttp", "ffreep", "fucompi", "fcompi"},
    0x0F20: {"mov"},  # CR1, CR5 and up: #UD
    0x0F22: {"mov"},
    0x0FC7: {"xrstors", "xsavec", "xsaves", "vmptrld", "vmptrst", "rdrand", "rdseed"},
}
"""Encodings of older opcodes that no manual of the three processors has, by opcode and capstone's name for them."""

TEST_REGISTERS = {3: "TR3", 4: "TR4-5", 5: "TR4-5", 6: "TR6-7", 7: "TR6-7"}

MODES = {16: capstone.CS_MODE_16, 32: capstone.CS_MODE_32}
HEADS = [code for code in (*range(256), *range(0x0F00, 0x1000)) if code not in PREFIXES | {0x0F}]


def bytes_of(opcode: int) -> bytes:
    return opcode.to_bytes(2 if opcode > 0xFF else 1, "big")


def engine(bits: int, detail: bool = False) -> Any:
    disassembler: Any = capstone.Cs(capstone.CS_ARCH_X86, MODES[bits])  # type: ignore[no-untyped-call]
    disassembler.detail = detail
    return disassembler


def our_name(theirs: str) -> str:
    """Capstone's mnemonic in the tables' words."""
    name = theirs.removeprefix("notrack ")  # what 3E became for indirect branches, long after the Pentium
    if (string := STRING.fullmatch(name)) is not None:
        return f"{'REP ' if string[1] else ''}{string[2].upper()}"
    return SAME.get(name, name.upper())


@pytest.mark.parametrize("bits", [16, 32])
def test_every_opcode_and_modrm_byte_is_the_instruction_that_capstone_says_and_as_long(bits: int) -> None:
    disassembler = engine(bits)
    wrong = []
    for opcode in HEADS:
        for modrm in range(256):
            code = bytes_of(opcode) + bytes([modrm]) + PADDING
            ours = decode(code, bits)
            theirs = next(disassembler.disasm_lite(code, 0), None)
            if ours is None:
                known = opcode in NEWER or opcode == 0x0F01
                if theirs is not None and not known and theirs[2] not in OUTSIDE_OF_THE_MAP.get(opcode, ()):
                    wrong.append(f"{code[:4].hex()} is {theirs[2]}, not in the map")
            elif opcode in (0x0F24, 0x0F26):
                # Capstone does not know the test registers.
                assert ours.length == 3
                assert TEST_REGISTERS[modrm >> 3 & 7] in ours.form.operands
            elif theirs is None or (ours.form.mnemonic, ours.length) != (our_name(theirs[2]), theirs[1]):
                wrong.append(f"{code.hex()} is {theirs and theirs[1:]}, not {ours}")
    assert not wrong, "\n".join(wrong[:20])


def test_no_opcode_that_is_newer_than_the_pentium_is_in_the_map() -> None:
    assert not NEWER & {opcode for opcode, _, _ in slots()}


NO_OPERANDS_TO_COMPARE = {"AAD", "AAM", "ENTER", "XLAT"}
"""Capstone lists or hides implicit operands there."""
WORD_SHOWN_AS_REGISTER = {"SLDT r", "STR r", "SMSW r", "MOV r,sreg", "LMSW r", "LLDT r", "LTR r", "MOV sreg,r"}
"""16 bits wide, but capstone shows the register that receives them at the operand size."""


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("prefix", [b"", b"\x66"], ids=["plain", "66"])
def test_operands_are_of_the_kind_and_width_that_capstone_says(bits: int, prefix: bytes) -> None:
    disassembler = engine(bits, detail=True)
    compared, wrong = 0, []
    for opcode in HEADS:
        for modrm in [reg << 3 | rm for reg in range(8) for rm in (0x01, 0xC1)]:
            code = prefix + bytes_of(opcode) + bytes([modrm]) + PADDING
            ours = decode(code, bits)
            if ours is None or opcode in (0x0F24, 0x0F26):
                continue
            theirs = next(disassembler.disasm(code, 0), None)
            assert theirs is not None, code.hex()
            kinds = kinds_of(ours.form)
            if kinds is None:
                continue
            compared += 1
            if kinds != [their_kind(operand) for operand in theirs.operands]:
                wrong.append(f"{code.hex()} {theirs.mnemonic} {theirs.op_str} is not {ours}")
            width = width_of(ours, theirs.operands)
            if width is not None and width != ours.size:
                wrong.append(f"{code.hex()} {theirs.mnemonic} {theirs.op_str} has {width} bits, not {ours}")
    assert not wrong, "\n".join(wrong[:20])
    assert compared > 3000


def kinds_of(form: Form) -> list[str] | None:
    """A form's operands as capstone's kinds; None where capstone shows others."""
    if not form.operands or form.mnemonic in NO_OPERANDS_TO_COMPARE or form.mnemonic.startswith("F"):
        return None
    named = {"m": "mem", "moffs": "mem", "imm": "imm", "rel": "imm", "1": "imm"}
    kinds: list[str] = []
    for operand in form.operands.split()[0].split(","):
        if operand not in ("near", "far"):
            kinds += ["imm", "imm"] if operand == "ptr" else [named.get(operand, "reg")]
    return kinds


def their_kind(operand: Any) -> str:
    return {x86.X86_OP_REG: "reg", x86.X86_OP_MEM: "mem", x86.X86_OP_IMM: "imm"}[operand.type]


def width_of(ours: Instruction, operands: list[Any]) -> int | None:
    """Bits of the operand that gives the form its width, by capstone; None if that is not comparable."""
    if not ours.size or str(ours.form) in WORD_SHOWN_AS_REGISTER or ours.form.mnemonic in ("BSWAP", "CALL", "JMP"):
        return None
    words = ours.form.operands.split()[0].split(",")
    place = next((place for place, word in enumerate(words) if word in ("r", "m", "acc")), None)
    return None if place is None else operands[place].size * 8


@pytest.mark.parametrize("bits", [16, 32])
def test_memory_operands_of_the_x87_have_the_width_that_capstone_says(bits: int) -> None:
    disassembler = engine(bits, detail=True)
    for escape in range(0xD8, 0xE0):
        for reg in range(8):
            code = bytes([escape, reg << 3 | 1]) + PADDING
            ours = decode(code, bits)
            if ours is not None and ours.form.operands != "m":
                theirs = next(disassembler.disasm(code, 0))
                # Capstone takes a decimal for 10 bytes and so do the tables.
                assert ours.form.operands == f"m{theirs.operands[0].size * 8}", theirs


ONE_OF_EACH_GROUP = st.tuples(
    st.sampled_from([b"", b"\x66"]),
    st.sampled_from([b"", b"\x67"]),
    st.sampled_from([b"", b"\x2e", b"\x36", b"\x3e", b"\x26", b"\x64", b"\x65"]),
)


@given(
    prefixes=ONE_OF_EACH_GROUP.flatmap(st.permutations),
    opcode=st.sampled_from(HEADS),
    rest=st.binary(min_size=13, max_size=13),
    bits=st.sampled_from([16, 32]),
)
def test_prefixes_and_random_bytes_make_the_instruction_that_capstone_says(
    prefixes: list[bytes], opcode: int, rest: bytes, bits: int
) -> None:
    assume(opcode not in (0x0F24, 0x0F26))
    code = b"".join(prefixes) + bytes_of(opcode) + rest
    ours = decode(code, bits)
    assume(ours is not None)
    assert ours is not None
    theirs = next(engine(bits).disasm_lite(code, 0), None)

    assert theirs is not None
    assert (ours.form.mnemonic, ours.length) == (our_name(theirs[2]), theirs[1])
    assert ours.prefixes == len(b"".join(prefixes))


@given(code=st.binary(max_size=20), bits=st.sampled_from([16, 32]))
def test_any_bytes_decode_within_themselves_or_not_at_all(code: bytes, bits: int) -> None:
    instruction = decode(code, bits)

    if instruction is not None:
        assert 0 < instruction.length <= min(len(code), MAX_LENGTH)
        assert instruction.size in forms()[instruction.form]
        # What comes after an instruction is not part of it, and without its last byte there is none.
        assert decode(code[: instruction.length], bits) == instruction
        assert decode(code[: instruction.length - 1], bits) is None


@pytest.mark.parametrize("opcode", [0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF, 0x6C, 0x6D, 0x6E, 0x6F])
@pytest.mark.parametrize("prefix", [0xF2, 0xF3])
def test_a_repeat_prefix_makes_another_form_of_string_instructions_only(opcode: int, prefix: int) -> None:
    plain, repeated = decode(bytes([opcode]), 32), decode(bytes([prefix, opcode]), 32)
    assert plain is not None
    assert repeated is not None
    assert repeated.form.mnemonic == f"REP {plain.form.mnemonic}"
    nop = decode(bytes([prefix, 0x90]), 32)
    assert nop is not None
    assert nop.form == Form("NOP", "")


def test_an_instruction_of_sixteen_bytes_is_none() -> None:
    move = bytes.fromhex("c785 00000000 00000000")
    assert decode(b"\x2e" * 5 + move, 32) is not None
    assert decode(b"\x2e" * 6 + move, 32) is None

"""The timing tables' own reading, against the reference's: names and lengths from capstone, expressions from Python."""

from __future__ import annotations

import doctest

import instruction_tables
import pytest
from hypothesis import given
from hypothesis import strategies as st
from instruction_decoding import decode
from instruction_tables import Tables, evaluate

from hillemu.emu.timing import opcodes
from hillemu.emu.timing.expressions import Operands, parse
from hillemu.emu.timing.tables import clocks_file, read_table

PROCESSORS = ("i386", "i486", "pentium")
TEXTS = sorted({figure.text for name in PROCESSORS for _, figure in read_table(clocks_file(name)) if figure.clocks})
PADDING = bytes([3] * 12)


def _encodings() -> list[bytes]:
    """Every encoding of the opcode map, with a register or a base register; test registers capstone does not know."""
    found = []
    for (opcode, reg, is_memory), slot in opcodes.slots().items():
        if "TR" in slot.form.operands:
            continue
        code = bytes((0x0F, opcode & 0xFF)) if opcode >= 0x0F00 else bytes((opcode,))
        modrm = bytes(((0x01 if is_memory else 0xC1) | reg << 3,)) if slot.has_modrm else b""
        found.append(code + modrm + PADDING)
        if opcodes.repeated_form(slot.form) is not None:
            found.append(b"\xf3" + code + modrm + PADDING)
    return found + [bytes(key) + PADDING for key in opcodes.x87_register_slots()]


@pytest.mark.parametrize("bits", [16, 32])
def test_every_encoding_has_the_name_and_length_that_capstone_gives_it(bits: int) -> None:
    differing = []
    for code in _encodings():
        ours, theirs = opcodes.decode(code, bits), decode(code, bits)
        assert ours is not None
        if (*ours.form, ours.length) != (theirs.mnemonic, theirs.form, theirs.length):
            differing.append((code.hex(), str(ours.form), theirs.mnemonic, theirs.form))
    assert not differing


@given(
    text=st.sampled_from(TEXTS),
    n=st.integers(0, 1000),
    components=st.integers(0, 9),
    position=st.integers(0, 31),
    multiplier=st.integers(-(1 << 31), (1 << 32) - 1),
    source=st.integers(1, (1 << 32) - 1),
    control=st.sampled_from([0, 2, 3]),
)
def test_an_expression_comes_to_what_python_says(
    text: str, n: int, components: int, position: int, multiplier: int, source: int, control: int
) -> None:
    values = Operands(n, components, 162, position, multiplier, source, control)
    wanted = evaluate(
        text,
        n=n,
        m=components,
        ts=162,
        p=position,
        multiplier=multiplier,
        source=source,
        precision_control=control,
    )
    assert parse(text).clocks(values) == wanted


@pytest.mark.parametrize("name", PROCESSORS)
def test_both_find_the_same_row_for_everything_that_a_table_is_about(name: str) -> None:
    tables = Tables(name)
    for key, figure in read_table(clocks_file(name)):
        needed = tables.needs(*key.form, key.mode.name.lower(), key.case, key.size)
        assert needed == figure.text, str(key)


def test_the_reference_s_examples_are_true() -> None:
    results = doctest.testmod(instruction_tables)
    assert results.attempted > 5
    assert not results.failed

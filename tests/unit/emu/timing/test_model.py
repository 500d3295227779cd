"""Models by name, and their flat arrays, read here as the native core would read them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.errors import OptionError
from hillemu.emu.timing.cases import CASES, Mode, Outcome, cases_of
from hillemu.emu.timing.expressions import Operands
from hillemu.emu.timing.geometry import CacheGeometry
from hillemu.emu.timing.model import MODELS, PROCESSORS, timing_model
from hillemu.emu.timing.opcodes import Form, decode, forms, slots, x87_register_slots
from hillemu.emu.timing.registers import accesses
from hillemu.emu.timing.tables import all_forms
from hillemu.emu.timing.upload import FIGURE_WORDS, FigureWord, FlatTables, place_of

FLAT = {processor: timing_model(processor).flat() for processor in PROCESSORS}
SIZES = {0: 0, 8: 1, 16: 2, 32: 3}


def figure(flat: FlatTables, number: int) -> dict[FigureWord, int]:
    return {word: flat.figures[number * FIGURE_WORDS + word] for word in FigureWord}


def clocks_by_arrays(flat: FlatTables, number: int, operands: Operands) -> int:
    """A figure's clocks in the plain words of the arrays' description."""
    words = figure(flat, number)
    total = words[FigureWord.BASE] + words[FigureWord.PER_N] * operands.n
    total += words[FigureWord.PER_COMPONENT] * operands.components
    total += words[FigureWord.PER_TASK_SWITCH] * operands.task_switch
    total += words[FigureWord.PER_POSITION] * operands.position
    arguments = [words[FigureWord.ARGUMENT_0], words[FigureWord.ARGUMENT_1], words[FigureWord.ARGUMENT_2]]
    if words[FigureWord.FUNCTION] == 1:
        bits = 0
        while operands.multiplier and 1 << bits < abs(operands.multiplier):
            bits += 1
        total += max(bits, arguments[1] if operands.multiplier < 0 else arguments[0])
    elif words[FigureWord.FUNCTION] == 2:
        zeros = next(bit for bit in range(32) if operands.source >> bit & 1)
        total += arguments[0] * (zeros // 8) + arguments[1] * (zeros % 8 // 4) + arguments[2] * (zeros % 4)
    elif words[FigureWord.FUNCTION] == 3:
        total += {0: arguments[0], 1: arguments[0], 2: arguments[1], 3: arguments[2]}[operands.precision_control]
    return total


OPERANDS = st.builds(
    Operands,
    n=st.integers(0, 5000),
    components=st.integers(0, 6),
    task_switch=st.integers(0, 320),
    position=st.integers(0, 31),
    multiplier=st.integers(-(2**31), 2**32 - 1),
    source=st.integers(1, 2**32 - 1),
    precision_control=st.integers(0, 3),
)


@given(operands=OPERANDS, form=st.sampled_from(sorted(all_forms())), mode=st.sampled_from(Mode))
def test_the_arrays_cost_what_the_table_costs(operands: Operands, form: Form, mode: Mode) -> None:
    for processor in PROCESSORS:
        flat, table = FLAT[processor], timing_model(processor).table
        number = flat.names.index(form)
        for size in all_forms()[form]:
            at = (number * 3 + mode) * 4 + SIZES[size]
            expected = table.figures(form, mode, size)
            if all(one.clocks is None for one in expected):
                assert flat.groups[at] == 0
                continue
            assert len(CASES[Outcome(flat.outcomes[number * 3 + mode])]) == len(expected)
            for place, one in enumerate(expected):
                assert one.clocks is not None
                clocks = clocks_by_arrays(flat, flat.groups[at] + place, operands)
                assert clocks == one.clocks.clocks(operands)
                assert clocks >= flat.minima[at]
                assert figure(flat, flat.groups[at] + place)[FigureWord.PRESENT] == 1


def test_no_group_has_both_present_and_absent_figures() -> None:
    for processor in PROCESSORS:
        table = timing_model(processor).table
        for form, sizes in all_forms().items():
            for mode in Mode:
                for size in sizes:
                    assert len({one.clocks is None for one in table.figures(form, mode, size)}) <= 1


def test_the_arrays_place_every_encoding_where_the_map_has_it() -> None:
    flat = FLAT["i486"]
    filled = {place: flat.names[form] for place, form in enumerate(flat.forms) if form}
    assert filled == {place_of(*key): slot.form for key, slot in slots().items()}
    for key, slot in slots().items():
        shape = flat.shapes[place_of(*key)]
        assert (shape & 7, shape >> 3 & 7) == (slot.width, slot.tail)
        assert (flat.reads[place_of(*key)], flat.writes[place_of(*key)]) == accesses(slot)
        assert (bool(shape & 64), bool(shape & 128)) == (slot.has_modrm, slot.mod_ignored)
    for (escape, modrm), slot in x87_register_slots().items():
        assert flat.names[flat.x87_registers[(escape - 0xD8) * 64 + modrm - 0xC0]] == slot.form
    assert sum(bool(form) for form in flat.x87_registers) == len(x87_register_slots())


@given(code=st.binary(min_size=1, max_size=4), bits=st.sampled_from([16, 32]))
def test_decoding_by_the_arrays_finds_the_form_that_decode_finds(code: bytes, bits: int) -> None:
    flat, code = FLAT["pentium"], code.lstrip(bytes((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3)))
    whole = code + bytes(15)
    two_bytes = whole[0] == 0x0F
    opcode, modrm = (0x0F00 | whole[1], whole[2]) if two_bytes else (whole[0], whole[1])
    number = flat.forms[place_of(opcode, modrm >> 3 & 7, modrm < 0xC0)]
    if 0xD8 <= opcode <= 0xDF and modrm >= 0xC0:
        number = flat.x87_registers[(opcode - 0xD8) * 64 + modrm - 0xC0]
    instruction = decode(whole, bits)
    assert flat.names[number] == (instruction.form if instruction else None)


def test_repeated_forms_are_found_by_number() -> None:
    flat = FLAT["i386"]
    for form in forms():
        other = flat.names[flat.repeated[flat.names.index(form)]]
        assert other is not None
        assert other == form or other.mnemonic == f"REP {form.mnemonic}"
    assert flat.names[flat.repeated[flat.names.index(Form("STOS", ""))]] == Form("REP STOS", "")


def test_every_model_has_its_processors_tables() -> None:
    assert set(MODELS) == {"i386", "i386-nomem", "i486", "i486-nomem", "pentium", "pentium-nomem"}
    for name in MODELS:
        model = timing_model(name)
        assert model.name == name
        assert model.has_memory_model is not name.endswith("nomem")
        assert model.table.name == f"clocks_{name.removesuffix('-nomem')}.csv"


def test_the_geometries_are_the_documented_ones() -> None:
    i386, i486, pentium = (timing_model(processor).geometry for processor in PROCESSORS)
    assert (i386.data_tlb.entries, i386.data_tlb.ways, i386.data_tlb.sets, i386.is_unified) == (32, 4, 8, True)
    assert i386.data_cache is None
    assert i386.large_tlb is None
    assert i486.data_tlb is i486.code_tlb
    assert i486.data_cache == CacheGeometry(8192, 4, 16, "pseudo-lru", write_back=False)
    assert i486.data_cache.sets == 128
    assert i486.code_cache is i486.data_cache
    assert (pentium.data_tlb.entries, pentium.code_tlb.entries, pentium.is_unified) == (64, 32, False)
    assert pentium.large_tlb is not None
    assert pentium.large_tlb.entries == 8
    assert pentium.data_cache == CacheGeometry(8192, 2, 32, "lru", write_back=True)
    assert pentium.data_cache.sets == 128
    assert (pentium.predicts_branches, i486.predicts_branches, i386.predicts_branches) == (True, False, False)


def test_a_table_walk_of_the_i486_lasts_what_is_printed_without_wait_states() -> None:
    penalties = timing_model("i486").penalties
    fill, update = penalties.bus_first + 3 * penalties.bus_next, penalties.bus_first + penalties.bus_write
    walk = penalties.walk + 2 * fill
    first = walk + penalties.walk_first_update + update
    assert (walk, first, first + penalties.walk_second_update + update) == (13, 21, 28)


@pytest.mark.parametrize(
    ("name", "options", "fault"),
    [
        ("i586", {}, "--timing: there is no model 'i586'; did you mean i"),
        ("i486nomem", {}, "--timing: there is no model 'i486nomem'; did you mean i486-nomem?"),
        ("p5", {}, "--timing: there is no model 'p5'; choose one of insn, i386, i386-nomem, i486"),
        ("", {}, "--timing: there is no model ''"),
        ("i486", {"bus_mhz": 0}, "--bus-mhz: 0 MHz; a bus runs at 1 to 1000"),
        ("i486", {"bus_mhz": 5000}, "--bus-mhz: 5000 MHz"),
        ("i486", {"wait_states": -1}, "--wait-states: -1; a bus cycle has 0 to 255"),
        ("i486", {"multiplier": Fraction(1, 2)}, "--timing: a core runs 1 to 8 times as fast as its bus, not 1/2"),
        (
            "i386",
            {"external_cache": CacheGeometry(65536, 3, 16, "lru", False)},
            "--timing: the external cache has 3 ways; a power of two is needed",
        ),
    ],
)
def test_a_board_that_cannot_be_is_one_clear_line(name: str, options: dict[str, object], fault: str) -> None:
    with pytest.raises(OptionError) as told:
        timing_model(name, **options)  # type: ignore[arg-type]
    assert str(told.value).startswith(fault)
    assert "\n" not in str(told.value)


def test_bus_clocks_become_core_clocks_and_are_rounded_up() -> None:
    assert timing_model("i486").core_clocks(5) == 5
    doubled = timing_model("i486", bus_mhz=33, multiplier=2)
    assert (doubled.core_mhz, doubled.core_clocks(5)) == (66, 10)
    assert timing_model("pentium", multiplier=Fraction(3, 2)).core_clocks(5) == 8


def test_an_unknown_case_is_told_with_those_there_are() -> None:
    with pytest.raises(KeyError, match="it has 'not taken', 'taken'"):
        timing_model("i486").clocks_of(b"\x74\x00", Mode.REAL, 32, "maybe")


def test_an_instruction_outside_of_the_map_has_no_figure() -> None:
    assert timing_model("pentium").clocks_of(bytes.fromhex("0f44c3"), Mode.PROTECTED, 32) is None
    assert cases_of(Form("NOP", ""), Mode.REAL) == ("",)

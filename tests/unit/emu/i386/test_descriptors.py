"""Descriptors, tables and task-state segments, against bytes taken from the manual's figures."""

from __future__ import annotations

import pytest

from hillemu.emu.i386 import tss
from hillemu.emu.i386.descriptors import (
    CALL_GATE_32,
    INTERRUPT_GATE_16,
    INTERRUPT_GATE_32,
    LDT,
    TASK_GATE,
    TRAP_GATE_32,
    CodeSegment,
    DataSegment,
    Descriptor,
    Gate,
    Selector,
    SystemSegment,
    decode,
    pack_gate,
    pack_segment,
    pack_table,
)
from hillemu.emu.i386.tables import decode_gdt, decode_idt, gate_problems, look_up

FLAT_CODE, FLAT_DATA, USER_CODE = 0x00CF9B000000FFFF, 0x00CF93000000FFFF, 0x00CFFB000000FFFF
GDT = pack_table(
    [
        0,
        FLAT_CODE,
        FLAT_DATA,
        USER_CODE,
        pack_segment(0x3000, 0x67, 0x89, 0),
        pack_segment(0, 0xFFFF, 0x1B, 0),
        pack_segment(0, 0xFFF, 0x9B, 0x4),
        pack_segment(0x4000, 0x67, 0x8B, 0),
    ]
)


def test_the_pieces_of_base_and_limit_come_together() -> None:
    segment = decode(0x12_C_A_93_345678_BCDE)
    assert isinstance(segment, DataSegment)
    assert segment.base == 0x12345678
    assert segment.limit == 0xABCDEFFF


@pytest.mark.parametrize("base", [0, 0x12345678, 0xFFFFFFFF])
@pytest.mark.parametrize(("limit", "flags"), [(0, 0), (0xFFFFF, 4), (0xFFF, 8), (0xFFFFFFFF, 0xC)])
def test_packing_and_decoding_are_inverse(base: int, limit: int, flags: int) -> None:
    segment = decode(pack_segment(base, limit, 0xFA, flags))
    assert isinstance(segment, CodeSegment)
    assert (segment.base, segment.limit, segment.dpl, segment.present) == (base, limit, 3, True)
    assert segment.default_32 == bool(flags & 4)


@pytest.mark.parametrize(
    ("base", "limit", "access", "flags", "fault"),
    [
        (0, 0x100000, 0x9B, 0, "20 bits"),
        (0, 0x1000, 0x9B, 8, "last byte"),
        (1 << 32, 0, 0x9B, 0, "32 bits"),
        (0, 0, 0x100, 0, "access"),
        (0, 0, 0, 0x10, "flags"),
    ],
)
def test_packing_refuses_what_does_not_fit(base: int, limit: int, access: int, flags: int, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        pack_segment(base, limit, access, flags)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (0, "null"),
        (FLAT_CODE, "code 32-bit, ring 0, base 0x00000000, limit 0xFFFFFFFF, execute/read, accessed"),
        (0x00009E000000FFFF, "code 16-bit, ring 0, base 0x00000000, limit 0x0000FFFF, execute/read, conforming"),
        (0x00CFF0000000FFFF, "data 32-bit, ring 3, base 0x00000000, limit 0xFFFFFFFF, read-only"),
        (0x0000160000000FFF, "data 16-bit, ring 0, NOT PRESENT, base 0x00000000, limit 0x00000FFF, read/write, "
         "expand-down"),
        (0x0000890030000067, "available 32-bit TSS, ring 0, base 0x00003000, limit 0x00000067"),
        (0x0000820050000007, "LDT, ring 0, base 0x00005000, limit 0x00000007"),
        (0x0000850000280000, "task gate to 0x0028, ring 0"),
        (0x00108F0000081234, "32-bit trap gate to 0x0008:0x00101234, ring 0"),
        (0xFFFF860000081234, "16-bit interrupt gate to 0x0008:0x00001234, ring 0"),
        (0x00008A0000000000, "reserved system type 0xa, ring 0"),
    ],
)  # fmt: skip
def test_a_descriptor_reads_as_a_sentence(raw: int, words: str) -> None:
    assert decode(raw).text == words
    assert words in repr(decode(raw))


def test_a_gate_is_packed_as_the_manual_draws_it() -> None:
    assert pack_gate(INTERRUPT_GATE_32, 0x08, 0xC0101234, dpl=3) == 0xC010EE0000081234
    assert pack_gate(CALL_GATE_32, 0x08, 0x1000, parameter_count=5) == 0x00008C0500081000


@pytest.mark.parametrize(
    ("kind", "offset", "fault"), [(LDT, 0, "no gate"), (INTERRUPT_GATE_16, 0x10000, "cannot reach")]
)
def test_impossible_gates_are_refused(kind: int, offset: int, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        pack_gate(kind, 8, offset)


def test_a_selector_names_index_table_and_privilege() -> None:
    assert (Selector(0x2F).index, Selector(0x2F).TI, Selector(0x2F).RPL) == (5, True, 3)


def test_looking_up_ignores_the_requested_privilege() -> None:
    assert look_up(0x1B, GDT) == USER_CODE


@pytest.mark.parametrize(
    ("selector", "fault"),
    [(0, "null"), (3, "null"), (0x48, "beyond the GDT's limit"), (0x0C, "beyond the LDT's limit (0 entries)")],
)
def test_looking_up_says_why_there_is_nothing(selector: int, fault: str) -> None:
    found = look_up(selector, GDT)
    assert isinstance(found, str)
    assert fault in found


def test_the_first_entry_of_an_ldt_is_not_null() -> None:
    assert look_up(0x04, GDT, pack_table([FLAT_DATA])) == FLAT_DATA


@pytest.mark.parametrize(
    ("gate", "problem"),
    [
        (0, "empty"),
        (FLAT_CODE, "not a gate"),
        (pack_gate(CALL_GATE_32, 0x08), "not a gate"),
        (pack_gate(INTERRUPT_GATE_32, 0x08, present=False), "not present"),
        (pack_gate(INTERRUPT_GATE_32, 0x00), "null"),
        (pack_gate(INTERRUPT_GATE_32, 0x10), "selector 0x0010 is not a code segment"),
        (pack_gate(INTERRUPT_GATE_32, 0x18), "DPL 3"),
        (pack_gate(INTERRUPT_GATE_32, 0x28), "the code segment 0x0028 is not present"),
        (pack_gate(INTERRUPT_GATE_32, 0x30, 0x1000), "beyond the limit 0xfff"),
        (pack_gate(TASK_GATE, 0x08), "not a TSS"),
        (pack_gate(TASK_GATE, 0x38), "busy"),
    ],
)
def test_a_gate_that_cannot_deliver_says_why(gate: int, problem: str) -> None:
    assert any(problem in found for found in gate_problems(decode(gate), GDT))


@pytest.mark.parametrize(
    "gate",
    [
        pack_gate(INTERRUPT_GATE_32, 0x08, 0xFFFFFFFF),
        pack_gate(TRAP_GATE_32, 0x30, 0xFFF, dpl=3),
        pack_gate(INTERRUPT_GATE_16, 0x08, 0x1000),
        pack_gate(TASK_GATE, 0x20),
    ],
)
def test_a_good_gate_has_no_problems(gate: Gate) -> None:
    assert gate_problems(gate, GDT) == ()


def test_a_whole_idt_is_listed_vector_by_vector() -> None:
    entries = decode_idt(pack_table([pack_gate(INTERRUPT_GATE_32, 0x08, 0x1000), 0]) + b"cut", GDT)
    assert [str(entry) for entry in entries] == [
        "IDT[0x00] #DE divide error: 32-bit interrupt gate to 0x0008:0x00001000, ring 0",
        "IDT[0x01] #DB debug exception: null -- empty",
    ]


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (0x00CF1B000000FFFF, "not present"),
        (0x0000800000000000, "reserved"),
        (pack_segment(0, 0x66, 0x89, 0), "too small for a TSS"),
        (pack_gate(INTERRUPT_GATE_16, 0x08), "belong into the IDT"),
        (0x00EF9B000000FFFF, "L and D"),
    ],
)
def test_a_gdt_says_what_is_wrong_with_its_entries(raw: int, problem: str) -> None:
    assert problem in str(decode_gdt(pack_table([0, raw]))[1])
    assert decode_gdt(GDT[:0x20])[1].problems == ()


def test_an_ldt_holds_no_system_segments() -> None:
    entry = decode_gdt(pack_table([pack_segment(0, 0x67, 0x89, 0)]), "LDT")[0]
    assert entry.selector == 4
    assert "belong into the GDT" in str(entry)


def test_classes_follow_s_and_type() -> None:
    assert [type(decode(raw)) for raw in (FLAT_CODE, FLAT_DATA, 0x890000000000, 0x8E0000000000, 0x880000000000)] == [
        CodeSegment,
        DataSegment,
        SystemSegment,
        Gate,
        Descriptor,
    ]


@pytest.mark.parametrize(
    ("name", "offset"),
    [("esp0", 4), ("ss0", 8), ("cr3", 28), ("eip", 32), ("edi", 68), ("es", 72), ("ldt", 96), ("io_map", 102)],
)
def test_fields_of_the_32_bit_tss_are_where_the_manual_draws_them(name: str, offset: int) -> None:
    assert tss.TSS_32[name][0] == offset
    assert tss.size_bytes(tss.TSS_32) == 104


@pytest.mark.parametrize(("name", "offset"), [("sp0", 2), ("ip", 14), ("ax", 18), ("es", 34), ("ldt", 42)])
def test_fields_of_the_16_bit_tss_are_where_the_manual_draws_them(name: str, offset: int) -> None:
    assert tss.TSS_16[name][0] == offset
    assert tss.size_bytes(tss.TSS_16) == 44


def test_a_tss_survives_packing() -> None:
    fields = {name: number + 1 for number, name in enumerate(tss.TSS_32)}
    assert tss.unpack(tss.TSS_32, tss.pack(tss.TSS_32, **fields)) == fields


def test_a_cut_tss_and_bad_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="104 bytes, not 103"):
        tss.unpack(tss.TSS_32, bytes(103))
    with pytest.raises(KeyError):
        tss.pack(tss.TSS_32, rsp0=1)
    with pytest.raises(OverflowError):
        tss.pack(tss.TSS_32, ss0=0x10000)

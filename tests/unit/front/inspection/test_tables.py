"""Descriptor tables with one deliberate mistake each: the mistake is found, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_guests import (
    FLAT,
    GDT,
    HANDLERS,
    IDT,
    KERNEL_CODE,
    KERNEL_DATA,
    STACK,
    TSS,
    TSS_SELECTOR,
    USER_CODE,
    USER_DATA,
    TableGuest,
)

from hillemu.emu.guest import Segment
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.descriptors import (
    CALL_GATE_32,
    INTERRUPT_GATE_16,
    INTERRUPT_GATE_32,
    pack_gate,
    pack_segment,
    pack_table,
)
from hillemu.emu.i386.vectors import describe
from hillemu.inspection.sight import Sight
from hillemu.inspection.tables import DescriptorTable, read_gdt, read_idt, read_ldt
from hillemu.inspection.tables_tss import read_tss
from hillemu.inspection.views.descriptors_view import Idt
from hillemu.inspection.views.shown import Table

Mistake = Callable[[TableGuest], None]


def gate(vector: int, **changes: int | bool) -> Mistake:
    """Another gate for `vector`."""
    wanted = {"kind": INTERRUPT_GATE_32, "selector": KERNEL_CODE, "offset": HANDLERS, "dpl": 0} | changes

    def make(guest: TableGuest) -> None:
        guest.idt[vector] = pack_gate(**wanted)  # type: ignore[arg-type]

    return make


def segment(index: int, base: int = 0, limit: int = FLAT, access: int = 0x93, flags: int = 0xC) -> Mistake:
    def make(guest: TableGuest) -> None:
        guest.gdt[index:] = [pack_segment(base, limit, access, flags), *guest.gdt[index + 1 :]]

    return make


def setting(**values: object) -> Mistake:
    def make(guest: TableGuest) -> None:
        for name, value in values.items():
            setattr(guest, name, value)

    return make


def field(name: str, value: int) -> Mistake:
    return lambda guest: guest.tss_fields.__setitem__(name, value)


def register(name: str, selector: int) -> Mistake:
    return lambda guest: guest.segments.__setitem__(name, Segment(selector, 0, FLAT, 0xC09300))


def test_good_tables_have_no_problems() -> None:
    sight = TableGuest().sight()
    assert read_gdt(sight).all_problems == ()
    assert read_idt(sight).all_problems == ()
    assert read_tss(sight).problems == ()


IDT_MISTAKES: dict[str, tuple[Mistake, str]] = {
    "not present": (gate(14, present=False), "IDT[0x0e] #PF page fault: not present"),
    "no code": (gate(13, selector=KERNEL_DATA), "selector 0x0010 is not a code segment"),
    "beyond the GDT": (gate(13, selector=0x40), "selector 0x0040 lies beyond the GDT's limit (6 entries)"),
    "null": (gate(13, selector=0), "selector 0x0000 is null"),
    "call gate": (gate(13, kind=CALL_GATE_32), "not a gate that an IDT may hold"),
    "not mapped": (gate(14, offset=0xC0000), "the handler at 0x000C0000 cannot be executed: PTE[0x0c0] is not present"),
    "16 bits": (gate(8, kind=INTERRUPT_GATE_16), "a 16-bit gate pushes 16-bit words"),
    "INT3": (gate(3), "DPL 0: INT3 in a program raises #GP instead of this; the DPL should be 3"),
    "fake": (gate(13, dpl=3), "DPL 3: a program can fake this exception by INT 0x0d"),
    "ring 3 code": (gate(14, selector=USER_CODE), "the code segment 0x0018 has DPL 3"),
    "cut": (setting(idt_limit=8 * 14 - 1), "limit 0x006F ends before vector 0x0e (#PF page fault)"),
    "odd limit": (setting(idt_limit=8 * 0x81), "limit 0x0408 does not end with an entry"),
}


@pytest.mark.parametrize("name", IDT_MISTAKES)
def test_a_mistake_in_the_idt_is_told(name: str) -> None:
    make, expected = IDT_MISTAKES[name]
    guest = TableGuest()
    make(guest)
    (problem,) = read_idt(guest.sight()).all_problems
    assert expected in problem


GDT_MISTAKES: dict[str, tuple[Mistake, str]] = {
    "not present": (segment(4, access=0x73), "GDT[4] 0x0020: not present"),
    "TSS too small": (segment(5, TSS, 0x40, 0x8B, 0), "GDT[5] 0x0028: limit 0x40 is too small for a TSS"),
    "TSS not mapped": (segment(5, 0xA000, 0x67, 0x8B, 0), "GDT[5] 0x0028: 0x0000A000 is not mapped"),
    "base not mapped": (segment(4, 0xC000, 0xFFF, 0xF3, 0x4), "its base is not mapped: 0x0000C000"),
    "wraps": (segment(4, 0x8000, FLAT, 0xF3), "limit 0xFFFFFFFF wraps around at 4 GiB"),
    "expand-down, flat": (segment(4, access=0xF7), "expand-down with limit 0xFFFFFFFF, behind which nothing is"),
    "expand-down, 16 bits": (segment(4, 0, 0xFFFF, 0xF7, 0), "expand-down with limit 0x0000FFFF, behind which nothing"),
    "gate": (lambda guest: guest.gdt.append(pack_gate(INTERRUPT_GATE_32, 8, HANDLERS)), "belong into the IDT"),
    "CS beyond": (
        lambda guest: guest.segments.__setitem__("cs", Segment(0x38, 0, FLAT, 0)),
        "CS holds it, but selector 0x0038 lies beyond the GDT's limit (6 entries)",
    ),
    "DS is code": (register("ss", KERNEL_CODE), "SS holds selector 0x0008, which is not a writable data segment"),
    "odd limit": (setting(gdt_limit=0x30), "limit 0x0030 does not end with an entry"),
    "L and D": (segment(3, access=0xFB, flags=0xE), "L and D are both set"),
}


@pytest.mark.parametrize("name", GDT_MISTAKES)
def test_a_mistake_in_the_gdt_is_told(name: str) -> None:
    make, expected = GDT_MISTAKES[name]
    guest = TableGuest()
    make(guest)
    (problem,) = read_gdt(guest.sight()).all_problems
    assert expected in problem


@pytest.mark.parametrize("where", ["ROM", "read-only page", "RAM"])
def test_an_accessed_bit_that_cannot_be_set_is_told(where: str) -> None:
    guest = TableGuest()
    segment(4, access=0xF2)(guest)  # A is clear
    if where == "ROM":
        guest.rom = (GDT, GDT + 0x1000)
    elif where == "read-only page":
        guest.flags[GDT] = 1
    found = read_gdt(guest.sight()).all_problems
    if where == "RAM":
        assert found == ()
    else:
        expected = "the table is in ROM" if where == "ROM" else "a load of the segment raises #PF"
        assert [expected in problem for problem in found] == [True]


TSS_MISTAKES: dict[str, tuple[Mistake, str]] = {
    "limit": (lambda guest: small_tss(guest), "limit 0x60 is less than 0x67"),
    "SS0 null": (field("ss0", 0), "SS0 is null"),
    "SS0 code": (field("ss0", KERNEL_CODE), "SS0 0x0008 is no writable data segment"),
    "SS0 ring": (field("ss0", USER_DATA | 3), "SS0 0x0023 is not of ring 0 (RPL 3, DPL 3)"),
    "SS0 beyond": (field("ss0", 0x80), "SS0: selector 0x0080 lies beyond the GDT's limit"),
    "ESP0 not mapped": (field("esp0", 0xB000), "ESP0 0x0000B000: nothing can be pushed at 0x0000AFFC: PTE[0x00a]"),
    "ESP0 odd": (field("esp0", STACK + 0xFFE), "ESP0 0x00009FFE is not a multiple of 4"),
    "ESP0 read-only": (lambda guest: guest.flags.__setitem__(STACK, 1), "the page is read-only"),
    "ESP0 for programs": (lambda guest: guest.flags.__setitem__(STACK, 7), "programs can read the kernel's stack"),
    "descriptor": (segment(5, TSS + 0x100, 0x67, 0x8B, 0), "it was changed after LTR"),
    "no descriptor": (segment(5), "the GDT has no TSS there"),
}


@pytest.mark.parametrize("name", TSS_MISTAKES)
def test_a_mistake_in_the_tss_is_told(name: str) -> None:
    make, expected = TSS_MISTAKES[name]
    guest = TableGuest()
    make(guest)
    (problem,) = read_tss(guest.sight()).problems
    assert expected in problem


def test_a_bitmap_inside_the_fields_is_told() -> None:
    guest = TableGuest()
    field("io_map", 0x20)(guest)
    inside, no_end = read_tss(guest.sight()).problems
    assert "the I/O bitmap begins at 0x20, inside the fields" in inside
    assert "last byte, at 0x67, is 0x00" in no_end


def small_tss(guest: TableGuest) -> None:
    guest.gdt[5] = pack_segment(TSS, 0x60, 0x8B, 0)
    guest.tr = Segment(TSS_SELECTOR, TSS, 0x60, 0x8B00)


def large_tss(guest: TableGuest, tail: bytes) -> None:
    limit = 0x67 + len(tail)
    guest.tss_tail = tail
    guest.gdt[5] = pack_segment(TSS, limit, 0x8B, 0)
    guest.tr = Segment(TSS_SELECTOR, TSS, limit, 0x8B00)


def test_the_bitmap_says_which_ports_programs_may_use() -> None:
    guest = TableGuest()
    bitmap = bytearray(b"\xff" * 0x80)
    bitmap[0x60 // 8] = 0xEE  # ports 0x60 and 0x64
    bitmap[0x3F8 // 8] = 0
    large_tss(guest, bytes(bitmap) + b"\xff")
    tss = read_tss(guest.sight())
    assert tss.problems == ()
    assert tss.allowed_ports == (range(0x60, 0x61), range(0x64, 0x65), range(0x3F8, 0x400))
    assert "ports  0x60, 0x64, 0x3f8-0x3ff" in str(tss)


def test_a_bitmap_without_its_last_byte_of_ones_is_told() -> None:
    guest = TableGuest()
    large_tss(guest, b"\xff" * 8 + b"\0")
    (problem,) = read_tss(guest.sight()).problems
    assert "last byte, at 0x70, is 0x00: the manual wants 0xFF" in problem


def test_a_bitmap_beyond_the_limit_is_told_if_there_was_room_for_it() -> None:
    guest = TableGuest()
    large_tss(guest, b"\xff" * 0x80)
    guest.tss_fields["io_map"] = 0x2000
    (problem,) = read_tss(guest.sight()).problems
    assert "begins at 0x2000, beyond the limit 0xe7" in problem


@pytest.mark.parametrize(("frame", "read"), [(GDT, read_gdt), (IDT, read_idt), (TSS, read_tss)])
def test_a_table_that_is_not_mapped_is_told(frame: int, read: Callable[..., object]) -> None:
    guest = TableGuest()
    guest.unmap(frame)
    found = read(guest.sight())
    assert any(f"0x{frame:08X}, in it, is not mapped" in problem for problem in found.problems)  # type: ignore[attr-defined]


def test_without_ldt_and_tss_there_is_nothing_to_tell() -> None:
    guest = TableGuest()
    guest.tr = Segment(0, 0, 0, 0)
    sight = guest.sight()
    assert (len(read_ldt(sight)), read_ldt(sight).problems) == (0, ())
    tss = read_tss(sight)
    assert (tss.is_loaded, tss.fields, tss.problems) == (False, {}, ())
    assert str(tss) == "TSS: none, TR is null"


def test_in_real_mode_the_idt_is_none() -> None:
    guest = TableGuest()
    guest.sight()
    guest.guest.registers.set("cr0", 0x10)
    table = read_idt(Sight(guest.guest.memory, guest.guest.registers))
    assert len(table) == 0
    assert "real mode" in table.problems[0]


def idt_at_0(content: bytes) -> DescriptorTable:
    """What is told of an IDTR as real mode has it, without paging."""
    guest = TableGuest()
    guest.sight()
    memory, registers = guest.guest.memory, guest.guest.registers
    registers.set("cr0", 0x11)
    registers.set_segment("idtr", Segment(0, 0, 0x3FF, 0))
    memory.write(PhysAddr(0), content)
    return read_idt(Sight(memory, registers))


@pytest.mark.parametrize("vectors", [bytes.fromhex("53ff00f0") * 256, bytes.fromhex("57ef00f0") * 2 + bytes(0x3F8)])
def test_in_protected_mode_real_modes_vectors_are_no_idt(vectors: bytes) -> None:
    table = idt_at_0(vectors)
    assert len(table) == 0
    (problem,) = table.problems
    assert "no IDT has been loaded" in problem


def test_128_gates_at_0_are_an_idt() -> None:
    gates = pack_table([pack_gate(INTERRUPT_GATE_32, KERNEL_CODE, HANDLERS, 0)] * 128)
    assert len(idt_at_0(gates).used) == 128


def test_before_a_gdt_is_loaded_there_is_none() -> None:
    guest = TableGuest().guest
    guest.registers.set_segment("gdtr", Segment(0, 0, 0xFFFF, 0))
    table = read_gdt(Sight(guest.memory, guest.registers))
    assert len(table) == 0
    assert "there is no GDT yet" in table.problems[0]


def test_tables_are_json_text_and_html() -> None:
    guest = TableGuest()
    gate(14, selector=KERNEL_DATA)(guest)
    sight = guest.sight()
    table = json.loads(json.dumps(read_idt(sight).as_dict()))
    assert table["entries"][14]["problems"] == ["selector 0x0010 is not a code segment"]
    assert table["entries"][13]["offset"] == HANDLERS + 16 * 13
    raw = table["entries"][13]["raw"]  # the offset is in its first and last 16 bits
    assert (len(raw), raw[:6] + raw[-4:]) == (18, f"0x{HANDLERS + 16 * 13:08X}")
    assert "selector 0x0010 is not a code segment" in str(read_idt(sight))
    assert "not a code segment" in read_idt(sight)._repr_html_()
    tss = json.loads(json.dumps(read_tss(sight).as_dict()))
    assert (tss["fields"]["esp0"], tss["bits"], tss["allowed_ports"]) == (STACK + 0x1000, 32, [])
    assert json.loads(json.dumps(read_gdt(sight).as_dict()))["entries"][0]["selector"] == KERNEL_CODE


@given(st.lists(st.sampled_from([0, HANDLERS, HANDLERS + 1]), min_size=40, max_size=256))
def test_the_view_of_an_idt_has_a_row_for_equal_gates_behind_each_other(offsets: list[int]) -> None:
    guest = TableGuest()
    guest.idt = [pack_gate(INTERRUPT_GATE_32, KERNEL_CODE, offset) if offset else 0 for offset in offsets]
    table = read_idt(guest.sight())
    scene: Any = SimpleNamespace(machine=SimpleNamespace(idt=table), named=lambda address: "")
    rows = [row.cells for block in Idt().show(scene).blocks if isinstance(block, Table) for row in block.rows]
    told = []
    for head, text, _ in rows:
        found = re.fullmatch(r"vectors (0x\w+)-(0x\w+)", head)
        vectors = map(describe, range(int(found[1], 16), int(found[2], 16) + 1)) if found else [head]
        told += [(vector, text) for vector in vectors]
    assert told == [(describe(entry.index), entry.descriptor.text) for entry in table.used]
    changes = sum(offset != before for offset, before in zip(offsets[33:], offsets[32:], strict=False) if offset)
    assert len(rows) == sum(map(bool, offsets[:33])) + changes

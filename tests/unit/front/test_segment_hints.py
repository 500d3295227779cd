"""The crash report names the operand that goes beyond its segment."""

from __future__ import annotations

import pytest
from dead_guest import CODE, FLAT_DATA, Dead, Delivered, healthy_kernel

from hillemu.emu.guest import Segment
from hillemu.emu.i386.address import PhysAddr

BYTE_TO_ES_EDI = "26c60741"  # mov byte ptr es:[edi], 0x41
DWORD_FROM_STACK = "8b4424fc"  # mov eax, [esp - 4]
LOADED_BY_INDEX = "8b44b310"  # mov eax, [ebx + esi*4 + 0x10]
ADDRESS_OF = "8d8300000100"  # lea eax, [ebx + 0x10000]
SHORT = Segment(0, 0, 0xFFFF, 0x00009300)
EXPAND_DOWN = Segment(0x30, 0, 0xFFFF, 0x0040_9700)


@pytest.fixture
def dead() -> Dead:
    return healthy_kernel()


def died(dead: Dead, code: str, *, vector: int = 13, **registers: int) -> list[str]:
    dead.memory.write(PhysAddr(CODE + 7), bytes.fromhex(code))
    for name, value in registers.items():
        dead.registers.set(name, value)
    dead.deliveries = [Delivered(vector=vector, error_code=0), Delivered(vector=8, error_code=0)]
    return dead.hints()


@pytest.mark.parametrize(("edi", "told"), [(0xFFFF, False), (0x10000, True), (0x100000, True)])
def test_a_limit_left_from_real_mode(dead: Dead, edi: int, told: bool) -> None:
    dead.registers.set_segment("es", SHORT)
    hints = died(dead, BYTE_TO_ES_EDI, edi=edi)
    beginning = f"an operand (8 bits) at ES:0x{edi:08X} is not within the segment"
    blamed = [hint for hint in hints if hint.startswith(beginning)]
    assert len(hints) == len(blamed) == told
    assert all("0x0 to 0xFFFF: ES has the limit of real mode" in hint for hint in blamed)


@pytest.mark.parametrize(("esp", "told"), [(0x10000, False), (0x10001, True), (2, True)])
def test_the_stack_pointer_goes_by_the_stack_segment(dead: Dead, esp: int, told: bool) -> None:
    dead.registers.set_segment("ss", SHORT)
    hints = died(dead, DWORD_FROM_STACK, vector=12, esp=esp)
    assert any(f"an operand (32 bits) at SS:0x{esp - 4 & 0xFFFFFFFF:08X}" in hint for hint in hints) == told


def test_an_address_is_the_sum_of_its_parts(dead: Dead) -> None:
    dead.registers.set_segment("ds", FLAT_DATA._replace(limit=0x2FFF))
    hints = died(dead, LOADED_BY_INDEX, ebx=0x2000, esi=0x400)
    assert hints == ["an operand (32 bits) at DS:0x00003010 is not within the segment, whose offsets are 0x0 to 0x2FFF"]


@pytest.mark.parametrize(("edi", "told"), [(0xFFFF, True), (0x10000, False)])
def test_a_segment_that_expands_down_begins_behind_its_limit(dead: Dead, edi: int, told: bool) -> None:
    dead.registers.set_segment("es", EXPAND_DOWN)
    assert any("0x10000 to 0xFFFFFFFF" in hint for hint in died(dead, BYTE_TO_ES_EDI, edi=edi)) == told


def test_an_address_that_is_only_computed_is_not_blamed(dead: Dead) -> None:
    dead.registers.set_segment("ds", SHORT)
    assert died(dead, ADDRESS_OF) == []


def test_registers_that_a_handler_has_changed_are_not_believed(dead: Dead) -> None:
    dead.registers.set_segment("es", SHORT)
    dead.registers.set("edi", 0x100000)
    dead.memory.write(PhysAddr(CODE + 7), bytes.fromhex(BYTE_TO_ES_EDI))
    dead.deliveries = [Delivered(vector=13, error_code=0, eip=CODE + 0x20)]
    assert not any("within the segment" in hint for hint in dead.hints())


@pytest.mark.parametrize(
    ("code", "what", "offset"),
    [("c3", "RET", 0x9000), ("50", "PUSH", 0x8FFC), ("e800000000", "CALL", 0x8FFC), ("c9", "LEAVE", 0x7000)],
)
def test_a_stack_segment_without_offsets_is_told_of_where_the_stack_is_used(
    dead: Dead, code: str, what: str, offset: int
) -> None:
    dead.registers.set_segment("ss", Segment(0x18, 0, 0xFFFFFFFF, 0x00C0_9700))
    hints = died(dead, code, vector=12, esp=0x9000, ebp=0x7000)
    (blamed,) = [hint for hint in hints if "within the segment" in hint]
    assert blamed.startswith(f"what {what} needs of the stack at SS:0x{offset:08X}")
    assert "which has no offsets: it is expand-down" in blamed
    dead.registers.set_segment("ss", FLAT_DATA)
    assert not any("within the segment" in hint for hint in dead.hints())

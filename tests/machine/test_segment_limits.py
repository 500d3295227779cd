"""Segment limits and rights, against the manual's rules in plain Python.

Source: Intel SDM Vol. 3A, "Limit Checking", "Type Checking", "Data-Segment Type".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laboratory import CODE, GDT, STACK, Lab

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.guest import Segment
from hillemu.emu.i386.address import PhysAddr

SLOT = 0x30
FAULTS = """
    vector_12: mov ebp, 12; jmp 9f
    vector_13: mov ebp, 13; jmp 9f
    vector_129: nop
    done: cli; hlt
9:  mov ebx, [esp]; mov esi, [esp + 4]; jmp done
"""
ENTER_RING_3 = "push 0x23; push 0x70000; pushfd; push 0x1B; push {}; iretd; "


@dataclass(frozen=True)
class Data:
    """A data segment's descriptor, and what the manual says of it."""

    base: int
    limit: int
    """The field of 20 bits."""
    pages: bool
    big: bool
    writable: bool
    down: bool

    @property
    def descriptor(self) -> int:
        access = 0xF0 | self.down << 2 | self.writable << 1
        flags = self.pages << 3 | self.big << 2
        return (
            (self.limit & 0xFFFF)
            | (self.base & 0xFFFFFF) << 16
            | access << 40
            | (self.limit >> 16) << 48
            | flags << 52
            | (self.base >> 24) << 56
        )

    def faults(self, offset: int, size: int, store: bool) -> bool:
        limit = self.limit << 12 | 0xFFF if self.pages else self.limit
        last = offset + size - 1
        if self.down:
            outside = offset <= limit or last > (0xFFFFFFFF if self.big else 0xFFFF)
        else:
            outside = last > limit and limit != 0xFFFFFFFF
        return outside or (store and not self.writable)


def lab_with(lab_of: Any, source: str, *descriptors: int) -> Lab:
    machine: Lab = lab_of("native", source + FAULTS)
    for number, descriptor in enumerate(descriptors):
        machine.memory.write(PhysAddr(GDT + SLOT + 8 * number), descriptor.to_bytes(8, "little"))
    machine.processor.set_segment("gdtr", Segment(0, GDT, SLOT + 8 * len(descriptors) - 1, 0))
    return machine


ACCESSES = {
    (1, False): "mov cl, [eax]",
    (2, False): "mov cx, [eax]",
    (4, False): "mov ecx, [eax]",
    (8, False): "movq mm0, [eax]",
    (1, True): "mov [eax], cl",
    (2, True): "mov [eax], cx",
    (4, True): "mov [eax], ecx",
    (8, True): "movq [eax], mm0",
}
NEAR = st.integers(-9, 9)
SEGMENTS = st.builds(
    Data,
    base=st.sampled_from([0x200000, 0x212345]),  # far from the tables of the laboratory
    limit=st.integers(0, 0x7FFF) | st.sampled_from([0xFFFFF, 0xFFFFE, 0x400]),
    pages=st.booleans(),
    big=st.booleans(),
    writable=st.booleans(),
    down=st.booleans(),
)


@pytest.mark.parametrize("segment", ["ds", "es", "fs", "gs", "ss"])
def test_accesses_fault_where_the_manual_says(segment: str, lab_of: Any) -> None:
    codes = "".join(
        f"access_{size}_{int(store)}: mov {segment}, dx; {code.replace('[', f'{segment}:[')}; int 0x81\n"
        for (size, store), code in ACCESSES.items()
    )
    machine = lab_with(lab_of, ENTER_RING_3.format("edi") + codes, 0)
    cpu = machine.processor
    cpu.add_breakpoint(machine.symbols["done"])
    start = {name: cpu.segment(name) for name in ("cs", "ss", "ds", "es", "fs", "gs")}

    @settings(max_examples=150)
    @given(data=SEGMENTS, access=st.sampled_from(sorted(ACCESSES)), near=NEAR, at_limit=st.booleans())
    def check(data: Data, access: tuple[int, bool], near: int, at_limit: bool) -> None:
        size, store = access
        if segment == "ss":
            data = replace(data, writable=True)  # or it cannot be loaded
        limit = data.limit << 12 | 0xFFF if data.pages else data.limit
        offset = ((limit if at_limit else 0x10000) + near) & 0xFFFFFFFF
        machine.memory.write(PhysAddr(GDT + SLOT), data.descriptor.to_bytes(8, "little"))
        for name, value in start.items():
            cpu.set_segment(name, value)
        code = machine.symbols[f"access_{size}_{int(store)}"]
        for register, number in {
            "esp": STACK,
            "edx": SLOT | 3,
            "eax": offset,
            "ebp": 0,
            "edi": code,
            "eip": CODE,
        }.items():
            cpu.set(register, number)
        assert machine.run() is CoreStop.BREAKPOINT
        vector = 12 if segment == "ss" else 13
        assert cpu.get("ebp") == (vector if data.faults(offset, size, store) else 0)
        assert cpu.get("ebp") == 0 or cpu.get("ebx") == 0

    check()


def flat(**changes: int) -> int:
    fields = {"limit": 0xFFFFF, "access": 0x92, "base": 0, "flags": 0xC} | changes
    limit, base = fields["limit"], fields["base"]
    return (
        (limit & 0xFFFF)
        | (base & 0xFFFFFF) << 16
        | fields["access"] << 40
        | (limit >> 16) << 48
        | fields["flags"] << 52
        | (base >> 24) << 56
    )


@pytest.mark.parametrize("segment", ["ds", "es", "fs", "gs"])
def test_nothing_is_accessed_through_a_null_selector(segment: str, lab_of: Any) -> None:
    machine = lab_with(lab_of, f"xor eax, eax; mov {segment}, ax; here: mov ecx, {segment}:[0x1000]; hlt")
    machine.run()
    assert (machine.get("ebp"), machine.get("ebx"), machine.get("esi")) == (13, 0, machine.symbols["here"])


def test_a_push_below_the_stack_segment_faults_and_changes_no_register(lab_of: Any) -> None:
    source = ENTER_RING_3.format("offset user") + "user: mov eax, 0x33; mov ss, ax; mov esp, 2; here: push 7; int 0x81"
    machine = lab_with(lab_of, source, flat(limit=0xFFF, access=0xF2, flags=4))
    machine.run()
    assert (machine.get("ebp"), machine.get("ebx"), machine.get("esi")) == (12, 0, machine.symbols["here"])
    assert machine.memory.u32(PhysAddr(machine.get("esp") + 16)) == 2  # the ESP that was pushed


def test_code_is_not_written_to_and_read_only_where_it_may(lab_of: Any) -> None:
    write = lab_with(lab_of, "here: mov cs:[0x200000], eax; hlt")
    write.run()
    assert (write.get("ebp"), write.get("esi")) == (13, write.symbols["here"])
    source = "ljmp 0x30, offset far; far: mov eax, cs:[0x1000]; hlt"
    execute_only = lab_with(lab_of, source, flat(access=0x98))
    execute_only.run()
    assert (execute_only.get("ebp"), execute_only.get("esi")) == (13, execute_only.symbols["far"])
    readable = lab_with(lab_of, source, flat(access=0x9A))
    readable.run()
    assert readable.get("ebp") == 0


def test_a_string_instruction_stops_at_the_limit_with_its_count(lab_of: Any) -> None:
    source = "mov eax, 0x30; mov es, ax; mov edi, 0xFF0; mov ecx, 100; mov al, 0x5A; rep stosb; hlt"
    machine = lab_with(lab_of, source, flat(limit=0xFFF, flags=4, base=0x200000))
    machine.run()
    assert (machine.get("ebp"), machine.get("ecx"), machine.get("edi")) == (13, 84, 0x1000)
    assert machine.memory.read(PhysAddr(0x200FF0), 17) == b"\x5a" * 16 + b"\0"


def test_16_bit_code_is_checked_and_a_load_of_ds_takes_effect_in_its_block(lab_of: Any) -> None:
    source = """
        ljmp 0x38, offset far - 0x100000
    .code16
    far: mov ax, 0x30; mov ds, ax; mov al, [0x0FFF]; mov cl, 1
    here: mov al, [0x1000]
    .code32
        hlt
    """
    code = flat(limit=0xFFFF, access=0x9A, flags=0, base=0x100000)
    machine = lab_with(lab_of, source, flat(limit=0xFFF, flags=0), code)
    machine.run()
    assert (machine.get("ebp"), machine.get("ecx") & 0xFF) == (13, 1)
    assert machine.get("esi") == machine.symbols["here"] - 0x100000


def test_a_limited_program_in_ring_3_does_not_limit_its_kernel(lab_of: Any) -> None:
    source = (
        ENTER_RING_3.format("offset user")
        + """
    user: mov eax, 0x33; mov ds, ax; mov es, ax
        mov dword ptr [0x8FFC], 1
        int 0x80
        mov dword ptr [0x9000], 2
        int 0x81
    vector_128: push ds; mov ecx, 0x10; mov ds, cx; mov ecx, [0x1FFFFC]; inc dword ptr [0x200000]; pop ds; iretd
    """
    )
    machine = lab_with(lab_of, source, flat(limit=0x8FFF, access=0xF2, flags=4))
    machine.run()
    assert machine.memory.u32(PhysAddr(0x8FFC)) == 1
    assert machine.memory.u32(PhysAddr(0x200000)) == 1
    assert (machine.get("ebp"), machine.memory.u32(PhysAddr(0x9000))) == (13, 0)


def test_real_mode_limits_hold_in_protected_mode_until_a_segment_is_loaded(lab_of: Any) -> None:
    machine = lab_with(lab_of, "mov eax, [0xFFFC]; here: mov eax, [0x10000]; hlt")
    machine.processor.set_segment("ds", Segment(0, 0, 0xFFFF, 0x9300))
    machine.run()
    assert (machine.get("ebp"), machine.get("esi")) == (13, machine.symbols["here"])

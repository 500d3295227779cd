"""The crash report names typical causes: each hint has a guest that earns it."""

from __future__ import annotations

import pytest
from dead_guest import (
    CODE,
    DIRECTORY,
    IDT,
    PG_WP_PE,
    STACK,
    TSS,
    USER_CODE,
    USER_DATA,
    Dead,
    Delivered,
    healthy_kernel,
)

from hillemu.emu.guest import Segment
from hillemu.emu.i386 import tss
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.descriptors import INTERRUPT_GATE_32, pack_gate
from hillemu.emu.stop import Stop, StopReason


@pytest.fixture
def dead() -> Dead:
    return healthy_kernel()


class TestHints:
    """Each cause is planted, and named; a healthy kernel gets no hint."""

    def fault(self, dead: Dead, **what: int) -> None:
        cr2 = what.pop("cr2", 0x20000)
        first = Delivered(cr2=cr2, **({"error_code": 0} | what))
        dead.deliveries = [first, Delivered(vector=8, error_code=0, cs=first.cs, eip=first.eip)]

    def only(self, dead: Dead, *parts: str) -> None:
        hints = dead.hints()
        assert any(all(part in hint for part in parts) for hint in hints), hints

    def test_a_fault_for_no_typical_cause_gets_none(self, dead: Dead) -> None:
        self.fault(dead)
        assert dead.hints() == []

    @pytest.mark.parametrize(("eip", "told"), [(0, True), (0xFFF, True), (0x1000, False)])
    def test_code_in_page_0(self, dead: Dead, eip: int, told: bool) -> None:
        dead.registers.set("eip", eip)
        dead.deliveries = [Delivered(vector=6, eip=eip), Delivered(vector=8, error_code=0, eip=eip)]
        assert any("a call through a null pointer" in hint for hint in dead.hints()) == told

    def test_no_idt(self, dead: Dead) -> None:
        dead.registers.set_segment("idtr", Segment(0, 0, 0, 0))
        self.fault(dead)
        self.only(dead, "no IDT was loaded", "the first exception, #PF page fault at 0x00020000")

    def test_the_real_mode_vector_table_is_no_idt(self, dead: Dead) -> None:
        dead.registers.set_segment("idtr", Segment(0, 0, 0x3FF, 0))
        self.fault(dead)
        self.only(dead, "no IDT was loaded", "real-mode vector table")

    def test_an_idt_that_ends_too_early(self, dead: Dead) -> None:
        dead.registers.set_segment("idtr", Segment(0, IDT, 8 * 14 - 1, 0))
        self.fault(dead)
        self.only(dead, "the IDT ends before vector 0x0e (IDTR limit is 0x6f)")

    def test_an_idt_that_is_not_mapped(self, dead: Dead) -> None:
        dead.map(IDT, 0)
        self.fault(dead)
        self.only(dead, "the IDT at 0x00002000 cannot be read")

    @pytest.mark.parametrize(
        ("gate", "problem"),
        [(0, "empty"), (pack_gate(INTERRUPT_GATE_32, 0x10, CODE), "not a code segment")],
    )
    def test_a_bad_gate(self, dead: Dead, gate: int, problem: str) -> None:
        dead.gate(14, gate)
        self.fault(dead)
        self.only(dead, "IDT entry 0x0e for #PF page fault is unusable", problem)

    def test_a_handler_that_is_not_mapped(self, dead: Dead) -> None:
        dead.gate(14, pack_gate(INTERRUPT_GATE_32, 0x08, 0x30000))
        self.fault(dead)
        self.only(dead, "the handler of #PF page fault at 0x00030000 is not mapped")

    def test_a_stack_that_ran_out(self, dead: Dead) -> None:
        dead.registers.set("esp", 0x20000)
        self.fault(dead, cr2=0x1FFFC, error_code=2)
        self.only(dead, "the stack at 0x00020000 cannot be written")
        self.only(dead, "the stack ran out: ESP is 0x00020000")

    def test_no_tss_for_a_fault_in_ring_3(self, dead: Dead) -> None:
        dead.registers.set_segment("cs", USER_CODE)
        self.fault(dead, cs=0x1B, error_code=4)
        self.only(dead, "no TSS was loaded (TR is null)")

    def test_a_tss_without_a_stack(self, dead: Dead) -> None:
        dead.registers.set_segment("cs", USER_CODE)
        dead.registers.set_segment("tr", Segment(0x28, TSS, 0x67, 0x8B00))
        self.fault(dead, cs=0x1B, error_code=4)
        self.only(dead, "the TSS's SS0 is bad (selector 0x0000 is null)")
        dead.memory.write(PhysAddr(TSS), tss.pack(tss.TSS_32, ss0=0x10, esp0=0x80000))
        self.only(dead, "the TSS's stack for ring 0 at 0x00080000 cannot be written")
        dead.memory.write(PhysAddr(TSS), tss.pack(tss.TSS_32, ss0=0x10, esp0=STACK + 0x1000))
        assert dead.hints() == []

    def test_a_null_pointer(self, dead: Dead) -> None:
        self.fault(dead, cr2=0x14, error_code=2)
        self.only(dead, "a write by supervisor mode through a null pointer (address 0x00000014)")

    def test_a_call_through_a_null_pointer(self, dead: Dead) -> None:
        dead.registers.set("eip", 0)
        self.fault(dead, eip=0, cr2=0)
        self.only(dead, "a call through a null pointer")

    def test_a_wild_jump(self, dead: Dead) -> None:
        dead.registers.set("eip", 0xDEAD0000)
        self.fault(dead, eip=0xDEAD0000, cr2=0xDEAD0000)
        self.only(dead, "execution went to 0xDEAD0000, which is not mapped")

    def test_code_that_forgot_to_map_itself(self, dead: Dead) -> None:
        dead.map(CODE, 0)
        self.fault(dead, cr2=CODE + 7)
        self.only(dead, "paging is on, but the code at 0x00008007 is not mapped")

    def test_user_mode_on_a_supervisor_page(self, dead: Dead) -> None:
        dead.registers.set_segment("cs", USER_CODE)
        dead.registers.set_segment("ss", USER_DATA)
        self.fault(dead, cs=0x1B, cr2=STACK, error_code=5)
        self.only(dead, "a read by user mode to 0x00009000 was denied", "U/S=0")

    def test_a_write_to_a_read_only_page(self, dead: Dead) -> None:
        dead.map(0xC000, 0xC001)
        self.fault(dead, cr2=0xC000, error_code=3)
        self.only(dead, "denied", "CR0.WP=1")

    def test_a_malformed_entry(self, dead: Dead) -> None:
        dead.registers.set("cr4", 0x10)
        dead.memory.set_u32(PhysAddr(DIRECTORY + 4), 0x002000A3)
        self.fault(dead, cr2=0x400000, error_code=9)
        self.only(dead, "malformed", "reserved bit 21")

    def test_a_table_outside_ram(self, dead: Dead) -> None:
        dead.memory.set_u32(PhysAddr(DIRECTORY + 4), 0x70000003)
        self.fault(dead, cr2=0x400000)
        self.only(dead, "the page tables are broken", "leads outside RAM")

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            (0x28, "available 32-bit TSS"),
            (0x48, "beyond the GDT's limit (6 entries)"),
            (0x82 + 0x180, "interrupt vector 0x40 could not be delivered"),
        ],
    )
    def test_general_protection_names_the_selector(self, dead: Dead, code: int, words: str) -> None:
        self.fault(dead, vector=13, error_code=code)
        self.only(dead, words)

    def test_an_irq_that_nobody_remapped(self, dead: Dead) -> None:
        dead.gate(8, 0)
        dead.deliveries = [Delivered("interrupt", 8), Delivered(vector=13, error_code=0x43)]
        self.only(dead, "a hardware interrupt came as vector 0x08, which is #DF double fault", "remap")
        self.only(dead, "IDT entry 0x08", "so IRQ as vector 0x08 could not be delivered")

    def test_an_irq_that_reached_the_wrong_handler_is_blamed_later_too(self, dead: Dead) -> None:
        dead.deliveries = [
            Delivered("interrupt", 8, eip=0x100000, at=900),
            Delivered(vector=13, error_code=0x1234),
            Delivered(vector=8, error_code=0),
        ]
        self.only(dead, "remap")

    def test_the_bios_may_use_its_vectors(self, dead: Dead) -> None:
        dead.deliveries = [Delivered("interrupt", 8, cs=0xF000, eip=0x1234, at=1), Delivered(error_code=0, cr2=0x20000)]
        assert dead.hints() == []

    def test_sse_before_it_is_switched_on(self, dead: Dead) -> None:
        dead.memory.write(PhysAddr(CODE + 7), bytes.fromhex("0f28c1"))  # movaps xmm0, xmm1
        dead.deliveries = [Delivered(vector=6)]
        self.only(dead, "CR4.OSFXSR=0")
        dead.registers.set("cr4", 0x200)
        assert dead.hints() == []

    def test_an_fpu_that_is_switched_off(self, dead: Dead) -> None:
        dead.registers.set("cr0", PG_WP_PE | 0x8)
        dead.deliveries = [Delivered(vector=7)]
        self.only(dead, "CR0.TS is set")

    def test_running_into_empty_memory(self, dead: Dead) -> None:
        dead.registers.set("eip", 0xA000)
        dead.deliveries = [Delivered(vector=13, error_code=0, eip=0xA000)]
        self.only(dead, "the memory at EIP 0x0000A000 is all zeros")

    @pytest.mark.parametrize(("eflags", "told"), [(0x2, True), (0x202, False)])
    def test_a_halt_with_interrupts_off(self, dead: Dead, eflags: int, told: bool) -> None:
        dead.stop = Stop(StopReason.HALT)
        dead.registers.set("eflags", eflags)
        assert any("IF=0" in hint for hint in dead.hints()) == told

    def test_an_old_fault_is_not_blamed_for_a_clean_stop(self, dead: Dead) -> None:
        dead.stop = Stop(StopReason.MAX_INSNS)
        dead.deliveries = [Delivered(error_code=0, cr2=0x14), Delivered("interrupt", 0x20, at=2000)]
        assert dead.hints() == []

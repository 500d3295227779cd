"""Why a run ended, and what a machine that reboots does then."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.stop import Stop, StopReason

SAY_A = "mov dx, 0x3F8; mov al, 'A'; out dx, al;"
EMPTY_IDT = "push 0; push 0; lidt [esp];"


def test_no_interrupt_table_is_a_triple_fault(lab: Any) -> None:
    machine = lab("push 0; push 0; lidt [esp]; inc ebx; here: ud2")
    assert machine.run() is CoreStop.TRIPLE_FAULT
    assert (machine.get("ebx"), machine.count) == (1, 4)
    assert machine.vectors == [6, 13, 8]


def test_a_stack_that_is_not_mapped_is_a_triple_fault(lab: Any) -> None:
    machine = lab("mov eax, 0x10000; mov cr3, eax; mov eax, 0x80000011; mov cr0, eax; mov esp, 0x800000; int 0x80; hlt")
    machine.memory.set_u32(0x10000, 0x11003)
    for page in range(1024):
        machine.memory.set_u32(0x11000 + 4 * page, page << 12 | 3)
    assert machine.run() is CoreStop.TRIPLE_FAULT
    assert machine.vectors == [128, 14, 8]


def test_a_real_mode_table_that_is_too_short_is_a_triple_fault(lab: Any) -> None:
    machine = lab(".code16; int 0x10; hlt", base=0x7C00)
    machine.processor.reset()
    code = machine.processor.segment("cs")
    machine.processor.set_segment("cs", type(code)(0, 0, 0xFFFF, code.attributes))
    machine.processor.set_segment("idtr", type(code)(0, 0, 7, 0))
    machine.processor.set("eip", 0x7C00)
    assert machine.run() is CoreStop.TRIPLE_FAULT


@pytest.mark.usefixtures("core")
class TestMachine:
    def test_a_triple_fault_ends_the_run_as_a_crash(self, boot: Any) -> None:
        machine = boot(SAY_A + EMPTY_IDT + "here: ud2")
        stop = machine.run()
        assert (stop.reason, stop.is_crash) == (StopReason.TRIPLE_FAULT, True)
        assert "here" in stop.detail
        assert machine.cpu.eip == machine.symbols["here"]
        assert "#UD" in machine.crash_report()

    @pytest.mark.parametrize(
        "ending",
        [
            EMPTY_IDT + "ud2",
            "mov al, 0xFE; out 0x64, al; 1: jmp 1b",
            "mov al, 1; out 0x92, al; 1: jmp 1b",
            "mov dx, 0xCF9; mov al, 6; out dx, al; 1: jmp 1b",
        ],
    )
    def test_a_machine_that_reboots_starts_again_each_time_the_same(self, ending: str, boot: Any) -> None:
        machine = boot(SAY_A + ending, reboot=True)
        stops: list[int] = []
        machine.serial.on_byte(lambda byte: stops.append(machine.cpu.instructions))
        machine.run(max_insns=200)
        assert len(stops) > 2
        lengths = {later - earlier for earlier, later in pairwise(stops)}
        assert len(lengths) == 1
        assert machine.serial.text == "A" * len(stops)

    @pytest.mark.parametrize("ending", ["mov al, 0xFE; out 0x64, al", "mov dx, 0xCF9; mov al, 6; out dx, al"])
    def test_without_reboot_a_reset_ends_the_run(self, ending: str, boot: Any) -> None:
        machine = boot(SAY_A + ending + "; here: inc ebx; cli; hlt")
        assert machine.run().reason is StopReason.RESET
        assert machine.cpu.eip == machine.symbols["here"]

    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            ("cli; hlt", StopReason.HALT),
            ("cli; 1: jmp 1b", StopReason.HANG),
            ("cli; .byte 0xE9; .long -5", StopReason.HANG),
            ("cli; mov al, 3; out 0xF4, al; 1: jmp 1b", StopReason.EXIT),
        ],
    )
    def test_the_reason_is_told(self, source: str, reason: StopReason, boot: Any) -> None:
        machine = boot(source)
        stop = machine.run()
        assert stop.reason is reason
        assert not stop.is_crash
        assert machine.last_stop == stop

    def test_a_jump_to_itself_with_interrupts_enabled_is_no_hang(self, boot: Any) -> None:
        machine = boot("sti; 1: jmp 1b")
        assert machine.run(max_insns=3_000_000).reason in (StopReason.MAX_INSNS, StopReason.TRIPLE_FAULT)

    def test_the_exit_code_is_qemus(self, boot: Any) -> None:
        assert boot("mov eax, 0x21; out 0xF4, al").run().exit_code == 0x43

    def test_a_limit_is_exact_and_counts_from_where_the_run_starts(self, boot: Any) -> None:
        machine = boot("1: inc eax; jmp 1b")
        before = machine.cpu.instructions
        for limit in (1, 7, 1000):
            assert machine.run(max_insns=limit).reason is StopReason.MAX_INSNS
            assert machine.cpu.instructions == (before := before + limit)

    def test_a_limit_of_zero_executes_nothing(self, boot: Any) -> None:
        machine = boot("inc eax; cli; hlt")
        before = machine.registers()
        assert machine.run(max_insns=0).reason is StopReason.MAX_INSNS
        assert machine.registers() == before

    def test_until_stops_behind_the_out_that_sends_the_last_character(self, boot: Any) -> None:
        sent = "".join(f"mov al, {ord(letter)}; out dx, al; " for letter in "so ready")
        machine = boot(f"mov dx, 0x3F8; {sent} here: mov al, 'X'; out dx, al; cli; hlt")
        stop = machine.run(until="rea?dy")
        assert stop == Stop(StopReason.UNTIL, "'rea?dy' came over the serial port")
        assert machine.cpu.eip == machine.symbols["here"]
        assert machine.serial.text == "so ready"
        assert machine.run().reason is StopReason.HALT
        assert machine.serial.text == "so readyX"

    def test_until_sees_the_screen(self, boot: Any) -> None:
        machine = boot("mov dword ptr [0xB8000], 0x07690748; sti; 1: inc eax; cli; nop; sti; jmp 1b")
        stop = machine.run(until="^Hi", max_insns=5_000_000)
        assert (stop.reason, "screen" in stop.detail) == (StopReason.UNTIL, True)

    def test_until_that_never_comes_ends_with_the_guest(self, boot: Any) -> None:
        machine = boot(SAY_A + "cli; hlt")
        assert machine.run(until="B").reason is StopReason.HALT
        assert machine.run(max_insns=0).reason in (StopReason.MAX_INSNS, StopReason.HALT)

    def test_a_halt_that_no_unmasked_interrupt_ends_is_one_at_last(self, boot: Any) -> None:
        machine = boot("mov al, 0xFF; out 0x21, al; out 0xA1, al; sti; 1: hlt; jmp 1b")
        stop = machine.run()
        assert stop.reason is StopReason.HALT
        assert stop.detail.startswith("interrupts are enabled, but none has come for an hour")
        assert 3600 <= machine.clock.now / machine.clock.frequency_hz < 3601

    def test_a_guest_that_wakes_now_and_then_sleeps_as_long_as_it_likes(
        self, boot: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("hillemu.running.LONGEST_SLEEP_TICKS", 10_000_000)  # 0.1 s; the timer ticks every 55 ms
        machine = boot(
            """
            mov esp, 0x80000; mov edi, 0x200040; mov eax, offset tick
            mov [edi], ax; mov [edi + 2], cs; mov word ptr [edi + 4], 0x8E00; shr eax, 16; mov [edi + 6], ax
            push 0x200000; push 0x7FF0000; lidt [esp + 2]
            sti
         1: hlt; jmp 1b
      tick: mov al, 0x20; out 0x20, al; inc ebx; iretd
            """
        )
        assert machine.run(max_insns=100).reason is StopReason.MAX_INSNS
        assert machine.cpu.ebx > 5


def test_a_guest_that_never_loaded_a_task_register_faults_when_ring_3_is_interrupted(lab: Any) -> None:
    machine = lab("push 0x23; push 0x70000; push 2; push 0x1B; push offset user; iretd; user: int 0x80; hlt")
    machine.processor.reset()
    machine._tables()
    machine._flat(0x100000)
    task = machine.processor.segment("tr")
    machine.processor.set_segment("tr", type(task)(0, 0, 0xFFFF, 0x8B00))  # as after RESET
    assert machine.run() is CoreStop.TRIPLE_FAULT
    assert machine.vectors[0] == 0x80

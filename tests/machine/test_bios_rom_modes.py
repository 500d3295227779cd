"""The ROM's ways into and out of modes: resets that resume, and into protected mode by INT 15h."""

from __future__ import annotations

import pytest
from real_mode import STOP, RealMode, ran

from hillemu.emu.stop import StopReason


class TestResets:
    def resumed(self, code: int, before: str, after: str = "") -> RealMode:
        """Go through the ROM's reset with the shutdown byte `code`, and come back to `back`."""
        return ran(
            f"""
            mov al, 0x8F
            out 0x70, al
            mov al, {code}
            out 0x71, al
            {before}
            jmp 0xFFFF:0
        back:
            {after}
            mov word ptr cs:[0x7000], 1
            """
            + STOP
        )

    @pytest.mark.parametrize("code", [0x05, 0x0A])
    def test_80286_software_comes_back_by_a_pointer(self, code: int) -> None:
        real = self.resumed(code, "mov word ptr [0x467], offset back; mov word ptr [0x469], 0")
        assert real.word() == 1

    def test_code_5_ends_an_interrupt_in_service_and_0ah_does_not(self) -> None:
        for code, left in ((0x05, 0), (0x0A, 1)):
            real = self.resumed(
                code,
                # The timer's request is polled, so it is in service.
                """
                mov word ptr [0x467], offset back
                mov word ptr [0x469], 0
            1:  mov al, 0x0C
                out 0x20, al
                in al, 0x20
                test al, 0x80
                jz 1b
                """,
                "mov al, 0x0B; out 0x20, al; in al, 0x20; mov cs:[0x7004], al",
            )
            assert real.byte(0x7004) & 1 == left

    def test_a_block_move_of_the_programs_own_returns_behind_its_int_15h(self) -> None:
        real = self.resumed(
            0x09,
            """
            mov ax, 0x8765
            mov bx, 0x2222
            pushf
            push cs
            push offset back
            pusha
            push 0x1111
            pop es
            push es
            push ds
            mov [0x467], sp
            mov word ptr [0x469], ss
            """,
            "mov cs:[0x7002], ax; mov cs:[0x7004], es; mov cs:[0x7006], bx; mov cs:[0x7008], sp",
        )
        assert [real.word(0x7000 + at) for at in (2, 4, 6, 8)] == [0x0065, 0x1111, 0x2222, 0x8000]

    @pytest.mark.parametrize(
        ("code", "frame"), [(0x0B, "pushf; push cs; push offset back"), (0x0C, "push cs; push offset back")]
    )
    def test_or_by_a_frame_on_the_stack(self, code: int, frame: str) -> None:
        real = self.resumed(code, f"{frame}; mov [0x467], sp; mov word ptr [0x469], ss", "mov cs:[0x7008], sp")
        assert real.word() == 1
        assert real.word(0x7008) == 0x8000

    def test_the_shutdown_byte_counts_once(self) -> None:
        real = self.resumed(
            0x0A,
            "mov word ptr [0x467], offset back; mov word ptr [0x469], 0",
            "mov al, 0x0F; out 0x70, al; in al, 0x71; mov cs:[0x7002], al",
        )
        assert real.byte(0x7002) == 0

    @pytest.mark.parametrize("to", ["0xFFFF:0", "0xF000:0xFFF0", "0xF000:0xE05B"])
    def test_a_program_that_jumps_to_the_reset_vector_reboots(self, to: str) -> None:
        real = RealMode(f"jmp {to}")
        assert real.run().reason is StopReason.RESET

    def test_ctrl_alt_del_reboots(self) -> None:
        real = RealMode("sti\n1: hlt; jmp 1b")
        keyboard = real.machine._pc.keyboard
        real.machine.schedule_call(
            1_000_000, lambda: keyboard.type([("lctrl", True), ("lalt", True), ("delete", True)])
        )
        assert real.run().reason is StopReason.RESET
        assert real.word(0x472) == 0x1234

    def test_without_a_boot_device_the_machine_halts_and_says_so(self) -> None:
        for vector in (0x18, 0x19):
            real = ran(f"mov sp, 0x7777; int {vector}")
            assert any("boot" in message for message in real.told)


def test_15h_89h_leads_into_protected_mode() -> None:
    real = ran(
        """
        mov ah, 0x89
        mov bx, 0x2028
        mov si, offset table
        int 0x15
        mov word ptr [0x7002], cs               # DS is now flat data, SS too
        mov word ptr [0x7004], ds
        mov word ptr [0x7006], es
        mov word ptr [0x7008], ss
        mov word ptr [0x700A], sp
        smsw word ptr [0x700C]
        mov word ptr [0x7000], ax
        """
        + STOP
        + """
    table:
        .quad 0
        .word 0x3F, offset table, 0, 0          # the table itself
        .word 0x7FF, 0x4000, 0, 0
        .quad 0x000093000000FFFF                # DS
        .quad 0x000093010000FFFF                # ES
        .quad 0x000093000000FFFF                # SS
        .quad 0x00009B000000FFFF                # CS
        .quad 0                                 # the BIOS's
        """
    )
    selectors = [real.word(0x7000 + at) for at in (2, 4, 6, 8)]
    assert selectors == [0x30, 0x18, 0x20, 0x28]
    assert real.word(0x700A) == 0x8000
    assert real.word(0x700C) & 1
    assert real.word() >> 8 == 0
    cpu = real.machine.cpu
    assert (cpu.segment("es").base, cpu.segment("gdtr").limit, cpu.segment("idtr").base) == (0x10000, 0x3F, 0x4000)

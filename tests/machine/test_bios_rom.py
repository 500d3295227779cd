"""The ROM's own code on the processor: handing over and waiting, interrupts and hooks."""

from __future__ import annotations

import pytest
from real_mode import SET_VECTOR, STOP, RealMode, ran

from hillemu.emu.stop import StopReason


class TestServices:
    def test_a_service_changes_registers_and_flags_and_leaves_the_stack(self) -> None:
        real = ran("stc; mov ax, 0x0F00; int 0x10; pushf; pop dx; mov [0x7000], sp\n" + STOP)
        assert real.machine.cpu.eax & 0xFFFF == 0x5003
        assert real.machine.cpu.edx & 1, "flags that the service does not answer with are the caller's"
        assert real.word() == 0x8000

    def test_services_are_reached_through_a_hook_that_goes_on_to_them(self) -> None:
        real = ran(
            """
            mov eax, [0x15 * 4]
            mov [old], eax
            vector 0x15, hook
            mov ax, 0xE801
            int 0x15
            jmp done
        hook:
            inc word ptr [0x7000]
            pushf
            call far ptr cs:[old]
            jc failed
            iret
        failed:
            stc
            retf 2
        old: .long 0
        done:
            """
            + STOP
        )
        assert real.word() == 1
        assert real.machine.cpu.eax & 0xFFFF == 15 * 1024 - 128

    def test_a_service_that_is_not_modelled_fails_and_is_told(self) -> None:
        real = ran("clc; mov ax, 0xD800; int 0x15; pushf; pop word ptr [0x7000]\n" + STOP)
        assert real.word() & 1
        assert any("INT 15h with AX=D800h" in message for message in real.told)

    def test_the_port_is_a_programs_own_outside_of_the_rom(self) -> None:
        assert ran("mov al, 5; out 0xB1, al\n" + STOP).told == []


class TestWaiting:
    def test_reading_a_key_waits_with_the_callers_interrupts_off(self) -> None:
        real = ran("cli; mov ah, 0; int 0x16; mov [0x7000], ax; pushf; pop word ptr [0x7002]\n" + STOP, keys="x")
        assert real.word() == 0x2D78
        assert not real.word(0x7002) & 0x200, "and gives them back as they were"

    def test_other_calls_may_come_between(self) -> None:
        """The timer's hook reads the time while the program waits for a key."""
        real = RealMode(
            SET_VECTOR
            + """
            vector 0x1C, hook
            mov ah, 0
            int 0x16
            mov [0x7000], ax
            jmp done
        hook:
            push ax
            push cx
            push dx
            inc word ptr cs:[0x7002]
            mov ah, 0
            int 0x1A
            mov ah, 1
            int 0x16
            pop dx
            pop cx
            pop ax
            iret
        done:
            """
            + STOP
        )
        keyboard = real.machine._pc.keyboard
        real.machine.schedule_call(200_000_000, lambda: keyboard.type([("q", True), ("q", False)]))
        real.run()
        assert (real.word(), real.word(0x7002)) == (0x1071, 3)

    def test_a_wait_of_15h_86h_takes_its_time_and_sleeps_meanwhile(self) -> None:
        real = ran("mov ah, 0x86; mov cx, 3; mov dx, 0x0D40; int 0x15\n" + STOP)  # 200000 us
        assert 200_000_000 <= real.machine.clock.now_ns < 203_000_000
        assert real.machine.cpu.instructions < 20_000

    def test_an_event_of_15h_83h_sets_the_flag(self) -> None:
        real = ran(
            """
            mov ax, 0x8300
            mov cx, 0
            mov dx, 20000
            mov bx, 0x7000
            int 0x15
            sti
        1:  hlt
            test byte ptr [0x7000], 0x80
            jz 1b
            """
            + STOP
        )
        assert 19_000_000 <= real.machine.clock.now_ns < 23_000_000


class TestPolls:
    """What the ROM answers by itself, since programs ask it while they wait."""

    def test_that_there_is_no_key_is_told_in_the_zero_flag_alone(self) -> None:
        real = ran("cmp sp, 0; stc; mov ax, 0x01FF; int 0x16; pushf; pop dx; mov [0x7000], sp\n" + STOP)
        assert (real.machine.cpu.eax & 0xFFFF, real.word()) == (0x01FF, 0x8000)
        assert real.machine.cpu.edx & 0x41 == 0x41

    def test_a_key_that_came_is_seen_by_looking_and_stays(self) -> None:
        real = ran(
            """
            sti
        1:  mov ah, 0x11
            int 0x16
            jz 1b
            mov [0x7000], ax
            mov ah, 0
            int 0x16
            mov [0x7002], ax
            """
            + STOP,
            keys="k",
        )
        assert (real.word(), real.word(0x7002)) == (0x256B, 0x256B)

    def test_shift_flags_are_those_of_the_data_area(self) -> None:
        real = ran("mov byte ptr [0x417], 0x61; mov ax, 0x02FF; int 0x16; mov [0x7000], ax\n" + STOP)
        assert real.word() == 0x0261

    def test_ticks_come_with_the_midnight_flag_once(self) -> None:
        ask = "mov ah, 0; stc; int 0x1A; sbb bx, bx; mov [0x7000 + {0}], ax; mov [0x7002 + {0}], bx\n"
        real = ran(
            "mov dword ptr [0x46C], 0x12345678; mov byte ptr [0x470], 1\n"
            + ask.format(0) + ask.format(4) + "mov [0x7008], cx; mov [0x700A], dx\n" + STOP
        )  # fmt: skip
        assert [real.word(0x7000 + 2 * place) for place in range(6)] == [1, 0, 0, 0, 0x1234, 0x5678]

    def test_the_time_is_the_clock_chips_and_never_one_that_changes(self) -> None:
        """1000 looks in more than a second: it never goes back."""
        real = RealMode(
            """
            mov bp, 1000
        1:  mov ah, 0x02
            stc
            int 0x1A
            jc wrong
            cmp dh, [0x7000]
            jb wrong
            je 2f
            inc byte ptr [0x7001]
        2:  mov [0x7000], dh
            mov [0x7002], cx
            mov cx, 1100
        3:  in al, 0x80
            loop 3b
            dec bp
            jnz 1b
            jmp done
        wrong:
            mov byte ptr [0x7001], 0xFF
        done:
            """
            + STOP
        )
        assert real.run(most=4_000_000).reason is StopReason.HALT
        assert real.byte(0x7001) in (1, 2)


class TestInterrupts:
    def test_a_program_sees_each_scancode_first_and_may_change_or_keep_it(self) -> None:
        """INT 15h, AH=4Fh: A becomes B, its release is kept."""
        real = ran(
            """
            vector 0x15, hook
            mov ah, 0
            int 0x16
            mov [0x7000], ax
            sti
        1:  hlt
            cmp word ptr [0x7002], 2
            jb 1b
            jmp done
        hook:
            push bp
            mov bp, sp
            inc word ptr cs:[0x7002]
            or word ptr [bp + 6], 1
            test al, 0x80
            jz 1f
            and word ptr [bp + 6], 0xFFFE
        1:  cmp al, 0x1E
            jne 1f
            mov al, 0x30
        1:  pop bp
            iret
        done:
            """
            + STOP,
            keys="a",
        )
        assert real.word() == 0x3062

    def test_ticks_end_with_the_day(self) -> None:
        real = ran(
            """
            mov dword ptr [0x46C], 0x1800AF
            mov byte ptr [0x470], 0
            sti
            hlt
            """
            + STOP
        )
        assert (real.word(0x46C), real.word(0x46E), real.byte(0x470)) == (0, 0, 1)

    def test_the_timer_stops_the_floppies_motors(self) -> None:
        real = ran("mov byte ptr [0x440], 2; mov byte ptr [0x43F], 0x11; sti; hlt; hlt\n" + STOP)
        assert (real.byte(0x440), real.byte(0x43F)) == (0, 0x10), "which drive is selected stays"
        real = ran("mov byte ptr [0x440], 3; mov byte ptr [0x43F], 0x11; sti; hlt; hlt\n" + STOP)
        assert (real.byte(0x440), real.byte(0x43F)) == (1, 0x11)

    def test_floppy_and_disk_leave_their_marks_and_registers(self) -> None:
        real = ran("mov eax, 0x12345678; mov byte ptr [0x43E], 1; int 0x0E; int 0x76\n" + STOP)
        assert (real.byte(0x43E), real.byte(0x48E)) == (0x81, 0xFF)
        assert real.machine.cpu.eax == 0x12345678
        assert real.machine.cpu.segment("ds").base == 0

    @pytest.mark.parametrize(("vector", "leads_to"), [(0x71, 0x0A), (0x75, 0x02)])
    def test_second_names_of_interrupts(self, vector: int, leads_to: int) -> None:
        real = ran(
            f"""
            vector {leads_to}, handler
            int {vector}
            jmp done
        handler:
            inc word ptr [0x7000]
            iret
        done:
            """
            + STOP
        )
        assert real.word() == 1

    def test_an_alarm_rings(self) -> None:
        real = ran(
            """
            vector 0x4A, rings
            mov ah, 2
            int 0x1A
            mov al, dh
            add al, 2
            daa
            mov dh, al
            mov ah, 6
            int 0x1A
            sti
        1:  hlt
            cmp word ptr [0x7000], 0
            je 1b
            mov ah, 7
            int 0x1A
            jmp done
        rings:
            inc word ptr cs:[0x7000]
            iret
        done:
            """
            + STOP
        )
        assert real.word() == 1
        assert 1_000_000_000 < real.machine.clock.now_ns < 2_100_000_000

    def test_the_mouse_driver_is_called_with_four_words(self) -> None:
        real = RealMode(
            SET_VECTOR
            + """
            mov ax, 0xC205
            mov bh, 3
            int 0x15
            mov ax, 0xC207
            mov bx, offset driver
            int 0x15
            mov ax, 0xC200
            mov bh, 1
            int 0x15
            sti
        1:  hlt
            cmp word ptr [0x7008], 2
            jb 1b
            jmp done
        driver:                                 # far: IP, CS, Z, Y, X, status
            push bp
            mov bp, sp
            mov ax, [bp + 12]
            mov cs:[0x7000], ax
            mov ax, [bp + 10]
            mov cs:[0x7002], ax
            mov ax, [bp + 8]
            mov cs:[0x7004], ax
            mov ax, [bp + 6]
            mov cs:[0x7006], ax
            inc word ptr cs:[0x7008]
            pop bp
            retf
        done:
            """
            + STOP
        )
        mouse = real.machine._pc.mouse
        for at_ms, dx, dy, buttons in ((50, 4, -2, 0), (80, 7, 9, 1)):
            real.machine.schedule_call(at_ms * 1_000_000, lambda m=(dx, dy, buttons): mouse.move(*m))  # type: ignore[misc]
        stop = real.run()
        assert "cli; hlt" in stop.detail
        assert [real.word(0x7000 + at) for at in (0, 2, 4, 6)] == [0x09, 7, 9, 0]
        assert real.machine.cpu.esp & 0xFFFF == 0x8000

    @pytest.mark.parametrize("irq", [3, 5, 10, 15])
    def test_interrupts_without_a_driver_are_acknowledged(self, irq: int) -> None:
        """What stays in service blocks all below it."""
        real = RealMode(
            """
            mov al, 0x01                        # no timer
            out 0x21, al
            mov al, 0
            out 0xA1, al
            mov al, 0x0B                        # reads tell what is in service
            out 0x20, al
            out 0xA0, al
            sti
            hlt
            cli
            in al, 0x20
            mov ah, al
            in al, 0xA0
            mov [0x7000], ax
            """
            + STOP
        )
        real.machine.schedule_call(1_000_000, real.machine._pc.pics.line(irq).pulse)
        real.run()
        assert real.machine.deliveries[-1].vector == (8 + irq if irq < 8 else 0x68 + irq)
        assert real.word() == 0


def test_keys_typed_while_paused_do_not_reach_the_program() -> None:
    real = RealMode(SET_VECTOR + "vector 0x1C, tick; sti\n1: hlt; jmp 1b\ntick: inc word ptr cs:[0x7000]; iret")
    keyboard, machine = real.machine._pc.keyboard, real.machine
    machine.schedule_call(100_000_000, lambda: keyboard.type([("pause", True), ("pause", False)]))
    machine.schedule_call(900_000_000, lambda: keyboard.type([("a", True), ("a", False), ("b", True), ("b", False)]))
    machine.schedule_call(1_000_000_000, machine.stop)
    assert real.run().reason is StopReason.INTERRUPTED
    assert real.word(0x41C) - real.word(0x41A) == 2
    assert real.word(0x400 + real.word(0x41A)) == 0x3062, "the key that ends the pause is lost"
    assert real.word() >= 17, "time goes on meanwhile"

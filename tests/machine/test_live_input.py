"""Typing while the guest runs: on a real terminal, into a real guest that echoes what its interrupts bring."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from terminal_session import TerminalSession

import hillemu.boot
from hillemu import Machine
from hillemu.boot.assembler import assemble_text
from hillemu.cli import main
from hillemu.emu.stop import Stop
from hillemu.input_record import Typed, schedule, type_now

ECHO = """
# Echoes each byte of COM1, and each scan code in hexadecimal, both from interrupts; halts in between.  Notes the time
# of each in memory, so that two runs whose interrupts come at different times are different runs.
.include "multiboot.inc"
.include "serial.inc"
multiboot_header 0

.macro gate vector, handler
    mov eax, offset \\handler
    mov word ptr [idt + 8*\\vector], ax
    mov dword ptr [idt + 8*\\vector + 2], 0x8E000000 | 8     # interrupt gate, selector 8
    shr eax, 16
    mov word ptr [idt + 8*\\vector + 6], ax
.endm

.macro note_time
    rdtsc
    mov edi, [next_time]
    mov [edi], eax
    add dword ptr [next_time], 4
.endm

.macro print character
    mov al, \\character
    call serial_put
.endm

.data
.balign 8
gdt:          .quad 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF
gdt_pointer:  .word 23
              .long gdt
idt_pointer:  .word 256*8 - 1
              .long idt
next_time:    .long times
digits:       .ascii "0123456789abcdef"

.bss
idt:    .space 256*8
stack:  .space 4096
stack_top:
times:  .space 4096

.text
.global _start
_start:
    mov esp, offset stack_top
    lgdt [gdt_pointer]
    jmp 8:1f
1:  mov eax, 16
    mov ds, eax
    mov es, eax
    mov ss, eax
    gate 0x21, on_key
    gate 0x24, on_byte
    lidt [idt_pointer]

    out_byte 0x20, 0x11                     # the interrupt controllers: vectors 0x20 and 0x28, IRQs 1 and 4 only
    out_byte 0x21, 0x20
    out_byte 0x21, 4
    out_byte 0x21, 1
    out_byte 0x21, 0xED
    out_byte 0xA1, 0xFF
    out_byte 0x64, 0x60                     # the keyboard controller: interrupt, and translate to set 1
    out_byte 0x60, 0x41
    .if STOP_TIMER
    out_byte 0x43, 0x30                     # counter 0 waits for a count that never comes
    .endif
    call serial_init
    out_byte COM_MODEM_CONTROL, 0x0B        # OUT2 lets interrupts through
    out_byte COM_INTERRUPTS, 1
    .irp character, 'r', 'e', 'a', 'd', 'y', 10
    print \\character
    .endr
    sti
idle:
    .if BUSY
    inc dword ptr [times + 4092]
    .else
    hlt
    .endif
    jmp idle

on_key:
    pushad
    in al, 0x60
    movzx ebx, al
    mov ecx, ebx
    shr ecx, 4
    and ebx, 15
    print digits[ecx]
    print digits[ebx]
    print 32
    inc byte ptr [0xB8000]                  # the first character of the screen, a space: 2 on is a quotation mark
    note_time
    out_byte 0x20, 0x20
    popad
    iretd

on_byte:
    pushad
    mov edx, COM_DATA
    in al, dx
    call serial_put
    note_time
    out_byte 0x20, 0x20
    popad
    iretd
"""
SOURCES = Path(hillemu.boot.__file__).parent / "asm"
ALWAYS_THE_USERS = ("wall_s", "mips")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """`kernel("echo")` is the echoing kernel's file; "tickless" has stopped its timer, "busy" never halts."""
    folder = tmp_path_factory.mktemp("kernels")
    for name in ("echo", "tickless", "busy"):
        defines = {"STOP_TIMER": int(name == "tickless"), "BUSY": int(name == "busy")}
        image = assemble_text(ECHO, include_paths=[SOURCES], defines=defines)
        (folder / name).write_bytes(image.data)
    return lambda name: str(folder / name)


def boot(*arguments: object) -> TerminalSession:
    return TerminalSession([sys.executable, "-m", "hillemu", "boot", *map(str, arguments)])


def record_of(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text())
    return {key: value for key, value in record.items() if key not in ALWAYS_THE_USERS}


# On a terminal


@pytest.mark.parametrize("name", ["echo", "tickless"])
@pytest.mark.parametrize(
    ("to", "strokes"),
    [
        ("keyboard", [(b"a", b"1e 9e "), (b"\r", b"1c 9c "), (b"\x1b", b"01 81 "), (b"\x1b[A", b"e0 48 e0 c8 ")]),
        ("serial", [(b"a", b"a"), (b"\r", b"\r"), (b"\x7f\x1b[A", b"\x7f\x1b[A"), ("ü".encode(), "ü".encode())]),
    ],
)
def test_what_is_typed_reaches_the_guest_and_a_replay_is_the_same_run(
    name: str, to: str, strokes: list[tuple[bytes, bytes]], kernel: Callable[[str], str], tmp_path: Path
) -> None:
    first, again = tmp_path / "first.json", tmp_path / "again.json"
    with boot(kernel(name), "--live", to, "--display", "none", "--json", first) as session:
        assert session.report()["event"] == "started"
        session.wait_for(b"ready\r\n")
        for keys, echo in strokes:
            session.type(keys)
            session.wait_for(echo)
        session.type(b"\x03")
        ended = session.report()
    assert (ended["event"], ended["number"], ended["restored"]) == ("ended", 0, True), session.shown
    assert b"hillemu: stopped: interrupted" in session.shown
    assert f"add --replay {first} to repeat it".encode() in session.shown

    live = record_of(first)
    assert [typed["to"] for typed in live["live_input"]] == [to] * len(strokes)
    main(["boot", kernel(name), "--quiet", "--replay", str(first), "--json", str(again),
          "--max-insns", str(live["instructions"])])  # fmt: skip
    replayed = record_of(again)
    for ours in ("stop", "detail", "virtual_ns"):  # the user's Ctrl-C came at a time of its own
        del live[ours], replayed[ours]
    assert replayed == live


def test_the_live_screen_shows_what_keys_do(kernel: Callable[[str], str]) -> None:
    with boot(kernel("echo"), "--live", "keyboard") as session:
        session.wait_for(b"ready")
        session.type(b"a")
        session.wait_for(b'|" ')
        session.type(b"\x03")
        assert [session.report()["event"] for _ in range(2)] == ["started", "ended"]


def test_virtual_time_does_not_run_ahead_of_the_users(kernel: Callable[[str], str], tmp_path: Path) -> None:
    with boot(kernel("echo"), "--live", "serial", "--json", tmp_path / "run.json") as session:
        session.wait_for(b"ready")
        session.type(b"x")
        session.wait_for(b"x")
        session.type(b"\x03")
        assert [session.report()["event"] for _ in range(2)] == ["started", "ended"]
    record = json.loads((tmp_path / "run.json").read_text())
    assert 0 < record["virtual_ns"] / 1e9 < record["wall_s"] + 0.011, "no more than the slice that Ctrl-C came in"


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(kernel: Callable[[str], str]) -> None:
    with boot(kernel("echo"), "--live", "serial") as session:
        session.report()
        session.wait_for(b"ready")
        for letter in (b"x", b"y"):
            session.type(b"\x1a")
            stopped = session.report()
            assert (stopped["event"], stopped["number"], stopped["restored"]) == ("stopped", signal.SIGTSTP, True)
            session.continue_in_foreground()
            session.wait_until_nothing_echoes()
            session.type(letter)
            session.wait_for(letter)
        session.type(b"\x03")
        ended = session.report()
    assert (ended["number"], ended["restored"]) == (0, True), session.shown


# The hook


def run(between: Callable[[], bool] | None) -> tuple[Stop, int, int, str, str]:
    machine = Machine(mem="16M")
    machine.load_demo()
    stop = machine.run(between=between)
    return stop, machine.cpu.instructions, machine.clock.now, machine.memory.sha256(), machine.serial.text


def test_a_hook_without_input_does_not_change_a_run() -> None:
    calls: list[bool] = []

    def look() -> bool:
        calls.append(True)
        return True

    assert run(look) == run(None)
    assert len(calls) > 5


def test_the_hook_may_stop_the_run_before_its_first_instruction() -> None:
    machine = Machine(mem="16M")
    machine.load_demo()
    stop = machine.run(between=lambda: machine.stop() or False)  # type: ignore[func-returns-value]
    assert (stop.reason.value, machine.cpu.instructions) == ("interrupted", 0)


def test_a_halt_that_only_input_can_end_waits_for_it_without_time_passing(kernel: Callable[[str], str]) -> None:
    machine = Machine(mem="16M")
    machine.load(kernel("tickless"))
    times: list[int] = []

    def type_at_last() -> bool:
        times.append(machine.clock.now)
        if len(times) == 20:
            machine.serial.send(b"!")
        return len(times) < 40

    stop = machine.run(between=type_at_last)
    assert stop.detail.startswith("interrupts are enabled, but nothing can ever interrupt")
    assert machine.serial.text == "ready\n!"
    assert times[18] == times[19] < times[38] == times[39]


def test_a_scheduled_call_comes_at_its_time_and_wakes_a_halted_guest(kernel: Callable[[str], str]) -> None:
    machine = Machine(mem="16M")
    machine.load(kernel("echo"))
    at: list[int] = []
    for delay_ns in (70_000_000, 30_000_010):
        machine.schedule_call(delay_ns, lambda: (at.append(machine.clock.now_ns), machine.serial.send(b"!"))[0])
    machine.run(until="!!")
    assert at == [30_000_010, 70_000_000]


def test_a_replay_into_a_busy_guest_hits_the_same_instructions(kernel: Callable[[str], str], core: str) -> None:
    def run(script: list[Typed], between_of: Callable[[Machine], Callable[[], bool]] | None) -> tuple[Any, ...]:
        machine = Machine(mem="16M")
        machine.load(kernel("busy"))
        received.clear()
        schedule(machine, script, received)
        machine.run(max_insns=6_000_000, between=between_of and between_of(machine))
        return machine.registers(), machine.clock.now, machine.memory.sha256(), machine.serial.data, received[:]

    def typist(machine: Machine) -> Callable[[], bool]:
        slices = iter([None, ("keyboard", "aB"), None, ("serial", "x"), ("serial", "y\udcff"), *[None] * 100])

        def between() -> bool:
            if (typed := next(slices)) is not None:
                type_now(machine, *typed, received)
            return True

        return between

    received: list[Typed] = []
    live = run([], typist)
    assert all(echo in live[3] for echo in (b"1e ", b"9e ", b"2a 30 ", b"x", b"y\xff"))
    assert len(live[4]) == 3
    assert run(live[4], None) == live


# What is refused


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--live", "serial"], "--live: standard input is not a terminal; --keys and --serial-input are for"),
        (["--live", "keyboard", "--serial-input", "-"], "--live: and '--serial-input -' would both read"),
    ],
)
def test_without_a_terminal_live_input_is_refused_in_one_line(
    arguments: list[str], complaint: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert main(["boot", *arguments]) == 125
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"hillemu: {complaint}")

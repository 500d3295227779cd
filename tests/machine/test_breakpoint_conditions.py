"""Conditions that are evaluated beside the machine: where they stop it, and that they do nothing else to its run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from gdb_session import INTERRUPT_SOON, DebuggedHillemu, in_order
from scripted_debugger import debug, debug_and_interrupt, p, value

from hillemu.emu.gdb.registers import BY_NAME
from hillemu.emu.stop import StopReason
from hillemu.machine import Machine

Boot = Callable[..., Machine]
EXIT = "mov al, 0x10; out 0xF4, al; hlt"
COUNTS = "mov ecx, 1; 1: mov [0x200000], ecx; inc ecx; cmp ecx, 3000; jb 1b; " + EXIT
FALSE = "220027"
TRUE = "220127"


def ecx_is(number: int) -> str:
    return f"2600{BY_NAME['ecx'].number:02x}23{number:04x}1327"


def memory_is(number: int) -> str:
    return f"24002000001923{number:04x}1327"


def point(at: int, *conditions: str, kind: int = 0) -> bytes:
    text = "".join(f"X{len(code) // 2:x},{code}" for code in conditions)
    return f"Z{kind},{at:x},1{';' if text else ''}{text}".encode()


def loop_of(machine: Machine) -> int:
    """The address of label 1 of `COUNTS`."""
    return machine.cpu.eip + 5


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize("kind", [0, 1])
def test_a_run_stops_where_one_of_the_conditions_is_true(boot: Boot, kind: int) -> None:
    machine = boot(COUNTS)
    conditions = (ecx_is(2000), memory_is(1233), FALSE)
    answers, _ = debug(
        machine, b"qSupported:swbreak+;hwbreak+", point(loop_of(machine), *conditions, kind=kind), b"c", p("ecx"),
        b"c", p("ecx"),
    )  # fmt: skip
    # It stands there already when it is told to go on: GDB takes the breakpoint out for a step, or wants this.
    assert [value(answers[n]) for n in (3, 5)] == [1234, 1234]
    assert (b"hwbreak:" if kind else b"swbreak:") in answers[2]


def test_a_packet_for_the_same_breakpoint_replaces_its_conditions_and_one_without_any_always_stops(boot: Boot) -> None:
    machine = boot(COUNTS)
    at = loop_of(machine)
    leave = (b"z0,%x,1" % at, b"s")
    answers, _ = debug(
        machine,
        *(point(at, ecx_is(100)), point(at, ecx_is(200)), b"c", p("ecx"), *leave),
        *(point(at, FALSE), point(at), b"c", p("ecx"), *leave),
        *(point(at, FALSE), point(at, ecx_is(300), kind=1), b"c", p("ecx")),
    )
    assert [value(answer) for answer in answers if len(answer) == 8] == [200, 201, 300]


@pytest.mark.parametrize("fails", ["24f00000001927", "22012200 0527", "2205210002"])
def test_a_condition_that_cannot_be_evaluated_stops(boot: Boot, fails: str) -> None:
    machine = boot(COUNTS)
    answers, _ = debug(machine, point(loop_of(machine), fails.replace(" ", "")), b"c", p("ecx"))
    assert value(answers[2]) == 1


def test_the_users_own_breakpoint_at_the_same_place_needs_no_condition(boot: Boot) -> None:
    machine = boot(COUNTS)
    at = machine.breakpoints.add(loop_of(machine))
    answers, _ = debug(machine, point(at, FALSE), b"c", p("ecx"))
    assert value(answers[2]) == 1


def test_a_range_of_steps_passes_a_false_condition_and_ends_at_a_true_one(boot: Boot) -> None:
    machine = boot(COUNTS)
    at = loop_of(machine)
    answers, _ = debug(machine, point(at, ecx_is(20)), b"vCont;r%x,%x:1" % (at - 5, at + 20), p("ecx"))
    assert value(answers[2]) == 20
    assert machine.cpu.linear_eip == at


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize("ending", ["cli; jmp .", EXIT])
def test_false_conditions_do_not_change_the_run(boot: Boot, ending: str) -> None:
    """The timer interrupts all the time, and so do the looks at the conditions."""
    source = """
        mov eax, offset handler; mov [0x201040], ax; mov dword ptr [0x201042], 0x8E000008
        shr eax, 16; mov [0x201046], ax
        lidt [pointer]; mov al, 0x34; out 0x43, al; mov al, 5; out 0x40, al; mov al, 0; out 0x40, al; sti
        mov ecx, 5000; mov dx, 0x3F8
    1:  inc dword ptr [0x200000]; mov eax, [0x202000]; add [0x200004], eax; loop 1b
        mov al, 'x'; out dx, al; ENDING
    handler: inc dword ptr [0x202000]; push eax; mov al, 0x20; out 0x20, al; pop eax; iretd
    pointer: .word 0x107; .long 0x201000""".replace("ENDING", ending)
    plain, watched = boot(source), boot(source)
    stop = plain.run(max_insns=200_000)
    handler = (
        int.from_bytes(plain.read(0x201040, 2), "little") | int.from_bytes(plain.read(0x201046, 2), "little") << 16
    )
    loop = plain.read(watched.cpu.eip, 0x100).index(b"\xff\x05\x00\x00\x20\x00") + watched.cpu.eip
    _, ended = debug(watched, point(loop, FALSE), point(handler, memory_is(0xFFFF)), b"c", b"c", max_insns=200_000)
    assert int.from_bytes(plain.read(0x202000, 4), "little") > 20, "interrupts came"
    assert ended == stop
    assert watched.cpu.instructions == plain.cpu.instructions
    assert watched.clock.now == plain.clock.now
    assert watched.memory.sha256() == plain.memory.sha256()
    assert watched.serial.text == plain.serial.text


def test_the_limit_and_the_text_end_a_run_that_passes_conditions(boot: Boot) -> None:
    machine = boot("1: inc eax; jmp 1b")
    _, stop = debug(machine, point(machine.cpu.eip, FALSE), b"c", b"c", max_insns=1001)
    assert (stop.reason, machine.cpu.instructions) == (StopReason.MAX_INSNS, 1001)
    machine = boot("mov dx, 0x3F8; mov al, 'a'; 1: out dx, al; inc eax; jmp 1b")
    _, stop = debug(machine, point(machine.cpu.eip + 6, FALSE), b"c", b"c", until="abcdef")
    assert (stop.reason, machine.serial.text) == (StopReason.UNTIL, "abcdef")


def test_a_loop_of_false_conditions_can_be_interrupted(boot: Boot) -> None:
    machine = boot("1: inc eax; jmp 1b")
    assert debug_and_interrupt(machine, point(machine.cpu.eip, FALSE), b"c", looks=5)[-1].startswith(b"T02")
    assert 0 < machine.cpu.instructions < 1000


def test_the_way_back_stops_at_the_last_place_where_the_condition_was_true(boot: Boot) -> None:
    machine = boot(COUNTS)
    at = loop_of(machine)
    answers, _ = debug(machine, b"c", point(at, memory_is(1233), ecx_is(77)), b"bc", p("ecx"), b"bc", p("ecx"), b"bc")
    assert [value(answer) for answer in answers if len(answer) == 8] == [1234, 77]
    assert b"replaylog:begin" in answers[-1]


# ---- with GDB itself


def test_gdb_has_conditions_on_registers_globals_and_locals_evaluated_here(gdb: str, c_kernel: Path) -> None:
    """Each condition twice: evaluated by GDB, which is the oracle, and here."""
    conditions = (
        "break 24 if i == 1000",
        "break 24 if sum % 7 == 3 && i > 500 || go_on != 1",
        "break 24 if (unsigned char)(i * 3) >= 0xfc && (i - 900 < 0 ? -sum : sum) < -700",
        "break descend if depth_reached == 0 && where->y == 6 + depth",
        "hbreak 24 if ($eax ^ $ecx) / 2 != 1 && i << 4 == 0x1230",
    )
    found = {}
    for where in ("host", "target"):
        commands = [f"set breakpoint condition-evaluation {where}"]
        for condition in conditions:
            commands += ["monitor system_reset", "maintenance flush register-cache", condition, "continue"]
            commands += ["info breakpoints", "p $eip", "p $esp", "info locals", "info args", "delete"]
        with DebuggedHillemu(gdb, c_kernel) as machine:
            found[where] = machine.debug(*commands, "kill", symbols=c_kernel)
    assert found["target"].count(" (target evals)") == len(conditions)
    assert found["target"].replace(" (target evals)", "") == found["host"]
    assert found["host"].count("breakpoint already hit 1 time") == len(conditions)


def test_ctrl_c_ends_a_loop_of_false_conditions_under_gdb(gdb: str, c_kernel: Path) -> None:
    with DebuggedHillemu(gdb, c_kernel) as machine:
        text = machine.debug(
            *("tbreak 24", "continue", "set var end = 0x7fffffff", "break 24 if sum < 0", INTERRUPT_SOON, "continue"),
            *("p i > 10", "info breakpoints", "kill"),
            symbols=c_kernel,
        )
    in_order(text, "SIGINT", r"= 1\n", r"stop only if sum < 0 \(target evals\)\n\[")

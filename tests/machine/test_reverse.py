"""Going backwards through a run, behind the protocol without sockets."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, pairwise
from typing import Any

import pytest
from scripted_debugger import ScriptedServer, debug, debug_and_interrupt, monitor, p, set_to, value

from hillemu.booting import DriveOptions
from hillemu.debugging import backwards, history, pace
from hillemu.debugging.debugged_run import DebuggedRun
from hillemu.debugging.points import Points
from hillemu.emu.stop import StopReason
from hillemu.input_record import Typed, type_now
from hillemu.machine import Machine

Boot = Callable[..., Machine]
EXIT = "mov al, 0x10; out 0xF4, al; cli; hlt"
COUNTS = "xor eax, eax; mov ecx, 50; 1: inc eax; mov [0x200000], eax; loop 1b; " + EXIT
LOOP = 7
"""Bytes in front of the loop."""


def values(answers: list[bytes]) -> list[int]:
    """What the answers to ``p`` of 32-bit registers say."""
    return [value(answer) for answer in answers if len(answer) == 8]


def test_a_step_back_undoes_an_instruction_and_all_it_did(boot: Boot) -> None:
    machine = boot(COUNTS)
    answers, _ = debug(
        machine, *[b"s"] * 4, p("eax"), b"m200000,4", b"bs", b"m200000,4", p("eax"), b"bs", p("eax"), b"s", p("eax")
    )
    assert [one for one in answers if len(one) == 8] == [
        b"01000000",
        b"01000000",
        b"00000000",
        b"01000000",
        b"00000000",
        b"01000000",
    ]


def test_every_step_back_is_where_the_run_was_and_history_begins_where_the_debugger_attached(boot: Boot) -> None:
    machine = boot(COUNTS)
    steps = 30
    answers, _ = debug(machine, *[p("eip"), b"s"] * steps, *[b"bs", p("eip")] * steps, b"bs", b"s", p("eip"))
    places = values(answers)
    assert places[steps : 2 * steps] == places[:steps][::-1]
    assert sum(b"replaylog:begin;" in answer for answer in answers) == 1
    assert places[-1] == places[1]


def test_going_back_stops_at_the_last_breakpoint_before_now_and_never_where_it_is(boot: Boot) -> None:
    machine = boot(COUNTS)
    at = machine.cpu.eip + LOOP
    answers, _ = debug(
        machine,
        b"qSupported:swbreak+",
        b"Z0,%x,1" % at,
        *[b"s", b"c", p("eax")] * 4,
        *[b"bc", p("eax")] * 4,
        b"s",
        b"c",
        p("eax"),
    )
    assert b"ReverseStep+" in answers[0]
    assert values(answers)[:7] == [0, 1, 2, 3, 2, 1, 0]
    assert values(answers)[8] == 0
    assert [b"swbreak:;" in one for one in answers[14:22:2]] == [True, True, True, False]
    assert b"replaylog:begin;" in answers[20]


def test_the_last_write_before_now_is_found_and_undone(boot: Boot) -> None:
    store = "mov dword ptr [0x200000], 5; "
    machine = boot(store + "mov ecx, 9; 1: mov dword ptr [0x200004], ecx; loop 1b; " + store + EXIT)
    start = machine.cpu.eip
    answers, _ = debug(
        machine, b"c", b"Z2,200002,1", b"bc", b"z2,200002,1", b"c", b"Z2,200000,4", b"bc", p("eip"), b"m200000,4"
    )
    assert b"replaylog:begin" in answers[3], "that byte was never changed"
    assert b";watch:200000;" in answers[8]
    assert (value(answers[9]), answers[10]) == (start, b"00000000")


@pytest.mark.parametrize(("kind", "told"), [(b"3", b"rwatch:200000;"), (b"4", b"awatch:200000;")])
def test_the_last_read_before_now_is_found(boot: Boot, kind: bytes, told: bytes) -> None:
    machine = boot("mov [0x200000], eax; nop; mov ebx, [0x200000]; nop; nop; hlt")
    start = machine.cpu.eip
    answers, _ = debug(machine, *[b"s"] * 5, b"Z%b,200000,4" % kind, b"bc", p("eip"), *[b"bs"] * 2, p("eip"))
    assert told in answers[6]
    assert values(answers) == [start + 6, start]
    assert (b"awatch" in answers[9]) == (kind == b"4"), "a step back over an access tells it as well"


TIMER = (
    """
    mov eax, offset handler; mov [0x200100], ax; mov dword ptr [0x200102], 0x8E000008; shr eax, 16; mov [0x200106], ax
    mov al, 0x11; out 0x20, al; mov al, 0x20; out 0x21, al; mov al, 4; out 0x21, al; mov al, 1; out 0x21, al
    mov al, 0xFE; out 0x21, al; mov al, 0x34; out 0x43, al; mov al, 100; out 0x40, al; mov al, 0; out 0x40, al
    lidt [pointer]; mov ecx, 20; sti
1:  inc ebx; cmp [0x201000], ecx; jb 1b
2:  hlt; cmp dword ptr [0x201000], 40; jb 2b
    """
    + EXIT
    + """
handler:
    inc dword ptr [0x201000]; push eax; mov al, 0x20; out 0x20, al; pop eax; iretd
pointer: .word 0x7FF; .long 0x200000"""
)


def test_handlers_that_interrupts_enter_are_found_and_left_backwards(boot: Boot) -> None:
    machine = boot(TIMER)
    at = machine.symbols["handler"]
    answers, _ = debug(
        machine, b"Z0,%x,1" % at, *[b"s", b"c", b"m201000,4"] * 30, *[b"bc", b"m201000,4"] * 29, b"bs", p("eip")
    )
    counts = [int.from_bytes(bytes.fromhex(one.decode()), "little") for one in answers if len(one) == 8][:-1]
    assert counts == [*range(30), *range(28, -1, -1)]
    assert value(answers[-1]) != at


# ---- the future that the past has


def test_a_run_that_goes_back_and_forth_ends_as_it_would_have(boot: Boot) -> None:
    plain, watched = boot(TIMER), boot(TIMER)
    stop = plain.run()
    at = plain.symbols["handler"]
    moves = (b"c", b"bs", b"bs", b"bc", b"s", b"c", *[b"bc"] * 3, *[b"bs"] * 50, *[b"s"] * 20, b"bc")
    _, ended = debug(
        watched,
        *[b"s"] * 99,
        b"Z0,%x,1" % at,
        b"Z2,201000,4",
        *[b"s", b"c"] * 9,
        *moves,
        b"z0,%x,1" % at,
        b"z2,201000,4",
        b"c",
        b"c",
    )
    assert (ended, watched.cpu.instructions, watched.clock.now) == (stop, plain.cpu.instructions, plain.clock.now)
    assert watched.memory.sha256() == plain.memory.sha256()
    assert watched.registers() == plain.registers()


SENDS = "mov dx, 0x3F8; mov al, 'a'; mov ecx, 5; 1: out dx, al; inc al; loop 1b; " + EXIT


def test_what_the_guest_sends_again_is_told_once_and_until_is_seen_again(boot: Boot) -> None:
    machine = boot(SENDS)
    heard: list[int] = []
    machine.serial.on_byte(heard.append)
    at = machine.cpu.eip
    answers, stop = debug(
        machine, b"c", b"Z0,%x,1" % (at + 4), b"bc", b"z0,%x,1" % (at + 4), b"c", p("ecx"), b"c", until="abc"
    )
    assert (bytes(heard), machine.serial.text) == (b"abc", "abc")
    assert stop.reason is StopReason.UNTIL
    assert values(answers) == [3]
    assert sum(one.startswith((b"O4", b"O6")) for one in answers) == 2, "both ends say why"


def test_a_change_in_the_past_cuts_the_future_off_and_says_so(boot: Boot) -> None:
    machine = boot(COUNTS)
    answers, _ = debug(
        machine, b"c", *[b"bs"] * 20, set_to("eax", 1000), b"c", b"m200000,4", b"Z2,200000,4", b"bc", b"bc", p("eax")
    )
    told = b"".join(bytes.fromhex(one[1:].decode()) for one in answers if one.startswith(b"O") and len(one) % 2)
    assert b"what came after this is forgotten" in told
    assert int.from_bytes(bytes.fromhex(answers[-5].decode()), "little") > 1000


def test_a_change_in_the_present_is_part_of_the_past(boot: Boot) -> None:
    machine = boot(COUNTS)
    answers, _ = debug(
        machine, *[b"s"] * 4, set_to("eax", 70), *[b"s"] * 9, p("eax"), *[b"bs"] * 9, p("eax"), *[b"bs"], p("eax")
    )
    assert values(answers) == [73, 70, 1], "going back over the change undoes it"


def test_what_people_typed_is_typed_again_when_the_past_runs_again(boot: Boot) -> None:
    """COM1 is polled; what arrives is stored, and the loop's count tells when."""
    source = (
        """
        mov edi, 0x200000
    1:  inc eax; mov dx, 0x3FD; in al, dx; test al, 1; jz 1b
        mov dx, 0x3F8; in al, dx; mov [edi], al; mov [edi + 4], eax; add edi, 8; cmp al, 'c'; jne 1b
    """
        + EXIT
    )
    machine = boot(source)
    record: list[Typed] = []
    looks = iter(range(100_000))

    def people() -> bool:
        text = {3: "a", 4: "b", 6: "c"}.get(next(looks))
        if text:
            type_now(machine, "serial", text, record)
        return True

    server = ScriptedServer(
        b"c",
        b"m200000,20",
        b"Z2,200008,1",
        b"bc",
        b"z2,200008,1",
        monitor("instructions"),
        b"c",
        b"m200000,20",
        b"bs",
        b"c",
    )
    run = DebuggedRun(machine, server, record=record)  # type: ignore[arg-type]
    server.on_end = run.stop
    run.run(wait=True, between=people)
    seen = [one for one in server.answers if len(one) == 64]
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert [typed.text for typed in record] == ["a", "b", "c"]


@pytest.mark.parametrize("again", ["continued", "stepped over"])
def test_what_was_typed_comes_at_its_moment_however_the_run_was_and_is_debugged(boot: Boot, again: str) -> None:
    """Typed while a condition is false all the time; the past runs without it, or by steps."""
    source = "1: inc ecx; mov dx, 0x3FD; in al, dx; test al, 1; jz 1b; " + EXIT
    machine = boot(source)
    start = machine.cpu.eip
    never = b"Z0,%x,1;X3,220027" % (start + 1)
    onwards = [b"c"] if again == "continued" else [b"vCont;r%x,%x:1" % (start, start + 11), b"c"]
    server = ScriptedServer(never, b"c", p("ecx"), b"z0,%x,1" % (start + 1), b"bc", *onwards, p("ecx"))
    record: list[Typed] = []
    looks = count()

    def people() -> bool:
        if next(looks) == 0:
            type_now(machine, "serial", "x", record)
        return True

    run = DebuggedRun(machine, server, record=record)  # type: ignore[arg-type]
    server.on_end = run.stop
    run.run(wait=True, between=people)
    seen = [one for one in server.answers if len(one) == 8]
    assert len(seen) == 2
    assert seen[0] == seen[1]


WAITS_FOR_A_KEY = """
    mov eax, offset key; mov [0x202048], ax; mov dword ptr [0x20204A], 0x8E000008; shr eax, 16; mov [0x20204E], ax
    lidt [pointer]; mov al, 0xFD; out 0x21, al; sti
1:  hlt; cmp dword ptr [0x203000], 2; jb 1b; EXIT
key: push eax; in al, 0x60; inc dword ptr [0x203000]; mov al, 0x20; out 0x20, al; pop eax; iretd
pointer: .word 0x7F; .long 0x202000""".replace("EXIT", EXIT)


def test_a_guest_whose_time_stands_still_gets_what_is_typed_and_gets_it_again(boot: Boot) -> None:
    """Only a key can wake it."""
    machine = boot(WAITS_FOR_A_KEY)
    server = ScriptedServer(b"c", monitor("instructions"), b"bc", b"c", monitor("instructions"))
    record: list[Typed] = []
    looks = count()

    def people() -> bool:
        if next(looks) == 5:
            type_now(machine, "keyboard", "a", record)
        return True

    run = DebuggedRun(machine, server, record=record)  # type: ignore[arg-type]
    server.on_end = run.stop
    stop = run.run(wait=True, between=people)
    told = [one for one in server.answers if not one.startswith((b"T", b"O"))]
    assert stop.reason is StopReason.EXIT
    assert len(told) == 2
    assert told[0] == told[1]
    assert len(record) == 1


def test_ctrl_c_reaches_a_guest_whose_time_stands_still(boot: Boot) -> None:
    machine = boot(WAITS_FOR_A_KEY)
    assert debug_and_interrupt(machine, b"c", looks=3, between=lambda: True)[-1].startswith(b"T02")


def test_reset_and_loaded_snapshots_begin_a_new_history(boot: Boot) -> None:
    machine = boot(COUNTS)
    answers, _ = debug(
        machine,
        *[b"s"] * 9,
        monitor("snapshot save here"),
        *[b"s"] * 9,
        monitor("snapshot load here"),
        b"bc",
        p("eax"),
        monitor("system_reset"),
        b"bs",
    )
    assert b"replaylog:begin" in answers[20]
    assert b"replaylog:begin" in answers[-1]


def test_a_machine_that_writes_to_a_disks_file_cannot_go_back_and_says_so(tmp_path: Any) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(b"\xf4".ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
    machine = Machine(drives=DriveOptions(disks=(str(disk),), disk_write=True))
    machine.load()
    said: list[str] = []
    answers, _ = debug(machine, b"qSupported", b"s", b"bs", tell=said.append)
    assert b"ReverseStep-" in answers[0]
    assert answers[2] == b""
    assert any("cannot go backwards" in line for line in said)


# ---- far back


LONG_LOOP = 13
"""Bytes in front of its inner loop, of two instructions, behind one of two bytes."""
LONG = "1: inc dword ptr [0x300000]; mov ecx, 1000; 2: inc eax; loop 2b; cmp dword ptr [0x300000], 500; jb 1b; " + EXIT


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots every 50,000 instructions, whatever they cost, of which 8 are kept."""
    monkeypatch.setattr(pace, "MOST_S", 0.0)
    for name, number in (("INTERVAL", 50_000), ("FAR", 5_000), ("NEAR", 500), ("MOST_KEPT", 8)):
        monkeypatch.setattr(history, name, number)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("core", ["native", "portable"])
def test_places_far_back_are_found_though_few_snapshots_are_kept(
    boot: Boot, core: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HILLEMU_CORE", core)
    machine = boot("mov ebx, 1; mov ebx, 2; " + LONG)
    start = machine.cpu.eip
    answers, _ = debug(
        machine,
        b"c",
        *[b"bs"] * 5,
        b"Z0,%x,1" % (start + 5),
        b"bc",
        p("ebx"),
        p("eip"),
        b"z0,%x,1" % (start + 5),
        b"c",
        b"bc",
        b"s",
        p("ebx"),
    )
    assert values(answers) == [1, start + 5, 1]


@pytest.mark.usefixtures("often")
def test_snapshots_grow_fewer_with_age_and_stay_few(boot: Boot) -> None:
    machine = boot(LONG)
    past = history.History(machine, [])
    past.begin()
    for _ in range(40):
        machine.run(max_insns=50_000, between=lambda: past.look() or False)
    past.look()
    kept = [one.moment.instructions for one in past.before(past.now)]
    assert len(kept) <= 8
    assert kept[0] == 0
    gaps = [late - early for early, late in pairwise(kept)]
    assert gaps[-1] < 300_000 < gaps[0]


@pytest.mark.usefixtures("often")
def test_ctrl_c_ends_the_way_back_at_a_moment_of_the_run_and_it_can_go_on(boot: Boot) -> None:
    machine = boot(LONG)
    start = machine.cpu.eip
    server = ScriptedServer(b"c", b"Z2,10000,4", b"bc", p("eip"), b"s", b"bs", p("eip"), b"bc")
    packets = server.next
    looks = iter(range(1000))

    def next_(timeout_s: float | None) -> Any:
        going_back = any(one.startswith(b"T0f") for one in server.answers)
        return b"\x03" if timeout_s == 0 and going_back and next(looks) == 3 else packets(timeout_s)

    server.next = next_  # type: ignore[method-assign]
    run = DebuggedRun(machine, server)  # type: ignore[arg-type]
    server.on_end = run.stop
    run.run(wait=True)
    told = [one[:3] for one in server.answers if one.startswith(b"T")]
    assert told == [b"T0f", b"T02", b"T05", b"T05", b"T05"]
    places = values(server.answers)
    assert places[0] == places[1] > start
    assert b"replaylog:begin" in server.answers[-1]


@pytest.mark.usefixtures("often")
def test_the_last_of_many_hits_is_found_without_a_look_at_all_of_them(
    boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "INTERVAL", 1 << 40)
    monkeypatch.setattr(backwards, "MANY", 100)
    reached, looks = Points.reached, count()
    monkeypatch.setattr(Points, "reached", lambda points, at: (next(looks), reached(points, at))[1])
    machine = boot("xor eax, eax; " + LONG)
    at = machine.cpu.eip + LONG_LOOP
    always = b"X3,220127"
    answers, _ = debug(machine, b"c", b"Z0,%x,1;%b" % (at, always), *[b"bc", p("ecx"), p("eax")] * 2)
    assert values(answers) == [1, 499_999, 2, 499_998]
    assert 100 < next(looks) < 3_000


@pytest.mark.parametrize("many", [1, 10, 1000])
@pytest.mark.usefixtures("often")
def test_a_place_behind_which_many_others_are_passed_is_found(
    boot: Boot, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a loop's beginning: its later passes are looked at, and their conditions are false."""
    monkeypatch.setattr(backwards, "MANY", many)
    machine = boot("xor eax, eax; " + LONG.replace("500", "20"))
    at = machine.cpu.eip + LONG_LOOP
    third = b"X7,26000022031327"  # eax == 3
    answers, _ = debug(machine, b"c", b"Z0,%x,1;%b" % (at, third), b"bc", p("ecx"), p("eax"), b"bc")
    assert values(answers) == [997, 3]
    assert b"replaylog:begin" in answers[-1]


@pytest.mark.usefixtures("often")
def test_a_guest_that_writes_more_memory_than_is_kept_can_go_back_to_its_first_instruction(
    boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_BYTES", 64 * 4096)
    fills = (
        "2: inc ebx; mov edi, 0x400000; 1: mov [edi], ebx; add edi, 64; cmp edi, 0x500000; jb 1b; cmp ebx, 9; jb 2b; "
    )
    machine = boot("mov ebx, 0; mov dword ptr [0x300000], 5; " + fills + EXIT)
    start = machine.cpu.eip
    answers, _ = debug(machine, b"c", b"Z2,300000,4", b"bc", p("eip"), b"bc", p("eip"), b"z2,300000,4", b"c", b"bs")
    assert values(answers) == [start + 5, start]
    assert b"watch:300000;" in answers[3]
    assert b"replaylog:begin" in answers[5]
    assert answers[-1].startswith(b"T05")


@pytest.mark.parametrize("looks", range(3))
def test_ctrl_c_during_a_step_back_is_told_behind_it(boot: Boot, looks: int) -> None:
    """GDB itself steps where no watchpoint can do; such a step is over before anybody looks for a Ctrl-C."""
    answers = debug_and_interrupt(boot(COUNTS), *[b"s"] * 4, *[b"bs"] * 3, looks=looks)
    told = [one[:3] for one in answers if one.startswith(b"T")]
    assert told == [b"T05"] * 4 + [b"T02" if number == looks else b"T05" for number in range(3)]

"""A machine behind the protocol, without sockets: what GDB's packets do to a run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from gdb_target import packet
from scripted_debugger import debug, debug_and_interrupt, p, set_to, value

from hillemu.debugging.server import Event
from hillemu.emu.gdb.registers import EXPEDITED, LAYOUT
from hillemu.emu.stop import StopReason
from hillemu.machine import Machine

Boot = Callable[..., Machine]
COM1 = "mov dx, 0x3F8; "
EXIT = "mov al, 0x10; out 0xF4, al; "


def test_every_register_of_the_description_can_be_read_and_shows_the_processor(boot: Boot) -> None:
    machine = boot("cli; hlt")
    machine.cpu.ebx = 0x12345678
    machine.cpu.processor.fpu_set("xmm3", bytes(range(16)))
    answers, _ = debug(machine, *(p(register.name) for register in LAYOUT), b"g")
    assert b"".join(answers[:-1]) == answers[-1]
    shown = {register.name: answer for register, answer in zip(LAYOUT, answers, strict=False)}
    assert value(shown["ebx"]) == 0x12345678
    assert bytes.fromhex(shown["xmm3"].decode()) == bytes(range(16))
    assert value(shown["fctrl"]) == 0x37F
    for name, number in machine.registers().items():
        if name in shown:
            assert value(shown[name]) == number, name


def test_a_stop_tells_registers_as_they_are_when_each_is_asked_for(boot: Boot) -> None:
    machine = boot("mov ebx, 0x80000001; sub eax, ebx; cli; hlt")
    machine.cpu.set_segment("cs", machine.cpu.segment("cs")._replace(base=0x10))
    machine.cpu.eip -= 0x10
    answers, _ = debug(machine, b"s", b"s", *(p(register.name) for register in EXPEDITED))
    told = dict(field.split(b":") for field in answers[1][3:].split(b";") if field)
    assert [told[b"%02x" % register.number] for register in EXPEDITED] == answers[2:]
    assert value(told[b"08"]) == machine.cpu.eip + 0x10


@pytest.mark.parametrize("name", ["eax", "esp", "ip", "eflags", "cr2", "dr0", "fctrl", "fioff", "mxcsr", "idtr_base"])
def test_a_register_that_is_written_reads_back(boot: Boot, name: str) -> None:
    number = {"eflags": 0x246, "fctrl": 0x27F, "mxcsr": 0x1F80}.get(name, 0xC0105678)
    answers, _ = debug(boot("cli; hlt"), set_to(name, number), p(name))
    assert answers[0] == b"OK"
    assert value(answers[1]) == number


def test_x87_registers_hold_what_the_guest_computed(boot: Boot) -> None:
    machine = boot("fninit; fld1; fldpi; hlt")
    answers, _ = debug(machine, b"s", b"s", b"s", p("st0"), p("st1"), p("fstat"))
    # Intel SDM Vol. 1, "x87 FPU Constants": pi to 64 bits; 1.0 has an exponent of 3FFFh.
    assert answers[3:] == [b"35c26821a2da0fc90040", b"0000000000000080ff3f", b"00300000"]


def test_a_segment_register_is_loaded_by_its_descriptor(boot: Boot) -> None:
    machine = boot("cli; hlt")
    answers, _ = debug(
        machine, set_to("fs", 0), p("fs"), set_to("fs", 0x10), set_to("fs", 0x2000), set_to("cs", 0x3), set_to("tr", 8)
    )
    assert answers == [b"OK", b"00000000", b"OK", b"E16", b"E16", b"E16"]
    assert machine.cpu.segment("fs") == machine.cpu.segment("ds")


def test_in_real_mode_the_program_counter_is_linear_and_a_segment_is_its_selector_times_16(boot: Boot) -> None:
    machine = boot("cli; hlt")
    machine.cpu.processor.reset()
    answers, _ = debug(
        machine,
        *(p("eip"), p("ip"), p("code_size"), set_to("cs", 0x07C0), p("cs_base"), set_to("eip", 0x7C05), p("ip")),
    )
    assert [value(answers[n]) for n in (0, 1, 2)] == [0xFFFFFFF0, 0xFFF0, 16]
    assert value(answers[4]) == 0x7C00
    assert value(answers[6]) == 5
    assert machine.cpu.linear_eip == 0x7C05


def test_a_write_to_memory_reaches_code_that_ran_and_read_only_pages_change_all_or_nothing(boot: Boot) -> None:
    machine = boot("1: mov al, 1; jmp 1b")
    at = machine.cpu.eip
    answers, _ = debug(
        machine, b"s", b"s", b"s", b"s", b"M%x,1:42" % (at + 1), b"s", p("eax"), b"Mffffff,2:ffff", b"mffffff,2"
    )
    assert answers[4] == b"OK"
    assert value(answers[6]) & 0xFF == 0x42
    assert answers[7:] == [b"E0e", b"00"]


def test_a_range_of_steps_ends_behind_the_range_and_at_a_breakpoint_in_it(boot: Boot) -> None:
    machine = boot("mov ecx, 5; 1: inc eax; dec ecx; jnz 1b; hlt")
    at = machine.cpu.eip
    range_step = b"vCont;r%x,%x:1" % (at, at + 9)
    answers, _ = debug(
        machine, b"Z0,%x,1" % (at + 6), range_step, p("ecx"), b"z0,%x,1" % (at + 6), range_step, p("ecx")
    )
    assert [value(answers[n]) for n in (2, 5)] == [5, 0]
    assert machine.cpu.linear_eip == at + 9


def test_a_range_of_steps_that_never_ends_can_be_interrupted(boot: Boot) -> None:
    machine = boot("1: inc eax; jmp 1b")
    at = machine.cpu.eip
    assert debug_and_interrupt(machine, b"vCont;r%x,%x:1" % (at, at + 3))[-1].startswith(b"T02")


@pytest.mark.parametrize("resume", [b"c", b"vCont;c", b"vCont;r0,ffffffff:1"])
def test_ctrl_c_that_arrives_with_the_command_to_go_on_is_obeyed(boot: Boot, resume: bytes) -> None:
    machine = boot("1: inc eax; jmp 1b")
    before = machine.cpu.instructions
    answers, _ = debug(machine, packet(resume) + b"\x03", max_insns=100_000)
    assert answers[0].startswith(b"T02")
    assert machine.cpu.instructions == before


@pytest.mark.parametrize("move", [b"s", b"c"])
def test_a_ctrl_c_that_comes_when_a_step_is_over_stops_the_next_motion(boot: Boot, move: bytes) -> None:
    """GDB sends it before it knows that the step is over, and steps on."""
    machine = boot("1: inc eax; jmp 1b")
    answers, _ = debug(machine, b"s", b"\x03", move, b"s", max_insns=100_000)
    assert [answer[:3] for answer in answers if answer.startswith(b"T")] == [b"T05", b"T02", b"T05"]
    assert machine.cpu.instructions == 2


def test_a_ctrl_c_is_forgotten_by_who_asks_for_the_last_stop_and_by_who_leaves(boot: Boot) -> None:
    """GDB sends one where it attaches, with `set remote interrupt-on-connect on`."""
    machine = boot("mov ecx, 1000; 1: loop 1b; " + EXIT + "hlt")
    answers, stop = debug(machine, b"\x03", b"?", b"s", b"\x03", b"D")
    assert [answer[:3] for answer in answers if answer.startswith(b"T")] == [b"T05", b"T05"]
    assert stop.reason is StopReason.EXIT


def test_a_ctrl_c_stops_one_motion_and_no_other(boot: Boot) -> None:
    machine = boot("mov ecx, 1000; 1: loop 1b; " + EXIT + "hlt")
    answers, stop = debug(machine, packet(b"c") + b"\x03", b"c")
    assert [answer[:3] for answer in answers if not answer.startswith(b"O")] == [b"T02", b"T0f"]
    assert stop.reason is StopReason.EXIT


def test_a_breakpoint_that_the_debugger_leaves_at_the_program_counter_stops_at_once(boot: Boot) -> None:
    machine = boot("nop; nop; hlt")
    at = machine.cpu.eip
    answers, _ = debug(machine, b"qSupported:hwbreak+", b"Z1,%x,1" % at, b"c", b"z1,%x,1" % at, b"s")
    assert b"hwbreak:;" in answers[2]
    assert machine.cpu.instructions == 1


def test_the_users_own_breakpoints_stay_and_do_not_hold_a_machine_for_ever(boot: Boot) -> None:
    machine = boot("nop; here: nop; " + EXIT + "hlt")
    at = machine.breakpoints.add(machine.cpu.eip + 1)
    answers, _ = debug(machine, b"c", b"Z0,%x,1" % at, b"z0,%x,1" % at, b"c")
    assert answers[0].startswith(b"T05")
    assert answers[-1].startswith(b"T0f"), "it went on to the exit"
    assert at in machine.breakpoints


def test_the_end_of_a_run_is_a_stop_and_going_on_is_the_end(boot: Boot) -> None:
    machine = boot(EXIT + "hlt")
    answers, stop = debug(machine, b"c", p("eax"), b"c")
    assert answers[0].startswith(b"O")
    assert answers[1].startswith(b"T0f")
    assert value(answers[2]) & 0xFF == 0x10
    assert answers[3] == b"W21"
    assert (stop.reason, stop.exit_code) == (StopReason.EXIT, 0x21)


def test_a_limit_counts_the_debuggers_steps(boot: Boot) -> None:
    machine = boot("1: inc eax; jmp 1b")
    answers, stop = debug(machine, b"s", b"s", b"c", b"c", max_insns=10)
    assert machine.cpu.instructions == 10
    assert answers[-1] == b"W7c"
    assert stop.reason is StopReason.MAX_INSNS


def test_until_sees_a_text_that_a_stop_cuts_in_two(boot: Boot) -> None:
    letters = "".join(f"mov al, {ord(letter)}; out dx, al; " for letter in "ready")
    machine = boot(COM1 + letters + "1: jmp 1b")
    answers, stop = debug(machine, *[b"s"] * 7, b"c", b"c", until="ready")
    assert machine.serial.text == "ready"
    assert stop.reason is StopReason.UNTIL
    assert answers[-1] == b"W00"


def test_a_debugger_that_vanishes_leaves_a_machine_that_stands_still(boot: Boot) -> None:
    machine = boot("1: inc eax; jmp 1b")
    answers, _ = debug(machine, b"s", Event.GONE, Event.ATTACHED, b"?", b"s")
    assert machine.cpu.instructions == 2
    assert answers[-1].endswith(b"thread:1;")


@pytest.mark.parametrize("ending", ["cli; jmp .", "cli; hlt", EXIT + "hlt"])
def test_where_a_run_ends_does_not_depend_on_the_debuggers_stops(boot: Boot, ending: str) -> None:
    source = "mov ecx, 700000; 1: inc dword ptr [0x200000]; loop 1b; " + ending
    plain = boot(source)
    stop = plain.run()
    watched = boot(source)
    at = watched.cpu.eip
    _, ended = debug(watched, *[b"s"] * 333, b"Z0,%x,1" % (at + 5), b"c", b"z0,%x,1" % (at + 5), b"c", b"c")
    assert ended == stop
    assert watched.cpu.instructions == plain.cpu.instructions
    assert watched.memory.sha256() == plain.memory.sha256()


WRITES = "mov ecx, 5; mov edi, 0x200000; 1: mov [edi], ecx; mov eax, [edi]; add edi, 4; loop 1b; " + EXIT + "hlt"


@pytest.mark.parametrize(
    ("kind", "told"), [(b"2", b"watch:200008;"), (b"3", b"rwatch:200008;"), (b"4", b"awatch:200008;")]
)
def test_a_watchpoint_stops_behind_the_access_and_does_not_change_the_run(boot: Boot, kind: bytes, told: bytes) -> None:
    plain, watched = boot(WRITES), boot(WRITES)
    stop = plain.run()
    answers, ended = debug(
        watched, b"Z" + kind + b",200008,4", b"c", p("edi"), b"z" + kind + b",200008,4", *[b"s"] * 3, b"c", b"c"
    )
    assert b";" + told in answers[1]
    assert value(answers[2]) == 0x200008
    assert (ended, watched.cpu.instructions) == (stop, plain.cpu.instructions)


def test_a_step_that_makes_the_access_tells_the_watchpoint(boot: Boot) -> None:
    answers, _ = debug(boot(WRITES), b"Z2,200000,1", b"s", b"s", b"s")
    assert [b"watch:" in answer for answer in answers[1:]] == [False, False, True]


@pytest.mark.parametrize("packet", [b"Z2,0,100000000", b"Z2,1fffff,2", b"Z4,200001,10000000"])
def test_a_watchpoint_is_as_wide_as_one_wants(boot: Boot, packet: bytes) -> None:
    answers, _ = debug(boot("mov ecx, 5; mov [0x200000], ecx; inc ecx; hlt"), packet, b"c", p("ecx"), b"bc", p("ecx"))
    assert answers[0] == b"OK"
    assert b"watch:200" in answers[1]
    assert [value(answers[n]) for n in (2, 4)] == [5, 5]
    assert b"watch:200" in answers[3]


def test_a_watchpoint_beyond_the_address_space_is_an_error_and_the_portable_core_has_none(
    boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert debug(boot("hlt"), b"Z2,fffffffe,4")[0] == [b"E16"]
    monkeypatch.setenv("HILLEMU_CORE", "portable")
    assert debug(boot("hlt"), b"Z2,1000,4", b"Z0,1000,1")[0] == [b"", b"OK"]


# ---- monitor commands


def monitor(machine: Machine, command: str) -> str:
    answers, _ = debug(machine, b"qRcmd," + command.encode().hex().encode())
    return bytes.fromhex(answers[0].decode()).decode()


def test_monitor_commands_show_the_machine_and_a_mistake_is_told_in_a_line(boot: Boot) -> None:
    machine = boot("cli; hlt")
    assert "page tables" in monitor(machine, "help")
    assert monitor(machine, "pt 0x1234") == "=> 0x00001234: physical 0x00001234 (paging is off)\n"
    assert monitor(machine, "xp 0x100000 4").startswith("00100000: ")
    assert "neither RAM nor ROM" in monitor(machine, "xp 0xD0000000")
    assert "0x0008    code 32-bit, ring 0" in monitor(machine, "gdt")
    assert monitor(machine, "info registers").startswith("protected mode, ring 0, 32-bit code, paging is off\n")
    assert monitor(machine, "instructions") == "0\n"
    assert "'nonsense'" in monitor(machine, "nonsense")
    assert "wants ADDR" in monitor(machine, "pt")
    assert "no symbol 'mian'" in monitor(machine, "pt mian")


def test_no_monitor_command_changes_the_run(boot: Boot) -> None:
    source = "mov ecx, 1000; 1: inc dword ptr [0x200000]; loop 1b; " + EXIT + "hlt"
    plain, watched = boot(source), boot(source)
    stop = plain.run()
    names = (
        "help",
        "info registers",
        "info mem",
        "info tlb",
        "regions",
        "lint",
        "frames",
        "pt 0",
        "xp 0",
        "gdt",
        "idt",
        "tss",
        "deliveries",
        "instructions",
    )
    looks = [b"qRcmd," + name.encode().hex().encode() for name in names]
    _, ended = debug(watched, *[b"s"] * 50, *looks, b"g", b"m0,1000", b"c", *looks, b"c")
    assert (ended, watched.cpu.instructions) == (stop, plain.cpu.instructions)
    assert watched.memory.sha256() == plain.memory.sha256()


def test_a_snapshot_is_loaded_from_the_end_of_a_run_and_the_run_ends_there_again(boot: Boot) -> None:
    machine = boot(WRITES)

    def command(text: str) -> bytes:
        return b"qRcmd," + text.encode().hex().encode()

    answers, stop = debug(
        machine,
        *(b"s", b"s", b"s", command("snapshot save here"), p("ecx"), b"c", p("ecx"), command("snapshot load here")),
        *(p("ecx"), command("snapshot load there"), b"c", b"c"),
    )
    values = [value(answer) for answer in answers if len(answer) == 8]
    assert values == [5, 0, 5]
    assert b"there is no snapshot 'there'".hex().encode() in b"".join(answers)
    plain = boot(WRITES)
    assert plain.run() == stop
    assert plain.cpu.instructions == machine.cpu.instructions

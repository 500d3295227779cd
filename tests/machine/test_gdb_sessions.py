"""The distribution's GDB: how runs end, debuggers that come and go, and what debugging must not do."""

from __future__ import annotations

import re
import socket
import struct
from pathlib import Path

from gdb_session import TIMEOUT_S, DebuggedHillemu, in_order, kernel_of
from gdb_target import packet

from hillemu.debugging.server import SCRIPT
from hillemu.machine import Machine

LIST = "x/i $pc"


def test_a_hang_can_be_looked_at_and_left_by_a_jump(gdb: str, tmp_path: Path) -> None:
    image = kernel_of(tmp_path, "cli; jmp .; there: mov al, 0x20; out 0xF4, al; cli; hlt")
    with DebuggedHillemu(gdb, image) as machine:
        text = machine.debug("continue", "p $pc", "set $pc = $pc + 2", "continue", "continue")
        assert machine.finish()["stop"] == "exit"
    in_order(
        text, r"hillemu: hang \(a jump to itself", "SIGSTOP", r"hillemu: exit", "SIGTERM", r"exited with code 0101"
    )


def test_a_triple_fault_leaves_everything_to_look_at_and_then_the_crash_status(gdb: str, tmp_path: Path) -> None:
    image = kernel_of(tmp_path, "lidt [none]; mov eax, 0x1234; bad: ud2; none: .word 0; .long 0")
    with DebuggedHillemu(gdb, image) as machine:
        text = machine.debug("continue", "p/x $eax", LIST, "monitor deliveries", "continue")
        assert machine.finish()["status"] == 126
    in_order(text, "hillemu: triple-fault", "SIGSEGV", "= 0x1234", "ud2")
    assert "#UD" in text
    assert "exited with code 0176" in text


def test_a_step_too_many_stays_at_the_end_from_where_it_goes_back(gdb: str, tmp_path: Path) -> None:
    image = kernel_of(tmp_path, "mov ebx, 7; mov al, 0x20; out 0xF4, al; cli; hlt")
    with DebuggedHillemu(gdb, image) as machine:
        text = machine.debug("continue", "stepi", "stepi 3", "reverse-stepi", "p $al", "continue", "continue")
        assert machine.finish()["stop"] == "exit"
    in_order(text, *["hillemu: exit", "SIGTERM"] * 3, "= 32", "hillemu: exit", r"exited with code 0101")


def test_the_script_says_nothing_where_a_run_ends(gdb: str, tmp_path: Path) -> None:
    with DebuggedHillemu(gdb, kernel_of(tmp_path, "cli; hlt")) as machine:
        text = machine.debug("continue", "continue", scripts=(SCRIPT,))
    assert "exited normally" in text
    assert "hook_stop" not in text


def test_the_scripts_commands_take_one_address_without_spaces_and_say_so(gdb: str, tmp_path: Path) -> None:
    answers = {"pt": "=> 0x00101", "xp": "00101", "who-wrote": "No more reverse-execution"}
    tries = [f"{command}{address}" for command in answers for address in ("", " $pc + 4", " $pc+4")]
    with DebuggedHillemu(gdb, kernel_of(tmp_path, "cli; hlt")) as machine:
        text = machine.debug(*tries, scripts=(SCRIPT,))
    assert "Missing argument" not in text
    for command, answer in answers.items():
        in_order(text, *[f"{command} ADDRESS\n", "an expression without spaces"] * 2, answer)


def test_a_debugger_can_detach_and_another_attach_while_the_machine_runs(gdb: str, tmp_path: Path) -> None:
    with DebuggedHillemu(gdb, kernel_of(tmp_path, "1: inc eax; jmp 1b"), wait=False) as machine:
        values = [
            int(re.findall(r"= (\d+)", machine.debug("p (unsigned)$eax", *leave))[0])
            for leave in (["detach"], ["disconnect"], ["kill"])
        ]
        assert machine.finish()["stop"] == "interrupted"
        assert "has detached; the machine goes on" in machine.said
        assert "has vanished; the machine stands still" in machine.said
    assert 0 < values[0] < values[1]
    assert values[1] == values[2], "it ran although its debugger had vanished"


def asked(client: socket.socket, *pieces: bytes) -> bytes:
    """What comes back to `pieces`, sent one by one, up to the end of a packet."""
    for piece in pieces:
        client.sendall(piece)
    answer = b""
    while not re.search(rb"#[0-9a-f]{2}$", answer):
        piece = client.recv(1 << 16)
        assert piece, answer
        answer += piece
    return answer


def test_a_connection_that_breaks_while_the_guest_runs_leaves_a_machine_for_the_next(tmp_path: Path) -> None:
    """By a reset, and by an end of what the client sends; packets come in single bytes, and answers twice."""
    with DebuggedHillemu("", kernel_of(tmp_path, "jmp 1f; 1: inc eax; jmp 1b")) as machine:
        host, port = machine.address.split(":")

        def attached() -> socket.socket:
            client = socket.create_connection((host, int(port)), TIMEOUT_S)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return client

        counts = []
        for breaks in (False, True):
            with attached() as client:
                at_first = asked(client, *(bytes([byte]) for byte in packet(b"p0")))
                assert asked(client, b"-") == at_first.removeprefix(b"+")
                client.sendall(packet(b"c"))
                assert client.recv(1) == b"+"
                assert asked(client, packet(b"g")) == b"+" + packet(b"E16"), "it runs"
                if breaks:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    client.shutdown(socket.SHUT_WR)
                    assert client.recv(1) == b""
            machine.wait_until_said(r"(?s)" + "has vanished.*" * (len(counts) + 1))
            with attached() as client:
                counts.append(asked(client, packet(b"p0")))
                assert asked(client, packet(b"p0")) == counts[-1], "it stands still"
                client.sendall(packet(b"D"))
                assert client.recv(1) == b"+"
        assert counts[0] != counts[1]


def test_a_second_debugger_is_told_why_it_is_refused(gdb: str, tmp_path: Path) -> None:
    with DebuggedHillemu(gdb, kernel_of(tmp_path, "cli; hlt")) as machine:
        host, _, port = machine.address.rpartition(":")
        with socket.create_connection((host, int(port)), 10):
            machine.wait_until_said("has attached")
            text = machine.debug()
            assert "another debugger is attached" in text
        machine.wait_until_said("has vanished")
        assert "hillemu: halt" in machine.debug("continue", "continue")


def test_monitor_quit_and_sigterm_end_a_machine_that_stands_still(gdb: str, tmp_path: Path) -> None:
    image = kernel_of(tmp_path, "cli; hlt")
    with DebuggedHillemu(gdb, image) as machine:
        machine.debug("monitor quit")
        assert machine.finish()["status"] == 0
    with DebuggedHillemu(gdb, image) as machine:
        machine.process.terminate()  # it has said no more than that it listens
        assert (machine.finish()["stop"], machine.finish()["instructions"]) == ("interrupted", 0)


def test_system_reset_boots_again_from_anywhere(gdb: str, c_kernel: Path) -> None:
    commands = ("break kernel_main", "continue", "next", "monitor system_reset", "flushregs", "p $eip", "continue")
    with DebuggedHillemu(gdb, c_kernel) as machine:
        text = machine.debug(*commands, symbols=c_kernel)
    in_order(text, "Breakpoint 1, kernel_main", r"<_start>", "Breakpoint 1, kernel_main")


# ---- what debugging must not do


def test_breakpoints_and_a_thousand_steps_change_nothing(gdb: str, demo: Path) -> None:
    """The demo takes timer interrupts, page faults and system calls; a breakpoint is in the code that it reads."""
    with DebuggedHillemu(gdb, demo) as machine:
        text = machine.debug(
            *(
                "break put_char",
                "ignore 1 1000000",
                "break page_fault",
                "continue",
                "stepi 500",
                "break timer_interrupt",
            ),
            *("commands 3", "silent", "info registers", "x/64xb $pc", "continue", "end", "stepi 500", "continue"),
            *("delete", "continue"),
            symbols=demo,
        )
        watched = machine.finish()
    assert "Breakpoint 2" in text
    plain = Machine()
    plain.load(str(demo))
    stop = plain.run()
    assert (watched["stop"], watched["instructions"]) == (stop.reason.value, plain.cpu.instructions)
    assert watched["serial"] == plain.serial.text
    assert watched["ram_sha256"] == plain.memory.sha256()


def test_a_gdb_that_reads_no_description_debugs_with_the_registers_it_knows(gdb: str, c_kernel: Path) -> None:
    """As one that was built without an XML parser; this one takes the machine for one with Linux, too."""
    script = c_kernel.with_name("no_description.gdb")
    script.write_text("set remote target-features-packet off\n")
    with DebuggedHillemu(gdb, c_kernel) as machine:
        said = machine.debug(
            *(
                "break kernel_main",
                "continue",
                "print/x $cs",
                "stepi",
                "x/i $pc",
                "p $st0 = 1.5",
                "jump *kernel_main",
                "reverse-stepi",
            ),
            *("print/x $eflags & 2", "p/x $mxcsr"),
            symbols=c_kernel,
            scripts=(script,),
        )
    in_order(
        said,
        "Breakpoint 1, kernel_main",
        r"= 0x8\n",
        r"=> 0x\w+ <kernel_main\+",
        r"= 1\.5\n",
        "Breakpoint 1, kernel_main",
        r"= 0x2\n",
        "= 0x1f80",
    )
    assert "too long" not in said


def test_as_an_extended_target_the_machine_is_run_again(gdb: str, c_kernel: Path) -> None:
    """By GDB's own run, start and kill; breakpoints stay, and the way back begins anew."""
    with DebuggedHillemu(gdb, c_kernel) as machine:
        text = machine.debug(
            *("disconnect", f"target extended-remote {machine.address}", "break kernel_main", "continue", "next"),
            *("run", "p $eip", "starti", "p $eip"),
            *("kill", "p $eip", "run", "reverse-continue", "continue", "p $eip"),
            symbols=c_kernel,
        )
    in_order(
        text,
        *("Breakpoint 1, kernel_main", "Breakpoint 1, kernel_main", "<kernel_main"),
        *("Program stopped", "<_start>", "killed", "No registers|void", "Breakpoint 1, kernel_main"),
        *("No more reverse-execution history", "Breakpoint 1, kernel_main", "<kernel_main"),
    )


def test_that_gdb_skips_an_int3_of_the_guests_at_its_own_breakpoint_is_told(gdb: str, tmp_path: Path) -> None:
    image = kernel_of(tmp_path, "nop; int3; mov al, 0x20; out 0xF4, al; cli; hlt")
    with DebuggedHillemu(gdb, image) as machine:
        text = machine.debug("break *($pc + 1)", "continue", "continue")
    in_order(text, "Breakpoint 1", "hillemu: the guest's INT3 at 0x[0-9a-f]{8} is skipped; no handler", "SIGTERM")

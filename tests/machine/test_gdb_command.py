"""`hillemu gdb`: GDB and the machine by one command, on one terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from gdb_session import HEADER, TIMEOUT_S
from terminal_session import TerminalSession

from hillemu.boot.assembler import assemble_text

HILLEMU = [sys.executable, "-m", "hillemu"]
BATCH = ("-nx", "-batch", "-ex", "set confirm off")
HELLO = """
    mov edx, 0x3F8; mov al, 'h'; out dx, al; mov al, 10; out dx, al
    counted: mov ecx, 5; again: loop again
    mov al, 0x10; out 0xF4, al
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Callable[[str], Path]:
    def make(source: str) -> Path:
        path = tmp_path / "a kernel.elf"
        path.write_bytes(assemble_text(HEADER + source).data)
        return path

    return make


def run(*words: object, before: Sequence[str] = (), **options: Any) -> subprocess.CompletedProcess[str]:
    command = [*HILLEMU, *before, "gdb", *map(str, words)]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, **options
    )


def executed(*commands: str) -> list[str]:
    return [word for command in commands for word in ("-ex", command)]


def test_one_command_stops_at_the_first_instruction_with_symbols_and_the_script(
    gdb: str, kernel: Callable[[str], Path]
) -> None:
    commands = (
        "info symbol $pc",
        "break counted",
        "continue",
        "p/x $edx",
        "continue",
        "info registers ecx",
        "continue",
    )
    done = run(kernel(HELLO), "--", *BATCH, *executed(*commands, "help who-wrote"))
    told = done.stdout
    assert done.returncode == 0x21, done.stderr  # what isa-debug-exit makes of 10h
    places = [
        "_start in section .text",
        "\nh\n",
        "Breakpoint 1, ",
        "counted ()",
        "$1 = 0x3f8",
        "SIGTERM",
        "ecx  ",
        "exited",
    ]
    at = [told.find(text) for text in places]
    assert at == sorted(at), told
    assert -1 not in at, told
    assert "Going back" in told or "the instruction that" in told or "who-wrote ADDRESS" in told
    assert "stopped: exit, exit code 33" in done.stderr
    assert "attach" not in done.stderr
    assert "MIPS" not in done.stderr  # how long it took is GDB's user's affair


def test_what_we_tell_waits_until_gdb_is_gone(gdb: str, kernel: Callable[[str], Path], tmp_path: Path) -> None:
    both = tmp_path / "both"
    with both.open("w") as file:
        commands = executed("continue", "continue", "shell sleep 0.5", "echo last words\\n")
        command = [*HILLEMU, "gdb", str(kernel(HELLO)), "--", *BATCH, *commands]
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=TIMEOUT_S, check=False)
    told = both.read_text()
    assert 0 < told.find("exited with code") < told.find("last words") < told.find("hillemu: stopped: exit"), told


def test_gdb_may_disconnect_and_come_again(gdb: str, kernel: Callable[[str], Path]) -> None:
    again = ("disconnect", "stepi", "shell sleep 0.2", "python gdb.execute('target remote ' + place)", "p $eax", "kill")
    place = "python place = [one for one in gdb.selected_inferior().connection.details.split()][0]"
    done = run(kernel("1: inc eax; jmp 1b"), "--quiet", "--", *BATCH, *executed("stepi 5", "p $eax", place, *again))
    values = [line.split(" = ")[1] for line in done.stdout.splitlines() if line.startswith("$")]
    assert len(values) == 2, done.stdout + done.stderr
    assert values[0] == values[1]


@pytest.mark.parametrize("leave", ["kill", "detach", "quit", "monitor quit", "disconnect"])
def test_the_machine_ends_when_gdb_leaves_it_and_the_record_is_whole(
    gdb: str, kernel: Callable[[str], Path], tmp_path: Path, leave: str
) -> None:
    record = tmp_path / "run.json"
    done = run(kernel("1: inc eax; jmp 1b"), "--json", record, "--", *BATCH, *executed("stepi 5", leave))
    assert done.returncode == 0, done.stderr
    told = json.loads(record.read_text())
    assert (told["stop"], told["instructions"]) == ("interrupted", 5)
    assert "stopped: interrupted (the debugger ended the run)" in done.stderr


def test_on_a_terminal_ctrl_c_is_gdbs_and_the_machine_ends_with_it(gdb: str, kernel: Callable[[str], Path]) -> None:
    command = [*HILLEMU, "gdb", str(kernel("1: inc eax; jmp 1b")), "--", "-nx", "-ex", "set confirm off"]
    with TerminalSession(command) as session:
        session.wait_for(b"(gdb) ")
        session.type(b"stepi\n")
        session.wait_for(b"(gdb) ")
        session.type(b"continue\n")
        session.wait_for(b"Continuing.")
        session.type(b"\x03")
        session.wait_for(b"SIGINT")
        session.wait_for(b"(gdb) ")
        session.type(b"\x03")  # at the prompt, it ends nothing
        session.wait_for(b"(gdb) ")
        session.type(b"p $eax > 1\n")
        session.wait_for(b"= 1")
        session.type(b"quit\n")
        session.wait_for(b"the debugger ended the run")
        assert session.report()["event"] == "started"
        ended = session.report()
    assert (ended["event"], ended["number"], ended["restored"]) == ("ended", 0, True), ended


def test_sigterm_ends_gdb_too(gdb: str, kernel: Callable[[str], Path], tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    commands = executed(f"shell echo $PPID > '{pid}.new'; mv '{pid}.new' '{pid}'", "continue")
    with subprocess.Popen(
        [*HILLEMU, "gdb", str(kernel("1: jmp 1b; sti")), "--quiet", "--", *BATCH, *commands],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        while not pid.exists():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the host cannot tell")
def test_on_a_virtual_machine_both_use_one_processor(gdb: str, kernel: Callable[[str], Path]) -> None:
    both = "python import os; print([len(os.sched_getaffinity(pid)) for pid in (0, os.getppid())])"
    done = run(kernel(HELLO), "--", *BATCH, *executed(both, "kill"))
    all_processors = len(os.sched_getaffinity(0))
    count = 1 if " hypervisor " in Path("/proc/cpuinfo").read_text() else all_processors
    assert f"[{count}, {count}]" in done.stdout


def test_a_disks_kernel_has_the_symbols_that_are_named(gdb: str, kernel: Callable[[str], Path], tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(b"\xb8\x03\x00\xf4".ljust(510, b"\0") + b"\x55\xaa" + bytes(512 * 63))  # mov ax, 3; hlt
    first, second = tmp_path / 'fir"st.elf', tmp_path / "second one.elf"
    first.write_bytes(assemble_text(HEADER + "one: ret").data)
    second.write_bytes(assemble_text(HEADER + "ret; two: ret").data)
    done = run(
        disk, "--symbols", first, "--symbols", second, "--", *BATCH, *executed("p $pc", "p &one", "p &two", "kill")
    )
    assert "= (void (*)()) 0x7c00" in done.stdout
    assert "<one>" in done.stdout
    assert "$3 = (<text variable, no debug info> *) 0x101001" in done.stdout


@pytest.mark.parametrize(
    ("options", "way"),
    [
        ((), ()),
        (("--profile", "bitmap"), ("tbreak *&_start", "continue")),
        (("--profile", "orange", "--mem", "32M"), ("tbreak *&_start", "continue")),
    ],
)
def test_the_built_in_kernels_have_their_symbols(gdb: str, options: tuple[str, ...], way: tuple[str, ...]) -> None:
    done = run(*options, "--", *BATCH, *executed(*way, "info symbol $pc", "kill"))
    assert "_start in section ." in done.stdout, done.stdout


def test_a_debugger_that_never_attaches_ends_the_run(kernel: Callable[[str], Path]) -> None:
    done = run(kernel(HELLO), "--debugger", "true")
    assert (done.returncode, done.stdout) == (0, "")
    assert "0 instructions" in done.stderr
    assert "the debugger ended the run" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--debugger", "no-such-gdb"], "--debugger: no-such-gdb: there is no such program"),
        (["--serial-input", "-"], "--serial-input: standard input is GDB's; give a file"),
        (["--live", "keyboard"], "unrecognized arguments: --live; see 'hillemu --help'"),
        (["--gdb", "1234"], "unrecognized arguments: --gdb; see 'hillemu --help'"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(words: list[str], told: str) -> None:
    done = run(*words)
    assert (done.returncode, done.stderr) == (125, f"hillemu: {told}\n")


def test_without_gdb_it_is_said_what_is_missing(kernel: Callable[[str], Path], tmp_path: Path) -> None:
    done = run(kernel(HELLO), env={"PATH": str(tmp_path)})
    assert done.returncode == 125
    assert done.stderr.startswith("hillemu: --debugger: none of gdb, gdb-multiarch, ")
    assert done.stderr.count("\n") == 1


def test_an_image_that_cannot_be_booted_is_told_before_gdb_starts(tmp_path: Path) -> None:
    started = tmp_path / "started"
    debugger = tmp_path / "debugger"
    debugger.write_text(f"#!/bin/sh\ntouch '{started}'\n")
    debugger.chmod(0o755)
    done = run(tmp_path / "missing.elf", "--debugger", debugger)
    assert (done.returncode, done.stderr.count("\n")) == (125, 1)
    assert not started.exists()


def test_only_this_command_has_words_behind_two_dashes_for_somebody_else() -> None:
    done = subprocess.run([*HILLEMU, "boot", "--", "-batch"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 125
    assert "-batch" in done.stderr

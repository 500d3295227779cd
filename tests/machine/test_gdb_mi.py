"""F5 in Visual Studio Code, as far as it is GDB's: the commands that its C/C++ extension gives by GDB/MI, in its order.

Source: MIEngine, which is that extension's debugger: ``DebuggedProcess.Initialize``, ``GetInitializeCommands``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gdb_session import DebuggedHillemu
from mi_session import MiSession

from hillemu.debugging.vscode import launch_of


def attach(session: MiSession, configuration: dict[str, Any], kernel: Path, address: str) -> str:
    """What happens between F5 and the first stop, which is returned."""
    assert session.ask("-gdb-set mi-async on") == "^done"
    for setup in configuration["setupCommands"]:
        assert session.ask(f'-interpreter-exec console "{setup["text"]}"') == "^done"
    for command in (
        '-interpreter-exec console "set pagination off"',
        "-gdb-set auto-solib-add on",
        f"-gdb-set solib-search-path {kernel.parent}:",
        f"-environment-cd {kernel.parent}",
        f"-file-exec-and-symbols {kernel}",
        '-interpreter-exec console "show architecture"',
    ):
        assert session.ask(command).startswith("^done"), command
    # Kernels need not have one; the extension goes on without.
    assert session.ask("-break-insert -f main").startswith("^done")
    session.ask("-break-delete 1")
    assert session.ask(f"-target-select remote {address}").startswith("^connected")
    return next(line for line in session.said if line.startswith("*stopped"))


@pytest.fixture
def session(gdb: str, c_kernel: Path) -> Iterator[tuple[MiSession, str, DebuggedHillemu]]:
    """GDB that has attached to the kernel, and what it said of the first stop."""
    (configuration,) = launch_of("kernel.elf", str(c_kernel), 0)["configurations"]
    with DebuggedHillemu(gdb, c_kernel) as machine, MiSession(gdb, c_kernel.parent) as mi:
        yield mi, attach(mi, configuration, c_kernel, machine.address), machine


def test_f5_stops_at_the_entry_without_a_reason_which_is_where_stop_at_connect_stays(
    session: tuple[MiSession, str, DebuggedHillemu],
) -> None:
    mi, first, _ = session
    assert 'func="_start"' in first
    assert "reason=" not in first
    assert 'id="1"' in mi.ask("-thread-info")
    assert 'func="_start"' in mi.ask("-stack-list-frames 0 1000")


def test_breakpoints_steps_variables_and_the_stack_are_shown(session: tuple[MiSession, str, DebuggedHillemu]) -> None:
    mi, _, _ = session
    assert 'line="24"' in mi.ask('-break-insert -f -c "i == 1000" gdb_kernel.c:24')
    assert "^running" in mi.ask("-exec-continue")
    hit = mi.stopped()
    assert 'reason="breakpoint-hit"' in hit
    assert 'func="count_to"' in hit
    assert '{level="1"' in mi.ask("-stack-list-arguments --simple-values 0 1")
    assert '{name="i",type="int",value="1000"}' in mi.ask("-stack-list-variables --thread 1 --frame 0 --simple-values")
    assert 'value="1000"' in mi.ask('-var-create - * "i"')
    assert 'value="1002"' in mi.ask('-data-evaluate-expression "i + 2"')
    for command in ("-exec-next", "-exec-step-instruction", "-exec-finish"):
        assert "^running" in mi.ask(command)
        stop = mi.stopped()
    assert 'reason="function-finished"' in stop
    assert 'func="kernel_main"' in stop
    assert 'inst="call' in mi.ask("-data-disassemble -s $pc-5 -e $pc+8 -- 2")
    assert 'number="8"' in mi.ask("-data-list-register-values x")
    assert 'contents="02b0ad1b"' in mi.ask("-data-read-memory-bytes 0x100000 4"), "the Multiboot header"


def test_a_running_guest_is_paused_and_gets_a_breakpoint(session: tuple[MiSession, str, DebuggedHillemu]) -> None:
    mi, _, _ = session
    mi.ask("-break-insert -f count_to")
    mi.ask("-exec-continue")
    mi.stopped()
    mi.ask("-break-delete 2")
    mi.ask('-interpreter-exec console "set var end = 0x7fffffff"')
    assert "^running" in mi.ask("-exec-continue")
    assert mi.ask("-exec-interrupt") == "^done"
    assert 'signal-name="SIGINT"' in mi.stopped()
    assert 'number="3"' in mi.ask("-break-insert -f gdb_kernel.c:24")
    mi.ask("-exec-continue")
    assert 'bkptno="3"' in mi.stopped()


def test_the_debug_console_takes_gdbs_commands_and_steps_go_back(
    session: tuple[MiSession, str, DebuggedHillemu],
) -> None:
    mi, _, machine = session
    mi.ask("-break-insert -f count_to")
    mi.ask("-exec-continue")
    mi.stopped()
    assert mi.ask('-interpreter-exec console "monitor info registers"') == "^done"
    assert any("protected mode, ring 0" in line for line in mi.said)
    assert "^running" in mi.ask("-exec-next --reverse")
    assert 'func="kernel_main"' in mi.stopped()
    assert mi.ask("kill").startswith("^done")
    assert mi.ask("-gdb-exit").startswith("^exit")
    assert machine.finish()["stop"] == "interrupted"

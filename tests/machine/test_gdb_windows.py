"""GDB's text user interface on a terminal, and its script, by what docs/debugging.md tells people to type."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

from gdb_session import TIMEOUT_S, DebuggedHillemu, in_order

from hillemu.debugging.server import SCRIPT
from hillemu.emu.gdb.registers import LAYOUT, SYSTEM

ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>78])")


def in_windows(command: list[str], *typed: tuple[str, str]) -> str:
    """Type lines into `command` on a terminal, each when a pattern has come up behind the last; all that it wrote."""
    keyboard, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "LINES": "40", "COLUMNS": "100"}
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    written, seen = "", 0
    deadline = time.monotonic() + TIMEOUT_S
    try:
        for line, pattern in typed:
            while (found := re.compile(pattern).search(written, seen)) is None:
                assert time.monotonic() < deadline, f"no {pattern!r} in {written[seen:]!r}"
                if select.select([keyboard], [], [], 0.1)[0]:
                    written += ESCAPES.sub("", os.read(keyboard, 1 << 16).decode(errors="replace"))
            seen = found.end()
            os.write(keyboard, f"{line}\n".encode())
    finally:
        process.kill()
        process.wait()
        os.close(keyboard)
    return written


def test_the_windows_show_source_assembly_and_registers_while_a_kernel_is_stepped(gdb: str, c_kernel: Path) -> None:
    with DebuggedHillemu(gdb, c_kernel) as machine:
        options = ["-nx", "-q", "-tui", "-ex", "set pagination off", "-ex", "set confirm off", "-x", str(SCRIPT)]
        in_windows(
            [gdb, *options, str(c_kernel), "-ex", f"target remote {machine.address}"],
            ("break count_to", r"_start \(\)"),
            ("continue", r"Breakpoint 1 at"),
            ("next", r"B\+>"),  # the mark in the source's window, and what curses writes anew behind it
            ("layout asm", r"for \(i = 0"),
            ("layout regs", r"<count_to\+"),
            ("stepi", r"\(gdb\)"),
            ("reverse-stepi", r"eflags"),
            ("kill", r"\(gdb\)"),
            ("", r"killed\]"),
        )


def test_sysregs_shows_all_that_gdb_does_not_know_by_itself(gdb: str, c_kernel: Path) -> None:
    with DebuggedHillemu(gdb, c_kernel) as machine:
        text = machine.debug("sysregs", "kill", symbols=c_kernel, scripts=(SCRIPT,))
    shown = re.findall(r"^(\w+) +0x", text, re.MULTILINE)
    assert sorted(shown) == sorted(register.name for register in LAYOUT if register.feature == SYSTEM)
    in_order(text, r"cr0 +0x11 +\[ .*PE.* \]")


def test_temporary_breakpoints_hold_in_real_mode_and_monitor_tells_mistakes(gdb: str, demo: Path) -> None:
    with DebuggedHillemu(gdb, demo) as machine:
        text = machine.debug("tbreak where_am_i", "continue", "info breakpoints", "monitor xp 0 -1", symbols=demo)
    in_order(text, "Temporary breakpoint 1, .*where_am_i", "No breakpoints or watchpoints", "from 1 to 4,096")


def test_a_function_of_the_guest_can_be_called_and_all_registers_come_back(gdb: str, c_kernel: Path) -> None:
    with DebuggedHillemu(gdb, c_kernel) as machine:
        text = machine.debug(
            *("break kernel_main", "continue", "next", "print descend(2, &origin)", "info registers eip code_size"),
            *("delete", "continue", "continue"),
            symbols=c_kernel,
        )
        assert machine.finish()["status"] == 0x10 << 1 | 1, "what the kernel computes is as ever"
    in_order(
        text, "Breakpoint 1, kernel_main", r"\$1 = 45\n", r"<kernel_main\+\d+>", r"code_size +0x20", "hillemu: exit"
    )
    assert "Could not write" not in text

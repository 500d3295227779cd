"""GDB from Python: on a machine where it stands, and on those of a test that fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from gdb_session import TIMEOUT_S
from pytest_project import MARKED, talker

pytest_plugins = ["pytester"]

SCRIPT = """
from hillemu import Machine

machine = Machine(mem="16M")
machine.load("kernel.elf")
print(machine.run(until="ready").reason.value, machine.cpu.instructions, flush=True)
stop = machine.debug("-nx", "-batch", "-ex", "info symbol $pc", "-ex", "stepi 5", "-ex", "p $esp")
print(stop.reason.value, stop.detail, machine.cpu.instructions)
print(machine.run(max_insns=5).reason.value)
"""
FAILS = """
def test_memory(machine):
    machine.run(max_insns=20)
    assert machine.memory.u32(0x200000) == 7

def test_others(machine):
    assert "ready" in machine.serial.text
    machine.serial.send(b"a" * 50 + b"l")  # it echoes, then spins
    machine.debug()
    print("captured again")
"""
TYPED = "p $pc >= 0x100000\nx/wx 0x200000\nset var *(int *)0x200000 = 9\nquit\ny\n"


def test_a_machine_is_debugged_from_where_it_stands_and_goes_on_behind_it(gdb: str, tmp_path: Path) -> None:
    (tmp_path / "kernel.elf").write_bytes(talker())
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    lines = done.stdout.splitlines()
    reason, count = lines[0].split()
    assert reason == "until"
    assert any(line.startswith(("listen", "print")) and "in section .text" in line for line in lines), lines
    assert "$1 = (void *) 0x90000" in lines
    assert f"interrupted the debugger ended the run {int(count) + 5}" in lines
    assert lines[-1] == "max-insns"


def test_what_an_observer_raises_ends_gdbs_waiting(gdb: str, tmp_path: Path) -> None:
    (tmp_path / "kernel.elf").write_bytes(talker())
    script = """
from hillemu import Machine

def refuse(byte):
    raise ValueError(f"no {byte}")

machine = Machine(mem="16M")
machine.load("kernel.elf")
machine.serial.on_byte(refuse)
try:
    machine.debug("-nx", "-batch", "-ex", "continue")
except ValueError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    assert done.stdout.endswith("no 104\n")
    assert "Remote connection closed" in done.stdout + done.stderr


def run_pytest(pytester: pytest.Pytester, *arguments: str, typed: str) -> pytest.RunResult:
    (pytester.path / "kernel.elf").write_bytes(talker())
    pytester.makepyfile("import pytest\nfrom hillemu.testing import *\n" + MARKED + FAILS)
    ours = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", *arguments)
    return pytester.run(sys.executable, "-m", "pytest", *ours, stdin=typed.encode(), timeout=TIMEOUT_S)


def test_gdb_looks_at_the_machine_of_a_test_that_fails(gdb: str, pytester: pytest.Pytester) -> None:
    done = run_pytest(pytester, "--hillemu-gdb", "-k", "memory", typed=TYPED)
    done.assert_outcomes(failed=1)
    done.stdout.re_match_lines_random(
        [
            r".*::test_memory: AssertionError: assert 0 == 7",
            r"GDB debugs kernel.elf where it stands; quit goes on.",
            r".* in listen \(\)",
            r".*\$1 = 1",
            r".*0x200000:\s+0x00000000",
        ]
    )


def test_without_the_option_nobody_is_asked(pytester: pytest.Pytester) -> None:
    done = run_pytest(pytester, "-k", "memory", typed=TYPED)
    done.assert_outcomes(failed=1)
    assert "GDB debugs" not in done.stdout.str()


def test_a_test_that_debugs_has_the_terminal_and_no_budget(gdb: str, pytester: pytest.Pytester) -> None:
    typed = "break spin\ncontinue\np $ecx + 500\nquit\ny\n"
    done = run_pytest(pytester, "-k", "others", typed=typed)
    done.assert_outcomes(passed=1)
    done.stdout.re_match_lines_random([r".*\$1 = 500"])
    assert "captured again" not in done.stdout.str()


def test_a_missing_gdb_is_said_and_the_tests_go_on(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(pytester.path))
    done = run_pytest(pytester, "--hillemu-gdb", "-k", "memory", typed="")
    done.assert_outcomes(failed=1)
    done.stdout.re_match_lines_random([r"hillemu: --debugger: none of gdb, .* is installed.*"])


def test_workers_without_a_terminal_are_refused(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    done = run_pytest(pytester, "--hillemu-gdb", "-n2", typed="")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: --hillemu-gdb needs a terminal, *; leave out -n"])

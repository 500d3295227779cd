"""A course's folder, its Makefile and its grade script, on our gradelib; and the same make target on QEMU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from graded_kernel import write_kernel

MAKEFILE = """\
QEMU ?= qemu-system-i386
QEMUOPTS = -kernel kernel.elf -serial mon:stdio -m 32 -display none
QEMUOPTS += $(shell if $(QEMU) -nographic -help | grep -q '^-D '; then echo '-D qemu.log'; fi)
all: ; @echo built
qemu-nox-gdb: ; @echo '*** Now run make gdb' && $(QEMU) -nographic $(QEMUOPTS) -S
run-%-nox-gdb: ; @echo $* && $(QEMU) -nographic $(QEMUOPTS) $(QEMUEXTRA) -append $* -S
qemu-broken-gdb: ; @echo no compiler && false
qemu-idle-nox-gdb: ; @true
"""

SCRIPT = """\
from hillemu.gradelib import *

r = Runner(save("out.log"), stop_breakpoint("halt"))

@test(0, "running")
def test_boot():
    r.run_qemu(shell_script(["h", "q"]), timeout=2)

@test(10, parent=test_boot)
def test_paging():
    r.match("kernel: hello", "kernel: paging is .n", no=["panic"])
    assert_equal(r.qemu.machine.paging[0xC0100000].phys, 0x100000)

@test(5, parent=test_boot)
def test_shell():
    r.match(".*no help here", ".*bye")

end_part("A")

@test(7, "stops at a line")
def test_line():
    lines = []
    r.run_qemu(call_on_line("kernel", lines.append), stop_on_line("kernel: hello"))
    assert_equal(lines, ["kernel: hello"])
    assert_equal(r.qemu.output, "*** Now run make gdb\\nkernel: hello\\n")

@test(3)
def test_user():
    r.user_test("hello", stop_breakpoint(0x100000), timeout=0.01)
    r.match("hello", "kernel: never")

run_tests()
"""


@pytest.fixture
def course(tmp_path: Path, need_tool: Callable[[str], str]) -> Path:
    need_tool("make")
    write_kernel(tmp_path)
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / "grade").write_text(SCRIPT)
    return tmp_path


# These tests may run under a make themselves, of which the course's make must not know: it would say more.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return in_course(folder, [sys.executable, "grade", *arguments])


def in_course(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_grade_script_runs_unchanged_but_for_its_import(course: Path) -> None:
    done = run(course, "--results", "points.json")
    told = [line.partition(" (")[0].rstrip() for line in done.stdout.splitlines()]
    assert told[:7] == [
        "built",
        "running:",
        "  paging: OK",
        "  shell: OK",
        "Part A score: 15/15",
        "",
        "stops at a line: OK",
    ]
    assert told[7] == "user: Timeout! FAIL"
    assert "    MISSING 'kernel: never'" in told
    assert (told[-1], done.returncode, done.stderr) == ("Score: 22/25", 1, "")
    assert json.loads((course / "points.json").read_text()) == {
        "  paging": 10, "  shell": 5, "stops at a line": 7, "user": 0,
    }  # fmt: skip
    saved = (course / "out.log.user").read_bytes()
    assert saved.startswith(b"kernel: hello\nkernel: paging is on\n$ ")
    assert not (course / "out.log.line").exists()


def test_tests_are_chosen_by_words_with_their_parents(course: Path) -> None:
    done = run(course, "SHELL", "--color", "always")
    assert done.stdout.splitlines()[-1].startswith("  shell: \x1b[32mOK")
    assert "paging" not in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("qemu-broken", "hillemu: 'make qemu-broken-gdb' failed (status 2):\nno compiler"),
        ("qemu-idle", "hillemu: 'make qemu-idle-nox-gdb' has not started QEMU"),
        ("absent", "hillemu: the Makefile has neither absent-nox-gdb nor absent-gdb"),
    ],
)
def test_a_makefile_that_does_not_start_a_machine_is_no_kernels_fault(course: Path, target: str, told: str) -> None:
    (course / "grade").write_text(SCRIPT.replace("timeout=2)", f"target_base={target!r})"))
    done = run(course)
    assert done.returncode == 125
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_qemu_started_by_the_same_makefile_says_the_same(course: Path, need_tool: Callable[[str], str]) -> None:
    need_tool("qemu-system-i386")
    (course / "grade").write_text(SCRIPT.replace("shell_script(", "stop_breakpoint('read'), shell_script("))
    assert run(course, "running").returncode == 0
    ours = (course / "out.log").read_text()
    (course / "Makefile").write_text(MAKEFILE.replace(" -S", ""))
    theirs = in_course(course, ["make", "-s", "qemu-nox-gdb", "QEMU=timeout 2 qemu-system-i386"])
    assert ours == "kernel: hello\nkernel: paging is on\n$ "
    assert theirs.stdout.endswith(ours)  # its BIOS clears the terminal before

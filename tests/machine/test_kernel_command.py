"""`hillemu boot` with the built-in kernel, and `hillemu kernel-trace`, as people run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from stack_allocator import STACK


def hillemu(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hillemu", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_kernel_boots_runs_its_program_and_switches_off() -> None:
    done = hillemu("boot", "--mem", "512M", "--check")
    assert done.returncode == 0, done.stderr
    for line in ("mm_init: total available: 511 MB", "String: Hello", "Memory test completed!", "check: all is well"):
        assert f"\n{line}\n" in done.stdout
    assert "stopped: power-off" in done.stderr


def test_modules_and_the_command_line_reach_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no program")
    done = hillemu("boot", "--append", "paging=pae tests=off", "--module", tmp_path / "notes.txt")
    assert done.returncode == 0
    assert "PAE paging" in done.stdout
    assert "Testing kmalloc" not in done.stdout
    assert "Memory test completed!" not in done.stdout


def test_an_allocator_of_one_s_own_boots(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(STACK)
    done = hillemu("boot", "--mem", "16M", "--kernel-module", tmp_path / "mine.py", "--check", "--append", "tests=off")
    assert "Memory test completed!" in done.stdout
    assert "check: all is well" in done.stdout
    assert done.returncode == 0, done.stderr


def test_a_policy_and_a_hook_of_one_s_own_are_used(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def on_boot(kernel):\n    kernel.log(f'mine: {kernel.memory.pmm.free_frames > 1000}')\n"
    )
    done = hillemu("boot", "--kernel-module", tmp_path / "mine.py")
    assert "\nmine: True\n" in done.stdout
    assert done.returncode == 0


def test_an_allocator_that_hands_out_a_frame_twice_is_the_kernel_s_end(tmp_path: Path) -> None:
    twice = STACK.replace("self.stack.pop()", "self.stack[-1]")
    (tmp_path / "mine.py").write_text(twice)
    done = hillemu("boot", "--mem", "16M", "--kernel-module", tmp_path / "mine.py")
    assert "Stack of zone Normal handed out frame" in done.stdout
    assert "kernel panic" in done.stdout
    assert done.returncode == 3


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("x = 1\n", "mine.py: defines none of frame_allocator, page_replacement, oom, on_boot"),
        ("def broken(:\n", "mine.py:1: invalid syntax"),
        ("\nraise ValueError('no')\n", "mine.py:2: ValueError: no"),
        ("frame_allocator = 7\n", "mine.py: frame_allocator is 7, which cannot be called"),
        ("def on_boot(kernel):\n    kernel.nothing\n", "mine.py:2: AttributeError: 'Kernel' object has no attribute"),
        ("frame_allocator = lambda zone: 1 / 0\n", "mine.py:1: ZeroDivisionError: division by zero"),
    ],
)
def test_a_mistake_in_the_user_s_python_is_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    done = hillemu("boot", "--quiet", "--kernel-module", tmp_path / "mine.py")
    assert done.returncode == 125
    assert done.stderr.startswith(f"hillemu: {tmp_path}/{complaint}")
    assert done.stderr.count("\n") == 1


def test_a_trace_is_replayed_and_judged(tmp_path: Path) -> None:
    (tmp_path / "trace").write_text("a 1 128  # a task\nr 1 300\na 2 9000\nf 1\n")
    done = hillemu("kernel-trace", tmp_path / "trace", "--mem", "16M")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("operations:     4\n")
    assert "not freed:      9,000 bytes\n" in done.stdout


def test_a_trace_that_makes_no_sense_is_refused_by_line(tmp_path: Path) -> None:
    (tmp_path / "trace").write_text("a 1 128\nf 2\n")
    done = hillemu("kernel-trace", tmp_path / "trace")
    assert (done.returncode, done.stderr) == (125, f"hillemu: {tmp_path}/trace:2: 2 is not allocated\n")

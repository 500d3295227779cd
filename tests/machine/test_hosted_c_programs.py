"""Programs in C, compiled by gcc -m32 -nostdlib, on the hosted kernel; and what happens when memory is short."""

from __future__ import annotations

import subprocess
from collections import deque
from pathlib import Path

import pytest
from hosted_programs import compile_program, run_to_the_end

from hillemu.emu.i386.address import Frame
from hillemu.kernel.mm.counters import Event
from hillemu.kernel.mm.replacement import Pages
from hillemu.kernel.options import KernelOptions
from hillemu.machine import Machine


def machine_with(modules: list[str | tuple[str, str]], *, mem: str, append: str = "") -> Machine:
    machine = Machine(mem=mem)
    machine.load_kernel(modules=modules, append=f"tests=off {append}", options=KernelOptions(check=True))
    return machine


@pytest.mark.parametrize("append", ["", "paging=pae"])
def test_a_program_in_c_has_arguments_a_heap_a_deep_stack_files_and_children(
    gcc_m32: str, tmp_path: Path, append: str
) -> None:
    (tmp_path / "data").write_bytes(b"file0".ljust(4096, b".") + b"second page")
    program = compile_program(gcc_m32, "heap", tmp_path)
    machine = machine_with([(program, "one two"), str(tmp_path / "data")], mem="16M", append=append)
    said = run_to_the_end(machine)
    assert said[-2:] == ["sum 49995000, all is well in C", "kernel: heap[1] exited with code 0"]
    (told,) = machine.kernel.reports
    assert told.startswith("heap[2]: write to 0x0C00")


@pytest.mark.parametrize(("cpu", "argument"), [("max", "sse"), ("qemu32", "sse"), ("pentium", ""), ("486", "")])
def test_processes_keep_their_coprocessor_registers(gcc_m32: str, tmp_path: Path, cpu: str, argument: str) -> None:
    """By FXSAVE where the processor has it, by FNSAVE elsewhere."""
    program = compile_program(gcc_m32, "registers", tmp_path, march="i386")
    machine = Machine(mem="16M", cpu=cpu)
    machine.load_kernel(modules=[(program, argument)], append="tests=off", options=KernelOptions(check=True))
    said = run_to_the_end(machine)
    assert said[-2:] == ["everybody kept the registers", "kernel: registers[1] exited with code 0"], said
    (told,) = machine.kernel.reports
    assert told.startswith("registers[5]: #MF x87 FPU error")
    assert machine.kernel.memory.caches["fpu_state"].active == 0


def test_a_program_larger_than_memory_runs_with_swap(gcc_m32: str, tmp_path: Path) -> None:
    hog = compile_program(gcc_m32, "hog", tmp_path)
    machine = machine_with([(hog, "2500")], mem="8M", append="swap=16M")
    assert "hog: every page kept its number" in run_to_the_end(machine)
    counters = machine.kernel.memory.counters
    assert counters[Event.PSWPOUT] > 1000
    assert counters[Event.PSWPIN] > 1000


class Fifo:
    """The page that came first goes first: a policy of a user's own."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._queue: deque[int] = deque()
        made.append(self)
        self.victims = 0

    def added(self, frame: int) -> None:
        self._queue.append(frame)

    def victim(self) -> Frame | None:
        while self._queue:
            frame = self._queue.popleft()
            if self._pages.is_program_page(frame):
                self.victims += 1
                return Frame(frame)
        return None


made: list[Fifo] = []


def test_a_policy_of_one_s_own_decides_what_is_swapped_out(gcc_m32: str, tmp_path: Path) -> None:
    made.clear()
    machine = Machine(mem="8M")
    options = KernelOptions(check=True, page_replacement=Fifo)
    hog = compile_program(gcc_m32, "hog", tmp_path)
    machine.load_kernel(modules=[(hog, "2500")], append="tests=off swap=16M", options=options)
    assert "hog: every page kept its number" in run_to_the_end(machine)
    assert len(made) == 1
    assert made[0].victims >= machine.kernel.memory.counters[Event.PSWPOUT] > 1000


def test_without_swap_one_program_is_killed_and_the_log_says_why(gcc_m32: str, tmp_path: Path) -> None:
    hog = compile_program(gcc_m32, "hog", tmp_path)
    machine = machine_with([(hog, "2500")], mem="8M")
    said = run_to_the_end(machine)
    (told,) = [line for line in said if line.startswith("out of memory: killed hog[1] (")]
    assert "hog[1] needs a frame for 0x" in told
    assert "kernel: hog[1] was killed by signal 9 (SIGKILL)" in said
    assert machine.kernel.memory.counters[Event.OOM_KILL] == 1


def test_when_memory_is_short_the_small_program_survives_the_large(gcc_m32: str, tmp_path: Path) -> None:
    hog = compile_program(gcc_m32, "hog", tmp_path)
    small = tmp_path / "small"
    small.write_bytes(Path(hog).read_bytes())
    machine = machine_with([(hog, "2500"), (str(small), "20")], mem="8M")
    said = run_to_the_end(machine)
    assert "kernel: hog[1] was killed by signal 9 (SIGKILL)" in said
    assert "kernel: small[2] exited with code 0" in said


def test_a_program_linked_where_linux_has_it_is_told_how_to_be_linked(gcc_m32: str, tmp_path: Path) -> None:
    source = tmp_path / "p.c"
    source.write_text("void _start(void) { for (;;); }")
    subprocess.run(
        [
            gcc_m32,
            "-m32",
            "-nostdlib",
            "-static",
            "-no-pie",
            "-Wl,-Ttext-segment=0x8048000",
            source,
            "-o",
            tmp_path / "p",
        ],
        check=True,
    )
    machine = machine_with([str(tmp_path / "p")], mem="16M")
    run_to_the_end(machine)
    told, result = machine.kernel.reports
    assert told.startswith("exec: p has a segment at 0x08048000-0x0804")
    assert told.endswith("programs lie between 0x00001000 and 0x08000000 (link with -Wl,-Ttext-segment=0x400000)")
    assert result == "kernel: cannot start p: ENOEXEC"

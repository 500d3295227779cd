"""The kernel that comes with hillemu boots: its log, its tests of kmalloc, machines of every size."""

from __future__ import annotations

import re

import pytest

from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.stop import StopReason
from hillemu.kernel.kernel import Kernel
from hillemu.kernel.kernel_calls import FUNCTIONS
from hillemu.kernel.options import KernelOptions
from hillemu.machine import Machine

INSTRUCTIONS = 20_000_000


def boot(mem: str, append: str = "", **options: bool) -> Machine:
    machine = Machine(mem=mem)
    machine.load_kernel(append=append, options=KernelOptions(**options))
    stop = machine.run(max_insns=INSTRUCTIONS)
    assert stop.reason is StopReason.POWER_OFF, machine.serial.text
    return machine


@pytest.fixture(scope="module")
def half_gig() -> Machine:
    return boot("512M", check=True)


def test_the_log_has_the_memory_map_line_by_line(half_gig: Machine) -> None:
    lines = half_gig.serial.text.splitlines()
    assert "mm_init: Parsing multiboot memory map..." in lines
    assert "mmap: base=0x0000000000000000, length=0x000000000009FC00, type=1" in lines
    assert "mmap: base=0x0000000000100000, length=0x000000001FEE0000, type=1" in lines
    assert "mm_init: total available: 511 MB" in lines


def test_the_six_tests_have_the_seed_s_numbers(half_gig: Machine) -> None:
    text = half_gig.serial.text
    assert re.findall(r"Allocated (\d+) (?:zero-initialized )?bytes at: 0xC0[0-9A-F]{6}\n", text) == [
        "128", "1024", "8192", "16384", "512",
    ]  # fmt: skip
    assert text.count("  Total allocations tracked: 5/1024\n") == 2
    assert re.findall(r"\(early pool\): (\d+) bytes", text) == ["26240", "8832"]
    assert re.findall(r"Physical allocations: (\d+)", text) == ["2", "1"]
    assert re.findall(r"Physical pages used: (\d+) ", text) == ["6", "2"]
    assert "FAILED" not in text


def test_nothing_was_wrong_and_nothing_leaks(half_gig: Machine) -> None:
    assert half_gig.kernel.reports == []
    assert half_gig.kernel.check() == []
    assert "check: all is well\n" in half_gig.serial.text


def test_the_screen_shows_the_end_of_the_log(half_gig: Machine) -> None:
    lines = [line.rstrip() for line in half_gig.screen_lines()]
    assert "kernel: power off" in lines
    assert "check: all is well" in lines


def test_python_and_the_guest_use_the_same_kmalloc(half_gig: Machine) -> None:
    kernel = half_gig.kernel
    at = kernel.kmalloc(8192)
    half_gig.memory.write(PhysAddr(at - 0xC0000000), b"from Python")
    assert half_gig.read(at, 11) == b"from Python"  # through the guest's page tables
    assert kernel.memory.kmalloc.ksize(at) == 8192
    assert kernel.kfree(at)
    assert not kernel.kfree(at)
    assert "double free" in kernel.reports.pop()


@pytest.mark.parametrize(
    ("mem", "append", "highest"),
    [
        ("8M", "", 8 << 20),
        ("64M", "", 64 << 20),
        ("3G", "", 3 << 30),
        ("4G", "", 3 << 30),
        ("8G", "", 3 << 30),
        ("8G", "paging=pae", 9 << 30),
    ],
)
def test_every_size_boots_and_manages_what_is_in_reach(mem: str, append: str, highest: int) -> None:
    machine = boot(mem, append)
    end = max(run.end for zone in machine.kernel.memory.pmm.zones for run in zone.runs) << 12
    assert highest - (1 << 20) <= end <= highest
    assert bool(machine.cpu.cr4 & 1 << 5) == bool(append)
    out_of_reach = {"4G": "1024 MB above 0x100000000", "8G": "5120 MB above 0x100000000"}
    if mem in out_of_reach and not append:
        assert f"mm_init: {out_of_reach[mem]} are out of reach without PAE\n" in machine.serial.text
    else:
        assert "out of reach" not in machine.serial.text


def test_a_word_that_the_command_line_does_not_know_is_reported() -> None:
    assert boot("16M", "tests=off frobnicate").kernel.reports == ["command line: 'frobnicate' is not known"]


def test_a_processor_without_pae_is_told_and_boots_without() -> None:
    machine = Machine(mem="16M", cpu="486")
    machine.load_kernel(append="paging=pae tests=off")
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.POWER_OFF
    assert machine.kernel.reports == ["command line: paging=pae, but this processor has no PAE"]


def test_two_runs_are_the_same_to_the_bit() -> None:
    one, other = boot("16M"), boot("16M")
    assert one.cpu.instructions == other.cpu.instructions
    assert one.memory.sha256() == other.memory.sha256()


def test_the_machine_boots_the_kernel_a_second_time() -> None:
    machine = boot("16M")
    first = machine.serial.text
    machine.load_kernel()
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.POWER_OFF
    assert machine.serial.text == first * 2


def test_a_reset_boots_the_kernel_anew() -> None:
    machine = Machine(mem="16M", reboot=True)
    boots = []

    def reset_once(kernel: Kernel) -> None:
        boots.append(kernel)
        if len(boots) == 1:
            kernel.guest.write_port(0xCF9, 0x06)

    machine.load_kernel(append="tests=off", options=KernelOptions(on_boot=reset_once, check=True))
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.POWER_OFF
    assert len(boots) == 2
    assert machine.kernel is boots[1]
    assert machine.kernel.check() == []


def test_each_function_of_the_image_has_the_number_that_python_knows() -> None:
    machine = boot("16M", "tests=off")
    for number, name in enumerate(FUNCTIONS):
        code = machine.read(machine.symbols[name], 8)
        assert code == b"\xb8" + number.to_bytes(4, "little") + b"\xcd\x81\xc3", name

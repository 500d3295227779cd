"""The kernel that comes with hillemu boots: its log, its tests of kmalloc, machines of every size."""

from __future__ import annotations

import re

import pytest

from hillemu.emu.errors import UserMistake
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.stop import StopReason
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.kernel import Kernel
from hillemu.kernel.kernel_calls import FUNCTIONS
from hillemu.kernel.mm.counters import Event
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


MIB, GIB = 1 << 20, 1 << 30


def usable_of_a_pc(size: int) -> list[tuple[int, int]]:
    """What E820 of a PC calls usable, as QEMU's pc with SeaBIOS has it: base and end.

    The EBDA takes 1 KiB, ACPI's tables 128 KiB, devices the 4th GiB of machines with more than 3.5 GiB.
    """
    low = 3 * GIB if size > 3.5 * GIB else size
    high = [(4 * GIB, 4 * GIB + size - low)] if size > low else []
    return [(0, 0x9FC00), (MIB, low - 0x20000), *high]


@pytest.mark.parametrize(
    ("mem", "append"),
    [
        *((mem, "") for mem in ("4M", "8M", "64M", "512M", "2G", "3G", "4G", "8G", "64G")),
        *((mem, "paging=pae") for mem in ("8M", "4G", "8G", "64G")),
    ],
)
def test_every_size_boots_and_manages_what_is_in_reach(mem: str, append: str) -> None:
    machine = boot(mem, append, check=True)
    said = machine.serial.text
    assert "check: all is well\n" in said
    assert machine.kernel.reports == []
    assert bool(machine.cpu.cr4 & 1 << 5) == bool(append)
    size = int(mem[:-1]) * (GIB if mem[-1] == "G" else MIB)
    usable = usable_of_a_pc(size)
    assert f"mm_init: total available: {sum(end - base for base, end in usable) // MIB} MB\n" in said

    reach = 64 * GIB if append else 4 * GIB
    beyond = sum(end - max(base, reach) for base, end in usable if end > reach)
    told = re.findall(r"mm_init: (\d+) MB above (0x\d+) are out of reach", said)
    assert told == ([(str(beyond // MIB), f"{reach:#x}")] if beyond else [])

    pages = sum((min(end, reach) >> 12) - (base >> 12) for base, end in usable if base < reach)
    zones = re.findall(r"mm_init: zone (\w+): pages (\d+)-(\d+), (\d+) managed", said)
    assert [name for name, *_ in zones] == ["Normal", "HighMem"][: 1 + (size > 256 * MIB)]
    end_page = min(usable[-1][1] if beyond == 0 else reach, usable[-1][1]) >> 12
    if usable[-1][0] >= reach:
        end_page = usable[-2][1] >> 12
    assert int(zones[-1][2]) + 1 == end_page
    kept = pages - sum(int(managed) for *_, managed in zones)
    structures = (MIB + end_page * 8 + end_page * 5 // 4) >> 12  # early pool, frame table, buddies
    assert structures <= kept <= structures * 1.01 + 60, "the image, the program and small tables are few"


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


def test_what_was_not_given_back_is_told_at_the_end_with_who_took_it() -> None:
    machine = Machine(mem="16M")

    def leak(kernel: Kernel) -> None:
        for size in (100, 5000):
            kernel.memory.kmalloc.kmalloc(size, kernel.symbols["kernel_main"] + 3)
        kernel.kfree(kernel.kmalloc(7))

    machine.load_kernel(append="tests=off", options=KernelOptions(on_boot=leak, check=True))
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.POWER_OFF
    told = [line for line in machine.serial.text.splitlines() if line.endswith("not freed")]
    assert len(told) == 2
    assert re.fullmatch(r"kmalloc: 2 allocations of 5100 bytes by .*kernel_main\+0x3.* not freed", told[0]), told
    assert told[1] == "kmalloc: in all 2 allocations of 5100 bytes not freed"


def test_the_files_of_proc_are_there_while_the_machine_stands_still() -> None:
    machine = Machine(mem="512M")
    machine.load_kernel(append="tests=off")
    machine.run(until="old_brk")
    kernel = machine.kernel
    rows = dict(line.split(":") for line in kernel.proc("meminfo").splitlines())
    assert rows["HighTotal"].split() == [str((kernel.memory.pmm.zones[1].managed_frames) * 4), "kB"]
    assert int(rows["KernelStack"].split()[0]) == 4
    assert kernel.proc("buddyinfo").count("\n") == 2
    assert "\ntask_memory " in kernel.proc("slabinfo")
    assert f"\npgfault {kernel.memory.counters[Event.PGFAULT]}\n" in kernel.proc("vmstat")
    with pytest.raises(InvalidParameters, match="there is no 'cpuinfo' in /proc; there are buddyinfo, slabinfo"):
        kernel.proc("cpuinfo")


def test_before_memory_is_set_up_there_is_nothing_to_check() -> None:
    machine = Machine(mem="16M")
    machine.load_kernel()
    machine.run(max_insns=10)
    kernel = machine.kernel
    assert isinstance(kernel, Kernel)
    with pytest.raises(UserMistake, match="until mm_init is through"):
        kernel.check()

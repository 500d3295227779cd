"""Profile bitmap's kernel on the machine: its layout, its programs in ring 3, page replacement, protection, checks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bitmap_machine import INSTRUCTIONS, bitmap_with, kernel_of, run_to_the_end, spoken

from hillemu.boot.disk_image import memory_image
from hillemu.boot.image import Image
from hillemu.boot.shipped import shipped_image
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.emu.i386.outcomes import Mapped
from hillemu.emu.stop import StopReason
from hillemu.kernel.options import KernelOptions
from hillemu.kernel.profiles.bitmap.calls import FUNCTIONS
from hillemu.kernel.profiles.bitmap.page_bitmap import BITMAP_AT, MANAGER
from hillemu.machine import Machine
from hillemu.symbols import SymbolTable

PRESENT, WRITABLE, USER = 1, 2, 4


# ---- the shipped kernel and its programs --------------------------------------------------------------------------


def test_the_shipped_programs_run_and_all_four_checks_are_well() -> None:
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap", options=KernelOptions(check=True))
    said = run_to_the_end(machine)
    assert "check: bitmap, pagetables, heap, usage: all is well\n" in machine.serial.text
    assert [line for line in said if line.startswith(("paging:", "protection:", "kernel:", "bitmap_"))] == [
        "paging: heap at 0x40003000",
        "paging: 12 uses of 5 pages, each counted",
        "paging: 16 pages are as they were written",
        "kernel: bitmap_paging.elf[1] exited with code 0",
        "protection: write(1, 0x00010000, 4) fails with error 0xE",
        "protection: reads its own text, and now writes to it",
        "bitmap_protection.elf[2]: write to read-only page 0x40000000 (r-x); EIP 0x400000CD",
        "kernel: bitmap_protection.elf[2] was killed by signal 11 (SIGSEGV)",
    ]


def test_the_document_s_examples_run_in_ring_0() -> None:
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap")
    machine.run(max_insns=INSTRUCTIONS)
    text = machine.serial.text
    (page,) = re.findall(r"^alloc_page\(\) = (0x\w+)$", text, re.MULTILINE)
    assert int(page, 16) >= kernel_of(machine).pages.end
    assert f"\nmap_page(0x3E000000, {page}, PTE_P | PTE_W) = 0\n" in text
    assert f"\nwrote 0x600DF00D there, and at {page} is 0x600DF00D\n" in text
    moved = re.search(r"^compact\(\) moved 1 block, from (0x\w+) to (0x\w+), where 0x600DF00D is$", text, re.MULTILINE)
    assert moved
    assert int(moved[2], 16) < int(moved[1], 16)
    assert re.search(r"^kmalloc\(1024\) = 0x3000\w{4}$", text, re.MULTILINE)
    assert kernel_of(machine).reports == [
        line for line in text.splitlines() if line.startswith("bitmap_protection.elf[2]: ")
    ]


@pytest.mark.parametrize("mem", ["4M", "64M", "1G", "4G"])
def test_memory_of_every_size_is_managed(mem: str, tmp_path: Path) -> None:
    machine = bitmap_with(tmp_path, {"one": "system_call SYS_EXIT, 0\n"}, mem=mem)
    assert run_to_the_end(machine) == ["kernel: one[1] exited with code 0"]
    ram_end = max(run.end for run in machine.memory.ram_ranges if run.end <= 1 << 32)
    # Firmware keeps 128 KiB at the top of it for its tables.
    assert kernel_of(machine).pages.total_pages == ram_end - 0x20000 >> 12


def test_ring_0_and_python_have_the_same_functions() -> None:
    """A function's number is its place in the source."""
    symbols = SymbolTable(shipped_image("bitmap.elf"))
    elf = Image("bitmap.elf", shipped_image("bitmap.elf"))
    code = memory_image(elf)
    for number, name in enumerate(FUNCTIONS):
        at = symbols[name] - 0x10000
        assert code[at : at + 7] == b"\xb8" + number.to_bytes(4, "little") + b"\xcd\x81", name  # mov eax, N; int 0x81


def test_a_user_s_on_boot_is_called_with_the_kernel() -> None:
    seen = []
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap", options=KernelOptions(on_boot=seen.append))
    machine.run(max_insns=INSTRUCTIONS)
    assert seen == [machine.kernel]


@pytest.mark.parametrize("cpu", ["386", "486"])
def test_old_processors_will_do(cpu: str) -> None:
    machine = Machine(mem="16M", cpu=cpu)
    machine.load_kernel(profile="bitmap", append="frames=8", options=KernelOptions(check=True))
    assert "paging: 16 pages are as they were written" in run_to_the_end(machine)


# ---- row B1, B2, B4: where things lie ------------------------------------------------------------------------------


def test_memory_manager_t_and_the_bitmap_lie_in_guest_memory(started: Machine) -> None:
    kernel, memory = kernel_of(started), started.memory
    manager = MANAGER.read(memory, PhysAddr(started.symbols["memory_manager"]))
    assert manager["bitmap"] == BITMAP_AT == 0x100000
    assert manager["kernel_page_dir"] == memory.u32(PhysAddr(started.symbols["page_directory"]))
    assert manager["total_pages"] == (0x1000000 - 0x20000) >> 12
    total = int(manager["total_pages"])
    assert manager["bitmap_length"] == total + 7 >> 3
    bits = int.from_bytes(memory.read(BITMAP_AT, total + 7 >> 3), "little")
    assert total - (bits & (1 << total) - 1).bit_count() == manager["free_pages"] == kernel.pages.free_pages


def test_alloc_page_changes_the_bit_and_the_count_in_guest_memory(started: Machine) -> None:
    kernel, memory = kernel_of(started), started.memory
    before = MANAGER.get(memory, kernel.pages.at, "free_pages")
    page = kernel.pages.alloc_page()
    number = page >> 12
    assert memory.read(PhysAddr(BITMAP_AT + (number >> 3)), 1)[0] >> (number & 7) & 1
    assert MANAGER.get(memory, kernel.pages.at, "free_pages") == before - 1
    kernel.pages.free_page(page)
    assert not memory.read(PhysAddr(BITMAP_AT + (number >> 3)), 1)[0] >> (number & 7) & 1


def test_kernel_space_is_the_low_gib_and_programs_have_the_rest(started: Machine) -> None:
    paging = started.paging
    for at in (0x10000, 0x100000, 0xFDF000):
        walked = paging.walk(at)
        assert isinstance(walked, Mapped)
        assert (walked.phys, walked.rights.user) == (at, False)
    regions = [region for region in paging.regions() if region.start >= 0x40000000]
    assert regions
    assert all(region.rights.user for region in regions)
    assert not any(region.rights.user for region in paging.regions() if region.start < 0x40000000)
    for at in (0, started.symbols["boot_stack_guard"], started.symbols["program_stack_guard"]):
        assert not isinstance(paging.walk(at), Mapped), f"{at:#x} must not be mapped"


def test_the_kernel_s_text_and_constants_are_read_only_and_its_variables_are_not(started: Machine) -> None:
    for name, writable in (("_start", False), ("kernel_main", False), ("memory_manager", True), ("gdt", True)):
        walked = started.paging.walk(started.symbols[name])
        assert isinstance(walked, Mapped)
        assert walked.rights.writable == writable, name


def test_ring_0_cannot_write_to_the_kernel_s_text(started: Machine) -> None:
    """CR0.WP: the processor itself refuses; ring 0's write is the kernel's end, with the address in the report."""
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap")
    machine.breakpoints.add("memory_examples")
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.BREAKPOINT
    walked = machine.paging.walk(machine.symbols["memory_examples"])
    assert isinstance(walked, Mapped)
    machine.memory.write(walked.phys, b"\xa3\x00\x00\x01\x00")  # mov [0x10000], eax
    stop = machine.run(max_insns=INSTRUCTIONS)
    assert (stop.reason, stop.exit_code) == (StopReason.EXIT, 3)
    assert "fault: #PF page fault at 0x00010000, error code 0x3" in machine.serial.text
    assert "kernel panic: a fault in ring 0" in machine.serial.text


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (b"\xbc\x00\x50\x01\x00\x50", "kernel stack overflow into boot_stack_guard"),  # mov esp, ...; push eax
        (b"\xa1\x00\x00\x00\x00", "fault: #PF page fault at 0x00000000"),  # mov eax, [0]
    ],
)
def test_guard_pages_of_the_kernel_notice_overflows_and_null_pointers(code: bytes, said: str) -> None:
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap")
    machine.breakpoints.add("memory_examples")
    machine.run(max_insns=INSTRUCTIONS)
    if code[0] == 0xBC:  # just above the guard page
        code = b"\xbc" + (machine.symbols["boot_stack_guard"] + PAGE_SIZE).to_bytes(4, "little") + b"\x50"
    machine.memory.write(PhysAddr(machine.symbols["memory_examples"]), code)
    assert machine.run(max_insns=INSTRUCTIONS).exit_code == 3
    assert said in machine.serial.text


# ---- map_page and the TLB ------------------------------------------------------------------------------------------

REMAP = """
    mov ecx, 50000              # until the test has mapped the page
1:  loop 1b
    mov ebp, 0x50000000
2:  mov eax, [ebp]
    jmp 2b
"""


def test_a_changed_mapping_is_seen_by_the_processor_at_once(tmp_path: Path) -> None:
    machine = bitmap_with(tmp_path, {"remap": REMAP})
    kernel = kernel_of(machine)
    machine.run(until=r"kmalloc\(1024\)", max_insns=INSTRUCTIONS)
    first, second = kernel.pages.alloc_page(), kernel.pages.alloc_page()
    machine.memory.set_u32(first, 0x11111111)
    machine.memory.set_u32(second, 0x22222222)
    machine.run(max_insns=1000)
    at = VirtAddr(0x50000000)
    assert kernel.paging.map_page(at, first, PRESENT | WRITABLE | USER) == 0
    machine.run(max_insns=60_000)
    assert machine.registers()["eax"] == 0x11111111
    assert kernel.paging.map_page(at, second, PRESENT | WRITABLE | USER) == 0
    machine.run(max_insns=20)
    assert machine.registers()["eax"] == 0x22222222, "the TLB had the first page"
    assert kernel.paging.map_page(at, PhysAddr(0), 0) == 0
    stop = machine.run(until="killed", max_insns=INSTRUCTIONS)
    assert stop.reason is StopReason.UNTIL
    assert "remap[1]: read of 0x50000000, which is not the program's" in machine.serial.text


def test_a_page_that_was_mapped_into_a_program_is_not_freed_with_it(tmp_path: Path) -> None:
    body = "mov ecx, 20000\n1: loop 1b\n system_call SYS_WRITE, STDOUT, 0x50000000, 4\n system_call SYS_EXIT, eax\n"
    machine = bitmap_with(tmp_path, {"guest": body})
    machine.run(until=r"kmalloc\(1024\)", max_insns=INSTRUCTIONS)
    machine.run(max_insns=1000)
    kernel = kernel_of(machine)
    page = kernel.pages.alloc_page()
    kernel.given.add(page)
    screen = PhysAddr(0xB8000)
    for at, phys in ((0x50000000, page), (0x50001000, screen)):
        assert kernel.paging.map_page(VirtAddr(at), phys, PRESENT | WRITABLE | USER) == 0
    assert kernel.check() == []
    # It may use the page itself, but it is none of its own: the kernel does not read it on its behalf.
    assert run_to_the_end(machine) == [f"kernel: guest[1] exited with code {-14 & 0xFF}"]
    assert kernel.pages.is_used(page >> 12)


def test_a_trap_frame_that_is_nowhere_is_the_kernel_s_end(started: Machine) -> None:
    started.memory.set_u32(PhysAddr(started.symbols["trap_frame"]), 0xFFFFFFF0)
    kernel_of(started).trap(started._pc, 0)
    assert kernel_of(started).reports[-1] == "kernel panic: a trap's frame at 0xFFFFFFF0 is not in memory"


# ---- the machine around it -------------------------------------------------------------------------------------------


def test_the_run_is_the_same_every_time_and_on_both_sides_of_a_snapshot() -> None:
    texts = set()
    for with_snapshot in (False, True):
        machine = Machine(mem="16M")
        machine.load_kernel(profile="bitmap", append="frames=8")
        machine.run(max_insns=60_000)
        if with_snapshot:
            point = machine.snapshot()
            machine.run(max_insns=20_000)
            machine.restore(point)
        machine.run(max_insns=INSTRUCTIONS)
        texts.add((machine.serial.text, machine.cpu.instructions))
    assert len(texts) == 1


def test_a_reboot_boots_the_disk_again() -> None:
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap")
    machine.run(max_insns=INSTRUCTIONS)
    first = machine.kernel
    machine.boot_again()
    assert machine.kernel is not first
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.POWER_OFF
    assert spoken(machine.serial.text)


def test_one_machine_may_boot_one_profile_after_another() -> None:
    machine = Machine(mem="16M")
    for profile, ending in (("bitmap", "kernel: power off\n"), ("hillson", "kernel: power off\n")):
        machine.load_kernel(profile=profile)
        assert machine.run(max_insns=30_000_000).reason is StopReason.POWER_OFF
        assert machine.serial.text.endswith(ending)


def test_who_runs_it_on_after_power_off_finds_the_kernel_idle() -> None:
    """Nothing of the last program is left to go back to."""
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap")
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.POWER_OFF
    machine.breakpoints.add("idle")
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.BREAKPOINT
    assert kernel_of(machine).check() == []

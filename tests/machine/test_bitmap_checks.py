"""Profile bitmap's four checks: each finds what was broken on purpose, and says so in the exit status."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bitmap_machine import INSTRUCTIONS, bitmap_with, kernel_of

from hillemu.emu.errors import UserMistake
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr
from hillemu.emu.stop import StopReason
from hillemu.kernel.options import KernelOptions
from hillemu.kernel.profiles.bitmap.page_bitmap import BITMAP_AT, MANAGER
from hillemu.machine import Machine

PRESENT, WRITABLE, USER = 1, 2, 4


# ---- checks ----------------------------------------------------------------------------------------------------------


def test_there_is_nothing_to_check_before_memory_init(tmp_path: Path) -> None:
    machine = bitmap_with(tmp_path, {})
    with pytest.raises(UserMistake, match="nothing to check yet"):
        machine.kernel.check()
    machine.run(max_insns=INSTRUCTIONS)
    with pytest.raises(UserMistake, match="there is no check 'heep'; there are bitmap, pagetables, heap, usage"):
        machine.kernel.check("heep")


def set_bits(machine: Machine, at: int, value: int) -> None:
    machine.memory.set_u32(PhysAddr(at), machine.memory.u32(PhysAddr(at)) ^ value)


def lost_page(machine: Machine) -> None:
    """The bit of a page that nobody has is set."""
    kernel = kernel_of(machine)
    page = kernel.pages.alloc_page()
    kernel.pages.free_page(page)
    set_bits(machine, BITMAP_AT + (page >> 12 >> 5) * 4, 1 << (page >> 12 & 31))


def stolen_page(machine: Machine) -> None:
    """The bit of a page of the program is clear."""
    page = next(iter(kernel_of(machine).residents.places))
    set_bits(machine, BITMAP_AT + (page >> 5) * 4, 1 << (page & 31))


def wrong_count(machine: Machine) -> None:
    set_bits(machine, machine.symbols["memory_manager"] + MANAGER.offset("free_pages"), 1)


def kernel_entry(machine: Machine, at: int) -> int:
    """Where the entry of the kernel's page at `at` lies."""
    return kernel_of(machine).paging.kernel.slot(at) * 4


def writable_text(machine: Machine) -> None:
    set_bits(machine, kernel_entry(machine, 0x10000), WRITABLE)


def mapped_guard(machine: Machine) -> None:
    guard = machine.symbols["boot_stack_guard"]
    set_bits(machine, kernel_entry(machine, guard), guard | PRESENT | WRITABLE)


def kernel_page_for_programs(machine: Machine) -> None:
    set_bits(machine, kernel_entry(machine, 0x200000), USER)


def twisted_identity(machine: Machine) -> None:
    set_bits(machine, kernel_entry(machine, 0x200000), 0x1000)


def another_kernel_half(machine: Machine) -> None:
    """A program's directory has lost the table of low memory's second 4 MiB."""
    (directory,) = kernel_of(machine).paging.programs
    machine.memory.set_u32(PhysAddr(directory.directory_slot(0x400000) * 4), 0)


def foreign_page(machine: Machine) -> None:
    """The program's text leads to another page."""
    (directory,) = kernel_of(machine).paging.programs
    set_bits(machine, directory.slot(0x40000000) * 4, 0x1000)


def writable_program_text(machine: Machine) -> None:
    (directory,) = kernel_of(machine).paging.programs
    set_bits(machine, directory.slot(0x40000000) * 4, WRITABLE)


def stray_mapping(machine: Machine) -> None:
    """Something is mapped where there is no RAM."""
    at = kernel_of(machine).paging.kernel.slot(0xFDF000) * 4 + 4
    machine.memory.set_u32(PhysAddr(at), 0x200000 | PRESENT)


def opened_directory(machine: Machine) -> None:
    set_bits(machine, kernel_of(machine).paging.kernel.directory_slot(0x400000) * 4, USER)


def hidden_program_page(machine: Machine) -> None:
    """The program's text is without PTE_U."""
    (directory,) = kernel_of(machine).paging.programs
    set_bits(machine, directory.slot(0x40000000) * 4, USER)


def forgotten_program_page(machine: Machine) -> None:
    (directory,) = kernel_of(machine).paging.programs
    machine.memory.set_u32(PhysAddr(directory.slot(0x40000000) * 4), 0)


def page_of_two(machine: Machine) -> None:
    """Ring 0 and the program believe that a page is theirs."""
    kernel = kernel_of(machine)
    kernel.given.add(PhysAddr(next(iter(kernel.residents.places)) << 12))


def overwritten_header(machine: Machine) -> None:
    """Somebody writes in front of a block of the heap."""
    kernel = kernel_of(machine)
    at = kernel.heap.kmalloc(1000)
    phys = (kernel.paging.kernel.entry(at - 12) & -PAGE_SIZE) + (at - 12 & PAGE_SIZE - 1)
    set_bits(machine, phys, 0x40)


def page_count(machine: Machine) -> None:
    """The count of pages that were taken."""
    set_bits(machine, machine.symbols["memory_manager"] + MANAGER.size_bytes, 1)


FAULTS = [
    (lost_page, "bitmap", "is marked used, but it is nobody's"),
    (stolen_page, "bitmap", "is marked free, but it is in use"),
    (wrong_count, "bitmap", r"memory_manager_t.free_pages is \d+, but \d+ bits are clear"),
    (writable_text, "pagetables", r"0x00010000 has the entry 0x10\w+, not 0x10001"),
    (mapped_guard, "pagetables", r"has the entry 0x\w+3, not 0x0"),
    (kernel_page_for_programs, "pagetables", r"0x00200000 has the entry 0x200\w+7, not 0x200003"),
    (twisted_identity, "pagetables", r"0x00200000 has the entry 0x201\w+, not 0x200003"),
    (another_kernel_half, "pagetables", r"has 0x0 for kernel space 0x00400000, the kernel's has"),
    (foreign_page, "pagetables", r"0x40000000 leads to page 0x\w+, which is not this program's"),
    (writable_program_text, "pagetables", r"0x40000000 has the entry 0x\w+, which are not its rights"),
    (page_of_two, "bitmap", r"page 0x\w+ belongs to the program's page 0x\w+ and to the kernel, by alloc_page"),
    (stray_mapping, "pagetables", r"0x00FE0000 is mapped \(0x200001\), beyond the RAM"),
    (opened_directory, "pagetables", r"the directory's entry for kernel space 0x00400000 is 0x\w+7, with other rights"),
    (hidden_program_page, "pagetables", r"the program's page 0x40000000 has the entry 0x\w+, without PTE_U"),
    (forgotten_program_page, "pagetables", r"page 0x\w+ should be at 0x40000000, whose entry is 0x0"),
    (overwritten_header, "heap", "heap: "),
    (page_count, "usage", r"\d+ pages were taken and not given back, but \d+ are marked used"),
]


@pytest.mark.parametrize(("make", "check", "said"), FAULTS, ids=lambda one: getattr(one, "__name__", None))
def test_every_check_finds_what_was_broken(make, check: str, said: str, started: Machine) -> None:  # type: ignore[no-untyped-def]
    kernel = kernel_of(started)
    assert kernel.check() == []
    make(started)
    found = kernel.check(check)
    assert any(re.search(said, sentence) for sentence in found), found
    assert all(sentence.startswith(f"{check}: ") for sentence in found)


def test_a_page_that_ring_0_has_is_somebody_s() -> None:
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap")
    machine.run(until=r"alloc_page\(\) = ", max_insns=INSTRUCTIONS)
    assert len(kernel_of(machine).given) == 1
    assert kernel_of(machine).check() == []


def test_a_contradiction_makes_the_exit_status_3(tmp_path: Path) -> None:
    machine = bitmap_with(tmp_path, {"idle": "system_call SYS_EXIT, 0\n"}, options=KernelOptions(check=True))
    machine.run(until=r"kmalloc\(1024\)", max_insns=INSTRUCTIONS)
    wrong_count(machine)
    stop = machine.run(max_insns=INSTRUCTIONS)
    assert (stop.reason, stop.exit_code) == (StopReason.EXIT, 3)
    assert "\ncheck: bitmap: memory_manager_t.free_pages is " in machine.serial.text
    assert "check: bitmap, pagetables, heap, usage: 1 contradictions\n" in machine.serial.text


def test_only_the_named_checks_are_made(tmp_path: Path) -> None:
    options = KernelOptions(check=True, checks=("heap", "usage"))
    machine = bitmap_with(tmp_path, {"idle": "system_call SYS_EXIT, 0\n"}, options=options)
    machine.run(until=r"kmalloc\(1024\)", max_insns=INSTRUCTIONS)
    writable_text(machine)
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.POWER_OFF
    assert "check: heap, usage: all is well\n" in machine.serial.text

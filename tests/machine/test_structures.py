"""A running machine's memory as C types: defined, or from the image's debugging information, in any space."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hillemu.emu.errors import UserMistake
from hillemu.emu.stop import StopReason
from hillemu.inspection.structs.dwarf import BadDwarf
from hillemu.inspection.structs.type_library import Structs, UnknownType
from hillemu.machine import Machine

KERNEL = """
typedef struct task { int pid; const char *name; struct task *next; struct regs { unsigned eip, esp; } regs; } task_t;
struct idle;
static task_t second = { 2, "shell", 0, { 0x1000, 0x2000 } };
task_t first = { 1, "init", &second, { 7, 8 } };
task_t *current_task;
struct idle *nobody;
__attribute__((section(".multiboot"), used)) static const unsigned header[] = { 0x1BADB002, 0, -0x1BADB002 };
void _start(void) {
    current_task = &first;
    __asm__ volatile("cli; hlt");
    first.pid = 9;
    __asm__ volatile("hlt");
}
"""


@pytest.fixture(scope="module")
def image(gcc_m32: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Multiboot kernel in C with debugging information."""
    folder: Path = tmp_path_factory.mktemp("kernel")
    (folder / "kernel.c").write_text(KERNEL)
    options = ("-m32", "-g", "-O0", "-w", "-ffreestanding", "-fno-pic", "-nostdlib", "-static", "-Wl,--build-id=none")
    script = "SECTIONS { . = 1M; .text : { *(.multiboot) *(.text*) *(.rodata*) } .data : { *(.data*) *(.bss*) } }"
    (folder / "kernel.ld").write_text(script)
    target = folder / "kernel.elf"
    subprocess.run(
        [gcc_m32, *options, "-T", str(folder / "kernel.ld"), "-o", str(target), str(folder / "kernel.c")], check=True
    )
    return target


@pytest.fixture
def machine(image: Path) -> Machine:
    made = Machine(mem="16M")
    made.load(str(image))
    assert made.run().reason is StopReason.HALT
    return made


def test_a_kernels_own_types_are_known(machine: Machine) -> None:
    current = machine.read("task_t *", machine.symbols["current_task"])
    assert (current.pid, current.name.string(), current.next.regs.esp) == (1, "init", 0x2000)
    task = machine.read("task_t", current)
    assert task.address == machine.symbols["first"]
    assert str(task).splitlines()[3] == f"  next = {machine.symbols['second']:#x} <second>,"
    assert [one.name.string() for one in machine.walk_list("task_t", current, "next")] == ["init", "shell"]
    assert machine.structs.describe("struct regs").endswith("/* 8 bytes */")


def test_addresses_are_virtual_unless_told_otherwise(machine: Machine) -> None:
    at = machine.symbols["first"]
    assert machine.read("task_t", at, phys=True) == machine.read("task_t", at)
    with pytest.raises(UserMistake, match="contradict each other"):
        machine.read("task_t", at, phys=True, space=machine.paging)


def test_another_space_is_read_through_its_own_tables(machine: Machine) -> None:
    at, directory, table = machine.symbols["first"], 0x400000, 0x401000
    machine.memory.write(directory + 4 * 0x300, (table | 3).to_bytes(4, "little"))  # type: ignore[arg-type]
    machine.memory.write(table + 4 * 5, (at & 0xFFFFF000 | 3).to_bytes(4, "little"))  # type: ignore[arg-type]
    space = machine.paging.at(cr3=directory)
    task = machine.read("task_t", 0xC0005000 | at & 0xFFF, space=space)
    assert task.pid == 1
    with pytest.raises(UserMistake, match="CR3 0x00400000"):
        task.next.deref()  # virtual addresses of that space, where it is not mapped


def test_declared_types_are_told_and_can_be_defined_later(machine: Machine) -> None:
    with pytest.raises(UserMistake, match="no type 'struct idle'"):
        machine.read("struct idle", 0)
    machine.structs.define("struct idle { int ticks; };")
    assert machine.read("struct idle", machine.symbols["first"]).ticks == 1


def test_bytes_are_still_bytes(machine: Machine) -> None:
    assert machine.read(machine.symbols["first"], 4) == b"\1\0\0\0"


def test_what_is_known_of_types_outlives_a_restore(machine: Machine) -> None:
    snapshot = machine.snapshot()
    machine.structs.define("struct mine { int pid; };")
    machine.restore(snapshot)
    assert machine.read("struct mine", machine.symbols["first"]).pid == 1


def test_looking_changes_nothing(image: Path) -> None:
    plain, looked_at = Machine(mem="16M"), Machine(mem="16M")
    for made in (plain, looked_at):
        made.load(str(image))
    looked_at.run(max_insns=2)
    _ = (looked_at.gdt.all_problems, looked_at.idt, looked_at.tss, looked_at.multiboot, looked_at.paging.lint())
    str(looked_at.read("task_t", looked_at.symbols["first"]))
    plain.run()
    looked_at.run()
    assert looked_at.memory.sha256() == plain.memory.sha256()
    assert looked_at.cpu.instructions == plain.cpu.instructions


def test_multiboot_information_is_of_multiboot_kernels(machine: Machine) -> None:
    info = machine.multiboot
    assert (info.version, info.boot_loader_name, info.problems) == (1, "hillemu", [])
    assert machine.multiboot_at(info.address, version=1).memory_map == info.memory_map
    with pytest.raises(UserMistake, match="versions 1 and 2"):
        machine.multiboot_at(0, version=3)
    with pytest.raises(UserMistake, match="no image is loaded"):
        _ = Machine(mem="16M").multiboot


def test_types_come_from_another_file(image: Path, tmp_path: Path) -> None:
    machine = Machine(mem="16M")
    machine.load_demo()
    with pytest.raises(UnknownType):
        machine.structs["task_t"]
    machine.structs.load_dwarf(str(image))
    assert machine.structs["task_t"].size_bytes == 20
    (tmp_path / "notes").write_text("no ELF file")
    with pytest.raises(BadDwarf, match="has no debugging information"):
        machine.structs.load_dwarf(str(tmp_path / "notes"))
    with pytest.raises(UserMistake, match="no such file"):
        machine.structs.load_dwarf(str(tmp_path / "missing"))


@pytest.mark.parametrize("seed", range(12))
def test_damaged_debugging_information_is_told(image: Path, seed: int, gcc_m32: str) -> None:
    import random

    from hillemu.boot.elf import read_elf, read_sections
    from hillemu.boot.image import Image

    elf = bytearray(image.read_bytes())
    parsed = Image("kernel.elf", bytes(elf))
    dice = random.Random(seed)
    for section in read_sections(parsed, read_elf(parsed)):
        if section.type == 1 and not section.addr and section.size > 40:  # .debug_*
            for _ in range(section.size // 12):
                elf[section.offset + dice.randrange(section.size)] = dice.randrange(256)
    structs: Any = Structs(lambda: (bytes(elf), "kernel.elf"))
    make: Callable[[], Any]
    for make in (lambda: structs["task_t"].size_bytes, lambda: list(structs), lambda: structs.describe("struct regs")):
        try:
            make()
        except UserMistake as error:
            assert "kernel.elf" in str(error) or "no type" in str(error) or "only declared" in str(error)  # noqa: PT017

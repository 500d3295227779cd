"""Code in ring 0: what it may call, and what happens when it goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hosted_programs import kernel_with, run_to_the_end

from hillemu.boot.assembler import Layout, assemble_text
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.stop import StopReason
from hillemu.kernel.kernel import Kernel
from hillemu.kernel.kernel_calls import FUNCTIONS
from hillemu.kernel.options import KernelOptions
from hillemu.machine import Machine

BYSTANDER = {"bystander": 'tell "I live\\n"\nsystem_call SYS_EXIT, 0'}


def thread(source: str) -> Callable[[Kernel], None]:
    """For `KernelOptions.on_boot`: a kernel thread of this source, which may call the kernel's functions by name."""

    def start(kernel: Kernel) -> None:
        at = kernel.kmalloc(2048)
        defines = {name: kernel.symbols[name] for name in FUNCTIONS}
        image = assemble_text(source, layout=Layout(flat=True, base=at), defines=defines)
        kernel.guest.memory.write(PhysAddr(at - 0xC0000000), image.data)
        kernel.start_thread(at, "thread")

    return start


def run_thread(folder: Path, source: str, **options: bool) -> tuple[Machine, list[str]]:
    machine = kernel_with(folder, BYSTANDER, options=KernelOptions(on_boot=thread(source), check=True, **options))
    said = run_to_the_end(machine)
    assert "I live" in said
    return machine, said


def test_a_thread_calls_the_allocators_and_printk(tmp_path: Path) -> None:
    source = """
        push 100
        call kzalloc
        add esp, 4
        mov ebx, eax
        mov dword ptr [ebx], 0x12345678
        push 5000
        push ebx
        call krealloc
        add esp, 8
        push eax
        push eax
        call ksize
        add esp, 4
        push eax
        mov eax, [esp + 4]
        push [eax]
        push offset text
        call printk
        add esp, 12
        call kfree
        add esp, 4
        call pmm_alloc_page
        push eax
        call pmm_free_page
        add esp, 4
        ret
    text: .asciz "thread: %x, %u bytes\\n"
    """
    machine, said = run_thread(tmp_path, source)
    assert "thread: 12345678, 5000 bytes" in said
    assert any(line.startswith("pmm_free_page: freed page at 0x") for line in said)
    assert machine.kernel.reports == []


def test_a_thread_s_return_value_is_its_exit_code(tmp_path: Path) -> None:
    assert "kernel: thread[1] exited with code 42" in run_thread(tmp_path, "mov eax, 42\nret")[1]


def test_threads_give_way_to_each_other(tmp_path: Path) -> None:
    source = """
        mov esi, 2
    1:  push offset text
        call printk
        add esp, 4
        call thread_yield
        dec esi
        jnz 1b
        ret
    text: .asciz "turn\\n"
    """
    _, said = run_thread(tmp_path, source)
    assert [line for line in said if line in ("turn", "I live")] == ["turn", "I live", "turn"]


def test_the_overflow_of_a_kernel_stack_is_told_and_costs_only_the_thread(tmp_path: Path) -> None:
    machine, said = run_thread(tmp_path, "again: push eax\ncall again\n")
    told = machine.kernel.reports
    assert len(told) == 1
    assert told[0].startswith("kernel stack overflow of thread[1]: address 0xF040")
    assert "kernel: thread[1] was killed by signal 11 (SIGSEGV)" in said


def test_two_stack_overflows_are_told_twice(tmp_path: Path) -> None:
    start = thread("again: push eax\ncall again\n")

    def twice(kernel: Kernel) -> None:
        start(kernel)
        start(kernel)

    machine = kernel_with(tmp_path, BYSTANDER, options=KernelOptions(on_boot=twice, check=True))
    assert "I live" in run_to_the_end(machine)
    assert [line.split(":")[0] for line in machine.kernel.reports] == [
        "kernel stack overflow of thread[1]",
        "kernel stack overflow of thread[2]",
    ]


@pytest.mark.parametrize("address", ["0x00000000", "0xDEADBEEC", "0x08000000"])
def test_a_wild_pointer_in_the_kernel_is_told_with_registers_and_costs_only_the_thread(
    tmp_path: Path, address: str
) -> None:
    machine, said = run_thread(tmp_path, f"mov ebx, {address}\nmov dword ptr [ebx], 1\nret")
    told = machine.kernel.reports
    assert told[0].startswith(f"fault: #PF page fault at {address} in thread[1], error code 0x2, EIP 0xc")
    assert f"ebx={address[2:]}" in told[1]
    assert "kernel: thread[1] was killed by signal 11 (SIGSEGV)" in said


def test_freeing_twice_is_refused_and_told_with_both_callers(tmp_path: Path) -> None:
    source = """
        push 64
        call kmalloc
        mov [esp], eax
        call kfree
        call kfree
        add esp, 4
        ret
    """
    machine, _ = run_thread(tmp_path, source)
    (told,) = machine.kernel.reports
    assert told.startswith("kfree: WARNING - double free")


def test_vm_alloc_map_maps_into_a_program_and_refuses_what_is_no_page_directory(tmp_path: Path) -> None:
    source = """
        push 2
        push 8192
        push 0x20000000
        push {directory}
        call vm_alloc_map
        add esp, 16
        neg eax
        ret
    """
    _, said = run_thread(tmp_path, source.format(directory="0xC0000000"))
    assert "kernel: thread[1] exited with code 1" in said
    assert any(line.startswith("vm_alloc_map: 0xC0000000 is no page directory; called by 0xc") for line in said)


def test_a_call_that_does_not_exist_is_told(tmp_path: Path) -> None:
    machine, _ = run_thread(tmp_path, "mov eax, 4711\nint 0x81\nret")
    assert machine.kernel.reports[0].startswith("kernel call 4711 does not exist; called by 0x")


@pytest.mark.parametrize("vector", ["0x80", "0x60"])
def test_an_interrupt_that_nobody_expects_is_told_and_changes_nothing(tmp_path: Path, vector: str) -> None:
    machine, said = run_thread(tmp_path, f"mov eax, 1\nint {vector}\nret")
    (told,) = machine.kernel.reports
    assert told.startswith(f"kernel: nobody expects vector {vector} at 0xc")
    assert "kernel: thread[1] exited with code 1" in said


def test_printk_shows_a_pointer_that_leads_nowhere(tmp_path: Path) -> None:
    source = 'push 0x1000\npush offset text\ncall printk\nadd esp, 8\nret\ntext: .asciz "<%s>\\n"'
    _, said = run_thread(tmp_path, source)
    assert "<(bad pointer 0x00001000)>" in said


def test_a_fault_before_there_are_processes_is_the_kernel_s_end() -> None:
    machine = Machine(mem="16M")

    def break_a_page(kernel: Kernel) -> None:
        kernel.has_started = False
        at = kernel.symbols["kmalloc_tests"]
        machine.memory.write(PhysAddr(at - 0xC0000000), b"\x0f\x0b")  # UD2

    machine.load_kernel(options=KernelOptions(on_boot=break_a_page))
    stop = machine.run(max_insns=20_000_000)
    assert stop.reason is StopReason.EXIT
    assert stop.exit_code == 3
    assert "fault: #UD invalid opcode, error code 0x0, EIP 0xc0" in machine.serial.text
    assert "<kmalloc_tests>" in machine.serial.text
    assert machine.serial.text.endswith("kernel panic: a fault in ring 0\n")

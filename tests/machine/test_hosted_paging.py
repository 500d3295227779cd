"""What CR3 maps in the guest is what the kernel claims: by the manual's walk, and by the processor itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from hosted_programs import kernel_with

from hillemu.boot.assembler import Layout, assemble_text
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.emu.i386.control import Access, ControlState
from hillemu.emu.i386.outcomes import Mapped, PageFault
from hillemu.emu.i386.paging import translate
from hillemu.emu.stop import StopReason
from hillemu.kernel.kernel import Kernel
from hillemu.kernel.options import KernelOptions
from hillemu.machine import Machine

USER_READ = Access(user=True)
PROGRAM = """
    system_call SYS_BRK, 0x08003000
    mov dword ptr [0x08001234], 0x11
    system_call SYS_MMAP2, 0x20000000, 0x5000, PROT_READ, 0x22, -1, 0
    mov eax, [0x20002000]
    system_call SYS_FORK
    tell "here\\n"
    system_call SYS_EXIT, 0
"""


@pytest.fixture(scope="module", params=["", "paging=pae"])
def stopped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine that stands still while its program runs in ring 3, its pages shared with a child."""
    folder = tmp_path_factory.mktemp("paging")
    machine = kernel_with(folder, {"prog": PROGRAM}, mem="300M", append=request.param)
    assert machine.run(until="here\n").reason is StopReason.UNTIL
    return machine


def control_of(machine: Machine) -> ControlState:
    return ControlState(machine.cpu.cr0, machine.cpu.cr3, machine.cpu.cr4, machine.cpu.efer)


def test_every_page_that_the_program_has_is_where_the_kernel_says_and_no_other(stopped: Machine) -> None:
    kernel, control = stopped.kernel, control_of(stopped)
    process = kernel.scheduler.current
    assert process is not None
    assert process.space is not None
    assert process.space.cr3 == control.cr3
    claimed = dict(process.space.tables.walk())
    assert {at >> 28 for at in claimed} == {0, 0xB} | {0x2}
    for at, entry in claimed.items():
        walked = translate(stopped.memory, VirtAddr(at), control, USER_READ)
        assert isinstance(walked, Mapped)
        assert walked.phys == entry & process.space.tables.frame_mask
    # Around every claimed page nothing else is mapped, and nothing of the kernel is open to programs.
    for at in {page + step for page in claimed for step in (-PAGE_SIZE, PAGE_SIZE)} - set(claimed):
        assert isinstance(translate(stopped.memory, VirtAddr(at), control, USER_READ), PageFault)


def test_the_direct_map_is_physical_memory_and_closed_to_programs(stopped: Machine) -> None:
    control = control_of(stopped)
    guard = stopped.symbols["boot_stack_guard"]
    for phys in range(0, 256 << 20, 1 << 20):
        at = VirtAddr(0xC0000000 + phys)
        if at == guard:
            continue
        walked = translate(stopped.memory, at, control)
        assert isinstance(walked, Mapped), f"{at:#x}"
        assert walked.phys == phys
        assert isinstance(translate(stopped.memory, at, control, USER_READ), PageFault)


@pytest.mark.parametrize("at", [0x0, 0x1000, 0x00100000, 0xD0000000, 0xD0000FFF, 0xF0400000])
def test_nothing_is_mapped_where_the_layout_has_nothing(stopped: Machine, at: int) -> None:
    assert isinstance(translate(stopped.memory, VirtAddr(at), control_of(stopped)), PageFault)


def test_the_guard_pages_of_the_boot_stack_and_of_the_kernel_stacks_are_not_mapped(stopped: Machine) -> None:
    control = control_of(stopped)
    process = stopped.kernel.scheduler.current
    assert process is not None
    for guard in (stopped.symbols["boot_stack_guard"], process.stack):
        assert isinstance(translate(stopped.memory, VirtAddr(guard), control), PageFault)
        assert isinstance(translate(stopped.memory, VirtAddr(guard + PAGE_SIZE), control), Mapped)


@pytest.mark.parametrize("append", ["", "paging=pae"])
def test_the_processor_reads_what_the_tables_of_the_kernel_claim(tmp_path: Path, append: str) -> None:
    """A kernel thread reads a word of each place; the oracle is the memory at the physical address."""
    places = [0xC0000000 + phys for phys in (0x1234, 0x100000, 0x3FFFFC, 0x400000, 0x7FFFF0, 0xFFFFF8, 0xFFFFFC)]
    results = 0
    machine = kernel_with(
        tmp_path, {}, append=append, options=KernelOptions(on_boot=lambda kernel: start(kernel), check=True)
    )

    def start(kernel: Kernel) -> None:
        nonlocal results
        for number, at in enumerate(places):
            if at > 0xC0200000:
                kernel.memory.direct.write(VirtAddr(at), (0xA0000000 + number).to_bytes(4, "little"))
        results = kernel.kmalloc(4 * len(places))
        code = kernel.kmalloc(512)
        reads = "".join(f"mov eax, [{at:#x}]\nmov [{results + 4 * n:#x}], eax\n" for n, at in enumerate(places))
        image = assemble_text(reads + "ret", layout=Layout(flat=True, base=code))
        kernel.guest.memory.write(PhysAddr(code - 0xC0000000), image.data)
        kernel.start_thread(code, "reader")

    assert machine.run(max_insns=20_000_000).reason in (StopReason.POWER_OFF, StopReason.EXIT)
    for number, at in enumerate(places):
        seen = machine.memory.read(PhysAddr(results - 0xC0000000 + 4 * number), 4)
        assert seen == machine.memory.read(PhysAddr(at - 0xC0000000), 4), f"{at:#x}"

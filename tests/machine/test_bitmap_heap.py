"""Profile bitmap's dynamic memory on the machine: what the processor sees of it, and what snapshots keep."""

from __future__ import annotations

from random import Random

import pytest
from bitmap_machine import INSTRUCTIONS

from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.outcomes import Mapped
from hillemu.emu.stop import StopReason
from hillemu.kernel.profiles.bitmap.kernel import BitmapKernel
from hillemu.machine import Machine


@pytest.fixture
def started() -> Machine:
    """A machine in ring 0, whose memory is managed already."""
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap")
    machine.breakpoints.add("memory_examples")
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.BREAKPOINT
    return machine


def kernel_of(machine: Machine) -> BitmapKernel:
    kernel = machine.kernel
    assert isinstance(kernel, BitmapKernel)
    return kernel


def read_through_page_tables(machine: Machine, at: int, count: int) -> bytes:
    found = b""
    for byte in range(at, at + count):
        walked = machine.paging.walk(byte)
        assert isinstance(walked, Mapped)
        found += machine.memory.read(walked.phys, 1)
    return found


def test_the_list_of_blocks_is_what_the_processor_would_read(started: Machine) -> None:
    """Followed by virtual addresses and the guest's own page tables, from the kernel's variable `heap`."""
    heap = kernel_of(started).heap.blocks
    for size in (5000, 200, 3000):
        heap.kmalloc(size)
    at = started.memory.u32(PhysAddr(started.symbols["heap"]))
    found = []
    while at:
        header = read_through_page_tables(started, at, 12)
        found.append((at, int.from_bytes(header[:4], "little"), header[4]))
        at = int.from_bytes(header[8:], "little")
    assert found == [(block.at, block.size, block.is_free) for block in heap.blocks()]
    assert len(found) >= 4


def test_the_page_behind_a_guarded_allocation_faults_and_the_kernel_says_whose_it_is(started: Machine) -> None:
    at = kernel_of(started).heap.kmalloc_guarded(100)
    code = b"\xa1" + (at + 96).to_bytes(4, "little") + b"\xa1" + (at + 100).to_bytes(4, "little")  # mov eax, [...]
    started.memory.write(PhysAddr(started.symbols["memory_examples"]), code)
    stop = started.run(max_insns=INSTRUCTIONS)
    assert (stop.reason, stop.exit_code) == (StopReason.EXIT, 3)
    sentence = f"#PF page fault at 0x{at + 100:08X}, in the guard page behind the 100 bytes at 0x{at:08X}, "
    assert sentence in started.serial.text


def test_memory_that_was_freed_between_guard_pages_faults(started: Machine) -> None:
    heap = kernel_of(started).heap
    at = heap.kmalloc_guarded(100)
    assert isinstance(started.paging.walk(at), Mapped)
    heap.kfree(at)
    assert not isinstance(started.paging.walk(at), Mapped)
    started.memory.write(PhysAddr(started.symbols["memory_examples"]), b"\xa1" + at.to_bytes(4, "little"))
    started.run(max_insns=INSTRUCTIONS)
    assert f"at 0x{at:08X}, in the 100 bytes at 0x{at:08X}, which were freed, " in started.serial.text


def test_a_snapshot_keeps_every_part_of_the_heap_and_what_is_known_of_it(started: Machine) -> None:
    """Whatever happens in between: the same calls after it give the same addresses."""
    kernel = kernel_of(started)

    def work(seed: int) -> list[int]:
        dice, got, live = Random(seed), [], []
        for _ in range(300):
            if live and dice.random() < 0.45:
                kernel.heap.kfree(live.pop(dice.randrange(len(live))))
            elif dice.random() < 0.1:
                got.append(kernel.heap.handles.halloc(dice.randint(1, 3000)))
            else:
                live.append(kernel.heap.kmalloc(dice.choice((20, 100, 500, 6000))))
                got.append(live[-1])
        kernel.heap.handles.compact()
        return got

    work(1)
    point = started.snapshot()
    first = work(2)
    started.restore(point)
    assert kernel.check() == []
    assert work(2) == first
    assert kernel.check() == []

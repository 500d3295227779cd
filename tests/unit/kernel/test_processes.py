"""Processes on a guest without a processor: the tests play the programs."""

from __future__ import annotations

import pytest
from fake_kernel import FakeKernel, program

from hillemu.kernel.process import TASK
from hillemu.kernel.process_base import State

EXIT, FORK, WRITE, WAITPID, EXECVE, GETPID, BRK, GETPPID = 1, 2, 4, 7, 11, 20, 45, 64
MUNMAP, MPROTECT, YIELD, SLEEP, MMAP2 = 91, 125, 158, 162, 192
ANY = 0xFFFFFFFF
HEAP = 0x08000000


@pytest.fixture(scope="module")
def idle_program() -> bytes:
    return program()


@pytest.fixture
def one(idle_program: bytes) -> FakeKernel:
    """A kernel with one program, which runs."""
    return FakeKernel({"prog": idle_program})


@pytest.fixture
def two(idle_program: bytes) -> FakeKernel:
    return FakeKernel({"first": idle_program, "second": idle_program})


def heap(fake: FakeKernel, data: bytes) -> int:
    """Put `data` into the heap of whoever runs; where."""
    assert fake.call(BRK, HEAP + 0x1000) == HEAP + 0x1000
    assert fake.current.space is not None
    assert fake.current.space.copy_out(HEAP, data)
    return HEAP


def sound(fake: FakeKernel) -> None:
    assert fake.kernel.check() == []


def test_programs_have_numbers_in_the_order_of_the_modules(two: FakeKernel) -> None:
    assert [str(process) for process in two.kernel.processes.by_pid.values()] == ["first[1]", "second[2]"]
    assert two.call(GETPID) == 1
    assert two.call(GETPPID) == 0


def test_the_task_s_record_lies_in_guest_memory(one: FakeKernel) -> None:
    process = one.current
    record = TASK.read(one.guest.memory, one.kernel.memory.direct.phys(process.at))
    assert process.space is not None
    assert record["pid"] == 1
    assert record["state"] == State.READY
    assert record["page_directory"] == process.space.cr3 == one.cr3
    assert record["memory"] == process.space.at
    assert record["name"] == b"prog".ljust(16, b"\0")


def test_records_are_linked_in_order_also_when_one_in_the_middle_has_gone(two: FakeKernel) -> None:
    assert two.call(FORK) == 3
    assert chain(two) == [1, 2, 3]
    two.call(YIELD)
    assert two.current.pid == 2
    two.call(EXIT, 0)
    assert chain(two) == [1, 3]
    sound(two)


def chain(fake: FakeKernel) -> list[int]:
    direct, found = fake.kernel.memory.direct, []
    at = next(iter(fake.kernel.processes.by_pid.values())).at
    while at:
        record = TASK.read(fake.guest.memory, direct.phys(at))
        found.append(record["pid"])
        at = record["next"]  # type: ignore[assignment]
    return found  # type: ignore[return-value]


def test_fork_gives_zero_to_the_child_and_the_child_s_number_to_the_parent(one: FakeKernel) -> None:
    assert one.call(FORK) == 2
    sound(one)
    one.call(YIELD)
    assert (one.current.pid, one.result(), one.call(GETPPID)) == (2, 0, 1)


def test_a_waiting_parent_gets_the_status_when_the_child_ends(one: FakeKernel) -> None:
    at = heap(one, b"....")
    assert one.call(FORK) == 2
    assert one.call(WAITPID, ANY, at, 0) is None
    assert one.current.pid == 2
    one.call(EXIT, 7)
    assert (one.current.pid, one.result()) == (1, 2)
    assert one.current.space is not None
    assert one.current.space.copy_in(at, 4) == (7 << 8).to_bytes(4, "little")
    sound(one)


def test_a_zombie_waits_for_its_parent_to_ask(one: FakeKernel) -> None:
    assert one.call(FORK) == 2
    assert one.call(WAITPID, ANY, 0, 1) == 0
    one.call(YIELD)
    one.call(EXIT, 300)
    assert one.kernel.processes.by_pid[2].state is State.ZOMBIE
    sound(one)
    assert one.call(WAITPID, 2, 0, 0) == 2
    assert one.call(WAITPID, 2, 0, 0) == -10
    sound(one)


def test_a_status_that_cannot_be_written_is_efault_and_the_child_can_still_be_asked_for(one: FakeKernel) -> None:
    assert one.call(FORK) == 2
    one.call(YIELD)
    one.call(EXIT, 1)
    assert one.call(WAITPID, ANY, 0xC0000000, 0) == -14
    assert one.call(WAITPID, ANY, 0, 0) == 2


def test_waiting_for_one_child_is_not_ended_by_another(one: FakeKernel) -> None:
    assert one.call(FORK) == 2
    assert one.call(FORK) == 3
    assert one.call(WAITPID, 3, 0, 0) is None
    assert one.current.pid == 2
    one.call(EXIT, 0)
    assert one.current.pid == 3
    one.call(EXIT, 0)
    assert (one.current.pid, one.result()) == (1, 3)


def test_a_fault_that_cannot_be_resolved_ends_the_program_and_tells_its_parent(one: FakeKernel) -> None:
    at = heap(one, b"....")
    assert one.call(FORK) == 2
    assert one.call(WAITPID, ANY, at, 0) is None
    one.fault(0x70000000, 6)
    assert one.result() == 2
    assert one.current.space is not None
    assert one.current.space.copy_in(at, 4) == (11).to_bytes(4, "little")
    (told,) = one.kernel.reports
    assert told.startswith("prog[2]: write to 0x70000000: ")
    assert told.endswith("; EIP 0x00400061")
    sound(one)


def test_a_fault_in_the_heap_is_resolved_and_the_program_goes_on(one: FakeKernel) -> None:
    heap(one, b"")
    process, before = one.current, one.kernel.memory.pmm.free_frames
    one.fault(HEAP + 0x123, 6)
    assert one.current is process
    assert one.kernel.memory.pmm.free_frames < before
    assert one.kernel.reports == []
    sound(one)


def test_sleepers_wake_by_the_clock(two: FakeKernel) -> None:
    at = heap(two, (0).to_bytes(4, "little") + (25_000_000).to_bytes(4, "little"))
    assert two.call(SLEEP, at) is None
    assert two.current.pid == 2
    two.tick()
    two.tick()
    assert two.current.pid == 2
    two.tick()
    assert two.current.pid == 1
    assert two.result() == 0


def test_the_timer_gives_everybody_a_turn(two: FakeKernel) -> None:
    turns = []
    for _ in range(4):
        turns.append(two.current.pid)
        two.tick()
    assert turns == [1, 2, 1, 2]


def test_when_all_sleep_the_idle_loop_runs_with_the_kernel_s_own_tables(one: FakeKernel) -> None:
    at = heap(one, (0).to_bytes(4, "little") + (15_000_000).to_bytes(4, "little"))
    assert one.call(SLEEP, at) is None
    assert one.kernel.scheduler.current is None
    assert one.cr3 == one.kernel.space.cr3
    one.tick()
    assert one.kernel.scheduler.current is None
    one.tick()
    assert one.current.pid == 1


def test_exec_of_nothing_leaves_the_program_alone(one: FakeKernel) -> None:
    at = heap(one, b"nothing\0")
    assert one.call(EXECVE, at, 0, 0) == -2
    assert one.call(EXECVE, 0, 0, 0) == -14
    sound(one)


def test_exec_starts_afresh_with_its_arguments_on_the_stack(two: FakeKernel) -> None:
    name = HEAP + 16
    heap(two, name.to_bytes(4, "little") + bytes(12) + b"second\0")
    old = two.current.space
    assert two.call(EXECVE, name, HEAP, 0) == 0
    process = two.current
    assert str(process) == "second[1]"
    assert process.space is not None
    assert process.space is not old
    assert two.cr3 == process.space.cr3
    esp = two.kernel.words[two.frame + 17]
    argc = process.space.copy_in(esp, 8)
    assert isinstance(argc, bytes)
    assert argc[:4] == b"\1\0\0\0"
    assert process.space.copy_in_string(int.from_bytes(argc[4:], "little"), 99) == b"second"
    assert esp % 16 == 0
    sound(two)


def test_arguments_beyond_the_limit_are_e2big(one: FakeKernel) -> None:
    loop = HEAP + 64
    heap(one, b"prog\0")
    assert one.current.space is not None
    assert one.call(BRK, HEAP + 0x3000) == HEAP + 0x3000
    assert one.current.space.copy_out(HEAP + 0x1000, loop.to_bytes(4, "little") * 1024)
    assert one.call(EXECVE, HEAP, HEAP + 0x1000, 0) == -7
    sound(one)


def test_the_last_program_s_end_is_the_machine_s(one: FakeKernel) -> None:
    one.call(EXIT, 3)
    assert "kernel: prog[1] exited with code 3\n" in one.said
    assert one.guest.port_writes[-1] == (0x604, 1 << 13, 2)
    assert one.kernel.processes.by_pid == {}
    sound(one)


def test_kernel_stacks_and_records_run_out_without_a_trace(idle_program: bytes) -> None:
    fake = FakeKernel({"prog": idle_program}, size_bytes=4 << 20)
    forked = 0
    while (result := fake.call(FORK)) is not None and result > 0:
        forked += 1
    assert result == -12
    assert forked > 10
    sound(fake)


def test_threads_of_the_kernel_have_no_address_space(one: FakeKernel) -> None:
    thread = one.kernel.start_thread(0xC0123456, "thread")
    assert not isinstance(thread, int)
    assert thread.space is None
    one.call(YIELD)
    assert one.current is thread
    assert one.cr3 == one.kernel.space.cr3
    assert one.kernel.words[one.frame + 14] == 0xC0123456
    sound(one)


def test_vm_alloc_map_gives_a_program_pages_at_once_and_vm_free_unmap_takes_them(one: FakeKernel) -> None:
    """Row H4, as a kernel function: by the page directory's address."""
    process, pmm = one.current, one.kernel.memory.pmm
    assert process.space is not None
    directory = 0xC0000000 + process.space.cr3
    free = pmm.free_frames
    assert one.kernel_call("vm_alloc_map", directory, 0x20000800, 0x2000, 2) == 0
    assert [at for at, _ in process.space.tables.walk(0x20000000, 0x30000000)] == [0x20000000, 0x20001000, 0x20002000]
    assert process.space.copy_in(0x20000000, 0x3000) == bytes(0x3000)
    sound(one)
    assert one.kernel_call("vm_alloc_map", directory, 0x20001000, 0x1000, 2) == 0xFFFFFFFF
    assert one.kernel_call("vm_alloc_map", directory, 0x30000000, 64 << 20, 2) == 0xFFFFFFFF
    assert "vm_alloc_map: failed to map 16384 pages at 0x30000000\n" in one.said
    sound(one)
    assert one.kernel_call("vm_free_unmap", directory, 0x20000000, 0x3000) == 0
    assert list(process.space.tables.walk(0x20000000, 0x40000000)) == []
    assert pmm.free_frames >= free - 1
    sound(one)


@pytest.mark.parametrize("at", [0, 0xBFFFFFFC, 0xD0000000, 0xF0401004, 0xF7FFFFFC, 0xFFFFFFFC])
def test_a_trap_frame_that_is_nowhere_is_a_panic_that_says_so(at: int) -> None:
    """What a stray write to the variable `trap_frame` leaves."""
    fake = FakeKernel({"prog": program()})
    fake.kernel.processes.end(fake.current, 0)
    fake.kernel.stacks.free_spares()
    fake.kernel.words[fake.kernel.word_of("trap_frame")] = at
    fake.kernel.trap(fake.guest, 0)
    assert fake.kernel.reports[-1] == (
        f"kernel panic: a trap's frame at 0x{at:08X} is neither in the direct map nor on a kernel stack"
    )

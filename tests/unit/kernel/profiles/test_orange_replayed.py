"""Traces replayed through profile orange's vm_alloc."""

from __future__ import annotations

import pytest
from orange_memory import FIRMWARE_BYTES, MIB, loaded_memory

from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PhysAddr
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.profiles.orange.memory_manager import MmCount
from hillemu.kernel.profiles.orange.replayed import ReplayedVmAlloc, leave_what_the_loader_leaves
from hillemu.kernel.trace import parse, replay
from hillemu.kernel.trace_generator import KINDS, generate


def ranges(mib: int) -> list[tuple[int, int]]:
    return [(0, 0x9FC00), (MIB, (mib - 1) * MIB - FIRMWARE_BYTES)]


def allocator(mib: int) -> ReplayedVmAlloc:
    return ReplayedVmAlloc(FakeMemory(mib * MIB), ranges(mib))


def test_memory_is_as_the_loader_leaves_it() -> None:
    ours, loader_s = FakeMemory(32 * MIB), loaded_memory(32)
    leave_what_the_loader_leaves(ours, [*ranges(32), (0, 0)][:2])
    for at, count in ((0x8000, 0x100), (0x100000, 0x401000)):
        assert ours.read(PhysAddr(at), count) == loader_s.read(PhysAddr(at), count)


def test_memory_that_is_too_small_is_told() -> None:
    with pytest.raises(InvalidParameters, match="need 4100 KB"):
        allocator(4)


def test_sizes_are_whole_pages_and_addresses_are_used_again() -> None:
    made = allocator(8)
    first, second = made.kmalloc(7 << 10), made.kmalloc(1)
    assert [first, second, made.kmalloc(0)] == [0x40000000, 0x40002000, 0]
    assert [made.ksize(at) for at in (first, second)] == [0x2000, 0x1000]
    assert made.kfree(first)
    assert not made.kfree(first)
    assert made.kmalloc(0x2000) == first
    assert made.held_bytes() == 0x3000
    assert made.check() == []


def test_realloc_keeps_what_was_there() -> None:
    made = allocator(8)
    at = made.kmalloc(0x1800)
    place = made.mm.physical(at)
    assert place is not None
    made.mm.memory.write(PhysAddr(place + 0x1000), b"kept")
    assert made.krealloc(at, 0x2000) == at, "it is as large already"
    moved = made.krealloc(at, 0x5000)
    place = made.mm.physical(moved + 0x1000)
    assert place is not None
    assert made.mm.memory.read(place, 4) == b"kept"
    assert made.krealloc(moved, 64 * MIB) == 0
    assert made.ksize(moved) == 0x5000, "it is still there"
    assert made.krealloc(moved, 0) == 0
    assert made.held_bytes() == 0
    assert made.check() == []


def test_fragmentation_is_what_no_run_of_frames_can_have() -> None:
    made = allocator(8)
    assert made.fragmentation() == 0
    free = made.mm.free_frames
    quarter = free // 4 << 12
    places = [made.kmalloc(quarter) for _ in range(4)]
    assert all(places)
    made.kfree(places[0])
    made.kfree(places[2])
    assert made.fragmentation() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_generated_traces_leave_no_contradiction(kind: str) -> None:
    operations = parse(list(generate(kind))[:1500], kind)
    made = allocator(64)
    outcome = replay(operations, made, lambda: 0.0)
    assert outcome.operations == len(operations)
    assert made.mm.count(MmCount.INVALID_FREE) == made.mm.count(MmCount.OVERLAPPING) == 0
    assert made.check() == []

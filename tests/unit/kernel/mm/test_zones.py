"""Rows D3, H2 and H9: all of a machine's memory is managed or reported, from 4M to 64G."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hillemu.boot.memory_map import memory_map
from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.memory import PhysicalMemory
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.layout import (
    DIRECT_MAP_END_FRAME,
    REACH_FRAMES_32BIT,
    REACH_FRAMES_PAE,
    phys_to_virt,
    virt_to_phys,
)
from hillemu.kernel.mm.boot_memory import REGION, RESERVED, BootMemory
from hillemu.kernel.mm.buddy import Buddy
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.memory_map import MemoryRegion
from hillemu.kernel.mm.zones import build_pmm

MIB, GIB = 1 << 20, 1 << 30


def boot_of(size_bytes: int) -> BootMemory:
    memory = PhysicalMemory(size_bytes)
    return BootMemory(memory, [MemoryRegion(one.base, one.size_bytes, one.kind) for one in memory_map(memory)])


@pytest.mark.parametrize(
    ("size_bytes", "reach"),
    [
        (4 * MIB, REACH_FRAMES_32BIT),
        (512 * MIB, REACH_FRAMES_32BIT),
        (3 * GIB, REACH_FRAMES_32BIT),
        (4 * GIB, REACH_FRAMES_32BIT),
        (8 * GIB, REACH_FRAMES_PAE),
        (64 * GIB, REACH_FRAMES_PAE),
    ],
)
def test_every_usable_frame_in_reach_is_free_or_reserved(size_bytes: int, reach: int) -> None:
    boot = boot_of(size_bytes)
    pmm = build_pmm(boot, reach_frames=reach)
    usable = sum(max(0, min(run.end, reach) - run.first) for run in boot.usable)
    reserved = sum(
        1 for one in boot.reserved for frame in range(one.base >> 12, one.end >> 12) if any(
            run.first <= frame < run.end for run in boot.usable
        )
    )  # fmt: skip
    assert pmm.free_frames == pmm.managed_frames == usable - reserved
    if size_bytes <= GIB:
        assert not pmm.check()


def test_memory_beyond_reach_is_reported_and_not_managed() -> None:
    """Row H9: without PAE, what lies above 4 GiB is out of reach."""
    lines: list[str] = []
    boot = boot_of(8 * GIB)
    pmm = build_pmm(boot, reach_frames=REACH_FRAMES_32BIT, log=lines.append)
    assert lines[0] == "mm_init: 5120 MB above 0x100000000 are out of reach without PAE"
    assert pmm.zones[-1].end == max(run.end for run in boot.usable if run.end <= REACH_FRAMES_32BIT)


def test_the_kernel_gets_the_direct_map_and_programs_get_the_rest_first() -> None:
    """Row H9."""
    pmm = build_pmm(boot_of(512 * MIB))
    low, high = pmm.alloc(), pmm.alloc(high=True)
    assert isinstance(low, int)
    assert isinstance(high, int)
    assert low < DIRECT_MAP_END_FRAME <= high
    while not isinstance(got := pmm.alloc(10, high=True), OutOfMemory):
        last = got
    assert last < DIRECT_MAP_END_FRAME, "programs fall back to the direct map"
    while not isinstance(pmm.alloc(), OutOfMemory):
        pass
    left = pmm.alloc(high=True)
    assert isinstance(left, int), "a page of HighMem is not for the kernel"
    assert left >= DIRECT_MAP_END_FRAME


def test_a_machine_without_high_memory_has_one_zone() -> None:
    assert [zone.name for zone in build_pmm(boot_of(64 * MIB)).zones] == ["Normal"]


def test_the_metadata_of_all_memory_lies_in_the_direct_map() -> None:
    """Row H2: sized from the map, no limit of 150,000 entries; the seed's 4G would not have fitted."""
    boot = boot_of(64 * GIB)
    pmm = build_pmm(boot, reach_frames=REACH_FRAMES_PAE)
    structures = [one for one in boot.reserved if one.name.startswith(("buddy", "frame"))]
    assert len(structures) == 3
    assert all(one.end <= 256 * MIB for one in structures)
    high = pmm.zones[1].allocator
    assert isinstance(high, Buddy)
    assert high.total_frames > 16_000_000


def test_the_decisions_are_left_in_guest_memory() -> None:
    boot = boot_of(16 * MIB)
    boot.reserve(PhysAddr(MIB), 0x12345, "kernel")
    build_pmm(boot)
    at = next(one.base for one in boot.reserved if one.name == "boot memory")
    found, virtual = [], phys_to_virt(at)
    while virtual:
        region = REGION.read(boot.memory, virt_to_phys(virtual))
        found.append(MemoryRegion(region["base"], region["length"], region["type"]))  # type: ignore[arg-type]
        virtual = region["next"]  # type: ignore[assignment]
    assert tuple(found) == boot.regions
    behind = PhysAddr(at + len(found) * REGION.size_bytes)
    ranges = [RESERVED.read(boot.memory, PhysAddr(behind + 32 * number)) for number in range(len(boot.reserved))]
    assert (
        [one["name"].rstrip(b"\0") for one in ranges]
        == [  # type: ignore[union-attr]
            one.name.encode()[:15] for one in boot.reserved
        ]
    )
    assert ranges[1] == {"base": MIB, "length": 0x13000, "name": b"kernel".ljust(16, b"\0")}


def test_taking_gives_zeroed_pages_that_nobody_has() -> None:
    memory = FakeMemory(4 * MIB)
    memory.fill(PhysAddr(0), 4 * MIB, 0xEE)
    boot = BootMemory(memory, [MemoryRegion(0, 4 * MIB, 1)])
    boot.reserve(PhysAddr(0x101800), 0x1000, "kernel")
    assert boot.take(1, "small") == 0x100000
    at = boot.take(0x2001, "large", align=0x4000)
    assert at == 0x104000
    assert memory.read(at, 0x3000) == bytes(0x3000)
    assert boot.owner(0x101) == "kernel"
    assert boot.owner(0x103) is None


def test_too_little_memory_and_too_late_are_refused() -> None:
    boot = BootMemory(FakeMemory(4 * MIB), [MemoryRegion(0, 4 * MIB, 1)])
    with pytest.raises(InvalidParameters, match="no room for atlas: 8388608 bytes below 0x10000000"):
        boot.take(8 * MIB, "atlas")
    boot.seal(boot.take_record())
    with pytest.raises(InvalidParameters, match="latecomer comes too late"):
        boot.take(1, "latecomer")


def test_addresses_outside_the_direct_map_are_refused() -> None:
    with pytest.raises(ValueError, match="beyond the direct map"):
        phys_to_virt(PhysAddr(0x10000000))
    with pytest.raises(ValueError, match="not in the direct map"):
        virt_to_phys(phys_to_virt(PhysAddr(0)) - 1)  # type: ignore[arg-type]


def test_a_kernel_with_the_least_memory_works(make_kernel: Callable[..., Any]) -> None:
    kernel = make_kernel(4 * MIB)
    at = kernel.kmalloc.kmalloc(100_000)
    assert at
    assert kernel.kmalloc.kfree(at)
    assert not kernel.check()

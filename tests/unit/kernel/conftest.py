"""Guest memories and kernels without a processor."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from hillemu.boot.memory_map import memory_map
from hillemu.boot.multiboot1_info import Facts, build_block
from hillemu.emu.guest import FakeMemory, GuestMemory
from hillemu.emu.i386.address import PhysAddr, RamRange
from hillemu.kernel.mm.assembly import KernelMemory
from hillemu.kernel.mm.boot_memory import Reserved
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.mm.memory_map import MemoryRegion

INFO_BASE = 0x9000
KERNEL = Reserved(PhysAddr(0x100000), PhysAddr(0x120000), "kernel")


class ClosedMemory:
    """A `GuestMemory` that shows nobody its buffer: everything goes through its methods."""

    def __init__(self, size_bytes: int) -> None:
        self._inner = FakeMemory(size_bytes)

    @property
    def ram_ranges(self) -> tuple[RamRange, ...]:
        return self._inner.ram_ranges

    def read(self, at: PhysAddr, count: int) -> bytes:
        return self._inner.read(at, count)

    def write(self, at: PhysAddr, data: bytes | bytearray | memoryview) -> None:
        self._inner.write(at, data)

    def fill(self, at: PhysAddr, count: int, value: int = 0) -> None:
        self._inner.fill(at, count, value)

    def u32(self, at: PhysAddr) -> int:
        return self._inner.u32(at)

    def u64(self, at: PhysAddr) -> int:
        return self._inner.u64(at)

    def set_u32(self, at: PhysAddr, value: int) -> None:
        self._inner.set_u32(at, value)


@pytest.fixture
def closed_memory() -> type[ClosedMemory]:
    return ClosedMemory


@pytest.fixture
def put_info() -> Callable[..., PhysAddr]:
    """`put_info(memory, like=other)` has our own multiboot loader describe a machine; the structure's address."""

    def put(memory: GuestMemory, like: Any) -> PhysAddr:
        block = build_block(INFO_BASE, Facts(b"kernel", memory_map(like)))
        memory.write(PhysAddr(INFO_BASE), block.data)
        return PhysAddr(block.info_address)

    return put


@pytest.fixture
def machine_of() -> Callable[[int], Any]:
    """`machine_of(size)` has the RAM ranges of a PC with that much memory, and no memory."""

    def make(size_bytes: int) -> Any:
        low = (3 << 30) if size_bytes > 0xE0000000 else size_bytes
        ranges = [RamRange(PhysAddr(0), PhysAddr(0xA0000)), RamRange(PhysAddr(1 << 20), PhysAddr(low))]
        if size_bytes > low:
            ranges.append(RamRange(PhysAddr(1 << 32), PhysAddr((1 << 32) + size_bytes - low)))
        return SimpleNamespace(ram_ranges=tuple(ranges))

    return make


@pytest.fixture
def make_kernel() -> Callable[..., Any]:
    """`make_kernel(size_bytes)` builds the memory management; `.reports` and `.lines` have what it says."""

    def make(size_bytes: int = 16 << 20, debug: Options | None = None, memory: Any = None, **options: Any) -> Any:
        reports: list[str] = []
        lines: list[str] = []
        memory = memory or FakeMemory(size_bytes)
        built = KernelMemory.build(
            memory,
            [MemoryRegion(0, 0x9FC00, 1), MemoryRegion(1 << 20, size_bytes - (1 << 20), 1)],
            [KERNEL],
            debug=debug or Options(),
            report=reports.append,
            log=lines.append,
            symbolise=lambda at: f"site_{at}",
            **options,
        )
        return SimpleNamespace(**built._asdict(), check=built.check, memory=memory, reports=reports, lines=lines)

    return make

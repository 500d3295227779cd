"""THE DOOR: all that `kernel/` and `boot/` see of a machine.

Firmware, loaders and the Python-hosted kernel work on these protocols, never on the machine itself.  `FakeGuest`
fulfils them on a `bytearray`, without Unicorn, for tests and for experiments:

>>> guest = FakeGuest(size_bytes=0x1000)
>>> guest.memory.write(PhysAddr(0x10), b"hello")
>>> guest.memory.read(PhysAddr(0x10), 5)
b'hello'
>>> guest.memory.set_u32(PhysAddr(0x20), 0xCAFE); hex(guest.memory.u32(PhysAddr(0x20)))
'0xcafe'
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple, Protocol

from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.address import RamRange as RamRange


class GuestMemory(Protocol):
    """Guest physical memory.

    Reading has no side effect and does not move the clock.  Writing keeps translated code right; after a change to
    live page tables call `Guest.flush_tlb`.  An access that is not wholly in RAM or ROM raises `IndexError`.
    """

    def read(self, at: PhysAddr, count: int) -> bytes: ...

    def write(self, at: PhysAddr, data: bytes | bytearray | memoryview) -> None: ...

    def fill(self, at: PhysAddr, count: int, value: int = 0) -> None: ...

    def u32(self, at: PhysAddr) -> int: ...

    def u64(self, at: PhysAddr) -> int: ...

    def set_u32(self, at: PhysAddr, value: int) -> None: ...

    @property
    def ram_ranges(self) -> tuple[RamRange, ...]:
        """Where RAM answers, in ascending order."""


class Segment(NamedTuple):
    """A segment register with its hidden part.

    `attributes` is the descriptor's second dword masked with 0x00F0FF00, as the processor caches it: type, S, DPL, P
    in bits 8-15, AVL, L, D/B, G in bits 20-23.
    """

    selector: int
    base: int
    limit: int
    attributes: int


class Registers(Protocol):
    """The register file.  General names are as the manual prints them, in lower case: ``registers.get("eax")``."""

    def get(self, name: str) -> int: ...

    def set(self, name: str, value: int) -> None: ...

    def segment(self, name: str) -> Segment: ...

    def set_segment(self, name: str, value: Segment) -> None: ...


class Guest(Protocol):
    """A machine as its firmware and its hosted kernel see it."""

    @property
    def memory(self) -> GuestMemory: ...

    @property
    def registers(self) -> Registers: ...

    def flush_tlb(self) -> None:
        """Forget all cached translations, as a write to CR3 does, global pages included."""

    def on_trap(self, port: int, handler: Trap) -> None:
        """Call `handler(guest, value)` when the guest writes to I/O port `port`."""

    def read_port(self, port: int, size: int = 1) -> int:
        """What IN would read: `size` is 1, 2 or 4 bytes.  Has the side effects of IN, and takes no virtual time."""

    def write_port(self, port: int, value: int, size: int = 1) -> None:
        """Do what OUT does, in no virtual time."""

    @property
    def now_ns(self) -> int:
        """Virtual nanoseconds since power-on."""


Trap = Callable[[Guest, int], None]


class FakeMemory:
    """`GuestMemory` on a bytearray: RAM from 0 up to `size_bytes`."""

    def __init__(self, size_bytes: int) -> None:
        self.data = bytearray(size_bytes)

    @property
    def ram_ranges(self) -> tuple[RamRange, ...]:
        return (RamRange(PhysAddr(0), PhysAddr(len(self.data))),)

    def _check(self, at: int, count: int) -> None:
        if at < 0 or count < 0 or at + count > len(self.data):
            raise IndexError(f"{count} bytes at physical {at:#x} are not in RAM (0x0-{len(self.data):#x})")

    def read(self, at: PhysAddr, count: int) -> bytes:
        self._check(at, count)
        return bytes(self.data[at : at + count])

    def write(self, at: PhysAddr, data: bytes | bytearray | memoryview) -> None:
        self._check(at, len(data))
        self.data[at : at + len(data)] = data

    def fill(self, at: PhysAddr, count: int, value: int = 0) -> None:
        self.write(at, bytes([value]) * count)

    def u32(self, at: PhysAddr) -> int:
        self._check(at, 4)
        value: int = struct.unpack_from("<I", self.data, at)[0]
        return value

    def u64(self, at: PhysAddr) -> int:
        self._check(at, 8)
        value: int = struct.unpack_from("<Q", self.data, at)[0]
        return value

    def set_u32(self, at: PhysAddr, value: int) -> None:
        self._check(at, 4)
        struct.pack_into("<I", self.data, at, value)


class FakeRegisters:
    """`Registers` in a dictionary; everything starts as zero."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.segments: dict[str, Segment] = {}

    def get(self, name: str) -> int:
        return self.values.get(name, 0)

    def set(self, name: str, value: int) -> None:
        self.values[name] = value

    def segment(self, name: str) -> Segment:
        return self.segments.get(name, Segment(0, 0, 0, 0))

    def set_segment(self, name: str, value: Segment) -> None:
        self.segments[name] = value


class FakeGuest:
    """A `Guest` without a processor; `out` plays the guest's part of a trap.

    Ports are latches: `port_values` holds what each gives to `read_port` (all ones where nothing is), and
    `port_writes` keeps what was written, in order, as (port, value, size).
    """

    def __init__(self, size_bytes: int) -> None:
        self.memory = FakeMemory(size_bytes)
        self.registers = FakeRegisters()
        self.tlb_flushes = 0
        self.now_ns = 0
        self.port_values: dict[int, int] = {}
        self.port_writes: list[tuple[int, int, int]] = []
        self._traps: dict[int, Trap] = {}

    def flush_tlb(self) -> None:
        self.tlb_flushes += 1

    def on_trap(self, port: int, handler: Trap) -> None:
        self._traps[port] = handler

    def read_port(self, port: int, size: int = 1) -> int:
        return self.port_values.get(port, (1 << 8 * size) - 1)

    def write_port(self, port: int, value: int, size: int = 1) -> None:
        self.port_writes.append((port, value, size))

    def out(self, port: int, value: int) -> None:
        """Do what a guest's ``out`` to a trap port does."""
        self._traps[port](self, value)

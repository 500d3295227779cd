"""Guest memory as arrays of words: the door through which every structure of the kernel is read and written.

A memory that offers its RAM as one writable buffer is used directly: an element then costs some 25 ns instead of a
call.  Any other `GuestMemory` works as well, through `SlowWords`.

>>> from hillemu.emu.guest import FakeMemory
>>> memory = FakeMemory(0x1000)
>>> array = words(memory, PhysAddr(0x10), 4)
>>> array[1] = 0xCAFE
>>> memory.u32(PhysAddr(0x14)) == 0xCAFE
True

These writes are not noticed by the processor: code goes through `GuestMemory.write`, and whoever changes live page
tables calls `Guest.flush_tlb`.
"""

from __future__ import annotations

from typing import Literal, Protocol, overload

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr

Format = Literal["B", "H", "I", "Q"]
"""Unsigned little-endian elements of 1, 2, 4 and 8 bytes, as `struct` names them."""

_ITEM_BYTES = {"B": 1, "H": 2, "I": 4, "Q": 8}
_FOUR_GIB = 1 << 32


class Words(Protocol):
    """An array of unsigned words in guest memory; an index outside raises `IndexError`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> int: ...

    def __setitem__(self, index: int, value: int, /) -> None: ...


class ByteWindow(Protocol):
    """Bytes in guest memory, one or a slice at a time; a slice keeps its length, and is for reading at once."""

    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, index: int, /) -> int: ...
    @overload
    def __getitem__(self, index: slice, /) -> memoryview: ...

    @overload
    def __setitem__(self, index: slice, value: bytes, /) -> None: ...
    @overload
    def __setitem__(self, index: int, value: int, /) -> None: ...


def words(memory: GuestMemory, at: PhysAddr, count: int, item: Format = "I", *, every: int = 1) -> Words:
    """`count` words at physical address `at`; `IndexError` if they are not wholly in one run of RAM.

    Of each `every` words that lie there, it is the first: a member of structures in a row.
    """
    buffer = _buffer(memory, at, max((count - 1) * every + 1, 0) * _ITEM_BYTES[item])
    if buffer is None:
        return SlowWords(memory, at, count, item, every)
    return buffer.cast(item)[::every] if every > 1 else buffer.cast(item)


def window(memory: GuestMemory, at: PhysAddr, count: int) -> ByteWindow:
    """`count` bytes at physical address `at`; `IndexError` if they are not wholly in one run of RAM."""
    buffer = _buffer(memory, at, count)
    return SlowWindow(memory, at, count) if buffer is None else buffer


def words_from_zero(memory: GuestMemory, end: int, item: Format) -> Words:
    """Physical memory from address 0 up to `end`, below 4 GiB, as one array; holes are in it, and are nobody's."""
    buffer = _ram_of(memory)
    if buffer is None or len(buffer) < end:
        return SlowWords(memory, PhysAddr(0), end // _ITEM_BYTES[item], item)
    return buffer[:end].cast(item)


def window_from_zero(memory: GuestMemory, end: int) -> ByteWindow:
    """As `words_from_zero`, for bytes and slices of them."""
    buffer = _ram_of(memory)
    return SlowWindow(memory, PhysAddr(0), end) if buffer is None or len(buffer) < end else buffer[:end]


def _ram_of(memory: GuestMemory) -> memoryview | None:
    """The memory's own buffer, if it has a writable one: its offsets are physical addresses below the hole."""
    ram = getattr(memory, "ram", None)
    if ram is None and isinstance(data := getattr(memory, "data", None), bytearray):
        ram = memoryview(data)
    return ram if isinstance(ram, memoryview) and not ram.readonly else None


def _buffer(memory: GuestMemory, at: int, count: int) -> memoryview | None:
    """The memory's own buffer there, if it has one; `IndexError` for what is not RAM."""
    if count < 0 or not any(run.base <= at and at + count <= run.end for run in memory.ram_ranges):
        raise IndexError(f"{count} bytes at physical {at:#x} are not in RAM")
    ram = _ram_of(memory)
    if ram is None or at + count > min(len(ram), _FOUR_GIB):
        return None  # above the hole for devices, a buffer's offsets are no physical addresses
    return ram[at : at + count]


class SlowWords:
    """`Words` on any `GuestMemory`, one call for each access."""

    def __init__(self, memory: GuestMemory, at: PhysAddr, count: int, item: Format, every: int = 1) -> None:
        self._memory, self._at, self._count, self._bytes = memory, at, count, _ITEM_BYTES[item]
        self._step = every * self._bytes

    def __len__(self) -> int:
        return self._count

    def _address(self, index: int) -> PhysAddr:
        if not -self._count <= index < self._count:
            raise IndexError(f"element {index} of {self._count} at physical {self._at:#x}")
        return PhysAddr(self._at + index % self._count * self._step)

    def __getitem__(self, index: int, /) -> int:
        return int.from_bytes(self._memory.read(self._address(index), self._bytes), "little")

    def __setitem__(self, index: int, value: int, /) -> None:
        self._memory.write(self._address(index), value.to_bytes(self._bytes, "little"))


class SlowWindow(SlowWords):
    """`ByteWindow` on any `GuestMemory`."""

    def __init__(self, memory: GuestMemory, at: PhysAddr, count: int) -> None:
        super().__init__(memory, at, count, "B")

    @overload
    def __getitem__(self, index: int, /) -> int: ...
    @overload
    def __getitem__(self, index: slice, /) -> memoryview: ...
    def __getitem__(self, index: int | slice, /) -> int | memoryview:
        if isinstance(index, int):
            return super().__getitem__(index)
        start, stop, _ = index.indices(self._count)
        return memoryview(self._memory.read(PhysAddr(self._at + start), max(stop - start, 0)))

    @overload
    def __setitem__(self, index: slice, value: bytes, /) -> None: ...
    @overload
    def __setitem__(self, index: int, value: int, /) -> None: ...
    def __setitem__(self, index: int | slice, value: int | bytes, /) -> None:
        if isinstance(index, int):
            assert isinstance(value, int)
            super().__setitem__(index, value)
            return
        assert isinstance(value, bytes)
        start, stop, _ = index.indices(self._count)
        if len(value) != stop - start:
            raise ValueError(f"{len(value)} bytes do not fit into a slice of {stop - start}")
        self._memory.write(PhysAddr(self._at + start), value)

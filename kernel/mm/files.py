"""What can be mapped: something with a name, a size, and bytes at offsets.

A file of one's own needs nothing but this:

>>> class Zeros:
...     name, size_bytes, writable = "zeros", 1 << 20, False
...     def read(self, offset, count):
...         return bytes(count)
...     def write(self, offset, data):
...         raise AssertionError("not writable: nobody calls this")
"""

from __future__ import annotations

from typing import Protocol

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr


class File(Protocol):
    """Bytes from 0 up to `size_bytes`, at most 4 GiB; `writable` says whether a shared mapping may change them."""

    @property
    def name(self) -> str: ...

    @property
    def size_bytes(self) -> int: ...

    @property
    def writable(self) -> bool: ...

    def read(self, offset: int, count: int) -> bytes:
        """`count` bytes at `offset`, both inside the file."""

    def write(self, offset: int, data: bytes) -> None:
        """Replace bytes inside the file, if it is `writable`."""


class ModuleFile:
    """A boot module, which the loader has put into RAM and nobody else manages."""

    def __init__(self, memory: GuestMemory, name: str, base: PhysAddr, size_bytes: int) -> None:
        self._memory, self._base = memory, base
        self.name, self.size_bytes, self.writable = name, size_bytes, True

    def read(self, offset: int, count: int) -> bytes:
        return self._memory.read(PhysAddr(self._base + offset), count)

    def write(self, offset: int, data: bytes) -> None:
        self._memory.write(PhysAddr(self._base + offset), data)


class BytesFile:
    """A file in the host's memory, for programs that come with hillemu; it cannot be changed."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.size_bytes, self.writable = name, len(data), False
        self._data = data

    def read(self, offset: int, count: int) -> bytes:
        return self._data[offset : offset + count]

    def write(self, offset: int, data: bytes) -> None:
        raise PermissionError(f"{self.name} cannot be written")


class SharedMemory:
    """What an anonymous shared mapping maps: a file that exists in the page cache only, and starts as zeros."""

    writable = True

    def __init__(self, name: str, size_bytes: int) -> None:
        self.name, self.size_bytes = name, size_bytes

    def read(self, offset: int, count: int) -> bytes:
        return bytes(count)

    def write(self, offset: int, data: bytes) -> None:
        raise PermissionError(f"{self.name} is nowhere but in memory")

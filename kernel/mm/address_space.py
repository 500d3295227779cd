"""A program's address space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.emu.i386.address import VirtAddr
from hillemu.kernel.errno import Errno
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.outcomes import Fault, FaultOutcome

if TYPE_CHECKING:
    from hillemu.kernel.mm.files import File


class AddressSpace:
    """Made by `VirtualMemory.create_space`."""

    cr3: int
    name: str
    """For reports: set it to the program's name and pid."""

    def fault(self, address: int, error_code: int) -> FaultOutcome: ...

    def fork(self) -> AddressSpace | OutOfMemory: ...

    def destroy(self) -> None: ...

    def brk(self, new: int) -> int: ...

    def mmap(
        self, hint: int, length: int, prot: int, flags: int, file: File | None = None, offset: int = 0
    ) -> int | Errno: ...

    def munmap(self, at: int, length: int) -> int: ...

    def mprotect(self, at: int, length: int, prot: int) -> int: ...

    def add_stack(self, top_bytes: int = 0) -> int | Errno:
        """A stack that grows downwards from 0xC0000000; its end."""

    def copy_in(self, at: int, count: int) -> bytes | Fault: ...

    def copy_in_string(self, at: int, limit: int) -> bytes | Fault:
        """Up to a NUL, without it, or `limit` bytes."""

    def copy_out(self, at: int, data: bytes) -> bool: ...

    def statistics(self) -> dict[str, int]: ...

"""Memory for a debugger: by linear address through the current page tables, or physical; never a device."""

from __future__ import annotations

from hillemu.emu.gdb.target import ErrorNumber, TargetError
from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_MASK, PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.emu.i386.control import PEEK, ControlState
from hillemu.emu.i386.outcomes import Mapped
from hillemu.emu.i386.paging import read_virtual, translate

SPACE_END = 1 << 32


def read_linear(memory: GuestMemory, at: int, count: int, control: ControlState) -> bytes:
    """Up to `count` bytes at `at`, as a look that even a page which only others may read allows."""
    return read_virtual(memory, VirtAddr(at), min(count, SPACE_END - at), control)


def read_physical(memory: GuestMemory, at: int, count: int) -> bytes:
    """Up to `count` bytes at physical `at`, shorter where neither RAM nor ROM answers."""
    try:
        return memory.read(PhysAddr(at), count)
    except IndexError:
        pass
    found = bytearray()
    while len(found) < count:
        here = at + len(found)
        part = min(count - len(found), PAGE_SIZE - (here & PAGE_MASK))
        try:
            found += memory.read(PhysAddr(here), part)
        except IndexError:
            break
    return bytes(found)


def write_linear(memory: GuestMemory, at: int, data: bytes, control: ControlState) -> None:
    """Write `data` at `at`, read-only pages and ROM included; all of it or, with `TargetError`, nothing."""
    places: list[tuple[PhysAddr, bytes]] = []
    done = 0
    while done < len(data):
        here = VirtAddr(at + done & SPACE_END - 1)
        part = min(len(data) - done, PAGE_SIZE - (here & PAGE_MASK))
        outcome = translate(memory, here, control, PEEK)
        if not isinstance(outcome, Mapped):
            raise TargetError(ErrorNumber.MEMORY, outcome.verdict)
        places.append((outcome.phys, data[done : done + part]))
        done += part
    _write_all(memory, places)


def write_physical(memory: GuestMemory, at: int, data: bytes) -> None:
    """Write `data` at physical `at`; all of it or, with `TargetError`, nothing."""
    _write_all(memory, [(PhysAddr(at), data)])


def _write_all(memory: GuestMemory, places: list[tuple[PhysAddr, bytes]]) -> None:
    try:
        for place, piece in places:
            memory.read(place, len(piece))
    except IndexError as error:
        raise TargetError(ErrorNumber.MEMORY, str(error)) from None
    for place, piece in places:
        memory.write(place, piece)

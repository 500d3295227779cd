"""Where values are read: an address space as it was when reading began, or physical memory.

The registers are taken once, so that a value's pointers lead through the tables it was read through, also when the
guest has loaded another CR3 since.
"""

from __future__ import annotations

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr, VirtAddr
from hillemu.emu.i386.control import PEEK, ControlState
from hillemu.emu.i386.outcomes import Mapped
from hillemu.emu.i386.paging import read_virtual, translate
from hillemu.inspection.structs.type_library import Structs
from hillemu.inspection.structs.types import CType
from hillemu.symbols import SymbolTable

_PAGE_BYTES = 0x1000


class _Known:
    """What both kinds have: types and symbols."""

    def __init__(self, memory: GuestMemory, structs: Structs, symbols: SymbolTable) -> None:
        self._memory = memory
        self._structs = structs
        self._symbols = symbols

    def completed(self, kind: CType) -> CType:
        return self._structs.completed(kind)


class VirtualSource(_Known):
    """The address space that `control` describes."""

    def __init__(self, memory: GuestMemory, structs: Structs, symbols: SymbolTable, control: ControlState) -> None:
        super().__init__(memory, structs, symbols)
        self._control = control

    def read(self, at: int, count: int) -> bytes:
        return read_virtual(self._memory, VirtAddr(at & 0xFFFFFFFF), count, self._control)

    def why_unreadable(self, at: int) -> str:
        outcome = translate(self._memory, VirtAddr(at & 0xFFFFFFFF), self._control, PEEK)
        text = outcome.explain()
        if isinstance(outcome, Mapped):
            text += "\nneither RAM nor ROM is there; a device's registers are not read, for that may change them"
        return text

    def place_name(self, at: int) -> str:
        found = self._symbols.nearest(at)
        if found is None:
            return ""
        name, offset = found
        size_bytes = self._symbols.symbol(name).size_bytes
        if size_bytes and offset >= size_bytes:
            return ""  # Behind its end: the heap or a page of the kernel's own, no part of the symbol.
        return f"{name}+{offset}" if offset else name


class PhysicalSource(_Known):
    """Physical memory; pointers in it are taken for physical addresses too."""

    def read(self, at: int, count: int) -> bytes:
        found = bytearray()
        while len(found) < count:
            here = at + len(found)
            part = min(count - len(found), _PAGE_BYTES - here % _PAGE_BYTES)
            try:
                found += self._memory.read(PhysAddr(here), part)
            except IndexError:
                break
        return bytes(found)

    def why_unreadable(self, at: int) -> str:
        return f"neither RAM nor ROM is at physical 0x{at:08X}"

    def place_name(self, at: int) -> str:
        return ""  # Symbols have virtual addresses.

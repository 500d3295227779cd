"""What views of a machine look through: registers, memory behind its page tables, and why something is not there."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PAGE_MASK, VirtAddr
from hillemu.emu.i386.control import PEEK, Access, ControlState
from hillemu.emu.i386.outcomes import Mapped
from hillemu.emu.i386.paging import read_virtual, translate
from hillemu.emu.i386.registers import Cr0, Eflags
from hillemu.inspection.physical_map import PhysicalMap
from hillemu.inspection.privileged import RegisterFile

if TYPE_CHECKING:
    from hillemu.emu.pc import Pc

_MOST_TABLE_BYTES = 0x10000


class Sight:
    """A processor and the memory that it sees, as they are now; valid until the machine runs again."""

    def __init__(
        self, memory: GuestMemory, registers: RegisterFile, physical_map: Callable[[], PhysicalMap] | None = None
    ) -> None:
        self.memory = memory
        self.registers = registers
        self.control = ControlState.read(registers)
        self._map_maker = physical_map or (lambda: PhysicalMap.of_ram(memory))

    @classmethod
    def of_pc(cls, pc: Pc) -> Sight:
        """What the processor of `pc` sees."""
        return cls(pc.memory, pc.processor, lambda: PhysicalMap.of_machine(pc.memory, pc.mmio))

    @property
    def is_protected(self) -> bool:
        """Whether CR0.PE is set: there are descriptors."""
        return bool(self.control.cr0 & Cr0.PE.mask)

    @property
    def is_vm86(self) -> bool:
        """Whether segment registers hold paragraphs although the mode is protected."""
        return bool(self.registers.get("eflags") & Eflags.VM.mask)

    @cached_property
    def gdt_bytes(self) -> bytes:
        """The GDT, as far as it can be read."""
        where = self.registers.segment("gdtr")
        return self.read(where.base, min(where.limit + 1, _MOST_TABLE_BYTES))

    @cached_property
    def ldt_bytes(self) -> bytes:
        """The LDT, as far as it can be read; nothing if there is none."""
        where = self.registers.segment("ldtr")
        return self.read(where.base, min(where.limit + 1, _MOST_TABLE_BYTES)) if where.selector & 0xFFFC else b""

    def read(self, at: int, count: int) -> bytes:
        """Up to `count` bytes at linear `at`, shorter at the first hole."""
        return read_virtual(self.memory, VirtAddr(at & 0xFFFFFFFF), count, self.control)

    def place_of(self, at: int) -> str:
        """Who answers at linear `at`: ``RAM``, ``ROM``, a device; empty if nobody."""
        outcome = translate(self.memory, VirtAddr(at & 0xFFFFFFFF), self.control, PEEK)
        place = self._physical_map.find(outcome.phys) if isinstance(outcome, Mapped) else None
        return place.name if place is not None else ""

    def refusal(self, at: int, access: Access) -> str:
        """Why `access` to linear `at` faults; empty if it does not."""
        outcome = translate(self.memory, VirtAddr(at & 0xFFFFFFFF), self.control, access)
        return "" if isinstance(outcome, Mapped) else outcome.verdict

    def why_unreadable(self, at: int) -> str:
        """What keeps linear `at` from being looked at, as a clause; it is one of those that `read` ends at."""
        outcome = translate(self.memory, VirtAddr(at & 0xFFFFFFFF), self.control, PEEK)
        if not isinstance(outcome, Mapped):
            return f"is not mapped ({outcome.verdict})"
        return f"leads to physical 0x{outcome.phys:09X}, where neither RAM nor ROM is"

    def first_unreadable(self, at: int, size_bytes: int) -> str:
        """The first byte of a range that cannot be looked at, as a sentence; empty if all can."""
        here, end = at, at + size_bytes
        while here < end:
            if not self.read(here, 1):
                return f"0x{here & 0xFFFFFFFF:08X} {self.why_unreadable(here)}"
            here = (here | PAGE_MASK) + 1
        return ""

    @cached_property
    def _physical_map(self) -> PhysicalMap:
        return self._map_maker()

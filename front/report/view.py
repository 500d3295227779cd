"""What a crash report wants to know of a machine, and the questions that all its sections ask.

`CrashView` is the door: anything that fulfils it can be reported on, a `FakeGuest` as well as a running PC.
`Scene` wraps a view and answers in terms of addresses, tables and names.  Both only look.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

from hillemu.emu.guest import GuestMemory, Segment
from hillemu.emu.i386.address import PhysAddr, VirtAddr
from hillemu.emu.i386.control import Access, ControlState
from hillemu.emu.i386.errorcodes import PageFaultError
from hillemu.emu.i386.outcomes import Translation
from hillemu.emu.i386.paging import read_virtual, translate
from hillemu.emu.i386.registers import Cr0, Eflags
from hillemu.emu.i386.vectors import PF
from hillemu.emu.stop import Stop, StopReason

DEFAULT_OPERATION_SIZE = 1 << 22
"""The D/B bit in a segment's attributes."""


class Delivery(Protocol):
    """One exception or interrupt that the processor began to deliver.

    `kind` is ``exception``, ``interrupt`` (from the PIC) or ``software`` (INT n).  `cs` and `eip` are what would be
    pushed, `cr2` is the register at that moment, `at` the instruction count.  A delivery that failed counts too.
    """

    @property
    def kind(self) -> str: ...
    @property
    def vector(self) -> int: ...
    @property
    def error_code(self) -> int | None: ...
    @property
    def cs(self) -> int: ...
    @property
    def eip(self) -> int: ...
    @property
    def cr2(self) -> int: ...
    @property
    def at(self) -> int: ...


class RegisterFile(Protocol):
    """The registers: general, ``eip``, ``eflags``, ``cr0``-``cr4``, ``efer``, ``dr0``-``dr7`` by name.

    Segments are ``cs ss ds es fs gs ldtr tr``, and ``gdtr idtr`` of which only base and limit count.
    """

    def get(self, name: str) -> int: ...

    def segment(self, name: str) -> Segment: ...


class Symbols(Protocol):
    """Names of virtual addresses."""

    def nearest(self, address: int) -> tuple[str, int] | None:
        """The symbol at or before `address`, and how far behind it `address` lies."""


class CrashView(Protocol):
    """A machine that has stopped."""

    @property
    def stop(self) -> Stop: ...
    @property
    def registers(self) -> RegisterFile: ...
    @property
    def memory(self) -> GuestMemory: ...
    @property
    def deliveries(self) -> Sequence[Delivery]:
        """The last ones, oldest first."""

    @property
    def symbols(self) -> Symbols: ...


class Scene:
    """A stopped machine, seen through its own segments and page tables."""

    def __init__(self, view: CrashView) -> None:
        self.stop = view.stop
        self.registers = view.registers
        self.memory = view.memory
        self.symbols = view.symbols
        self.deliveries = tuple(view.deliveries)
        self.control = ControlState.read(view.registers)
        self.eflags = Eflags(view.registers.get("eflags"))
        self.cs = view.registers.segment("cs")
        self.ss = view.registers.segment("ss")
        self.offset = view.registers.get("eip")
        self.eip = VirtAddr(self.cs.base + self.offset & 0xFFFFFFFF)
        """Linear address of the instruction, at `offset` of CS."""

    @property
    def protected(self) -> bool:
        """Protected mode, not real or virtual-8086 mode: descriptors and the IDT count."""
        return bool(self.control.cr0 & Cr0.PE.mask) and not self.eflags.VM

    @property
    def ring(self) -> int:
        return 3 if self.eflags.VM else self.cs.selector & 3 if self.protected else 0

    @property
    def code_bits(self) -> int:
        return 32 if self.cs.attributes & DEFAULT_OPERATION_SIZE else 16

    @property
    def stack_top(self) -> VirtAddr:
        """Linear address that SS:ESP (or SS:SP) points to."""
        pointer = self.registers.get("esp")
        if not self.ss.attributes & DEFAULT_OPERATION_SIZE:
            pointer &= 0xFFFF
        return VirtAddr(self.ss.base + pointer & 0xFFFFFFFF)

    def read(self, at: int, count: int) -> bytes:
        """Up to `count` bytes of virtual memory, shorter at the first hole."""
        return read_virtual(self.memory, VirtAddr(at & 0xFFFFFFFF), count, self.control)

    def u32(self, at: int) -> int | None:
        data = self.read(at, 4)
        return int.from_bytes(data, "little") if len(data) == 4 else None

    def walk(self, at: int, access: Access) -> Translation:
        return translate(self.memory, VirtAddr(at & 0xFFFFFFFF), self.control, access)

    def holds_data(self, at: PhysAddr) -> bool:
        """Whether physical memory at `at` is RAM or ROM with something in it."""
        try:
            return any(self.memory.read(at, 16))
        except IndexError:
            return False

    def name(self, address: int, *, return_address: bool = False) -> str:
        """``<main+0x12>``, or nothing.  A return address may lie behind the end of the function that called."""
        found = self.symbols.nearest(address - return_address)
        if found is None:
            return ""
        offset = found[1] + return_address
        return f"<{found[0]}+{offset:#x}>" if offset else f"<{found[0]}>"

    def located(self, address: int) -> str:
        """`address` in hexadecimal, with its name if it has one."""
        return f"0x{address:08X} {self.name(address)}".rstrip()

    @cached_property
    def cascade(self) -> tuple[Delivery, ...]:
        """The last delivery, and before it those whose failure led to it: a failed one leaves EIP where it was."""
        first = len(self.deliveries)
        while first and _moment(self.deliveries[first - 1]) == _moment(self.deliveries[-1]):
            first -= 1
        return self.deliveries[first:]

    @cached_property
    def culprit(self) -> Delivery | None:
        """The exception or interrupt that the end began with.

        At a triple fault the first of the last cascade; else the last delivery, if it was an exception.
        """
        if self.stop.reason is StopReason.TRIPLE_FAULT:
            return self.cascade[0] if self.cascade else None
        last = self.deliveries[-1] if self.deliveries else None
        return last if last is not None and last.kind == "exception" else None

    def tried(self, fault: Delivery) -> Access:
        """The access that raised the page fault `fault`.

        Without NX a fetch is not told from a read in the error code, but then CR2 is where EIP is.
        """
        code = PageFaultError(fault.error_code or 0)
        base = self.cs.base if fault.cs == self.cs.selector else 0
        fetch = code.fetch or (not code.write and fault.cr2 == base + fault.eip & 0xFFFFFFFF)
        return Access(write=code.write, user=code.user, fetch=fetch)

    def table(self, register: str) -> bytes:
        """As much of the GDT (``gdtr``), IDT (``idtr``) or LDT (``ldtr``) as can be read."""
        where = self.registers.segment(register)
        if register == "ldtr" and not where.selector & 0xFFFC:
            return b""
        return self.read(where.base, where.limit + 1 & 0xFFFFF)


def _moment(delivery: Delivery) -> tuple[int, int, int]:
    return delivery.at, delivery.cs, delivery.eip


def is_page_fault(delivery: Delivery) -> bool:
    """Whether `delivery` is #PF, and not an INT or IRQ with the same number."""
    return delivery.kind == "exception" and delivery.vector == PF

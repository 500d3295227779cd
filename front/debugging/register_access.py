"""GDB's registers of a processor, by name: which value each shows, and what writing one does.

Segment registers are loaded as the processor would: by a descriptor in protected mode, times 16 in real mode and
virtual-8086 mode.  LDTR and TR can be looked at only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hillemu.emu.gdb.registers import FPU, LAYOUT, SEGMENTS, X87_CONTROL, Register
from hillemu.emu.gdb.target import ErrorNumber, TargetError
from hillemu.emu.guest import GuestMemory, Segment
from hillemu.emu.i386.address import VirtAddr
from hillemu.emu.i386.control import ControlState
from hillemu.emu.i386.descriptors import CodeSegment, DataSegment
from hillemu.emu.i386.paging import read_virtual
from hillemu.emu.i386.registers import Cr0, Eflags
from hillemu.emu.i386.tables import look_up

MASK = 0xFFFFFFFF
DEFAULT_32 = 1 << 22
"""The D/B bit in `Segment.attributes`."""
_ATTRIBUTES = 0x00F0FF00
_BASES = {f"{name}_base": name for name in (*SEGMENTS, "ldtr", "tr")}
_X87_CONTROL = dict(zip(X87_CONTROL, ("fcw", "fsw", "ftw", "fcs", "fip", "fds", "fdp", "fop"), strict=True))
"""GDB's names, and the manual's."""
_READ_ONLY = frozenset(("code_size", "ldtr", "tr", "ldtr_base", "tr_base"))


class RegisterFile(Protocol):
    """The processor, as far as it is needed here."""

    def get(self, name: str) -> int: ...

    @property
    def linear_eip(self) -> int: ...

    def set(self, name: str, value: int) -> None: ...

    def segment(self, name: str) -> Segment: ...

    def set_segment(self, name: str, value: Segment) -> None: ...

    def fpu_get(self, name: str) -> bytes: ...

    def fpu_set(self, name: str, value: bytes) -> None: ...


def write(cpu: RegisterFile, memory: GuestMemory, register: Register, data: bytes) -> None:
    """Set the register; raises `TargetError` where the processor could not hold the value."""
    name, value = register.name, int.from_bytes(data, "little")
    if name == "eip":
        cpu.set("eip", value - cpu.segment("cs").base & MASK)
    elif name == "ip":
        cpu.set("eip", value)
    elif name in _READ_ONLY:
        raise TargetError(ErrorNumber.INVALID, f"{name} can be looked at only")
    elif name in _BASES:
        segment = cpu.segment(_BASES[name])
        cpu.set_segment(_BASES[name], segment._replace(base=value))
    elif name in SEGMENTS:
        cpu.set_segment(name, _loaded(cpu, memory, name, value & 0xFFFF))
    elif name in FPU:
        inner = _X87_CONTROL.get(name, name)
        length = len(cpu.fpu_get(inner))
        cpu.fpu_set(inner, data[:length].ljust(length, b"\0"))
    else:
        cpu.set(name, value)


def code_size(cpu: RegisterFile) -> int:
    """How many bits operands and addresses of the code that runs now have: 16 or 32."""
    return 32 if cpu.segment("cs").attributes & DEFAULT_32 else 16


def _reader_of(register: Register) -> Callable[[RegisterFile], bytes]:
    name, size_bytes = register.name, register.size_bytes
    if name in FPU:
        inner = _X87_CONTROL.get(name, name)
        # GDB gives 16-bit control words 32 bits.
        return lambda cpu: cpu.fpu_get(inner)[:size_bytes].ljust(size_bytes, b"\0")
    if name in _NUMBERS:
        number = _NUMBERS[name]
        return lambda cpu: number(cpu).to_bytes(size_bytes, "little")
    if name in _BASES:
        of = _BASES[name]
        return lambda cpu: cpu.segment(of).base.to_bytes(size_bytes, "little")
    return lambda cpu: cpu.get(name).to_bytes(size_bytes, "little")


_NUMBERS: dict[str, Callable[[RegisterFile], int]] = {
    "eip": lambda cpu: cpu.linear_eip,
    "ip": lambda cpu: cpu.get("eip"),
    "code_size": code_size,
}
READERS = tuple(_reader_of(register) for register in LAYOUT)
"""What reads each register, by its number: little-endian, as long as GDB wants it."""


def _loaded(cpu: RegisterFile, memory: GuestMemory, name: str, selector: int) -> Segment:
    """What the segment register `name` holds after a load of `selector`."""
    if not cpu.get("cr0") & Cr0.PE.mask or cpu.get("eflags") & Eflags.VM.mask:
        return cpu.segment(name)._replace(selector=selector, base=selector << 4)
    if selector < 4 and name not in ("cs", "ss"):
        return Segment(selector, 0, 0, 0)
    gdt, ldt = (_table(cpu, memory, table) for table in ("gdtr", "ldtr"))
    found = look_up(selector, gdt, ldt)
    if not isinstance(found, CodeSegment | DataSegment) or not found.present:
        raise TargetError(ErrorNumber.INVALID, f"{name} cannot hold {selector:#06x}: {getattr(found, 'text', found)}")
    return Segment(selector, found.base, found.limit, int(found) >> 32 & _ATTRIBUTES)


def _table(cpu: RegisterFile, memory: GuestMemory, name: str) -> bytes:
    table = cpu.segment(name)
    if name == "ldtr" and not table.selector & ~7:
        return b""
    return read_virtual(memory, VirtAddr(table.base), min(table.limit, 0xFFFF) + 1, ControlState.read(cpu))

"""Where the parts of a kernel lie that no user may touch: found from the registers and the descriptor tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from hillemu.emu.guest import Segment
from hillemu.emu.i386.address import VirtAddr
from hillemu.emu.i386.control import ControlState
from hillemu.emu.i386.descriptors import Gate, SegmentDescriptor, Selector
from hillemu.emu.i386.paging import ReadableMemory, read_virtual
from hillemu.emu.i386.registers import Cr0, Eflags
from hillemu.emu.i386.tables import decode_idt, look_up
from hillemu.emu.i386.tss import TSS_32

_SMALLEST_TSS, _TYPE_32_BIT_TSS = 0x68, 0x800
_STACK_BYTES = 16


class PrivilegedPlace(NamedTuple):
    """`size_bytes` at virtual `start`; `name` says what is there, `is_code` whether it is executed."""

    start: VirtAddr
    size_bytes: int
    name: str
    is_code: bool = False

    @property
    def end(self) -> int:
        return self.start + self.size_bytes


class RegisterFile(Protocol):
    """Registers by name, segments with their hidden part."""

    def get(self, name: str) -> int: ...

    def segment(self, name: str) -> Segment: ...


def privileged_places(
    memory: ReadableMemory, registers: RegisterFile, control: ControlState
) -> tuple[PrivilegedPlace, ...]:
    """What can be found, in ascending order; nothing in real mode, whose programs all are privileged.

    That is: the GDT, IDT, LDT and TSS, the ring 0 stack that the TSS names, the first bytes of the handlers that the
    IDT names at ring 0, and, while the processor is at ring 0, the instruction and the top of the stack.  Tables are
    read through `control`, the space that is looked at.
    """
    if not control.cr0 & Cr0.PE.mask:
        return ()
    return tuple(sorted(set(_places(memory, registers, control))))


def _places(memory: ReadableMemory, registers: RegisterFile, control: ControlState) -> Iterator[PrivilegedPlace]:
    gdtr, idtr, tr, ldtr = (registers.segment(name) for name in ("gdtr", "idtr", "tr", "ldtr"))
    for name, where in (("GDT", gdtr), ("IDT", idtr)):
        yield from _place(where.base, where.limit + 1, name)
    if ldtr.selector & 0xFFFC:
        yield from _place(ldtr.base, ldtr.limit + 1, "LDT")
    if tr.selector & 0xFFFC:
        yield from _place(tr.base, tr.limit + 1, "TSS")
        tss = read_virtual(memory, VirtAddr(tr.base & 0xFFFFFFFF), _SMALLEST_TSS, control)
        if len(tss) == _SMALLEST_TSS and tr.attributes & _TYPE_32_BIT_TSS:
            at, size = TSS_32["esp0"]
            top = int.from_bytes(tss[at : at + size], "little")
            if top:
                yield from _place(top - _STACK_BYTES, _STACK_BYTES, "ring 0 stack")
    gdt, idt = (
        read_virtual(memory, VirtAddr(where.base & 0xFFFFFFFF), min(where.limit + 1, size), control)
        for where, size in ((gdtr, 0x10000), (idtr, 0x800))
    )
    yield from _handlers(gdt, idt)
    cs, ss = registers.segment("cs"), registers.segment("ss")
    if not cs.selector & 3 and not registers.get("eflags") & Eflags.VM.mask:
        yield from _place(cs.base + registers.get("eip"), 1, "code that runs", is_code=True)
        yield from _place(ss.base + registers.get("esp"), _STACK_BYTES, "stack in use")


def _handlers(gdt: bytes, idt: bytes) -> Iterator[PrivilegedPlace]:
    for row in decode_idt(idt, gdt):
        gate = row.descriptor
        if isinstance(gate, Gate) and gate.present and not gate.is_task and not row.problems:
            target = look_up(Selector(gate.selector), gdt)
            if isinstance(target, SegmentDescriptor) and target.dpl == 0:
                yield from _place(target.base + gate.offset, 1, f"handler of vector {row.index}", is_code=True)


def _place(start: int, size_bytes: int, name: str, *, is_code: bool = False) -> Iterator[PrivilegedPlace]:
    """A place, unless it is empty; addresses wrap at 4 GiB, where a place is cut."""
    start &= 0xFFFFFFFF
    if size_bytes > 0:
        yield PrivilegedPlace(VirtAddr(start), min(size_bytes, (1 << 32) - start), name, is_code)

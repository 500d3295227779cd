"""GDT and IDT as a whole: every entry decoded, and what is wrong with it in words.

>>> from hillemu.emu.i386.descriptors import INTERRUPT_GATE_32, pack_gate, pack_segment, pack_table
>>> gdt = pack_table([0, pack_segment(0, 0xFFFFFFFF, 0x93, 0xC)])
>>> for entry in decode_gdt(gdt): print(entry)
GDT[0] 0x0000 null
GDT[1] 0x0008 data 32-bit, ring 0, base 0x00000000, limit 0xFFFFFFFF, read/write, accessed
>>> idt = pack_table([pack_gate(INTERRUPT_GATE_32, 0x08, 0x101000)])
>>> print(decode_idt(idt, gdt)[0])
IDT[0x00] #DE divide error: 32-bit interrupt gate to 0x0008:0x00101000, ring 0 -- selector 0x0008 is not a code segment

"Wrong" is what makes the processor raise #GP, #NP or #TS when the entry is used.  An entry nobody uses may be wrong.

Source: Intel SDM Vol. 3A, "Segment Descriptor Tables", "Interrupt Descriptor Table (IDT)", the operation of INT n in
Vol. 2A.
"""

from __future__ import annotations

from dataclasses import dataclass

from hillemu.emu.i386.descriptors import (
    AnyDescriptor,
    CodeSegment,
    Descriptor,
    Gate,
    Selector,
    SystemSegment,
    decode,
)
from hillemu.emu.i386.vectors import describe

_BUSY = 2


@dataclass(frozen=True, slots=True)
class TableEntry:
    """Entry `index` of the table called `table`; `problems` is empty for a good one."""

    table: str
    index: int
    descriptor: AnyDescriptor
    problems: tuple[str, ...] = ()

    @property
    def selector(self) -> int:
        """The selector that names the entry, with privilege 0."""
        return Selector.of(index=self.index, TI=int(self.table == "LDT"))

    def __str__(self) -> str:
        if self.table == "IDT":
            head = f"IDT[{self.index:#04x}] {describe(self.index)}: {self.descriptor.text}"
        else:
            head = f"{self.table}[{self.index}] 0x{self.selector:04X} {self.descriptor.text}"
        return head + (f" -- {'; '.join(self.problems)}" if self.problems else "")


def decode_gdt(data: bytes, table: str = "GDT") -> list[TableEntry]:
    """Decode a GDT (or, by that name, an LDT); trailing bytes that make no whole entry are left out."""
    return [
        TableEntry(table, index, entry, _segment_problems(entry, table)) for index, entry in enumerate(_split(data))
    ]


def decode_idt(data: bytes, gdt: bytes, ldt: bytes = b"") -> list[TableEntry]:
    """Decode an IDT and check its gates' targets in the other tables."""
    return [
        TableEntry("IDT", vector, entry, gate_problems(entry, gdt, ldt)) for vector, entry in enumerate(_split(data))
    ]


def look_up(selector: int, gdt: bytes, ldt: bytes = b"") -> AnyDescriptor | str:
    """The descriptor that `selector` names, or why there is none."""
    which = Selector(selector & 0xFFFF)
    name, data = ("LDT", ldt) if which.TI else ("GDT", gdt)
    if not which.TI and which.index == 0:
        return f"selector 0x{selector:04X} is null"
    raw = data[which.index * 8 : which.index * 8 + 8]
    if len(raw) < 8:
        return f"selector 0x{selector:04X} lies beyond the {name}'s limit ({len(data) // 8} entries)"
    return decode(int.from_bytes(raw, "little"))


def gate_problems(entry: AnyDescriptor, gdt: bytes, ldt: bytes = b"") -> tuple[str, ...]:
    """Why the processor could not deliver an interrupt through `entry`; empty when it could."""
    if entry == 0:
        return ("empty",)
    if not isinstance(entry, Gate) or not entry.fits_idt:
        return ("not a gate that an IDT may hold",)
    problems = [] if entry.present else ["not present"]
    target = look_up(entry.selector, gdt, ldt)
    if isinstance(target, str):
        problems.append(target)
    elif entry.is_task:
        problems += _task_problems(entry.selector, target)
    else:
        problems += _procedure_problems(entry, target)
    return tuple(problems)


def _split(data: bytes) -> list[AnyDescriptor]:
    return [decode(int.from_bytes(data[at : at + 8], "little")) for at in range(0, len(data) - 7, 8)]


def _segment_problems(entry: AnyDescriptor, table: str) -> tuple[str, ...]:
    if entry == 0:
        return ()
    problems = [] if entry.present else ["not present"]
    if type(entry) is Descriptor:
        problems.append("its type is reserved")
    if isinstance(entry, Gate) and not entry.fits_gdt:
        problems.append("interrupt and trap gates belong into the IDT")
    if isinstance(entry, SystemSegment) and table == "LDT":
        problems.append("TSS and LDT descriptors belong into the GDT")
    if isinstance(entry, SystemSegment) and entry.is_tss and entry.limit < (0x67 if entry.type & 8 else 0x2B):
        problems.append(f"limit {entry.limit:#x} is too small for a TSS")
    if isinstance(entry, CodeSegment) and entry.long_mode and entry.default_32:
        problems.append("L and D are both set")
    return tuple(problems)


def _task_problems(selector: int, target: AnyDescriptor) -> list[str]:
    if selector & 4 or not (isinstance(target, SystemSegment) and target.is_tss):
        return [f"selector 0x{selector:04X} is not a TSS in the GDT"]
    if target.type & _BUSY:
        return [f"the TSS 0x{selector:04X} is busy"]
    return [] if target.present else [f"the TSS 0x{selector:04X} is not present"]


def _procedure_problems(gate: Gate, target: AnyDescriptor) -> list[str]:
    if not isinstance(target, CodeSegment):
        return [f"selector 0x{gate.selector:04X} is not a code segment"]
    problems = []
    if target.dpl:
        problems.append(f"the code segment 0x{gate.selector:04X} has DPL {target.dpl}: not reachable from inner rings")
    if not target.present:
        problems.append(f"the code segment 0x{gate.selector:04X} is not present")
    if gate.offset > target.limit:
        problems.append(f"offset {gate.offset:#x} lies beyond the limit {target.limit:#x} of its code segment")
    return problems

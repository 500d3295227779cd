"""The descriptor tables that the processor uses now: every entry decoded, with what is wrong with it here.

>>> from hillemu.machine import Machine
>>> machine = Machine(mem="16M")
>>> loaded = machine.load_demo()
>>> stop = machine.run()
>>> machine.gdt[1].descriptor.text
'code 32-bit, ring 0, base 0x00000000, limit 0xFFFFFFFF, execute/read'
>>> machine.gdt.all_problems
()

What a manual's reader could say of an entry alone, and of a gate with its code segment, says `hillemu.emu.i386.tables`.
Here come the questions that need the machine: whether the table and what it points to are mapped, whether a handler can
be executed, whether what a selector register holds is still in the table.

An entry nobody uses may be wrong.  Empty entries of an IDT are not told as problems of the table.

Source: Intel SDM Vol. 3A, "Protected-Mode Memory Management", "Interrupt and Exception Handling"; "Accessed" in
"Segment Descriptors" for what setting it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from html import escape
from typing import Any, overload

from hillemu.emu.i386.control import FETCH, WRITE
from hillemu.emu.i386.descriptors import (
    AnyDescriptor,
    CodeSegment,
    DataSegment,
    Gate,
    SegmentDescriptor,
    Selector,
    SystemSegment,
)
from hillemu.emu.i386.tables import TableEntry, decode_gdt, decode_idt, look_up
from hillemu.emu.i386.vectors import BP, FIRST_FREE_VECTOR, OF, describe
from hillemu.inspection.sight import Sight

ENTRY_BYTES = 8
_EMPTY = ("empty",)
_AFTER_RESET = (0, 0xFFFF)
_REAL_MODE_VECTORS = (0, 0x3FF)
_WHOLE_SPACE = 0xFFFFFFFF
_LAST_16, _LAST_32 = 0xFFFF, 0xFFFFFFFF
_SEGMENT_REGISTERS = ("cs", "ss", "ds", "es", "fs", "gs")


class DescriptorTable(Sequence[TableEntry]):
    """A GDT, LDT or IDT: a sequence of entries; `problems` are the table's own.

    `base` is its linear address, `limit` the offset of its last byte.  Entries behind the first page that is not mapped
    are missing, and a problem tells so.
    """

    def __init__(
        self, name: str, base: int, limit: int, entries: Iterable[TableEntry] = (), problems: Iterable[str] = ()
    ) -> None:
        self.name = name
        self.base = base
        self.limit = limit
        self.entries = tuple(entries)
        self.problems = tuple(problems)

    @overload
    def __getitem__(self, index: int) -> TableEntry: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[TableEntry, ...]: ...
    def __getitem__(self, index: int | slice) -> TableEntry | tuple[TableEntry, ...]:
        return self.entries[index]

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def used(self) -> tuple[TableEntry, ...]:
        """The entries that are not empty."""
        return tuple(entry for entry in self.entries if entry.descriptor)

    @property
    def all_problems(self) -> tuple[str, ...]:
        """What is wrong with the table, then with each entry that is not empty, as lines of text."""
        return self.problems + tuple(f"{_place(entry)}: {problem}" for entry in self.used for problem in entry.problems)

    def as_dict(self) -> dict[str, Any]:
        """Everything for JSON; empty entries are left out."""
        return {
            "table": self.name,
            "base": self.base,
            "limit": self.limit,
            "problems": list(self.problems),
            "entries": [_entry_dict(entry) for entry in self.used],
        }

    def __str__(self) -> str:
        lines = [f"{self.name} at 0x{self.base:08X}, limit 0x{self.limit:04X}: {len(self)} entries"]
        lines += [f"  problem: {problem}" for problem in self.problems]
        lines += [f"  {entry}" for entry in self.used]
        return "\n".join(lines)

    def __repr__(self) -> str:
        count = len(self.all_problems)
        return f"<{self.name} at 0x{self.base:08X}: {len(self.used)} of {len(self)} entries used, {count} problems>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(_place(entry))}</td><td>{escape(entry.descriptor.text)}</td>"
            f"<td>{escape('; '.join(entry.problems))}</td></tr>"
            for entry in self.used
        )
        head = f"{self.name} at 0x{self.base:08X}, limit 0x{self.limit:04X}"
        notes = "".join(f"<br>{escape(problem)}" for problem in self.problems)
        return f'<table style="text-align:left"><caption>{head}{notes}</caption><tbody>{rows}</tbody></table>'


def read_gdt(sight: Sight) -> DescriptorTable:
    """The GDT that GDTR names."""
    register = sight.registers.segment("gdtr")
    if not sight.is_protected and (register.base, register.limit) == _AFTER_RESET:
        note = "the processor is in real mode, and GDTR is as after a reset: there is no GDT yet"
        return DescriptorTable("GDT", register.base, register.limit, (), [note])
    data, problems = _read("GDT", sight, register.base, register.limit, most=0x10000)
    problems += _lost_selectors(sight, data, ti=0)
    return _segments("GDT", sight, register.base, register.limit, data, problems)


def read_ldt(sight: Sight) -> DescriptorTable:
    """The LDT that LDTR names; empty if its selector is null."""
    register = sight.registers.segment("ldtr")
    if not register.selector & 0xFFFC:
        return DescriptorTable("LDT", 0, 0)
    data, problems = _read("LDT", sight, register.base, register.limit, most=0x10000)
    problems += _lost_selectors(sight, data, ti=1)
    return _segments("LDT", sight, register.base, register.limit, data, problems)


def read_idt(sight: Sight) -> DescriptorTable:
    """The IDT that IDTR names; in real mode, whose table holds far pointers, it has no entries."""
    register = sight.registers.segment("idtr")
    if not sight.is_protected:
        note = "the processor is in real mode: what IDTR names is no IDT but a table of far pointers"
        return DescriptorTable("IDT", register.base, register.limit, (), [note])
    data, problems = _read("IDT", sight, register.base, register.limit, most=0x800)
    if (register.base, register.limit) == _REAL_MODE_VECTORS and not _are_mostly_gates(data):
        note = (
            "no IDT has been loaded: IDTR still names real mode's table of far pointers, so no exception is delivered"
        )
        return DescriptorTable("IDT", register.base, register.limit, (), [note])
    if register.limit + 1 < FIRST_FREE_VECTOR * ENTRY_BYTES:
        first = (register.limit + 1) // ENTRY_BYTES
        problems.append(
            f"limit 0x{register.limit:04X} ends before vector {first:#04x} ({describe(first)}): exceptions from there "
            "on cannot be delivered, and end as a triple fault"
        )
    gdt, ldt = sight.gdt_bytes, sight.ldt_bytes
    has_programs = any(
        isinstance(entry.descriptor, CodeSegment) and entry.descriptor.present and entry.descriptor.dpl == 3
        for entry in decode_gdt(gdt)
    )
    rows = []
    for entry in decode_idt(data, gdt, ldt):
        more = () if entry.problems == _EMPTY else tuple(_gate_problems(sight, entry, gdt, ldt, has_programs))
        rows.append(replace(entry, problems=entry.problems + more))
    return DescriptorTable("IDT", register.base, register.limit, rows, problems)


def _are_mostly_gates(data: bytes) -> bool:
    """Whether this may be an IDT: of two far pointers a few look like a gate, too."""
    entries = decode_idt(data, b"")
    return 2 * sum(isinstance(entry.descriptor, Gate) for entry in entries) > len(entries)


# ---- the tables themselves ------------------------------------------------------------------------------------------


def _read(name: str, sight: Sight, base: int, limit: int, most: int) -> tuple[bytes, list[str]]:
    """As much of the table as can be read, and what is wrong with it as a whole."""
    size = min(limit + 1, most)
    data = sight.read(base, size)
    problems = []
    if (limit + 1) % ENTRY_BYTES:
        problems.append(
            f"limit 0x{limit:04X} does not end with an entry: it should be a multiple of 8, less 1; the last "
            f"{(limit + 1) % ENTRY_BYTES} bytes are no entry"
        )
    if base + size > 1 << 32:
        problems.append(f"it begins at 0x{base:08X} and wraps around at 4 GiB")
    if len(data) < size:
        problems.append(f"0x{base + len(data) & 0xFFFFFFFF:08X}, in it, {sight.why_unreadable(base + len(data))}")
    return data, problems


def _lost_selectors(sight: Sight, data: bytes, ti: int) -> list[str]:
    """Selectors in registers that the table has no more: the hidden parts still work, the next load will not."""
    if not sight.is_protected or sight.is_vm86:
        return []
    problems = []
    for name in (*_SEGMENT_REGISTERS, *(() if ti else ("tr", "ldtr"))):
        selector = Selector(sight.registers.segment(name).selector & 0xFFFF)
        if not selector & 0xFFFC or ti != selector.TI:
            continue
        found = look_up(selector, *((b"", data) if ti else (data,)))
        if isinstance(found, str):
            problems.append(f"{name.upper()} holds it, but {found}: the next load of it raises #GP")
        elif wrong := _does_not_fit(name, found):
            problems.append(f"{name.upper()} holds selector 0x{selector:04X}, which is {wrong}: a load would fault")
    return problems


def _does_not_fit(register: str, found: AnyDescriptor) -> str:
    if register == "cs":
        return "" if isinstance(found, CodeSegment) else "not a code segment"
    if register == "ss":
        return "" if isinstance(found, DataSegment) and found.writable else "not a writable data segment"
    if register == "tr":
        return "" if isinstance(found, SystemSegment) and found.is_tss else "not a TSS"
    if register == "ldtr":
        return "" if isinstance(found, SystemSegment) and not found.is_tss else "not an LDT"
    readable = isinstance(found, DataSegment) or (isinstance(found, CodeSegment) and bool(found.readable))
    return "" if readable else "not a readable segment"


# ---- segments -------------------------------------------------------------------------------------------------------


def _segments(name: str, sight: Sight, base: int, limit: int, data: bytes, problems: list[str]) -> DescriptorTable:
    rows = []
    for entry in decode_gdt(data, name):
        at = base + entry.index * ENTRY_BYTES
        rows.append(replace(entry, problems=entry.problems + tuple(_segment_problems(sight, entry.descriptor, at))))
    return DescriptorTable(name, base, limit, rows, problems)


def _segment_problems(sight: Sight, entry: AnyDescriptor, at: int) -> Iterator[str]:
    if not isinstance(entry, SegmentDescriptor) or not entry.present:
        return
    if isinstance(entry, SystemSegment):
        if missing := sight.first_unreadable(entry.base, entry.limit + 1):
            yield missing
        return
    # A flat segment has holes, and with page 0 left out against null pointers its base is one of them.
    if entry.base and (missing := sight.first_unreadable(entry.base, 1)):
        yield f"its base is not mapped: {missing}"
    if entry.base + entry.limit > _WHOLE_SPACE and isinstance(entry, DataSegment) and not entry.expand_down:
        yield f"from base 0x{entry.base:08X} limit 0x{entry.limit:08X} wraps around at 4 GiB"
    if isinstance(entry, DataSegment) and entry.expand_down and entry.limit >= (_LAST_32 if entry.big else _LAST_16):
        yield (
            f"expand-down with limit 0x{entry.limit:08X}, behind which nothing is: it has no offsets, and as a stack "
            "raises #SS; clear the E bit"
        )
    if isinstance(entry, CodeSegment | DataSegment) and not entry.accessed:
        place = sight.place_of(at)
        refused = sight.refusal(at, WRITE)
        if place == "ROM":
            yield "its accessed bit is clear, and the table is in ROM: the processor sets the bit at each load, in vain"
        elif refused:
            yield f"its accessed bit is clear and cannot be set: a load of the segment raises #PF, because {refused}"


# ---- gates ----------------------------------------------------------------------------------------------------------


def _gate_problems(sight: Sight, entry: TableEntry, gdt: bytes, ldt: bytes, has_programs: bool) -> Iterator[str]:
    gate = entry.descriptor
    if not isinstance(gate, Gate) or not gate.fits_idt or gate.is_task or not gate.present:
        return
    yield from _dpl_problems(entry.index, gate, has_programs)
    target = look_up(gate.selector, gdt, ldt)
    if not isinstance(target, CodeSegment) or gate.offset > target.limit:
        return
    if target.default_32 and not gate.is_32_bit:
        yield "a 16-bit gate pushes 16-bit words and cuts EIP: IRET in the 32-bit handler takes the wrong ones"
    handler = target.base + gate.offset & 0xFFFFFFFF
    if refused := sight.refusal(handler, FETCH):
        yield f"the handler at 0x{handler:08X} cannot be executed: {refused}"


def _dpl_problems(vector: int, gate: Gate, has_programs: bool) -> Iterator[str]:
    if vector in (BP, OF):
        if has_programs and gate.dpl < 3:
            name = "INT3" if vector == BP else "INTO"
            yield f"DPL {gate.dpl}: {name} in a program raises #GP instead of this; the DPL should be 3"
    elif vector < FIRST_FREE_VECTOR and gate.dpl == 3:
        yield f"DPL 3: a program can fake this exception by INT {vector:#04x}, without error code; the DPL should be 0"


def _place(entry: TableEntry) -> str:
    if entry.table == "IDT":
        return f"IDT[{entry.index:#04x}] {describe(entry.index)}"
    return f"{entry.table}[{entry.index}] 0x{entry.selector:04X}"


def _entry_dict(entry: TableEntry) -> dict[str, Any]:
    # JSON's numbers need not hold 64 bits.
    raw = f"0x{int(entry.descriptor):0{entry.descriptor.BITS // 4}X}"
    what: dict[str, Any] = {"index": entry.index, "raw": raw, "text": entry.descriptor.text}
    if entry.table == "IDT":
        what["name"] = describe(entry.index)
    else:
        what["selector"] = int(entry.selector)
    descriptor = entry.descriptor
    if isinstance(descriptor, SegmentDescriptor):
        what |= {"base": descriptor.base, "limit": descriptor.limit}
    elif isinstance(descriptor, Gate):
        what |= {"target_selector": int(descriptor.selector), "offset": descriptor.offset}
    return what | {"dpl": int(descriptor.dpl), "present": bool(descriptor.present), "problems": list(entry.problems)}

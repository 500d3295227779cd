"""Segment descriptors and gates: decoded, packed, and put into words.

A descriptor is eight bytes; base, limit and offset come in pieces::

    63     56 55  54  53  52  51    48 47  46 45  44  43  40 39     32 31        16 15         0
    | base   | G |D/B| L |AVL| limit  | P | DPL | S | type  |  base   |    base    |   limit    |   segments
    |         offset 31..16           | P | DPL | 0 | type  | 0, count|  selector  | offset 15..0|   gates

>>> code = pack_segment(base=0, limit=0xFFFFFFFF, access=0x9B, flags=0xC)
>>> hex(code)
'0xcf9b000000ffff'
>>> decode(code).text
'code 32-bit, ring 0, base 0x00000000, limit 0xFFFFFFFF, execute/read, accessed'
>>> decode(pack_gate(INTERRUPT_GATE_32, selector=0x08, offset=0x00101234)).text
'32-bit interrupt gate to 0x0008:0x00101234, ring 0'

Source: Intel SDM Vol. 3A, "Segment Descriptors", "Code- and Data-Segment Descriptor Types", "System Descriptor Types",
"IDT Descriptors".
"""

from __future__ import annotations

from collections.abc import Iterable

from hillemu.emu.word import Bit, Bits, Word

TSS_16, LDT, TSS_16_BUSY, CALL_GATE_16, TASK_GATE, INTERRUPT_GATE_16, TRAP_GATE_16 = range(1, 8)
TSS_32, TSS_32_BUSY, CALL_GATE_32, INTERRUPT_GATE_32, TRAP_GATE_32 = 9, 11, 12, 14, 15
"""Types of system descriptors; 0, 8, 10 and 13 are reserved."""

_SYSTEM_NAMES = {
    TSS_16: "available 16-bit TSS",
    LDT: "LDT",
    TSS_16_BUSY: "busy 16-bit TSS",
    TSS_32: "available 32-bit TSS",
    TSS_32_BUSY: "busy 32-bit TSS",
}
_GATE_NAMES = {
    CALL_GATE_16: "16-bit call gate",
    TASK_GATE: "task gate",
    INTERRUPT_GATE_16: "16-bit interrupt gate",
    TRAP_GATE_16: "16-bit trap gate",
    CALL_GATE_32: "32-bit call gate",
    INTERRUPT_GATE_32: "32-bit interrupt gate",
    TRAP_GATE_32: "32-bit trap gate",
}


class Selector(Word):
    """What a segment register holds: which descriptor, and the requested privilege."""

    BITS = 16
    index = Bits(15, 3)
    TI = Bit(2)
    RPL = Bits(1, 0)


class Descriptor(Word):
    """What all descriptors have; also the class of those whose type is reserved."""

    BITS = 64
    present = Bit(47)
    dpl = Bits(46, 45)
    is_segment = Bit(44)
    """The manual's S flag: code or data, not a system descriptor."""
    type = Bits(43, 40)

    @property
    def text(self) -> str:
        """The descriptor in words."""
        if self == 0:
            return "null"
        return f"reserved system type {self.type:#x}" + self._suffix

    @property
    def _suffix(self) -> str:
        return f", ring {self.dpl}" + ("" if self.present else ", NOT PRESENT")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({int(self):#018x} {self.text})"

    __str__ = __repr__


class SegmentDescriptor(Descriptor):
    """A descriptor that has a base and a limit."""

    granularity = Bit(55)
    available = Bit(52)
    base_31_24 = Bits(63, 56)
    base_23_0 = Bits(39, 16)
    limit_19_16 = Bits(51, 48)
    limit_15_0 = Bits(15, 0)

    @property
    def base(self) -> int:
        """Linear address of the segment's first byte."""
        return self.base_31_24 << 24 | self.base_23_0

    @property
    def limit(self) -> int:
        """The last offset in bytes, granularity applied."""
        raw = self.limit_19_16 << 16 | self.limit_15_0
        return raw << 12 | 0xFFF if self.granularity else raw

    @property
    def text(self) -> str:
        return f"segment{self._suffix}, {self._range}"

    @property
    def _range(self) -> str:
        return f"base 0x{self.base:08X}, limit 0x{self.limit:08X}"


class CodeSegment(SegmentDescriptor):
    """Code: executable, perhaps readable, never writable."""

    default_32 = Bit(54)
    long_mode = Bit(53)
    conforming = Bit(42)
    readable = Bit(41)
    accessed = Bit(40)

    @property
    def text(self) -> str:
        words = [f"code {'32' if self.default_32 else '16'}-bit{self._suffix}", self._range]
        words.append("execute/read" if self.readable else "execute-only")
        words += [name for name in ("conforming", "accessed") if getattr(self, name)]
        return ", ".join(words)


class DataSegment(SegmentDescriptor):
    """Data or stack: readable, perhaps writable, never executable."""

    big = Bit(54)
    """B: as a stack it uses ESP, and an expand-down segment ends at 4 GiB."""
    expand_down = Bit(42)
    writable = Bit(41)
    accessed = Bit(40)

    @property
    def text(self) -> str:
        words = [f"data {'32' if self.big else '16'}-bit{self._suffix}", self._range]
        words.append("read/write" if self.writable else "read-only")
        if self.expand_down:
            words.append("expand-down")
        if self.accessed:
            words.append("accessed")
        return ", ".join(words)


class SystemSegment(SegmentDescriptor):
    """A TSS or an LDT."""

    @property
    def is_tss(self) -> bool:
        return self.type != LDT

    @property
    def text(self) -> str:
        return f"{_SYSTEM_NAMES[self.type]}{self._suffix}, {self._range}"


class Gate(Descriptor):
    """A door to a procedure (`selector`:`offset`), or, for a task gate, to a task."""

    offset_31_16 = Bits(63, 48)
    selector = Bits(31, 16)
    parameter_count = Bits(36, 32)
    """Call gates only: how many words the processor copies to the new stack."""
    offset_15_0 = Bits(15, 0)

    @property
    def is_32_bit(self) -> bool:
        return self.type >= CALL_GATE_32

    @property
    def is_task(self) -> bool:
        return self.type == TASK_GATE

    @property
    def fits_idt(self) -> bool:
        """Whether the IDT may hold it: all but call gates."""
        return self.type not in (CALL_GATE_16, CALL_GATE_32)

    @property
    def fits_gdt(self) -> bool:
        """Whether the GDT or an LDT may hold it: call and task gates."""
        return self.type in (CALL_GATE_16, CALL_GATE_32, TASK_GATE)

    @property
    def offset(self) -> int:
        """Where the procedure starts in its segment; 16-bit gates have no upper half."""
        return self.offset_31_16 << 16 | self.offset_15_0 if self.is_32_bit else self.offset_15_0

    @property
    def text(self) -> str:
        target = f"0x{self.selector:04X}" + ("" if self.is_task else f":0x{self.offset:08X}")
        return f"{_GATE_NAMES[self.type]} to {target}{self._suffix}"


AnyDescriptor = CodeSegment | DataSegment | SystemSegment | Gate | Descriptor


def decode(raw: int) -> AnyDescriptor:
    """Give the 64-bit value `raw` the class that its S and type fields call for."""
    descriptor = Descriptor(raw)
    if descriptor.is_segment:
        return CodeSegment(raw) if descriptor.type & 8 else DataSegment(raw)
    if descriptor.type in _SYSTEM_NAMES:
        return SystemSegment(raw)
    return Gate(raw) if descriptor.type in _GATE_NAMES else descriptor


def pack_segment(base: int, limit: int, access: int, flags: int) -> AnyDescriptor:
    """Build the descriptor of a segment, TSS or LDT.

    `limit` is the last offset in bytes; `access` the byte P, DPL, S, type; `flags` the four bits G, D/B, L, AVL.
    With G set the limit must end on a page's last byte, without it must fit into 20 bits: `ValueError` otherwise.
    """
    if flags & 8:
        if limit & 0xFFF != 0xFFF:
            raise ValueError(f"limit {limit:#x} does not end on a page's last byte, but G is set")
        limit >>= 12
    if not 0 <= limit <= 0xFFFFF:
        raise ValueError(f"limit {limit:#x} does not fit into 20 bits")
    if not 0 <= base <= 0xFFFFFFFF:
        raise ValueError(f"base {base:#x} does not fit into 32 bits")
    word = SegmentDescriptor.of(
        base_31_24=base >> 24, base_23_0=base & 0xFFFFFF, limit_19_16=limit >> 16, limit_15_0=limit & 0xFFFF
    )
    return decode(word | _byte("access", access, 0xFF) << 40 | _byte("flags", flags, 0xF) << 52)


def pack_gate(
    kind: int, selector: int, offset: int = 0, dpl: int = 0, *, present: bool = True, parameter_count: int = 0
) -> Gate:
    """Build a gate of system type `kind` (`INTERRUPT_GATE_32`, ...); `ValueError` for a type that is no gate."""
    if kind not in _GATE_NAMES:
        raise ValueError(f"system type {kind:#x} is no gate")
    if not (gate := Gate.of(type=kind)).is_32_bit and offset > 0xFFFF:
        raise ValueError(f"a {_GATE_NAMES[kind]} cannot reach offset {offset:#x}")
    return gate.replace(
        selector=selector,
        offset_31_16=offset >> 16,
        offset_15_0=offset & 0xFFFF,
        dpl=dpl,
        present=int(present),
        parameter_count=parameter_count,
    )


def pack_table(descriptors: Iterable[int]) -> bytes:
    """Lay descriptors out as a GDT, LDT or IDT."""
    return b"".join(int(descriptor).to_bytes(8, "little") for descriptor in descriptors)


def _byte(name: str, value: int, limit: int) -> int:
    if not 0 <= value <= limit:
        raise ValueError(f"{name} {value:#x} is more than {limit:#x}")
    return value

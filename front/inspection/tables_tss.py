"""The task-state segment that TR names: its fields, the ports that programs may use, and what is wrong with it.

A kernel needs it for two things: an interrupt in a program takes SS0:ESP0 from it, and the I/O permission bitmap behind
its fields says which ports a program may touch.  A mistake in either shows late, as a triple fault or a #GP in a
program, far from its cause.

Source: Intel SDM Vol. 3A, "Task-State Segment (TSS)", "TSS Descriptor"; Vol. 1, "I/O Permission Bit Map".
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from hillemu.emu.i386.address import VirtAddr
from hillemu.emu.i386.control import WRITE
from hillemu.emu.i386.descriptors import DataSegment, SystemSegment
from hillemu.emu.i386.outcomes import Mapped
from hillemu.emu.i386.paging import translate
from hillemu.emu.i386.tables import look_up
from hillemu.emu.i386.tss import TSS_16, TSS_32, Layout, size_bytes, unpack
from hillemu.inspection.sight import Sight

PORTS = 0x10000
_IS_32_BIT = 0x800
_MOST_BYTES = 0x67 + PORTS // 8 + 2 + 0x100
_PUSHED_FIRST = 4
"""Bytes below ESP0 that a delivery writes first: the program's SS."""


class Tss:
    """A TSS: `fields` by name, `layout` says where each lies; empty, with `selector` 0, while TR is null.

    `base` is linear, `limit` the offset of the last byte, both from the hidden part of TR.
    """

    def __init__(
        self,
        selector: int,
        base: int = 0,
        limit: int = 0,
        *,
        layout: Layout = TSS_32,
        data: bytes = b"",
        problems: tuple[str, ...] = (),
    ) -> None:
        self.selector = selector
        self.base = base
        self.limit = limit
        self.layout = layout
        self.problems = problems
        self.fields = unpack(layout, data) if len(data) >= size_bytes(layout) else {}
        self.data = data

    @property
    def is_loaded(self) -> bool:
        """Whether TR names a TSS."""
        return bool(self.selector & 0xFFFC)

    @property
    def is_32_bit(self) -> bool:
        return self.layout is TSS_32

    def __getitem__(self, field: str) -> int:
        """One field: ``tss["esp0"]``; raises `KeyError` if there is none, or the TSS cannot be read."""
        return self.fields[field]

    def field_address(self, field: str) -> int:
        """Linear address of a field; raises `KeyError`."""
        return self.base + self.layout[field][0] & 0xFFFFFFFF

    def allows(self, port: int) -> bool:
        """Whether the bitmap lets a program with CPL > IOPL use `port`."""
        if not self.is_32_bit or not self.fields:
            return False
        at = self["io_map"] + port // 8
        # The processor reads two bytes, for a wide access may cross, and both must lie within the limit.
        if at + 1 > self.limit or at >= len(self.data):
            return False
        return not self.data[at] >> port % 8 & 1

    @property
    def allowed_ports(self) -> tuple[range, ...]:
        """The ports that programs may use, as ranges in ascending order."""
        found: list[range] = []
        for port in range(PORTS):
            if self.allows(port):
                if found and found[-1].stop == port:
                    found[-1] = range(found[-1].start, port + 1)
                else:
                    found.append(range(port, port + 1))
        return tuple(found)

    def as_dict(self) -> dict[str, Any]:
        """Everything for JSON."""
        return {
            "selector": self.selector,
            "base": self.base,
            "limit": self.limit,
            "bits": 32 if self.is_32_bit else 16,
            "fields": dict(self.fields),
            "allowed_ports": [[ports.start, ports.stop - 1] for ports in self.allowed_ports],
            "problems": list(self.problems),
        }

    def __str__(self) -> str:
        if not self.is_loaded:
            return "\n".join(["TSS: none, TR is null", *(f"  problem: {problem}" for problem in self.problems)])
        lines = [self._title, *(f"  problem: {problem}" for problem in self.problems)]
        for name, value in self.fields.items():
            lines.append(f"  {name:<6} 0x{value:0{2 * self.layout[name][1]}X}")
        if self.fields:
            lines.append(f"  ports  {self._ports_text}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<{self._title}, {len(self.problems)} problems>" if self.is_loaded else "<TSS: none>"

    def _repr_html_(self) -> str:
        if not self.is_loaded:
            return "<p>TSS: none, TR is null</p>"
        rows = "".join(
            f"<tr><td>{name}</td><td>0x{value:0{2 * self.layout[name][1]}X}</td></tr>"
            for name, value in self.fields.items()
        )
        notes = "".join(f"<br>{escape(problem)}" for problem in self.problems)
        return f'<table style="text-align:left"><caption>{self._title}{notes}</caption><tbody>{rows}</tbody></table>'

    @property
    def _title(self) -> str:
        bits = 32 if self.is_32_bit else 16
        return f"{bits}-bit TSS 0x{self.selector:04X} at 0x{self.base:08X}, limit 0x{self.limit:04X}"

    @property
    def _ports_text(self) -> str:
        ranges = self.allowed_ports
        texts = [f"{ports.start:#x}" + (f"-{ports.stop - 1:#x}" if len(ports) > 1 else "") for ports in ranges]
        return ", ".join(texts) or "none for programs"


def read_tss(sight: Sight) -> Tss:
    """The TSS that TR names."""
    register = sight.registers.segment("tr")
    if not register.selector & 0xFFFC:
        return Tss(0)
    layout = TSS_32 if register.attributes & _IS_32_BIT else TSS_16
    data = sight.read(register.base, min(register.limit + 1, _MOST_BYTES))
    tss = Tss(register.selector, register.base, register.limit, layout=layout, data=data)
    tss.problems = tuple(_problems(sight, tss, len(data)))
    return tss


def _problems(sight: Sight, tss: Tss, readable: int) -> Iterator[str]:
    yield from _descriptor_problems(sight, tss)
    least = size_bytes(tss.layout)
    if tss.limit < least - 1:
        yield f"limit {tss.limit:#x} is less than {least - 1:#x}: a switch to another ring or task raises #TS"
    if readable < min(tss.limit + 1, _MOST_BYTES):
        yield f"0x{tss.base + readable & 0xFFFFFFFF:08X}, in it, {sight.why_unreadable(tss.base + readable)}"
    if not tss.fields:
        return
    yield from _stack_problems(sight, tss)
    if tss.is_32_bit:
        yield from _bitmap_problems(tss)


def _descriptor_problems(sight: Sight, tss: Tss) -> Iterator[str]:
    found = look_up(tss.selector, sight.gdt_bytes)
    if not isinstance(found, SystemSegment) or not found.is_tss:
        yield f"TR holds 0x{tss.selector:04X}, and the GDT has no TSS there: it was changed after LTR"
    elif (found.base, found.limit) != (tss.base, tss.limit):
        yield (
            f"the GDT's descriptor 0x{tss.selector:04X} says base 0x{found.base:08X}, limit {found.limit:#x}: it was "
            "changed after LTR, and the processor still uses what it loaded"
        )


def _stack_problems(sight: Sight, tss: Tss) -> Iterator[str]:
    names = ("ss0", "esp0") if tss.is_32_bit else ("ss0", "sp0")
    selector, pointer = (tss[name] for name in names)
    label = names[1].upper()
    if not selector & 0xFFFC:
        yield "SS0 is null: an interrupt in a program raises #TS"
        return
    stack = look_up(selector, sight.gdt_bytes, sight.ldt_bytes)
    if isinstance(stack, str):
        yield f"SS0: {stack}: an interrupt in a program raises #TS"
        return
    if not isinstance(stack, DataSegment) or not stack.writable:
        yield f"SS0 0x{selector:04X} is no writable data segment: an interrupt in a program raises #TS"
        return
    if stack.dpl or selector & 3:
        yield f"SS0 0x{selector:04X} is not of ring 0 (RPL {selector & 3}, DPL {stack.dpl}): #TS"
    if not stack.present:
        yield f"SS0 0x{selector:04X} is not present: an interrupt in a program raises #SS"
    if not pointer:
        yield f"{label} is 0: the first push of an interrupt in a program goes to the top of the space"
    top = stack.base + pointer - _PUSHED_FIRST & 0xFFFFFFFF
    if refused := sight.refusal(top, WRITE):
        yield f"{label} 0x{pointer:08X}: nothing can be pushed at 0x{top:08X}: {refused}; that ends as a triple fault"
        return
    if pointer % 4:
        yield f"{label} 0x{pointer:08X} is not a multiple of 4"
    outcome = translate(sight.memory, VirtAddr(top), sight.control)
    if isinstance(outcome, Mapped) and outcome.trail and outcome.user:
        yield f"{label} 0x{pointer:08X}: programs can read the kernel's stack at 0x{top:08X} (U/S=1)"


def _bitmap_problems(tss: Tss) -> Iterator[str]:
    at = tss["io_map"]
    if at > tss.limit:
        # The usual way to say that there is none.  A bitmap that was meant to be there is a different thing.
        if tss.limit + 1 >= size_bytes(TSS_32) + 32 and at != 0xFFFF:
            yield f"the I/O bitmap begins at {at:#x}, beyond the limit {tss.limit:#x}: no port is allowed"
        return
    if at < size_bytes(TSS_32):
        yield f"the I/O bitmap begins at {at:#x}, inside the fields, which now allow ports: 104 is the first place"
    last = tss.limit
    if at + 1 <= last < at + PORTS // 8 + 1 and last < len(tss.data) and tss.data[last] != 0xFF:
        yield (
            f"the I/O bitmap's last byte, at {last:#x}, is {tss.data[last]:#04x}: the manual wants 0xFF behind the "
            "bitmap, within the limit"
        )

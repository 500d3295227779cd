"""C structures in guest memory, declared as a C kernel would declare them.

>>> area = Structure("vm_area", "u32 start", "u32 end", "u64 file_offset", "u8 name[6]")
>>> area.size_bytes, area.offset("name")
(24, 16)
>>> print(area.declaration())
struct vm_area {
    u32 start;           /*  0 */
    u32 end;             /*  4 */
    u64 file_offset;     /*  8 */
    u8  name[6];         /* 16 */
};                       /* 24 bytes */

Source: System V ABI for i386: members are aligned to their size, but at most to four bytes.
"""

from __future__ import annotations

from typing import NamedTuple

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr

_TYPE_BYTES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
_LARGEST_ALIGNMENT = 4


class Member(NamedTuple):
    """One member; `length` is 0 unless it is an array."""

    name: str
    type: str
    length: int
    offset: int

    @property
    def size_bytes(self) -> int:
        return _TYPE_BYTES[self.type] * (self.length or 1)


class Structure:
    """A C structure: where its members lie, its declaration, and slow access for people and set-up code."""

    def __init__(self, name: str, *members: str) -> None:
        self.name = name
        self.members: dict[str, Member] = {}
        offset, alignment = 0, 1
        for text in members:
            kind, _, rest = text.partition(" ")
            member, _, length = rest.rstrip("]").partition("[")
            align = min(_TYPE_BYTES[kind], _LARGEST_ALIGNMENT)
            offset += -offset % align
            self.members[member] = Member(member, kind, int(length or 0), offset)
            offset += self.members[member].size_bytes
            alignment = max(alignment, align)
        self.size_bytes = offset + -offset % alignment

    def offset(self, member: str) -> int:
        """Where `member` lies, in bytes from the start."""
        return self.members[member].offset

    def declaration(self) -> str:
        """The structure in C, with offsets, for documents and debuggers."""
        lines = [f"struct {self.name} {{"]
        for member in self.members.values():
            array = f"[{member.length}]" if member.length else ""
            lines.append(f"{f'    {member.type:3} {member.name}{array};':24} /* {member.offset:2} */")
        return "\n".join([*lines, f"{'};':24} /* {self.size_bytes} bytes */"])

    def read(self, memory: GuestMemory, at: PhysAddr) -> dict[str, int | bytes]:
        """All members at `at`: numbers, and arrays as bytes."""
        raw = memory.read(at, self.size_bytes)
        found: dict[str, int | bytes] = {}
        for member in self.members.values():
            data = raw[member.offset : member.offset + member.size_bytes]
            found[member.name] = data if member.length else int.from_bytes(data, "little")
        return found

    def get(self, memory: GuestMemory, at: PhysAddr, name: str) -> int:
        """One member that is no array."""
        member = self.members[name]
        return int.from_bytes(memory.read(PhysAddr(at + member.offset), member.size_bytes), "little")

    def write(self, memory: GuestMemory, at: PhysAddr, **values: int | bytes) -> None:
        """Set the named members; bytes fill an array from its start, the rest of it becomes zero."""
        for name, value in values.items():
            member = self.members[name]
            if isinstance(value, int):
                data = value.to_bytes(member.size_bytes, "little")
            else:
                data = value.ljust(member.size_bytes, b"\0")
            if len(data) != member.size_bytes:
                raise ValueError(f"{len(data)} bytes do not fit into {self.name}.{name} ({member.size_bytes} bytes)")
            memory.write(PhysAddr(at + member.offset), data)

"""Task-state segments: where the processor finds the stacks of the inner rings, and saves tasks.

>>> data = pack(TSS_32, esp0=0xC0090000, ss0=0x10, io_map=104)
>>> len(data), hex(unpack(TSS_32, data)["esp0"])
(104, '0xc0090000')
>>> TSS_32["esp0"]
(4, 4)

Source: Intel SDM Vol. 3A, "Task-State Segment (TSS)", "16-Bit Task-State Segment (TSS)".
"""

from __future__ import annotations

from collections.abc import Mapping

Layout = Mapping[str, tuple[int, int]]
"""Field name to offset and size, both in bytes."""

_REGISTERS = ("cr3", "eip", "eflags", "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
_SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs", "ldt")
_REGISTERS_16 = ("ip", "flags", "ax", "cx", "dx", "bx", "sp", "bp", "si", "di")
_FIELDS_16 = ("link", "sp0", "ss0", "sp1", "ss1", "sp2", "ss2", *_REGISTERS_16, "es", "cs", "ss", "ds", "ldt")

TSS_32: Layout = {
    "link": (0, 2),
    "esp0": (4, 4),
    "ss0": (8, 2),
    "esp1": (12, 4),
    "ss1": (16, 2),
    "esp2": (20, 4),
    "ss2": (24, 2),
    **{name: (28 + 4 * number, 4) for number, name in enumerate(_REGISTERS)},
    **{name: (72 + 4 * number, 2) for number, name in enumerate(_SEGMENTS)},
    "trap": (100, 2),
    "io_map": (102, 2),
}
"""The 32-bit TSS: 104 bytes; the I/O permission bitmap begins at offset `io_map`."""

TSS_16: Layout = {name: (2 * number, 2) for number, name in enumerate(_FIELDS_16)}
"""The 16-bit TSS of the 80286: 44 bytes."""


def size_bytes(layout: Layout) -> int:
    """How many bytes a TSS of this layout has at least."""
    return max(offset + size for offset, size in layout.values())


def pack(layout: Layout, **fields: int) -> bytes:
    """Build a TSS; fields not named are zero.

    Raises `KeyError` for a field that the layout lacks, `OverflowError` for a value that does not fit.
    """
    data = bytearray(size_bytes(layout))
    for name, value in fields.items():
        offset, size = layout[name]
        data[offset : offset + size] = value.to_bytes(size, "little")
    return bytes(data)


def unpack(layout: Layout, data: bytes) -> dict[str, int]:
    """Read all fields of a TSS; `ValueError` if `data` is too short."""
    if len(data) < size_bytes(layout):
        raise ValueError(f"a TSS has {size_bytes(layout)} bytes, not {len(data)}")
    return {name: int.from_bytes(data[at : at + size], "little") for name, (at, size) in layout.items()}

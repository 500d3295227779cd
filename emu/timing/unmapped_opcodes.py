"""Names of opcodes that the timing tables' map does not have, for the list of what a run had no figures for.

The map ends with the Pentium.  Kernels are often compiled for later processors, so a person should read ``CMOVZ``
rather than bytes.  Where a prefix or the ModR/M byte decides between many, the name is that of the extension.

>>> named(0x144)
'CMOVZ (0F 44)'
>>> named(0x16F)
'MMX or SSE (0F 6F)'
>>> named(0x1FF)
'opcode 0F FF'

Source: Intel SDM Vol. 2, appendix A, "One-Byte Opcode Map" and "Two-Byte Opcode Map"; SALC and ICEBP: the names that
disassemblers give them, since Intel has none.
"""

from __future__ import annotations

TWO_BYTE = 0x100
"""Added to an opcode behind 0F."""

CONDITIONS = ("O", "NO", "B", "NB", "Z", "NZ", "BE", "NBE", "S", "NS", "P", "NP", "L", "NL", "LE", "NLE")

_NAMES = {
    0xD6: "SALC",
    0xF1: "ICEBP",
    TWO_BYTE + 0x05: "SYSCALL",
    TWO_BYTE + 0x07: "SYSRET",
    TWO_BYTE + 0x0B: "UD2",
    TWO_BYTE + 0x0D: "PREFETCHW",
    TWO_BYTE + 0x33: "RDPMC",
    TWO_BYTE + 0x34: "SYSENTER",
    TWO_BYTE + 0x35: "SYSEXIT",
    TWO_BYTE + 0x77: "EMMS",
    TWO_BYTE + 0xAE: "FXSAVE or a fence",
    TWO_BYTE + 0xB8: "POPCNT",
    TWO_BYTE + 0xC3: "MOVNTI",
    **dict.fromkeys(range(0xD8, 0xE0), "x87"),  # FCMOVcc, FCOMI, and the undocumented
    **{TWO_BYTE + 0x40 + number: f"CMOV{condition}" for number, condition in enumerate(CONDITIONS)},
    **dict.fromkeys(range(TWO_BYTE + 0x18, TWO_BYTE + 0x20), "PREFETCH or NOP"),
}
_EXTENSIONS = (
    (range(0x10, 0x18), "SSE"),
    (range(0x28, 0x30), "SSE"),
    (range(0x38, 0x3B), "SSSE3 or SSE4"),
    (range(0x50, 0x60), "SSE"),
    (range(0x60, 0x80), "MMX or SSE"),
    (range(0xC2, 0xC7), "SSE"),
    (range(0xD0, 0xFF), "MMX or SSE"),
)


def named(opcode: int) -> str:
    """The instruction at `opcode`, with its bytes: a one-byte opcode, or `TWO_BYTE` and the byte behind 0F."""
    encoding = f"{'0F ' if opcode >= TWO_BYTE else ''}{opcode & 0xFF:02X}"
    name = _NAMES.get(opcode)
    if name is None and opcode >= TWO_BYTE:
        name = next((extension for codes, extension in _EXTENSIONS if opcode - TWO_BYTE in codes), None)
    return f"{name} ({encoding})" if name else f"opcode {encoding}"

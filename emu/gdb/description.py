"""XML for GDB: the target description (its registers) and the memory map.

Source: Debugging with GDB, "Target Description Format", "Memory Map Format".
"""

from __future__ import annotations

from collections.abc import Iterable

from hillemu.emu.gdb.registers import CORE, LAYOUT, SSE, SYSTEM, SYSTEM_TYPES
from hillemu.emu.gdb.target import Region
from hillemu.emu.i386.registers import Cr0, Cr4, Dr6, Dr7, Efer, Eflags
from hillemu.emu.word import Word

_FLAGS: dict[str, dict[str, type[Word]]] = {
    CORE: {"i386_eflags": Eflags},
    SSE: {},
    SYSTEM: dict(zip(SYSTEM_TYPES.values(), (Cr0, Cr4, Efer, Dr6, Dr7), strict=True)),
}
_MXCSR = ("IE", "DE", "ZE", "OE", "UE", "PE", "DAZ", "IM", "DM", "ZM", "OM", "UM", "PM", "RC0", "RC1", "FZ")
_SSE_TYPES = (
    *('<vector id="v4f" type="ieee_single" count="4"/>', '<vector id="v2d" type="ieee_double" count="2"/>'),
    *('<vector id="v16i8" type="int8" count="16"/>', '<vector id="v8i16" type="int16" count="8"/>'),
    *('<vector id="v4i32" type="int32" count="4"/>', '<vector id="v2i64" type="int64" count="2"/>'),
    '<union id="vec128">',
    *('<field name="v4_float" type="v4f"/>', '<field name="v2_double" type="v2d"/>'),
    *('<field name="v16_int8" type="v16i8"/>', '<field name="v8_int16" type="v8i16"/>'),
    *('<field name="v4_int32" type="v4i32"/>', '<field name="v2_int64" type="v2i64"/>'),
    '<field name="uint128" type="uint128"/>',
    "</union>",
    '<flags id="i386_mxcsr" size="4">',
    *(f'<field name="{name}" start="{bit}" end="{bit}"/>' for bit, name in enumerate(_MXCSR)),
    "</flags>",
)


def target_xml(machine_name: str) -> bytes:
    """The target description of an i386 that runs code of GDB's architecture `machine_name`."""
    lines = [
        '<?xml version="1.0"?>',
        '<!DOCTYPE target SYSTEM "gdb-target.dtd">',
        '<target version="1.0">',
        f"<architecture>{machine_name}</architecture>",
        "<osabi>none</osabi>",  # else GDB takes the host's, and warns
    ]
    for feature, flags in _FLAGS.items():
        lines.append(f'<feature name="{feature}">')
        for name, word in flags.items():
            lines += _flags_type(name, word)
        lines += _SSE_TYPES if feature == SSE else ()
        lines += [
            f'<reg name="{register.name}" bitsize="{register.bits}" type="{register.type}" regnum="{register.number}"/>'
            for register in LAYOUT
            if register.feature == feature
        ]
        lines.append("</feature>")
    lines.append("</target>")
    return "\n".join(lines).encode("ascii")


def _flags_type(name: str, word: type[Word]) -> Iterable[str]:
    yield f'<flags id="{name}" size="4">'
    for field in reversed(word.fields):
        end = field.low + field.width - 1
        kind = ' type="uint32"' if field.width > 1 else ""
        yield f'<field name="{field.name}" start="{field.low}" end="{end}"{kind}/>'
    yield "</flags>"


def memory_map_xml(regions: Iterable[Region]) -> bytes:
    """The memory map that consists of `regions`."""
    lines = [
        '<?xml version="1.0"?>',
        '<!DOCTYPE memory-map PUBLIC "+//IDN gnu.org//DTD GDB Memory Map V1.0//EN" '
        '"http://sourceware.org/gdb/gdb-memory-map.dtd">',
        "<memory-map>",
    ]
    for region in regions:
        kind = "ram" if region.writable else "rom"
        lines.append(f'<memory type="{kind}" start="{region.base:#x}" length="{region.size_bytes:#x}"/>')
    lines.append("</memory-map>")
    return "\n".join(lines).encode("ascii")

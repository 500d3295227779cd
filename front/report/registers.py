"""The register file, decoded."""

from __future__ import annotations

from hillemu.emu.guest import Segment
from hillemu.emu.i386.control import PagingMode
from hillemu.emu.i386.descriptors import decode
from hillemu.emu.i386.registers import Cr0, Cr4, Dr6, Dr7, Efer
from hillemu.report.view import Scene

_GENERAL = (("eax", "ebx", "ecx", "edx"), ("esi", "edi", "ebp", "esp"))


def register_lines(scene: Scene) -> list[str]:
    """General registers, segments with their hidden parts, control and, when in use, debug registers."""
    get = scene.registers.get
    lines = [" ".join(f"{name.upper()}={get(name):08X}" for name in row) for row in _GENERAL]
    lines.append(f"EIP={get('eip'):08X} {scene.name(scene.eip)}".rstrip() + f"  ({mode(scene)})")
    lines.append(repr(scene.eflags))
    for name in ("cs", "ss", "ds", "es", "fs", "gs", "ldtr", "tr"):
        described = scene.protected or name in ("ldtr", "tr")
        lines.append(f"{name.upper()}={_segment(scene.registers.segment(name), described)}")
    for name in ("gdtr", "idtr"):
        table = scene.registers.segment(name)
        lines.append(f"{name.upper()} base 0x{table.base:08X}, limit 0x{table.limit:04X}")
    lines.append(repr(Cr0(get("cr0"))))
    lines.append(f"CR2=0x{get('cr2'):08X} CR3=0x{get('cr3'):08X}")
    lines.append(repr(Cr4(get("cr4"))))
    if efer := get("efer"):
        lines.append(repr(Efer(efer)))
    if get("dr7") & 0xFF:
        breakpoints = " ".join(f"DR{number}=0x{get(f'dr{number}'):08X}" for number in range(4))
        lines += [breakpoints, repr(Dr6(get("dr6"))), repr(Dr7(get("dr7")))]
    return lines


def mode(scene: Scene) -> str:
    """The processor's mode in words."""
    if not scene.control.cr0 & Cr0.PE.mask:
        return "real mode"
    kind = "virtual-8086 mode" if scene.eflags.VM else f"ring {scene.ring}, {scene.code_bits}-bit code"
    paging = "paging off" if scene.control.mode is PagingMode.OFF else scene.control.mode.value
    return f"{kind}, {paging}"


def _segment(segment: Segment, described: bool) -> str:
    """Selector and hidden part; only in protected mode does the descriptor's type mean anything."""
    if not described:
        return f"{segment.selector:04X} base 0x{segment.base:08X}, limit 0x{segment.limit:08X}"
    if not segment.attributes:
        return f"{segment.selector:04X} null"
    granular = segment.attributes >> 23 & 1
    limit = segment.limit >> 12 if granular else segment.limit
    raw = segment.attributes << 32 | (segment.base & 0xFFFFFF) << 16 | (segment.base >> 24) << 56
    raw |= limit & 0xFFFF | (limit >> 16 & 0xF) << 48
    return f"{segment.selector:04X} {decode(raw).text}"

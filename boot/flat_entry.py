"""The processor as a boot loader hands it to a 32-bit kernel: protected mode, flat segments, no paging.

::

    GDT   0x00  null                        CR0     PE and ET set, PG clear
          0x08  code, 0-4 GiB, 32-bit       EFLAGS  IF and VM clear
          0x10  data, 0-4 GiB               CS      0x08, all others 0x10
          0x18  code, 64 KiB, 16-bit        ESP     0x6F00
          0x20  data, 64 KiB                others  0

The Multiboot specification leaves ESP and GDTR open: a kernel must set both before it uses them.  Kernels in the wild
rely on what they were tested with, so both are as QEMU's loader leaves them: a stack below the boot sector's place,
and a GDT whose code segment is 0x08.  Unlike QEMU's, the GDT lies in RAM (beside the information structure), not ROM.
IDTR stays as it is after a reset: no interrupt may be let in before the kernel loads its own.

The A20 gate is no register; whoever builds the machine opens it.

Source: Multiboot Specification 0.6.96, "Machine state"; ``info registers`` of QEMU 7.2 at the entry of a kernel.
"""

from __future__ import annotations

import struct

from hillemu.emu.guest import Registers, Segment
from hillemu.emu.i386.address import PhysAddr

FLAT_CODE = Segment(0x08, 0, 0xFFFFFFFF, 0x00C09B00)
FLAT_DATA = Segment(0x10, 0, 0xFFFFFFFF, 0x00C09300)
ENTRY_ESP = 0x6F00

GDT = struct.pack(
    "<5Q",
    0,
    0x00CF9B000000FFFF,
    0x00CF93000000FFFF,
    0x00009F000000FFFF,
    0x000093000000FFFF,
)
"""The descriptors, already marked accessed, as loading them into segment registers would."""

_CR0_PE_ET = 0x11
_EFLAGS_NONE = 0x2


def enter_flat32(registers: Registers, gdt: PhysAddr, eip: PhysAddr, eax: int, ebx: int) -> None:
    """Set `registers` for a kernel that starts at `eip`, with a copy of `GDT` at `gdt`.

    GDTR is set as the segment ``gdtr``, of which only base and limit count.
    """
    registers.set("cr0", _CR0_PE_ET)
    registers.set_segment("gdtr", Segment(0, gdt, len(GDT) - 1, 0))
    registers.set_segment("cs", FLAT_CODE)
    for name in ("ds", "es", "fs", "gs", "ss"):
        registers.set_segment(name, FLAT_DATA)
    for name in ("ecx", "edx", "esi", "edi", "ebp"):
        registers.set(name, 0)
    registers.set("esp", ENTRY_ESP)
    registers.set("eax", eax)
    registers.set("ebx", ebx)
    registers.set("eflags", _EFLAGS_NONE)
    registers.set("eip", eip)

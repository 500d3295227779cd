"""The processor as a boot loader hands it to Linux: in real mode at its setup code, or in 32-bit code behind it.

::

    real mode   DS ES FS GS SS   where the setup lies, /16        32-bit   CS          0x10, flat, 32-bit
                CS:IP            that + 0x20 : 0                           all others  0x18, flat
                SP               top of its heap                           ESI         zero page
                IF               clear                                     EBP EDI EBX 0, IF clear, no paging

Source: Linux Documentation/arch/x86/boot.rst, "Running the Kernel", "32-bit Boot Protocol"; QEMU 7.2 and GRUB 2 for the
registers left open.
"""

from __future__ import annotations

import struct

from hillemu.emu.guest import Registers, Segment
from hillemu.emu.i386.address import PhysAddr

GDT = struct.pack("<4Q", 0, 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF)
"""__BOOT_CS is 0x10, __BOOT_DS is 0x18."""

_CODE = Segment(0x10, 0, 0xFFFFFFFF, 0x00C09B00)
_DATA = Segment(0x18, 0, 0xFFFFFFFF, 0x00C09300)
_CR0_ET, _CR0_PE_ET = 0x10, 0x11
_EFLAGS_NONE = 0x2
_DATA_SEGMENTS = ("ds", "es", "fs", "gs", "ss")
_GENERAL = ("eax", "ebx", "ecx", "edx", "esi", "edi", "ebp")


def enter_setup(registers: Registers, setup: PhysAddr, sp: int) -> PhysAddr:
    """Set `registers` to start the setup code at `setup`, a multiple of 16, and return where that is."""
    entry = PhysAddr(setup + 0x200)
    registers.set("cr0", _CR0_ET)
    registers.set_segment("cs", _real_mode_segment(entry, 0x9B00))
    for name in _DATA_SEGMENTS:
        registers.set_segment(name, _real_mode_segment(setup, 0x9300))
    for name in _GENERAL:
        registers.set(name, 0)
    registers.set("esp", sp)
    registers.set("eflags", _EFLAGS_NONE)
    registers.set("eip", 0)
    return entry


def enter_kernel(registers: Registers, gdt: PhysAddr, eip: PhysAddr, zero_page: PhysAddr) -> None:
    """Set `registers` for the 32-bit code at `eip`, with a copy of `GDT` at `gdt`, and a stack below `zero_page`."""
    registers.set("cr0", _CR0_PE_ET)
    registers.set_segment("gdtr", Segment(0, gdt, len(GDT) - 1, 0))
    registers.set_segment("cs", _CODE)
    for name in _DATA_SEGMENTS:
        registers.set_segment(name, _DATA)
    for name in _GENERAL:
        registers.set(name, 0)
    registers.set("esi", zero_page)
    registers.set("esp", zero_page)
    registers.set("eflags", _EFLAGS_NONE)
    registers.set("eip", eip)


def _real_mode_segment(base: PhysAddr, attributes: int) -> Segment:
    return Segment(base >> 4, base, 0xFFFF, attributes)

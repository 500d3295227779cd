"""The hosted kernel's virtual address space, and what of physical memory it reaches directly.

::

    0x00000000 +---------------------------+
               | program: code, data       |  page 0 is never mapped
    0x08000000 +---------------------------+
               | heap (brk), at most 64 MiB|
    0x0C000000 +---------------------------+
               | mmap, upwards             |
    0x40000000 +---------------------------+
               | stack, downwards from the end
    0xC0000000 +---------------------------+  ---- user programs end here -------------------------------
               | direct map: physical 0 up to 256 MiB; the kernel's image and everything that kmalloc gives
    0xD0000000 +---------------------------+
               | device registers          |
    0xE0000000 +---------------------------+
               | high-memory window        |  frames beyond the direct map, while the kernel looks at them
    0xF0000000 +---------------------------+
               | fixmap                    |  single pages whose address is known when the kernel is built
    0xF0400000 +---------------------------+
               | kernel stacks             |  a guard page below each
    0xF8000000 +---------------------------+
               |                           |
    0xFFFFFFFF +---------------------------+

A kernel structure must lie in the direct map: its virtual address is its physical address + 0xC0000000.
"""

from __future__ import annotations

from hillemu.emu.i386.address import PAGE_SHIFT, Frame, PhysAddr, VirtAddr

PROGRAM_BASE = VirtAddr(0x00001000)
HEAP_BASE = VirtAddr(0x08000000)
HEAP_MAX_BYTES = 64 << 20
MMAP_BASE = VirtAddr(HEAP_BASE + HEAP_MAX_BYTES)
MMAP_END = VirtAddr(0x40000000)
STACK_END = VirtAddr(0xC0000000)
"""The first address above a program's stack; user programs end here."""
KERNEL_BASE = VirtAddr(0xC0000000)
DIRECT_MAP_BYTES = 0x10000000
DEVICES_BASE = VirtAddr(0xD0000000)
HIGH_WINDOW_BASE = VirtAddr(0xE0000000)
FIXMAP_BASE = VirtAddr(0xF0000000)
STACKS_BASE, STACKS_END = VirtAddr(0xF0400000), VirtAddr(0xF8000000)
"""Kernel stacks, in this direction."""

DIRECT_MAP_END_FRAME = Frame(DIRECT_MAP_BYTES >> PAGE_SHIFT)
"""The first frame that the kernel reaches only through the high-memory window."""
REACH_FRAMES_32BIT = Frame(1 << 20)
"""Page-table entries of 32-bit paging have 20 bits for a frame: 4 GiB."""
REACH_FRAMES_PAE = Frame(1 << 24)
"""With PAE every PC that we build is in reach: 64 GiB."""


def phys_to_virt(at: PhysAddr) -> VirtAddr:
    """The direct map's address of `at`; `ValueError` beyond it.

    >>> hex(phys_to_virt(PhysAddr(0x3A5000)))
    '0xc03a5000'
    """
    if not 0 <= at < DIRECT_MAP_BYTES:
        raise ValueError(f"physical {at:#x} is beyond the direct map ({DIRECT_MAP_BYTES:#x} bytes)")
    return VirtAddr(KERNEL_BASE + at)


def virt_to_phys(at: VirtAddr) -> PhysAddr:
    """The inverse of `phys_to_virt`; `ValueError` for an address outside the direct map."""
    if not KERNEL_BASE <= at < DEVICES_BASE:
        raise ValueError(f"virtual {at:#x} is not in the direct map ({KERNEL_BASE:#x}-{DEVICES_BASE - 1:#x})")
    return PhysAddr(at - KERNEL_BASE)

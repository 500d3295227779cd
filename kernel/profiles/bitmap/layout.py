"""Profile bitmap's two layouts, in numbers; `profile` draws them.

Kernel space is what every address space has, up to 0x3FFFFFFF; programs have the rest.
"""

from __future__ import annotations

from hillemu.emu.i386.address import PhysAddr, VirtAddr

MEMORY_MAP = PhysAddr(0x500)
"""Where the loader leaves the memory map."""

KERNEL_END = VirtAddr(0x40000000)
USER_BASE = KERNEL_END
MAPPED_MOST = 0x30000000
"""RAM up to here is mapped where it lies."""
HEAP_BASE, HEAP_END = VirtAddr(0x30000000), VirtAddr(0x38000000)
POOLS_BASE = HEAP_END
GUARDED_BASE, GUARDED_END = VirtAddr(0x3C000000), VirtAddr(0x3E000000)
FREE_BASE = GUARDED_END
"""From here on, kernel space is for those who call `map_page`."""

STACK_END = VirtAddr(0xFFFFF000)
"""The first address above a program's stack; the page there is never mapped."""
STACK_BYTES = 64 << 10
"""How far the stack may grow down; the page below that is a guard."""
BREAK_MOST = 64 << 20
"""How large the heap of a program may become."""

"""Profile `hillson`, the default: buddy allocator, slab caches, demand paging, processes; see docs/kernel.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.kernel.profiles.profile import BootsFrom, Profile

if TYPE_CHECKING:
    from hillemu.boot.handoff import Handoff
    from hillemu.emu.guest import Guest
    from hillemu.kernel.kernel import Kernel
    from hillemu.kernel.options import KernelOptions


def _make(guest: Guest, handoff: Handoff, options: KernelOptions) -> Kernel:
    from hillemu.kernel.kernel import Kernel

    return Kernel(guest, handoff, options)


PROFILE = Profile(
    name="hillson",
    title="buddy allocator, slab caches, kmalloc; processes with demand paging, copy on write and swap",
    boots_from=BootsFrom.MULTIBOOT,
    image="kernel.elf",
    symbols="kernel.elf",
    physical_layout="""\
0x00000000 +---------------------------+
           | BIOS, low memory          |  what the memory map leaves is used
0x00100000 +---------------------------+
           | kernel image              |  multiboot, linked at 0xC0100000
           +---------------------------+  end of the image
           | boot information, modules |
           | early pool, frame table   |  struct page of every frame
           +---------------------------+
           | buddy allocator           |  zones DMA (16 MiB), Normal, HighMem
           +---------------------------+  end of RAM""",
    virtual_layout="""\
0x00000000 +---------------------------+
           | program: code, data       |  page 0 is never mapped
0x08000000 +---------------------------+
           | heap (brk)                |
0x0C000000 +---------------------------+
           | mmap, upwards             |
0x40000000 +---------------------------+
           | stack, downwards          |
0xC0000000 +---------------------------+  user programs end here
           | direct map, 256 MiB       |  physical address + 0xC0000000
0xD0000000 +---------------------------+
           | device registers          |
0xE0000000 +---------------------------+
           | high-memory window        |
0xF0000000 +---------------------------+
           | fixmap, kernel stacks     |
0xFFFFFFFF +---------------------------+""",
    make=_make,
    programs=("memory_test.elf",),
    parts=("frame_allocator", "page_replacement", "oom", "on_boot"),
    words=("paging=32bit|pae", "init=NAME", "tests=on|off", "swap=SIZE"),
)

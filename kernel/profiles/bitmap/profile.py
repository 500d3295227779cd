"""Profile `bitmap`: a page bitmap at 1 MiB, a best-fit heap of blocks, the kernel in the low GiB; docs/profiles.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.kernel.profiles.profile import BootsFrom, Profile

if TYPE_CHECKING:
    from hillemu.boot.handoff import Handoff
    from hillemu.emu.guest import Guest
    from hillemu.kernel.options import KernelOptions
    from hillemu.kernel.profiles.bitmap.kernel import BitmapKernel


def _make(guest: Guest, handoff: Handoff, options: KernelOptions) -> BitmapKernel:
    from hillemu.kernel.profiles.bitmap.kernel import BitmapKernel

    return BitmapKernel(guest, handoff, options)


PROFILE = Profile(
    name="bitmap",
    title="page bitmap, best-fit heap of blocks, pools, handles; page replacement by FIFO, clock or LRU",
    boots_from=BootsFrom.DISK,
    image="bitmap.img",
    symbols="bitmap.elf",
    physical_layout="""\
0x00000000 +---------------------------+
           | BIOS: vectors, data area  |
0x00007C00 +---------------------------+
           | boot sector               |
0x00007E00 +---------------------------+
           | loader                    |
0x00010000 +---------------------------+
           | kernel                    |
0x0009FC00 +---------------------------+
           | BIOS, video memory, ROM   |
0x00100000 +---------------------------+
           | bitmap                    |  a bit for each page
           +---------------------------+  end of the bitmap
           | kernel's page directory   |  and its page tables: reserved
           | pages, given out          |
           +---------------------------+  end of RAM""",
    virtual_layout="""\
0x00000000 +---------------------------+
           | kernel: RAM, mapped 1:1   |  page 0 is not mapped
           |                           |  as far as RAM reaches, at most 0x30000000
0x30000000 +---------------------------+
           | heap, grows by pages      |
0x38000000 +---------------------------+
           | pools of small blocks     |
0x3C000000 +---------------------------+
           | guarded allocations       |  a guard page behind each
0x3E000000 +---------------------------+
           | for map_page              |
0x40000000 +---------------------------+  kernel ends, user begins
           | program: code, data       |  code is read-only
           | heap (brk), upwards       |
           |                           |
           | guard page                |  never mapped
0xFFFEF000 +---------------------------+
           | stack, downwards          |
0xFFFFF000 +---------------------------+
           |                           |  never mapped
0xFFFFFFFF +---------------------------+""",
    make=_make,
    programs=("bitmap_paging.elf", "bitmap_protection.elf"),
    program_space=(0x40000000, 0x100000000),
    checks=("bitmap", "pagetables", "heap", "usage"),
    parts=("page_replacement", "on_boot"),
    words=("frames=N", "policy=fifo|clock|lru", "pools=on|off"),
)

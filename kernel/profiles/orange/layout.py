"""Where things lie in profile `orange`: the document's addresses, and those that it leaves open.

The first GiB of every address space is the kernel's, by the same page tables; what of it is mapped is mapped one to
one.  The windows through which the kernel sees the memory of processes are in its own page directory only.
"""

from __future__ import annotations

from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr, VirtAddr

MEMORY_INFO = PhysAddr(0x8000)
"""Where the loader's `SaveMemInfo` leaves what `DispMemInfo` has found."""
PAGE_DIRECTORY = PhysAddr(0x100000)
PAGE_TABLES = PhysAddr(PAGE_DIRECTORY + PAGE_SIZE)
"""Page table `n`, if it is in use, lies at ``PAGE_TABLES + n * PAGE_SIZE``: all of their entries are one array."""
ENTRIES = 1024
TABLE_BYTES = ENTRIES * PAGE_SIZE
"""What a page table maps: 4 MiB."""
RESERVED_END = PhysAddr(PAGE_TABLES + ENTRIES * PAGE_SIZE)
"""The end of the room for page tables that map 4 GiB, 4 MiB + 4 KiB; here begins `pf_list`."""

USER_BASE = VirtAddr(0x40000000)
"""Programs are linked to addresses from here on ..."""
USER_END = VirtAddr(0xC0000000)
"""... and their stacks end here."""
STACK_PAGES = 4
WINDOWS = VirtAddr(0xE0000000)
"""No RAM lies as high: nothing is ever mapped one to one here."""
WINDOW_BYTES = 16 << 20
PROCESSES = 16
"""As many have a window, and a place in the table of processes."""

PHYSICAL = """\
0x00000000 +---------------------------+
           | BIOS: vectors, data area  |
0x00007C00 +---------------------------+
           | boot sector               |
0x00007E00 +---------------------------+
           | loader, and inside it     |  not needed when the kernel runs
0x00008000 | memory ranges of type 1   |  by SaveMemInfo
0x00010000 +---------------------------+
           | kernel                    |
0x0009FC00 +---------------------------+
           | BIOS, video memory, ROM   |
0x00100000 +---------------------------+  here begins what MM manages
           | page directory            |
0x00101000 +---------------------------+
           | page table 0              |  page table n at 0x101000 + 0x1000 * n,
           | ...                       |  room for all 1024 is reserved
0x00501000 +---------------------------+
           | pf_list                   |  24 bytes for each page frame
           +---------------------------+  end of pf_list (0x530000 with 32 MB)
           | frames for vm_alloc       |
           +---------------------------+  end of the memory range"""
VIRTUAL = """\
0x00000000 +---------------------------+
           | kernel, page tables,      |  as far as they are not free,
           | pf_list: mapped 1:1       |  frames lie where they are
           | vm_alloc of the kernel    |  anywhere else
0x40000000 +---------------------------+  kernel ends, user begins
           | program: code, data       |  each process has its own page directory
           | stack, downwards          |  four pages
0xC0000000 +---------------------------+
0xE0000000 +---------------------------+
           | windows of 16 MiB, one    |  in the kernel's page directory only
           | for each process          |
0xF0000000 +---------------------------+"""

"""What programs may ask of their memory: the bits of `mmap` and `mprotect`.

Source: Linux, include/uapi/asm-generic/mman-common.h and mman.h.
"""

from __future__ import annotations

PROT_NONE = 0
PROT_READ = 1
PROT_WRITE = 2
PROT_EXEC = 4
PROT_ALL = PROT_READ | PROT_WRITE | PROT_EXEC

MAP_SHARED = 0x01
MAP_PRIVATE = 0x02
MAP_FIXED = 0x10
MAP_ANONYMOUS = 0x20
MAP_GROWSDOWN = 0x100
MAP_POPULATE = 0x8000
"""All pages at once, or none: unlike on Linux, running out in the middle undoes the call."""
MAP_FIXED_NOREPLACE = 0x100000
MAP_KNOWN = MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_POPULATE | MAP_FIXED_NOREPLACE


def describe(prot: int) -> str:
    """As in /proc/pid/maps.

    >>> describe(PROT_READ | PROT_WRITE)
    'rw-'
    """
    return "".join(letter if prot & bit else "-" for letter, bit in (("r", 1), ("w", 2), ("x", 4)))

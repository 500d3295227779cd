"""What the boot hands to the Python-hosted kernel about its image, apart from what lies in guest memory.

A kernel in C has its symbols from the linker; ours has them from the image's symbol table, through this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from hillemu.emu.i386.address import PhysAddr


class BootFile(NamedTuple):
    """A file of the user's for a kernel that has no boot loader to bring it."""

    name: str
    arguments: tuple[str, ...]
    data: bytes


class Handoff(NamedTuple):
    """The image in memory: physical `base` up to, not including, `end`, room for its variables included."""

    base: PhysAddr
    end: PhysAddr
    symbols: Mapping[str, int]
    """Virtual addresses, by name."""
    symbolise: Callable[[int], str] = hex
    """An address as people read it: ``0xc0102345 <kmalloc_tests+0x12>``."""
    arguments: str = ""
    """The command line, and below it the files, of a kernel whose boot protocol has neither: a disk's boot sector."""
    files: tuple[BootFile, ...] = ()

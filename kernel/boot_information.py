"""What the multiboot loader tells: the command line and the modules, and which memory its own structures occupy.

::

    information structure          module entry
     16  cmdline    flags bit 2      0  start, 4 end: physical
     20  mods_count  bit 3           8  string
     24  mods_addr                  12  reserved
     44  mmap_length bit 6
     48  mmap_addr

Source: Multiboot Specification 0.6.96, "Boot information format".
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.word import Bit, Word
from hillemu.kernel.mm.boot_memory import Reserved

LOADER_MAGIC = 0x2BADB002
"""In EAX when a multiboot loader starts the kernel."""
_INFO_BYTES = 116
_MODULE_BYTES = 16
_MAX_STRING_BYTES = 4096


class InfoFlags(Word):
    """The first word of the structure; only what is read here."""

    memory_map = Bit(6)
    modules = Bit(3)
    cmdline = Bit(2)


class BootModule(NamedTuple):
    """A file that the loader has put into memory: physical `base` up to, not including, `end`."""

    name: str
    arguments: tuple[str, ...]
    base: PhysAddr
    end: PhysAddr


class BootInformation(NamedTuple):
    """What was found."""

    arguments: str
    """The command line without the image's name."""
    modules: tuple[BootModule, ...]
    reserved: tuple[Reserved, ...]
    """Where all of this lies."""


def read_boot_information(memory: GuestMemory, info: PhysAddr) -> BootInformation:
    """Read the structure at `info`."""
    raw = memory.read(info, _INFO_BYTES)
    flags, cmdline_at, count, modules_at, map_bytes, map_at = struct.unpack("<I12xIII16xII", raw[:52])
    reserved = [_range(info, _INFO_BYTES, "boot information")]
    command_line = b""
    if flags & InfoFlags.cmdline.mask:
        command_line = _string(memory, cmdline_at)
        reserved.append(_range(cmdline_at, len(command_line) + 1, "command line"))
    if flags & InfoFlags.memory_map.mask:
        reserved.append(_range(map_at, map_bytes, "memory map"))
    modules = []
    if flags & InfoFlags.modules.mask and count:
        reserved.append(_range(modules_at, count * _MODULE_BYTES, "module list"))
        for number in range(count):
            entry = memory.read(PhysAddr(modules_at + number * _MODULE_BYTES), _MODULE_BYTES)
            start, end, text_at, _ = struct.unpack("<IIII", entry)
            text = _string(memory, text_at)
            reserved += [_range(text_at, len(text) + 1, "module name"), _range(start, end - start, "module")]
            name, *words = text.decode("utf-8", "replace").split() or [f"module{number}"]
            modules.append(BootModule(name.rpartition("/")[2], tuple(words), PhysAddr(start), PhysAddr(end)))
    arguments = command_line.decode("utf-8", "replace").partition(" ")[2]
    return BootInformation(arguments, tuple(modules), tuple(reserved))


def _range(at: int, size_bytes: int, name: str) -> Reserved:
    return Reserved(PhysAddr(at), PhysAddr(at + size_bytes), name)


def _string(memory: GuestMemory, at: int) -> bytes:
    """Up to its zero byte; a string without one ends at 4 KiB, or where RAM does."""
    found = bytearray()
    while len(found) < _MAX_STRING_BYTES:
        try:
            byte = memory.read(PhysAddr(at + len(found)), 1)
        except IndexError:
            break
        if byte == b"\0":
            break
        found += byte
    return bytes(found)

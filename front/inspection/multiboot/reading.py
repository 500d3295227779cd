"""Reads pieces of what a Multiboot loader left in memory, and collects what is wrong with them."""

from __future__ import annotations

import struct

from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.paging import ReadableMemory
from hillemu.inspection.multiboot.values import MultibootInfo

MOST_STRING_BYTES = 4096
MOST_ITEMS = 1024
"""More modules, tags or map entries than this are garbage."""


class Reader:
    """Fills `info`; what cannot be read is a problem there, and comes back as `None`."""

    def __init__(self, memory: ReadableMemory, info: MultibootInfo) -> None:
        self.memory = memory
        self.info = info

    def problem(self, text: str) -> None:
        self.info.problems.append(text)

    def bytes(self, at: int, count: int, what: str) -> bytes | None:
        try:
            return self.memory.read(PhysAddr(at), count)
        except IndexError:
            self.problem(f"{what}: {count} bytes at 0x{at:08X} are not in RAM")
            return None

    def unpack(self, layout: str, at: int, what: str) -> tuple[int, ...] | None:
        data = self.bytes(at, struct.calcsize(layout), what)
        return None if data is None else struct.unpack(layout, data)

    def string(self, at: int, what: str) -> str | None:
        found = bytearray()
        while len(found) < MOST_STRING_BYTES:
            byte = self.bytes(at + len(found), 1, what)
            if byte is None:
                return None
            if byte == b"\0":
                return found.decode("utf-8", "backslashreplace")
            found += byte
        self.problem(f"{what} at 0x{at:08X} has no end within {MOST_STRING_BYTES} bytes")
        return found.decode("utf-8", "backslashreplace")

"""Physical RAM and ROM: one sparse host mapping, seen by the guest without a copy.

::

    0x0_0000_0000 +------------------+
                  | RAM              |  the first 640 KiB; the video area 0xA0000-0xBFFFF is plain memory too
    0x0_000C_0000 +------------------+
                  | ROM (256 KiB)    |  writes vanish; its last 64 KiB also end the 32-bit space
    0x0_0010_0000 +------------------+
                  | RAM              |  up to 3.5 GiB, or 3 GiB in a machine that has more (as QEMU's pc)
      hole starts +------------------+
                  | devices, nothing |  open bus: reads give all ones, writes vanish
    0x1_0000_0000 +------------------+
                  | the rest of RAM  |
                  +------------------+

The mapping is anonymous and not reserved: a frame costs host memory when it is first written.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
from array import array
from collections.abc import Callable, Iterator

from hillemu.emu.errors import OptionError
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr, RamRange

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
MIN_BYTES, MAX_BYTES = 4 * MIB, 64 * GIB
VIDEO_BASE = 0xA0000
ROM_BASE, ROM_BYTES = 0xC0000, 256 * KIB
HIGH_ROM_BYTES = 64 * KIB
FOUR_GIB = 4 * GIB


MAP_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
"""Python names it since 3.13; without it Linux refuses machines that are larger than the host."""


def low_ram_bytes(total_bytes: int) -> int:
    """How much of `total_bytes` lies below the hole (QEMU's pc: 3.5 GiB at most, 3 GiB when there is more)."""
    return 3 * GIB if total_bytes > 0xE0000000 else total_bytes


def _nothing_translated(at: int, count: int) -> None:
    """No processor looks at this memory."""


class PhysicalMemory:
    """Guest RAM and ROM; fulfils `hillemu.emu.guest.GuestMemory`.

    `ram` is the whole of RAM as a writable buffer; what lies above the hole follows directly what lies below it.
    Writes through `ram` are not noticed by the processor: use `write` for anything that may be code.

    Raises `OptionError` when the size is out of range or the host cannot map it.
    """

    def __init__(self, size_bytes: int) -> None:
        if not MIN_BYTES <= size_bytes <= MAX_BYTES or size_bytes % PAGE_SIZE:
            raise OptionError("--mem", f"{size_bytes} bytes: must be whole pages from 4M to 64G")
        self.size_bytes = size_bytes
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
        try:
            self._ram_map = mmap.mmap(-1, size_bytes, flags=flags)
        except (OSError, OverflowError) as error:
            raise OptionError(
                "--mem", f"this host cannot map {size_bytes // MIB} MiB ({error}); ask for less"
            ) from None
        self._rom_map = mmap.mmap(-1, ROM_BYTES)
        self.ram = memoryview(self._ram_map)
        self.rom = memoryview(self._rom_map)
        self.on_write: Callable[[int, int], None] = _nothing_translated
        low = low_ram_bytes(size_bytes)
        self.low_end = PhysAddr(low)
        self.high_end = PhysAddr(FOUR_GIB + size_bytes - low)

    # ---- the map ------------------------------------------------------------------------------------------------

    @property
    def ram_ranges(self) -> tuple[RamRange, ...]:
        """Where RAM answers, video memory and ROM left out."""
        ranges = [RamRange(PhysAddr(0), PhysAddr(VIDEO_BASE)), RamRange(PhysAddr(MIB), self.low_end)]
        if self.high_end > FOUR_GIB:
            ranges.append(RamRange(PhysAddr(FOUR_GIB), self.high_end))
        return tuple(ranges)

    @property
    def areas(self) -> tuple[tuple[int, int, memoryview, int, bool], ...]:
        """What the processor must map: (base, bytes, buffer, offset in it, writable)."""
        areas = [
            (0, ROM_BASE, self.ram, 0, True),
            (ROM_BASE, ROM_BYTES, self.rom, 0, False),
            (MIB, self.low_end - MIB, self.ram, MIB, True),
            (FOUR_GIB - HIGH_ROM_BYTES, HIGH_ROM_BYTES, self.rom, ROM_BYTES - HIGH_ROM_BYTES, False),
        ]
        if self.high_end > FOUR_GIB:
            areas.append((FOUR_GIB, self.high_end - FOUR_GIB, self.ram, self.low_end, True))
        return tuple(areas)

    def _locate(self, at: int, count: int) -> tuple[memoryview, int]:
        """The buffer and offset of `count` bytes at `at`; `IndexError` if they are not wholly in one area."""
        if at >= 0 and count >= 0:
            end = at + count
            if (at >= MIB and end <= self.low_end) or end <= ROM_BASE:
                return self.ram, at
            if at >= ROM_BASE and end <= MIB:
                return self.rom, at - ROM_BASE
            if at >= FOUR_GIB and end <= self.high_end:
                return self.ram, at - FOUR_GIB + self.low_end
            if at >= FOUR_GIB - HIGH_ROM_BYTES and end <= FOUR_GIB:
                return self.rom, at - FOUR_GIB + ROM_BYTES
        raise IndexError(f"{count} bytes at physical {at:#x} are not in RAM or ROM")

    # ---- GuestMemory --------------------------------------------------------------------------------------------

    def read(self, at: PhysAddr, count: int) -> bytes:
        """`count` bytes of RAM or ROM, without any side effect; `IndexError` outside."""
        if at < MIB < at + count:  # a dump across the ROM area
            return self.read(at, MIB - at) + self.read(PhysAddr(MIB), at + count - MIB)
        if at < ROM_BASE < at + count:
            return self.read(at, ROM_BASE - at) + self.read(PhysAddr(ROM_BASE), at + count - ROM_BASE)
        buffer, offset = self._locate(at, count)
        return bytes(buffer[offset : offset + count])

    def write(self, at: PhysAddr, data: bytes | bytearray | memoryview) -> None:
        """Change RAM (or, as only a host can, ROM); translated code stays right."""
        buffer, offset = self._locate(at, len(data))
        buffer[offset : offset + len(data)] = data
        self.on_write(at, len(data))

    def fill(self, at: PhysAddr, count: int, value: int = 0) -> None:
        """Set `count` bytes to `value`.  Clearing memory that is clear already costs the host no memory."""
        buffer, offset = self._locate(at, count)
        block = bytes([value]) * min(count, MIB)
        for start in range(offset, offset + count, MIB):
            piece = buffer[start : min(start + MIB, offset + count)]
            if bytes(piece) != block[: len(piece)]:
                piece[:] = block[: len(piece)]
        self.on_write(at, count)

    def u32(self, at: PhysAddr) -> int:
        buffer, offset = self._locate(at, 4)
        value: int = struct.unpack_from("<I", buffer, offset)[0]
        return value

    def set_u32(self, at: PhysAddr, value: int) -> None:
        buffer, offset = self._locate(at, 4)
        struct.pack_into("<I", buffer, offset, value)
        self.on_write(at, 4)

    # ---- identity -----------------------------------------------------------------------------------------------

    def sha256(self) -> str:
        """A digest of RAM that depends on its content only.

        SHA-256 over every 4 KiB frame that is not all zeros, in ascending order: its offset in `ram` as eight bytes,
        little-endian, then its content.  Frames that were never written cost nothing.
        """
        import hashlib

        digest = hashlib.sha256()
        zeros = bytes(PAGE_SIZE)
        for start, end in self._touched():
            for offset in range(start, end, PAGE_SIZE):
                frame = bytes(self.ram[offset : offset + PAGE_SIZE])
                if frame != zeros:
                    digest.update(offset.to_bytes(8, "little"))
                    digest.update(frame)
        return digest.hexdigest()

    def _touched(self) -> Iterator[tuple[int, int]]:
        """Runs of `ram` that the host has memory for; all of it where the host does not tell."""
        import ctypes

        base = ctypes.addressof(ctypes.c_char.from_buffer(self._ram_map))
        try:
            with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
                yield from _present_runs(pagemap.fileno(), base, self.size_bytes)
        except OSError:
            yield 0, self.size_bytes


def _present_runs(pagemap: int, base: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """Read Linux's pagemap (64 bits a page; bit 63 present, bit 62 swapped) in chunks of 1 GiB of memory."""
    pages_per_chunk = GIB // PAGE_SIZE
    for first in range(0, size_bytes // PAGE_SIZE, pages_per_chunk):
        count = min(pages_per_chunk, size_bytes // PAGE_SIZE - first)
        raw = os.pread(pagemap, count * 8, (base // PAGE_SIZE + first) * 8)
        if len(raw) != count * 8:
            raise OSError("short read from pagemap")
        entries = array("Q", raw)
        page = 0
        for page, entry in enumerate(entries):
            if entry >> 62:
                offset = (first + page) * PAGE_SIZE
                yield offset, offset + PAGE_SIZE

"""Physical RAM and ROM: sparse host mappings, seen by the guest without a copy.

::

    0x0_0000_0000 +------------------+
                  | RAM              |
    0x0_000A_0000 +------------------+
                  | video window     |  plain memory, or given to the video chip's planes (`give_window`)
    0x0_000C_0000 +------------------+
                  | ROM or RAM       |  in segments of 16 KiB, as the host bridge is told (`set_shadow`); ROM at reset
    0x0_0010_0000 +------------------+
                  | RAM              |  up to 3.5 GiB, or 3 GiB in a machine that has more (as QEMU's pc)
      hole starts +------------------+
                  | devices, nothing |  open bus: reads give all ones, writes vanish
                  | video RAM        |  16 MiB where the video chip's base address register says (`place_video_ram`)
                  | ROM              |  the firmware's end; by default the last 64 KiB of what is below 1 MiB
    0x1_0000_0000 +------------------+
                  | the rest of RAM  |
                  +------------------+

RAM is anonymous and not reserved: a frame costs host memory when it is first written.  In the first 512 MiB the host
may give 2 MiB at once: kernels fill what they find there (xv6 all of it), and page by page the host's page faults took
longer than the guest.  Above, a guest that touches a frame here and there must stay cheap.
"""

from __future__ import annotations

import mmap
import struct
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from hillemu.emu.errors import OptionError
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr, RamRange

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
MIN_BYTES, MAX_BYTES = 4 * MIB, 64 * GIB
VIDEO_BASE = 0xA0000
ROM_BASE, ROM_BYTES = 0xC0000, 256 * KIB
WINDOW_BYTES = 64 * KIB
SHADOW_UNIT = 16 * KIB
"""ROM and the RAM behind it are switched in segments of this size."""
HIGH_ROM_BYTES = 64 * KIB
MIN_FIRMWARE_BYTES, MAX_FIRMWARE_BYTES = 64 * KIB, 512 * KIB
VIDEO_RAM_BYTES = 16 * MIB
USUAL_VIDEO_RAM = 0xFD000000
"""Where firmware places it."""
FOUR_GIB = 4 * GIB
DENSE_BYTES = 512 * MIB


MAP_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
"""Python names it since 3.13; without it Linux refuses machines that are larger than the host."""
_read_u32 = struct.Struct("<I").unpack_from
_read_u64 = struct.Struct("<Q").unpack_from


def low_ram_bytes(total_bytes: int) -> int:
    """How much of `total_bytes` lies below the hole (QEMU's pc: 3 GiB of 3.5 GiB and more)."""
    return 3 * GIB if total_bytes >= 0xE0000000 else total_bytes


def _nothing_translated(at: int, count: int) -> None:
    """No processor looks at this memory."""


def _nobody_maps() -> None:
    """No processor has mapped this memory."""


class Area(NamedTuple):
    """Where memory answers: `size_bytes` at physical `base` are `buffer` from `offset` on."""

    base: int
    size_bytes: int
    buffer: memoryview
    offset: int
    writable: bool

    @property
    def end(self) -> int:
        return self.base + self.size_bytes


class PhysicalMemory:
    """Guest RAM and ROM; fulfils `hillemu.emu.guest.GuestMemory`.

    `ram` is the whole of RAM as a writable buffer; what lies above the hole follows directly what lies below it.
    `rom` is what answers below 1 MiB, `video_ram` the video chip's memory.  Writes through these buffers are not
    noticed by the processor: use `write` for anything that may be code.

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
        _prefer_huge_pages(self._ram_map, min(size_bytes, DENSE_BYTES))
        self.ram = memoryview(self._ram_map)
        self.rom = memoryview(mmap.mmap(-1, ROM_BYTES))
        self.video_ram = memoryview(mmap.mmap(-1, VIDEO_RAM_BYTES, flags=flags))
        self.on_write: Callable[[int, int], None] = _nothing_translated
        self.on_map_change: Callable[[], None] = _nobody_maps
        self.find_touched: Callable[[], Iterable[tuple[int, int]]] = self._present
        """Gives the runs of `ram` that there may be anything but zeros in, in ascending order."""
        low = low_ram_bytes(size_bytes)
        self.low_end = PhysAddr(low)
        self.high_end = PhysAddr(FOUR_GIB + size_bytes - low)
        self._high_rom = self.rom[ROM_BYTES - HIGH_ROM_BYTES :]
        self._video_ram_at: int | None = None
        self._windows: dict[int, int | None] = {}
        self._shadow = [(False, False)] * (ROM_BYTES // SHADOW_UNIT)
        self._rearrange()

    # ---- the map ------------------------------------------------------------------------------------------------

    @property
    def ram_ranges(self) -> tuple[RamRange, ...]:
        """Where RAM answers, video memory and ROM left out."""
        ranges = [RamRange(PhysAddr(0), PhysAddr(VIDEO_BASE)), RamRange(PhysAddr(MIB), self.low_end)]
        if self.high_end > FOUR_GIB:
            ranges.append(RamRange(PhysAddr(FOUR_GIB), self.high_end))
        return tuple(ranges)

    @property
    def areas(self) -> tuple[Area, ...]:
        """What the processor must map, in ascending order; all between goes to the memory bus."""
        return self._areas

    def set_shadow(self, start: int, end: int, *, read_ram: bool, write_ram: bool) -> None:
        """Choose for `start` to `end` (segments of 16 KiB from 0xC0000 to 1 MiB) who answers reads, who gets writes.

        Where only writes reach RAM, the bus has to carry them out (`read_rom_segment`, `write_shadow`).
        """
        for segment in range((start - ROM_BASE) // SHADOW_UNIT, (end - ROM_BASE) // SHADOW_UNIT):
            self._shadow[segment] = (read_ram, write_ram)
        self._rearrange()

    def give_window(self, base: int, *, to_devices: bool, bank_at: int | None = None) -> None:
        """Have the memory bus answer in the video window's half at `base` (0xA0000 or 0xB0000), or plain memory.

        With `bank_at`, video memory answers there, from that offset on.
        """
        if to_devices:
            self._windows[base] = bank_at
        else:
            self._windows.pop(base, None)
        self._rearrange()

    def place_video_ram(self, base: int | None) -> None:
        """Have the video memory answer at `base`, or (`None`) nowhere."""
        self._video_ram_at = base
        self._rearrange()

    def set_firmware(self, image: bytes) -> None:
        """Put a firmware image (64K to 512K) at the end of the 32-bit space, and its last 128 KiB below 1 MiB."""
        self._high_rom = memoryview(mmap.mmap(-1, len(image)))
        self._high_rom[:] = image
        low = image[-128 * KIB :]
        self.rom[ROM_BYTES - len(low) :] = low
        self._rearrange()

    def reset_map(self) -> None:
        """What the host bridge's RESET does: ROM below 1 MiB."""
        self._shadow = [(False, False)] * len(self._shadow)
        self._rearrange()

    def _rearrange(self) -> None:
        ram, rom = self.ram, self.rom
        areas = [Area(0, VIDEO_BASE, ram, 0, True)]
        for base in range(VIDEO_BASE, ROM_BASE, WINDOW_BYTES):
            bank_at = self._windows.get(base)
            if bank_at is not None:
                areas.append(Area(base, WINDOW_BYTES, self.video_ram, bank_at, True))
            elif base not in self._windows:
                areas.append(Area(base, WINDOW_BYTES, ram, base, True))
        for segment, (read_ram, write_ram) in enumerate(self._shadow):
            if write_ram and not read_ram:
                continue
            base = ROM_BASE + segment * SHADOW_UNIT
            offset, buffer = (base, ram) if read_ram else (base - ROM_BASE, rom)
            last = areas[-1]
            if last.end == base and last.base >= ROM_BASE and last.buffer is buffer and last.writable == write_ram:
                areas[-1] = last._replace(size_bytes=last.size_bytes + SHADOW_UNIT)
            else:
                areas.append(Area(base, SHADOW_UNIT, buffer, offset, write_ram))
        areas.append(Area(MIB, self.low_end - MIB, ram, MIB, True))
        if (at := self._video_ram_at) is not None and self.low_end <= at <= FOUR_GIB - VIDEO_RAM_BYTES - 4 * MIB:
            areas.append(Area(at, VIDEO_RAM_BYTES, self.video_ram, 0, True))
        high = self._high_rom
        areas.append(Area(FOUR_GIB - len(high), len(high), high, 0, False))
        if self.high_end > FOUR_GIB:
            areas.append(Area(FOUR_GIB, self.high_end - FOUR_GIB, ram, self.low_end, True))
        self._areas = tuple(areas)
        self._bases = [area.base for area in areas]
        self.on_map_change()

    def read_rom_segment(self, at: int, count: int) -> bytes:
        """ROM at physical `at`, whoever answers there now."""
        return bytes(self.rom[at - ROM_BASE : at - ROM_BASE + count])

    def write_shadow(self, at: int, data: bytes) -> None:
        """RAM behind the ROM at physical `at`, whoever answers there now."""
        self.ram[at : at + len(data)] = data

    def _locate(self, at: int, count: int) -> tuple[memoryview, int]:
        """The buffer and offset of `count` bytes at `at`; `IndexError` if they are not wholly in one area."""
        if at >= 0 and count >= 0:
            end = at + count
            if (at >= MIB and end <= self.low_end) or end <= VIDEO_BASE:
                return self.ram, at
            area = self._areas[bisect_right(self._bases, at) - 1]
            if end <= area.end:
                return area.buffer, at - area.base + area.offset
        raise IndexError(f"{count} bytes at physical {at:#x} are not in RAM or ROM")

    # ---- GuestMemory --------------------------------------------------------------------------------------------

    def read(self, at: PhysAddr, count: int) -> bytes:
        """`count` bytes of RAM or ROM, without any side effect; `IndexError` outside."""
        if VIDEO_BASE - count < at < MIB:  # perhaps a dump across several areas
            area = self._areas[bisect_right(self._bases, at) - 1]
            if at < area.end < at + count:
                return self.read(at, area.end - at) + self.read(PhysAddr(area.end), at + count - area.end)
        buffer, offset = self._locate(at, count)
        return bytes(buffer[offset : offset + count])

    def write(self, at: PhysAddr, data: bytes | bytearray | memoryview) -> None:
        """Change RAM (or, as only a host can, ROM); translated code stays right."""
        if MIB <= at <= self.low_end - len(data):  # nearly always
            self.ram[at : at + len(data)] = data
            self.on_write(at, len(data))
            return
        if VIDEO_BASE - len(data) < at < MIB:
            area = self._areas[bisect_right(self._bases, at) - 1]
            if at < area.end < at + len(data):
                self.write(at, data[: area.end - at])
                self.write(PhysAddr(area.end), data[area.end - at :])
                return
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
        buffer, offset = (self.ram, at) if MIB <= at <= self.low_end - 4 else self._locate(at, 4)  # nearly always RAM
        value: int = _read_u32(buffer, offset)[0]
        return value

    def u64(self, at: PhysAddr) -> int:
        buffer, offset = (self.ram, at) if MIB <= at <= self.low_end - 8 else self._locate(at, 8)
        value: int = _read_u64(buffer, offset)[0]
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
        for start, end in self.find_touched():
            for offset in range(start, end, PAGE_SIZE):
                frame = bytes(self.ram[offset : offset + PAGE_SIZE])
                if frame != zeros:
                    digest.update(offset.to_bytes(8, "little"))
                    digest.update(frame)
        return digest.hexdigest()

    def _present(self) -> Iterable[tuple[int, int]]:
        """What the host has memory for; all of it where the host does not tell."""
        from hillemu.emu.host_pages import HostPages

        try:
            return HostPages(self._ram_map).present()
        except OSError:
            return ((0, self.size_bytes),)


def _prefer_huge_pages(memory: mmap.mmap, size_bytes: int) -> None:
    """Tell the host that its first `size_bytes` will be used densely; a host without huge pages refuses."""
    if sys.platform == "linux":
        with suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE, 0, size_bytes)

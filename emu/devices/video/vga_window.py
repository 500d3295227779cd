"""The video window, 0xA0000-0xBFFFF: who answers there, and what a byte there is in display memory.

Kernels write text and pictures hundreds of thousands of times, so where a byte of the window is simply a byte of
display memory, the window is plain RAM, and display memory is brought up to date when that ends::

    text, CGA         odd/even, planes 0 and 1       0xB8000 + 2n -> plane 0, 0xB8001 + 2n -> plane 1, address 2n
    320 x 200 x 256   chained, all four planes       0xA0000 + n  -> plane n mod 4
    loading a font    one plane, in a text mode      0xA0000 + n  -> plane 2, address n
    640 x 200         one plane, at 0xB8000          0xB8000 + n  -> plane 0, address n

Everything else (16 colors, unchained 256 colors) comes here by the memory bus, and goes through the planes' logic.
While the card's own modes are on, the window is 64 KiB of video RAM from its bank on.

The window's two halves of 64 KiB are given out as a whole.  `on_window(base, to_devices, bank_at)` is called for each
whose owner changes: either the memory bus (`to_devices`), with `bank_at` saying where in video RAM the half could be
mapped just as well, or plain RAM.

Source: IBM VGA XGA Technical Reference, "Memory Map Select", "Memory Mode Register".
Not modelled: plain RAM that shares a half with a smaller window (0xB0000-0xB7FFF in color text modes) answers, where
the chip would not; odd/even display memory that the framebuffer shows is up to date only when the window changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from hillemu.emu.devices.video.dispi import Dispi
from hillemu.emu.devices.video.vga import GRAPHICS_MISC, MAP_MASK, MISC_MEMORY_ENABLE, MISC_PAGE, Vga
from hillemu.emu.devices.video.vga_planes import (
    MISC_CHAIN_ODD_EVEN,
    MODE,
    MODE_ODD_EVEN,
    PLANE_BYTES,
    READ_MAP,
    WORDS_BYTES,
    Addressing,
    Planes,
    addressing_of,
    passes_unchanged,
)

WINDOW_BASE, WINDOW_BYTES, HALF_BYTES = 0xA0000, 0x20000, 0x10000
HALVES = (0xA0000, 0xB0000)
OPEN_BUS = 0xFF

OnWindow = Callable[[int, bool, int | None], None]


class WindowMemory(Protocol):
    """The plain RAM at 0xA0000-0xBFFFF, by physical address."""

    def read(self, at: int, count: int) -> bytes: ...

    def write(self, at: int, data: bytes) -> None: ...


class Plain(NamedTuple):
    """The window is plain RAM: `size_bytes` at `base` mean bytes of these planes."""

    kind: Addressing
    base: int
    size_bytes: int
    detail: int
    """The plane of a planar window; the page (address bit 0) of an odd/even one."""


def nobody_maps(base: int, to_devices: bool, bank_at: int | None) -> None:
    """All of the window stays plain RAM."""


class VideoWindow:
    """Attach to the memory bus at `WINDOW_BASE`, `WINDOW_BYTES` long, 4 bytes wide; offsets count from there."""

    def __init__(
        self, *, vga: Vga, dispi: Dispi, video_ram: memoryview, memory: WindowMemory, on_window: OnWindow = nobody_maps
    ) -> None:
        self._vga = vga
        self._dispi = dispi
        self._video_ram = video_ram
        self._memory = memory
        self._on_window = on_window
        self.planes = Planes(video_ram)
        self._plain: Plain | None = None
        self._owners: dict[int, tuple[bool, int | None]] = dict.fromkeys(HALVES, (False, None))
        self._start = self._end = 0
        self._linear_at: int | None = None
        vga.on_memory_change = self.update
        self.update()

    # -- what the registers say ---------------------------------------------------------------------------------

    def update(self) -> None:
        """Take over what the registers say about display memory."""
        vga, dispi = self._vga, self._dispi
        page = 0 if vga.misc & MISC_PAGE else 1
        base, size_bytes = (WINDOW_BASE, HALF_BYTES) if dispi.enabled else vga.memory_window
        self._start, self._end = base - WINDOW_BASE, base - WINDOW_BASE + size_bytes
        if not vga.misc & MISC_MEMORY_ENABLE:
            self._end = self._start
        self._linear_at = dispi.bank * HALF_BYTES if dispi.enabled and not dispi.planar else None
        bank = dispi.bank * HALF_BYTES if dispi.enabled and dispi.planar else None
        plain = None if dispi.enabled or self._end == self._start else self._find_plain(base, size_bytes, page)
        if plain != self._plain or dispi.enabled:
            self._change_owner(plain)
        self.planes.configure(vga.sequencer, vga.graphics, page=page, bank=bank)

    def _find_plain(self, base: int, size_bytes: int, page: int) -> Plain | None:
        sequencer, graphics = self._vga.sequencer, self._vga.graphics
        if not passes_unchanged(graphics):
            return None
        map_mask, read_map, kind = sequencer[MAP_MASK], graphics[READ_MAP], addressing_of(sequencer)
        reads_odd_even, chain = graphics[MODE] & MODE_ODD_EVEN, graphics[GRAPHICS_MISC] & MISC_CHAIN_ODD_EVEN
        if kind is Addressing.CHAIN_4:
            return Plain(kind, base, HALF_BYTES, 0) if map_mask == 0x0F and size_bytes == HALF_BYTES else None
        if kind is Addressing.ODD_EVEN:
            fits = map_mask == 0x03 and chain and reads_odd_even and not read_map & 2 and size_bytes <= HALF_BYTES
            return Plain(kind, base, size_bytes, page) if fits else None
        # Pictures in 16 colors change the map mask with every pixel; plain RAM would be copied each time.
        one_plane = map_mask == 1 << read_map and not chain and not reads_odd_even and size_bytes <= HALF_BYTES
        if one_plane and (self._vga.in_text_mode or base >= HALVES[1]):
            return Plain(kind, base, size_bytes, read_map)
        return None

    def _change_owner(self, plain: Plain | None) -> None:
        if self._plain is not None:
            put_plain(self._plain, self._video_ram, self._memory.read(self._plain.base, self._plain.size_bytes))
        changed = plain != self._plain
        self._plain = plain
        for base in HALVES:
            to_devices = plain is None or not base <= plain.base < base + HALF_BYTES
            owner = (to_devices, self._linear_at if to_devices and base == WINDOW_BASE else None)
            if owner != self._owners[base]:
                self._owners[base] = owner
                self._on_window(base, *owner)
        if plain is not None and changed:
            self._memory.write(plain.base, take_plain(plain, self._video_ram))

    # -- the processor's side -----------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        if size > 1:
            return sum(self.read(offset + byte, 1) << 8 * byte for byte in range(size))
        if not self._start <= offset < self._end:
            return OPEN_BUS
        at = offset - self._start
        if self._linear_at is not None:
            return self._video_ram[self._linear_at + at]
        return self.planes.read(at)

    def write(self, offset: int, size: int, value: int) -> None:
        start, write = self._start, self.planes.write
        for at in range(offset, offset + size):
            if start <= at < self._end:
                if self._linear_at is not None:
                    self._video_ram[self._linear_at + at - start] = value & 0xFF
                else:
                    write(at - start, value & 0xFF)
            value >>= 8

    def peek(self, offset: int, size: int) -> int:
        latches = self.planes.latches
        value = self.read(offset, size)
        self.planes.latches = latches
        return value

    # -- the viewer's side --------------------------------------------------------------------------------------

    def text_at(self, at: int, count: int) -> bytes:
        """`count` bytes of text memory at physical address `at`, whoever answers there now."""
        plain = self._plain
        if plain is not None and plain.kind is Addressing.ODD_EVEN:
            return self._memory.read(at, count)
        base, _ = self._vga.memory_window
        page = 0 if self._vga.misc & MISC_PAGE else 1
        text = take_plain(Plain(Addressing.ODD_EVEN, base, HALF_BYTES, page), self.display_memory())
        return text[at - base : at - base + count]

    def display_memory(self) -> memoryview:
        """The 256 KiB of the planes as they are now, interleaved; a copy."""
        copy = bytearray(self._video_ram[:WORDS_BYTES])
        if self._plain is not None:
            put_plain(self._plain, copy, self._memory.read(self._plain.base, self._plain.size_bytes))
        return memoryview(copy)


def put_plain(plain: Plain, words: memoryview | bytearray, data: bytes) -> None:
    """Put the content of a plain window to its places in the planes, which `words` holds interleaved."""
    for target, source in _slices(plain):
        words[target] = data[source]


def take_plain(plain: Plain, words: memoryview | bytearray) -> bytes:
    """The content of a plain window, from the planes."""
    data = bytearray(plain.size_bytes)
    for place, source in _slices(plain):
        data[source] = words[place]
    return bytes(data)


def _slices(plain: Plain) -> list[tuple[slice, slice]]:
    """Pairs of (places in the interleaved planes, places in the window)."""
    size = plain.size_bytes
    if plain.kind is Addressing.PLANAR:
        return [(slice(plain.detail, 4 * size, 4), slice(0, size))]
    if plain.kind is Addressing.ODD_EVEN:
        first = 4 * plain.detail
        return [(slice(first + plane, 4 * size, 8), slice(plane, size, 2)) for plane in (0, 1)]
    quarter = PLANE_BYTES // 4
    return [
        (
            slice(4 * (number * quarter + number) + plane, 4 * (number + 1) * quarter, 16),
            slice(number * quarter + plane, (number + 1) * quarter, 4),
        )
        for number in range(4)
        for plane in range(4)
    ]

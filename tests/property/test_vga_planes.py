"""The planes' 32-bit logic against a model that knows one pixel of one plane at a time."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.devices.video.vga_planes import Planes

WORDS = 0x10000


class Access(NamedTuple):
    at: int
    value: int
    is_write: bool


class Model:
    """Source: IBM VGA XGA Technical Reference, "Graphics Controller Registers", read one bit at a time."""

    def __init__(self, sequencer: bytes, graphics: bytes, page: int) -> None:
        self.sequencer, self.graphics, self.page = sequencer, graphics, page
        self.memory: dict[tuple[int, int], int] = {}
        self.latches = [0, 0, 0, 0]

    def place(self, at: int) -> tuple[int, set[int]]:
        """Address in the planes, and the planes that a write may reach."""
        mode = self.sequencer[4]
        if mode & 8:
            return at & 0xFFFC | at >> 14 & 3, {at % 4}
        place = at & 0xFFFF
        if self.graphics[6] & 2:
            place = place - place % 2 + (1 if at >= 0x10000 else self.page)
        return place, {0, 1, 2, 3} if mode & 4 else {at % 2, at % 2 + 2}

    def read(self, at: int) -> int:
        place, _ = self.place(at)
        self.latches = [self.memory.get((plane, place), 0) for plane in range(4)]
        if not self.graphics[5] & 8:
            plane = self.graphics[4]
            if self.sequencer[4] & 8:
                plane = at % 4
            elif self.graphics[5] & 16:
                plane = plane & 2 | at % 2
            return self.latches[plane]
        matches = 0
        for bit in range(8):
            cared = [plane for plane in range(4) if self.graphics[7] >> plane & 1]
            if all(self.latches[plane] >> bit & 1 == self.graphics[2] >> plane & 1 for plane in cared):
                matches |= 1 << bit
        return matches

    def write(self, at: int, value: int) -> None:
        place, planes = self.place(at)
        for plane in planes:
            if self.sequencer[2] >> plane & 1:
                bits = [self.bit(value, plane, bit) for bit in range(8)]
                self.memory[plane, place] = sum(level << bit for bit, level in enumerate(bits))

    def bit(self, value: int, plane: int, bit: int) -> int:
        graphics, latch = self.graphics, self.latches[plane] >> bit & 1
        mode, rotate = graphics[5] & 3, graphics[3] & 7
        if mode == 1:
            return latch
        rotated = value >> (bit + rotate) % 8 & 1
        set_reset = graphics[0] >> plane & 1
        allowed = graphics[8] >> bit & 1
        if mode == 0:
            source = set_reset if graphics[1] >> plane & 1 else rotated
        elif mode == 2:
            source = value >> plane & 1
        else:
            source = set_reset
            allowed &= rotated
        source = (source, source & latch, source | latch, source ^ latch)[graphics[3] >> 3]
        return source if allowed else latch


nibble, byte = st.integers(0, 15), st.integers(0, 255)
addresses = st.sampled_from([0, 1, 2, 3, 4, 5, 0x3FFF, 0x4000, 0x4001, 0xFFFE, 0xFFFF, 0x10000, 0x10001, 0x1FFFF])
accesses = st.lists(st.builds(Access, addresses, byte, st.booleans()), min_size=1, max_size=30)
graphics_registers = st.builds(
    lambda low, rotate, read_map, mode, misc, care, mask: bytes([*low, rotate, read_map, mode, misc, care, mask]),
    st.tuples(nibble, nibble, nibble),
    st.integers(0, 31),
    st.integers(0, 3),
    st.sampled_from([base | extra for base in range(4) for extra in (0, 8, 16)]),
    st.sampled_from([0, 2, 5, 7]),
    nibble,
    byte,
)
sequencer_registers = st.builds(
    lambda map_mask, memory_mode: bytes([3, 1, map_mask, 0, memory_mode]), nibble, st.sampled_from([2, 6, 10, 14])
)


@given(sequencer_registers, graphics_registers, st.integers(0, 1), accesses, st.integers(0, 2**32 - 1))
def test_every_access_does_what_the_reference_says_of_each_pixel(
    sequencer: bytes, graphics: bytes, page: int, log: list[Access], fill: int
) -> None:
    video_ram = bytearray(fill.to_bytes(4, "little") * WORDS)
    planes, model = Planes(memoryview(video_ram)), Model(sequencer, graphics, page)
    planes.configure(bytearray(sequencer), bytearray(graphics), page=page)
    touched = {model.place(access.at)[0] for access in log}
    for place in touched:
        for plane in range(4):
            model.memory[plane, place] = fill >> 8 * plane & 0xFF
    for access in log:
        if access.is_write:
            planes.write(access.at, access.value)
            model.write(access.at, access.value)
        else:
            assert planes.read(access.at) == model.read(access.at), access
    for place in touched:
        for plane in range(4):
            assert video_ram[4 * place + plane] == model.memory[plane, place], (plane, hex(place))

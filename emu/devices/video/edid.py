"""What the monitor says of itself: an EDID block of 128 bytes.

>>> block = edid_block()
>>> len(block), sum(block) % 256, block[8:10].hex()
(128, 0, '20ec')

The preferred timing is VESA's 1024 x 768 at 60 Hz.

Source: VESA E-EDID Standard, Release A; VESA and Industry Standards for Display Monitor Timing, "1024 x 768 at 60Hz".
"""

from __future__ import annotations

import struct

BLOCK_BYTES = 128

_HEADER = bytes.fromhex("00ffffffffffff00")
_MANUFACTURER = sum(ord(letter) - ord("A") + 1 << 10 - 5 * place for place, letter in enumerate("HGL"))
_DIGITAL, _WIDTH_CM, _HEIGHT_CM, _GAMMA_2_2 = 0x80, 32, 24, 120
_SRGB_PRIMARIES = bytes.fromhex("ee91a3544c99260f5054")
_FEATURES = 0x06  # sRGB, the first timing is preferred
_ESTABLISHED = bytes.fromhex("210800")  # 640 x 480, 800 x 600 and 1024 x 768 at 60 Hz
_STANDARD = ((1280, 0b11), (1600, 0b01))
"""(width, aspect ratio: 01 is 4:3, 11 is 16:9), at 60 Hz."""
_NAME, _LIMITS, _UNUSED = 0xFC, 0xFD, 0x10


def edid_block(name: str = "hillemu") -> bytes:
    """The block of a monitor called `name` (at most 13 characters)."""
    standard = b"".join(bytes([width // 8 - 31, ratio << 6]) for width, ratio in _STANDARD)
    block = (
        _HEADER
        + struct.pack(">H", _MANUFACTURER)
        + struct.pack("<HIBBBB", 1, 1, 1, 2026 - 1990, 1, 4)  # product, serial, week and year, EDID 1.4
        + bytes([_DIGITAL, _WIDTH_CM, _HEIGHT_CM, _GAMMA_2_2, _FEATURES])
        + _SRGB_PRIMARIES
        + _ESTABLISHED
        + standard.ljust(16, b"\x01")
        + _detailed_timing()
        + _text(_NAME, name)
        + _descriptor(_LIMITS, bytes([50, 75, 30, 80, 17, 0, 0x0A]) + b" " * 6)
        + _descriptor(_UNUSED, b"")
        + b"\0"
    )
    return block + bytes([-sum(block) & 0xFF])


def _detailed_timing() -> bytes:
    """1024 x 768 at 60 Hz: 65 MHz, sync pulses negative."""
    across, down = (1024, 320, 24, 136), (768, 38, 3, 6)  # shown, blank, front porch, sync
    width_mm, height_mm = _WIDTH_CM * 10, _HEIGHT_CM * 10
    return struct.pack(
        "<H12BBBBB",
        6500,  # units of 10 kHz
        across[0] & 0xFF, across[1] & 0xFF, across[0] >> 8 << 4 | across[1] >> 8,
        down[0] & 0xFF, down[1] & 0xFF, down[0] >> 8 << 4 | down[1] >> 8,
        across[2], across[3], down[2] << 4 | down[3], 0,
        width_mm & 0xFF, height_mm & 0xFF, width_mm >> 8 << 4 | height_mm >> 8,
        0, 0, 0x18,
    )  # fmt: skip


def _text(tag: int, text: str) -> bytes:
    return _descriptor(tag, (text.encode("ascii")[:13] + b"\n").ljust(13)[:13])


def _descriptor(tag: int, data: bytes) -> bytes:
    return bytes([0, 0, 0, tag, 0]) + data.ljust(13, b"\0")

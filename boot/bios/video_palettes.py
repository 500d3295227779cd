"""The colors that the video BIOS loads into the DAC with a mode: red, green and blue of six bits each.

The DAC of the 256-color mode has, from 32 on, nine wheels of 24 hues: three of full brightness, each paler than the
one before, then the same at less than half, and at a quarter of it.

Source: IBM VGA XGA Technical Reference, "Video Digital-to-Analog Converter"; the wheels' steps are those of every BIOS.
"""

from __future__ import annotations

DAC_BYTES = 3 * 256

_WHEELS = (
    "00101f2f3f", "1f272f373f", "2d31363a3f",
    "00070e151c", "0e1115181c", "1416181a1c",
    "0004080c10", "080a0c0e10", "0b0c0d0f10",
)  # fmt: skip
"""From the least to the most of a component."""
_GRAYS = "0005080b0e1114181c2024282d32383f"


def ega_colors() -> bytes:
    """64 colors, whose numbers have two bits for each component: r g b R G B, capitals worth two thirds."""
    colors = bytearray()
    for color in range(64):
        colors += bytes(0x2A * (color >> 2 - part & 1) + 0x15 * (color >> 5 - part & 1) for part in range(3))
    return bytes(colors).ljust(DAC_BYTES, b"\0")


def cga_colors() -> bytes:
    """16 colors, the bright ones from 0x10 on: the numbers that the CGA's and EGA's 200-line modes use."""
    half = [*_sixteen()[:8], *_sixteen()[:8], *_sixteen()[8:], *_sixteen()[8:]]
    return b"".join(half * 2).ljust(DAC_BYTES, b"\0")


def mono_colors() -> bytes:
    """Black, normal, normal, bright: as bits 4-3 of the number say."""
    return b"".join(bytes([(0x00, 0x2A, 0x2A, 0x3F)[color >> 3 & 3]] * 3) for color in range(64)).ljust(
        DAC_BYTES, b"\0"
    )


def vga_colors() -> bytes:
    """256 colors: the CGA's 16, 16 grays, nine wheels of 24, black."""
    grays = b"".join(bytes([gray] * 3) for gray in bytes.fromhex(_GRAYS))
    wheels = b"".join(_wheel(bytes.fromhex(steps)) for steps in _WHEELS)
    return (b"".join(_sixteen()) + grays + wheels).ljust(DAC_BYTES, b"\0")


def _sixteen() -> list[bytes]:
    """Dark yellow is brown: the CGA's monitor halves its green."""
    ega = ega_colors()
    numbers = [0, 1, 2, 3, 4, 5, 0x14, 7, *range(0x38, 0x40)]
    return [ega[3 * number : 3 * number + 3] for number in numbers]


def _wheel(steps: bytes) -> bytes:
    """Blue, magenta, red, yellow, green, cyan and almost back: one component at a time rises or falls."""
    low, high = steps[0], steps[-1]
    hues = bytearray()
    for sector in range(6):
        for rising, falling in zip(steps[:4], steps[:0:-1], strict=True):
            hues += bytes(
                (
                    (rising, low, high),
                    (high, low, falling),
                    (high, rising, low),
                    (falling, high, low),
                    (low, high, rising),
                    (low, falling, high),
                )[sector]
            )
    return bytes(hues)

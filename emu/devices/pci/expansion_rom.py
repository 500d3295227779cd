"""The ROM on a PCI card, with the program that firmware copies out of it and runs.

>>> rom = ExpansionRom(8, bytes.fromhex("55AA01"))
>>> hex(rom.read(0, 4)), hex(rom.read(4, 4))
('0xff01aa55', '0xffffffff')

Behind the image, up to the size that the card claims, the chip is erased: all ones.

Source: PCI Local Bus Specification 2.1, "PCI Expansion ROMs".
Not modelled: nothing.
"""

from __future__ import annotations

SIGNATURE = b"\x55\xaa"
"""What an image starts with."""


class ExpansionRom:
    """`image` in a chip of `size_bytes`.  Attach with ``width=4``; writes vanish."""

    def __init__(self, size_bytes: int, image: bytes) -> None:
        self._data = image.ljust(size_bytes, b"\xff")

    def read(self, offset: int, size: int) -> int:
        return int.from_bytes(self._data[offset : offset + size], "little")

    peek = read

    def write(self, offset: int, size: int, value: int) -> None:
        """A ROM keeps what it has."""

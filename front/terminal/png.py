"""PNG files, as far as a screenshot needs them: eight bits of red, green and blue a pixel.

>>> png_file(1, 1, bytes([255, 0, 0]))[:8]
b'\\x89PNG\\r\\n\\x1a\\n'

Source: PNG Specification (W3C Recommendation, Second Edition), "Datastream structure", "Chunk specifications".
"""

from __future__ import annotations

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EIGHT_BITS, _RGB = 8, 2
_NO_FILTER = b"\0"


def png_file(width: int, height: int, rgb: bytes) -> bytes:
    """The file for `width` by `height` pixels of three bytes each, row after row from the top."""
    row_bytes = 3 * width
    if len(rgb) != row_bytes * height:
        raise ValueError(f"{len(rgb)} bytes are not {width} by {height} pixels")
    rows = b"".join(_NO_FILTER + rgb[at : at + row_bytes] for at in range(0, len(rgb), row_bytes))
    header = struct.pack(">IIBBBBB", width, height, _EIGHT_BITS, _RGB, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

"""What came out of a serial line, kept as bytes and as text.

>>> log = SerialLog()
>>> for byte in "naïve".encode()[:3]: log.put(byte)
>>> log.data, log.text
(bytearray(b'na\\xc3'), 'na')
>>> log.put(0xAF); log.text
'naï'
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Callable


class SerialLog:
    """Collects bytes; `put` is the `sink` of a chip.

    `observers` are called with each byte, in order, after it is in `data`.  They only look: what they do must not
    reach the guest.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.observers: list[Callable[[int], None]] = []
        self._decode = getincrementaldecoder("utf-8")("replace").decode
        self._decoded_bytes = 0
        self._text = ""

    def put(self, byte: int) -> None:
        """Append `byte` and tell the observers."""
        self.data.append(byte)
        for observer in self.observers:
            observer(byte)

    @property
    def text(self) -> str:
        """All of it as UTF-8; what is not UTF-8 becomes U+FFFD, a character still incomplete is left out."""
        if self._decoded_bytes < len(self.data):
            fresh = bytes(self.data[self._decoded_bytes :])
            self._decoded_bytes += len(fresh)
            self._text += self._decode(fresh)
        return self._text

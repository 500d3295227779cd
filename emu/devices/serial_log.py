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


class Piece:
    """Bytes of a log that came after those of the piece `before` it."""

    __slots__ = ("before", "data", "end", "number")

    def __init__(self, before: Piece | None, data: bytes) -> None:
        self.before = before
        self.data = data
        self.number: int = before.number + 1 if before else 0
        self.end: int = (before.end if before else 0) + len(data)


class SerialLog:
    """Collects bytes; `put` is the `sink` of a chip.

    `observers` are called with each byte, in order, after it is in `data`.  They only look: what they do must not
    reach the guest.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.observers: list[Callable[[int], None]] = []
        self.told_bytes = 0
        """So many bytes the observers know already, from before a snapshot was restored."""
        self._kept = Piece(None, b"")
        self._forget_text()

    def _forget_text(self) -> None:
        self._decode = getincrementaldecoder("utf-8")("replace").decode
        self._decoded_bytes = 0
        self._text = ""

    def put(self, byte: int) -> None:
        """Append `byte` and tell the observers."""
        self.data.append(byte)
        if len(self.data) > self.told_bytes:
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

    # ---- snapshots: logs that began in the same way share their beginning --------------------------------------

    def save_state(self) -> Piece:
        """What is in the log; the observers are not part of it."""
        if self._kept.end < len(self.data):
            self._kept = Piece(self._kept, bytes(self.data[self._kept.end :]))
        return self._kept

    def load_state(self, saved: Piece) -> None:
        """Make the log what it was."""
        common, missing = saved, []
        while common is not self._kept:
            if common.number >= self._kept.number:
                missing.append(common.data)
                assert common.before is not None, "all pieces of a log have the same beginning"
                common = common.before
            else:
                assert self._kept.before is not None
                self._kept = self._kept.before
        del self.data[common.end :]
        for data in reversed(missing):
            self.data += data
        self._kept = saved
        if self._decoded_bytes > common.end:
            self._forget_text()

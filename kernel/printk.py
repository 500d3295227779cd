"""`printk`'s format, as C's printf has it: ``%d %i %u %x %X %o %c %s %p %%``, with width, ``-``, ``0`` and ``l``.

>>> words = iter([42, 0xC0100000, 0x1234])
>>> render(b"%u at 0x%08X: %s", lambda: next(words), lambda at: b"text")
b'42 at 0xC0100000: text'

What is none of these is printed as it stands.  Not modelled: precision, ``%ll``, ``%n``, floating point.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from hillemu.emu.i386.address import PAGE_MASK, PAGE_SIZE

_CONVERSION = re.compile(rb"%([-0]*)(\d*)l?([diuxXocsp%])")
MAX_WIDTH = 1024
MAX_STRING_BYTES = 4096


def render(text: bytes, next_word: Callable[[], int], string_at: Callable[[int], bytes]) -> bytes:
    """Fill in `text`; `next_word` gives the arguments one by one, `string_at` what a pointer leads to."""

    def one(match: re.Match[bytes]) -> bytes:
        flags, width, kind = match[1], min(int(match[2] or 0), MAX_WIDTH), match[3]
        if kind == b"%":
            return b"%"
        word = next_word() & 0xFFFFFFFF
        match kind:
            case b"d" | b"i":
                out = b"%d" % (word - (word >> 31 << 32))
            case b"u":
                out = b"%d" % word
            case b"x" | b"X" | b"o":
                out = format(word, kind.decode()).encode()
            case b"c":
                out = bytes((word & 0xFF,))
            case b"s":
                out = string_at(word)
            case _:
                out = b"0x%08x" % word
        if b"-" in flags:
            return out.ljust(width)
        if b"0" in flags and kind not in b"cs":
            sign, digits = (b"-", out[1:]) if out.startswith(b"-") else (b"", out)
            return sign + digits.rjust(width - len(sign), b"0")
        return out.rjust(width)

    return _CONVERSION.sub(one, text)


def c_string(at: int, read: Callable[[int, int], bytes | None]) -> bytes:
    """The string at `at`, without its end; `read(at, count)` gives bytes of one page, or None if nothing is there.

    A pointer that leads nowhere is shown, not followed:

    >>> c_string(0x1FFE, lambda at, count: b"ok"[:count] if at < 0x2000 else None), c_string(0, lambda at, count: None)
    (b'ok', b'(bad pointer 0x00000000)')
    """
    found = b""
    while len(found) < MAX_STRING_BYTES:
        here = at + len(found)
        part = read(here, PAGE_SIZE - (here & PAGE_MASK))
        if part is None:
            return found or b"(bad pointer 0x%08X)" % at
        text, end, _ = part.partition(b"\0")
        found += text
        if end:
            break
    return found

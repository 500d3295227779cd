"""Sizes as people type them: ``64M``, ``1.5G``, a bare number of MiB.

>>> parse_ram_size("64M") == parse_ram_size("64") == 64 << 20
True
>>> format_size(parse_ram_size("1.5G"))
'1536M'
"""

from __future__ import annotations

from hillemu.emu.errors import OptionError
from hillemu.emu.i386.address import PAGE_SIZE
from hillemu.emu.memory import GIB, KIB, MAX_BYTES, MIB, MIN_BYTES

_UNITS = {"K": KIB, "M": MIB, "G": GIB}


def parse_ram_size(text: str, option: str = "--mem") -> int:
    """Return the bytes that `text` means as a machine's RAM size.

    A number with the unit K, M or G (powers of 1024; lower case, and a trailing ``B`` or ``iB``, are fine), or a bare
    number of MiB.  A decimal point is allowed as long as whole 4 KiB pages come out.

    Raises `OptionError`, naming `option`, for anything else and for sizes outside 4M to 64G.

    >>> parse_ram_size("lots")
    Traceback (most recent call last):
    ...
    hillemu.emu.errors.OptionError: --mem: 'lots' is not a size; write it like 512M, 4G or 65536K
    """
    size_bytes = _bytes_of(text.strip())
    if size_bytes is None:
        raise OptionError(option, f"{text!r} is not a size; write it like 512M, 4G or 65536K")
    return check_ram_size(size_bytes, option, text)


def check_ram_size(size_bytes: int, option: str = "mem", text: str = "") -> int:
    """Return `size_bytes` if a machine can have that much RAM; `OptionError` otherwise.

    `text` is how the user wrote it, for the message.
    """
    text = text or format_size(size_bytes)
    if size_bytes < MIN_BYTES:
        raise OptionError(option, f"{text} is too little; the smallest machine has {format_size(MIN_BYTES)}")
    if size_bytes > MAX_BYTES:
        raise OptionError(option, f"{text} is too much; the largest machine has {format_size(MAX_BYTES)}")
    if size_bytes % PAGE_SIZE:
        raise OptionError(option, f"{text} is {size_bytes} bytes, which is not a whole number of 4 KiB pages")
    return size_bytes


def format_size(size_bytes: int) -> str:
    """Write a size with the largest unit that needs no fraction.

    >>> format_size(4 * GIB), format_size(65 * MIB), format_size(100)
    ('4G', '65M', '100 bytes')
    """
    for letter, unit in (("G", GIB), ("M", MIB), ("K", KIB)):
        if size_bytes and size_bytes % unit == 0:
            return f"{size_bytes // unit}{letter}"
    return f"{size_bytes} bytes"


def _bytes_of(text: str) -> int | None:
    """The bytes that `text` means, rounded down, or None if it is no size at all."""
    number = text.upper()
    if number.endswith(("KIB", "MIB", "GIB")):
        number = number[:-2]
    elif number.endswith(("KB", "MB", "GB")):
        number = number[:-1]
    unit = _UNITS.get(number[-1:])
    number = number if unit is None else number[:-1]
    whole, point, fraction = number.partition(".")
    # `str.isdecimal` also likes other scripts' digits, which people do not type as sizes, and `int` refuses thousands.
    if not number.isascii() or not whole.isdecimal() or (point and not fraction.isdecimal()) or len(number) > 30:
        return None
    scale: int = 10 ** len(fraction)
    return int(whole + fraction) * (unit or MIB) // scale

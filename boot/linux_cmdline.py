"""What a boot loader itself reads in a Linux command line.

>>> video_mode("root=/dev/sda1 vga=0x317")
791
>>> video_mode("quiet vga=ask"), video_mode("quiet")
(65533, None)
>>> memory_limit("mem=64M console=ttyS0") == 64 << 20
True

Source: Linux Documentation/arch/x86/boot.rst, "Special Command Line Options".
"""

from __future__ import annotations

from hillemu.emu.errors import OptionError

NORMAL, EXTENDED, ASK = 0xFFFF, 0xFFFE, 0xFFFD
"""vid_mode: 80x25, 80x50, a menu."""

_NAMED_MODES = {"normal": NORMAL, "ext": EXTENDED, "ask": ASK}
_SUFFIXES = "kmgtpe"


def video_mode(cmdline: str) -> int | None:
    """What ``vga=`` asks for, as it goes into vid_mode; `None` if it is not there.

    Raises `OptionError` for a value that is no mode.
    """
    text = _value_of(cmdline, "vga")
    if text is None:
        return None
    mode = _NAMED_MODES.get(text, _number(text))
    if mode is None or mode > 0xFFFF:
        raise OptionError("--append", f"vga={text} is no video mode; use normal, ext, ask or a number like 0x317")
    return mode


def memory_limit(cmdline: str) -> int | None:
    """The end of memory that ``mem=`` sets, in bytes; `None` if it is not there, or is something else (nopentium)."""
    text = _value_of(cmdline, "mem")
    if not text:
        return None
    shift = 10 * (_SUFFIXES.find(text[-1].lower()) + 1)
    number = _number(text[:-1] if shift else text)
    return None if number is None else number << shift


def is_quiet(cmdline: str) -> bool:
    """Whether the kernel is told to be quiet."""
    return "quiet" in cmdline.split()


def _value_of(cmdline: str, name: str) -> str | None:
    """What stands behind the last ``name=``."""
    found = [word.removeprefix(f"{name}=") for word in cmdline.split() if word.startswith(f"{name}=")]
    return found[-1] if found else None


def _number(text: str) -> int | None:
    """`text` as C writes numbers: decimal, 0x hexadecimal, 0 octal."""
    digits, base = text.lower(), 10
    if digits.startswith("0x"):
        digits, base = digits[2:], 16
    elif digits.startswith("0"):
        base = 8
    if not digits.isascii() or not digits.isalnum() or len(digits) > 20:
        return None
    try:
        return int(digits, base)
    except ValueError:
        return None

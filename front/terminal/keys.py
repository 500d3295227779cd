r"""What a terminal sends when somebody presses keys, back into keys: the text that ``--keys`` takes.

>>> keys = TerminalKeys()
>>> keys.feed(b"ls\r\x1b[A\x01")
'ls{enter}{up}{ctrl+a}'

Bytes may come in pieces.  An escape sequence that is not complete waits for its rest; when none comes, it was the Esc
key, or Alt with a character, which `flush` tells:

>>> keys.feed(b"\x1b"), keys.is_waiting, keys.flush()
('', True, '{esc}')

A terminal sends characters, not keys: what is held down, a key's release, Caps Lock and the like are unknown to it.
Escape sequences of no key are ignored; characters that no key of a US keyboard writes are ignored and counted.

Source: ECMA-48, "Control sequences" (the format); XTerm Control Sequences, "PC-Style Function Keys" and "VT220-Style
Function Keys"; Linux manual page console_codes(4) (its function keys).
"""

from __future__ import annotations

import codecs
import re

_SEQUENCE = re.compile(
    r"\x1b(?:\[(?P<linux>\[.)|\[(?P<csi>[0-?]{0,24}[ -/]{0,4}[@-Z\\-~])|O(?P<ss3>[0-9;]{0,24}[@-~]))"
)
"""A complete sequence.  After ESC [, a second [ is the Linux console's prefix, not the end of a control sequence."""
_UNFINISHED = re.compile(r"\x1b(?:\[(?:\[|[0-?]{0,24}[ -/]{0,4})|O[0-9;]{0,24})?")

_SEQUENCE_KEYS = """
    A up   B down   C right   D left   H home   F end   P f1   Q f2   R f3   S f4
    1~ home   2~ insert   3~ delete   4~ end   5~ pageup   6~ pagedown   7~ home   8~ end
    11~ f1   12~ f2   13~ f3   14~ f4   15~ f5   17~ f6   18~ f7   19~ f8   20~ f9   21~ f10   23~ f11   24~ f12
    [A f1   [B f2   [C f3   [D f4   [E f5
"""
"""How the sequences of a terminal, of which no two agree on all, end: by a letter, by a number and ~, as on Linux."""
_FIELDS = _SEQUENCE_KEYS.split()
_KEYS = dict(zip(_FIELDS[::2], _FIELDS[1::2], strict=True))
_MODIFIERS = ((1, "shift"), (2, "alt"), (4, "ctrl"))
"""A modified key's second parameter is one more than the sum of these."""

_NAMED = {"\t": "tab", "\r": "enter", "\n": "enter", "\b": "backspace", "\x7f": "backspace", "\x1b": "esc"}
_CONTROLS = {"\0": "space", "\x1c": "\\", "\x1d": "]", "\x1e": "6", "\x1f": "-"}
_IN_CHORDS = {" ": "space", "+": "plus", "{": "shift+[", "}": "shift+]"}
"""Characters that cannot stand for themselves between braces."""


class TerminalKeys:
    """Turns a terminal's bytes into text for ``--keys``."""

    def __init__(self) -> None:
        self.refused_count = 0
        """Characters that no key of a US keyboard writes."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""

    @property
    def is_waiting(self) -> bool:
        """Whether an escape sequence has begun that is not complete."""
        return bool(self._pending)

    def feed(self, data: bytes) -> str:
        """The keys that `data` completes."""
        self._pending += self._decoder.decode(data)
        return self._take(final=False)

    def flush(self) -> str:
        """The keys of what waits, when nothing follows any more."""
        return self._take(final=True)

    def _take(self, final: bool) -> str:
        keys = ""
        while self._pending and (final or not _UNFINISHED.fullmatch(self._pending)):
            length, key = self._first(self._pending)
            self._pending = self._pending[length:]
            keys += key
        return keys

    def _first(self, text: str) -> tuple[int, str]:
        """How many characters the first key of `text` takes, and that key."""
        if text[0] != "\x1b":
            return 1, self._character(text[0])
        if sequence := _SEQUENCE.match(text):
            return sequence.end(), _sequence_key(sequence)
        if len(text) == 1 or text[1] == "\x1b":
            return 1, "{esc}"
        # Terminals send Alt with a key as ESC and the key.
        return 2, self._character(text[1], "alt")

    def _character(self, character: str, *modifiers: str) -> str:
        if character in _NAMED:
            return _chord(*modifiers, _NAMED[character])
        if character in _CONTROLS:
            return _chord(*modifiers, "ctrl", _CONTROLS[character])
        if character < " ":
            return _chord(*modifiers, "ctrl", chr(ord(character) | 0x60))
        if character > "~":
            self.refused_count += 1
            return ""
        if modifiers:
            return _chord(*modifiers, _IN_CHORDS.get(character, character))
        return character * 2 if character in "{}" else character


def _sequence_key(sequence: re.Match[str]) -> str:
    """The key that a complete escape sequence stands for; nothing for one that is no key's."""
    if sequence["linux"]:
        return _chord(_KEYS.get(sequence["linux"]))
    body = sequence["csi"] or sequence["ss3"]
    parameters, final = body[:-1], body[-1]
    if parameters.strip("0123456789;"):
        return ""
    number, modified, *_ = [int(field or 1) for field in parameters.split(";")] + [1]
    if sequence["csi"] and final == "Z":
        return _chord("shift", "tab")
    if sequence["ss3"] and final == "M":
        key: str | None = "kpenter"
    elif final == "~":
        key = _KEYS.get(f"{number}~")
    else:
        key = _KEYS.get(final) if number == 1 else None
    return _chord(*(name for bit, name in _MODIFIERS if modified - 1 & bit), key)


def _chord(*keys: str | None) -> str:
    """Keys held together, as ``--keys`` has them; nothing if one of them is unknown."""
    return "" if None in keys else "{" + "+".join(filter(None, keys)) + "}"

"""Text for people into key events: what somebody at a US keyboard would press to write it.

>>> keys_from_text("A{enter}")
[('lshift', True), ('a', True), ('a', False), ('lshift', False), ('enter', True), ('enter', False)]
>>> keys_from_text("{ctrl+c}")
[('lctrl', True), ('c', True), ('c', False), ('lctrl', False)]

Characters stand for themselves, ``{name}`` for a key and ``{name+name}`` for keys held together; ``{{`` and ``}}`` are
braces.  A line feed is Enter, a tab is Tab.
"""

from __future__ import annotations

from hillemu.emu.devices.input.scancodes import KEYS
from hillemu.emu.errors import OptionError

KeyEvent = tuple[str, bool]
"""A key of `scancodes.KEYS`, and whether it goes down."""

_SHIFTED = dict(zip('~!@#$%^&*()_+{}|:"<>?', "`1234567890-=[]\\;',./", strict=True))
_CONTROL = {" ": "space", "\n": "enter", "\t": "tab", "\b": "backspace", "\x1b": "esc"}
_ALIAS_TABLE = """
    shift lshift   ctrl lctrl   control lctrl   alt lalt   altgr ralt   win lwin   return enter   escape esc
    bksp backspace   del delete   ins insert   pgup pageup   pgdn pagedown   caps capslock   num numlock
    scroll scrolllock   minus -   prtsc printscreen   sysrq printscreen   break pause
"""
_WORDS = _ALIAS_TABLE.split()
_ALIASES = dict(zip(_WORDS[::2], _WORDS[1::2], strict=True))


def keys_from_text(text: str, *, option: str = "--keys") -> list[KeyEvent]:
    """The events that type `text`.

    Raises `OptionError` for `option` when a name is no key, a brace stays open, or a US keyboard has no such
    character.
    """
    events: list[KeyEvent] = []
    at = 0
    while at < len(text):
        character = text[at]
        if character in "{}" and text[at + 1 : at + 2] == character:
            events += _stroke(_keys_of(character, option))
            at += 2
        elif character == "{":
            end = text.find("}", at)
            if end < 0:
                raise OptionError(option, f"{text[at:]!r} has no closing brace; write {{{{ for a brace itself")
            events += _stroke(_chord(text[at + 1 : end], option))
            at = end + 1
        elif character == "}":
            raise OptionError(option, "a closing brace without an opening one; write }} for a brace itself")
        else:
            events += _stroke(_keys_of(character, option))
            at += 1
    return events


def _chord(names: str, option: str) -> list[str]:
    """The keys of what stands between braces, in order; each once."""
    keys: list[str] = []
    for name in names.split("+"):
        lower = name.strip().lower()
        if len(name) == 1 and not name.isspace():
            found = _keys_of(name, option)
        elif lower == "plus":
            found = ["lshift", "="]
        else:
            found = [_ALIASES.get(lower, lower)]
        unknown = [key for key in found if key not in KEYS]
        if unknown:
            raise OptionError(option, f"there is no key {name!r} in {{{names}}}; {_suggestion(lower)}")
        keys += [key for key in found if key not in keys]
    return keys


def _suggestion(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, sorted(KEYS | _ALIASES.keys()), n=3)
    return f"did you mean {' or '.join(close)}?" if close else "keys are named like enter, esc, f1, up, ctrl+c"


def _keys_of(character: str, option: str) -> list[str]:
    """The key that writes `character`, after the shift key if it needs that."""
    if character in _CONTROL:
        return [_CONTROL[character]]
    if character in _SHIFTED:
        return ["lshift", _SHIFTED[character]]
    if "A" <= character <= "Z":
        return ["lshift", character.lower()]
    if character in KEYS:
        return [character]
    raise OptionError(option, f"no key of a US keyboard writes {character!r}")


def _stroke(keys: list[str]) -> list[KeyEvent]:
    """Press `keys` in order, and release them the other way round."""
    return [(key, True) for key in keys] + [(key, False) for key in reversed(keys)]

"""What terminals send becomes keys; `keys_from_text` knows whether they exist."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.devices.input.keys import keys_from_text
from hillemu.terminal.keys import TerminalKeys


def keys_of(*pieces: bytes) -> tuple[str, int]:
    """The keys of `pieces` after which nothing comes any more, and how many characters were refused."""
    keys = TerminalKeys()
    text = "".join(keys.feed(piece) for piece in pieces) + keys.flush()
    assert not keys.is_waiting
    return text, keys.refused_count


SENT = {
    "ls -l\r": "ls -l{enter}",
    "{}": "{{}}",
    "\t\n\b\x7f\x1b": "{tab}{enter}{backspace}{backspace}{esc}",
    "\x01\x1a\x00\x1c\x1d\x1e\x1f": "{ctrl+a}{ctrl+z}{ctrl+space}{ctrl+\\}{ctrl+]}{ctrl+6}{ctrl+-}",
    # arrows and the six keys above them: xterm, xterm in application mode, VT220, rxvt
    "\x1b[A\x1b[B\x1b[C\x1b[D": "{up}{down}{right}{left}",
    "\x1bOA\x1bOB\x1bOC\x1bOD": "{up}{down}{right}{left}",
    "\x1b[H\x1b[F\x1bOH\x1bOF\x1b[1~\x1b[4~\x1b[7~\x1b[8~": "{home}{end}" * 4,
    "\x1b[2~\x1b[3~\x1b[5~\x1b[6~": "{insert}{delete}{pageup}{pagedown}",
    # function keys: xterm, VT220, the Linux console
    "\x1bOP\x1bOQ\x1bOR\x1bOS": "{f1}{f2}{f3}{f4}",
    "\x1b[11~\x1b[12~\x1b[13~\x1b[14~\x1b[15~": "{f1}{f2}{f3}{f4}{f5}",
    "\x1b[[A\x1b[[B\x1b[[C\x1b[[D\x1b[[E": "{f1}{f2}{f3}{f4}{f5}",
    "\x1b[17~\x1b[18~\x1b[19~\x1b[20~\x1b[21~\x1b[23~\x1b[24~": "{f6}{f7}{f8}{f9}{f10}{f11}{f12}",
    # held keys
    "\x1b[1;5A\x1b[3;2~\x1b[1;3P\x1b[15;8~\x1b[Z": "{ctrl+up}{shift+delete}{alt+f1}{shift+alt+ctrl+f5}{shift+tab}",
    "\x1bx\x1bX\x1b\r\x1b \x1b+\x1b{\x1b}": "{alt+x}{alt+X}{alt+enter}{alt+space}{alt+plus}{alt+shift+[}{alt+shift+]}",
    "\x1b\x01\x1bOM": "{alt+ctrl+a}{kpenter}",
    # what is not finished is no sequence
    "\x1b": "{esc}",
    "\x1b\x1b[A": "{esc}{up}",
    "\x1b[": "{alt+[}",
    "\x1bO": "{alt+O}",
    "\x1b[1;": "{alt+[}1;",
    "\x1b[\r": "{alt+[}{enter}",
    # sequences of no key: a paste, a mouse, where the cursor is, unknown keys
    "\x1b[200~a\x1b[<0;1;1M\x1b[24;80R\x1b[99~\x1b[[Zb": "ab",
}


@pytest.mark.parametrize("sent", SENT)
def test_a_terminals_sequences_are_the_keys_that_were_pressed(sent: str) -> None:
    assert keys_of(sent.encode()) == (SENT[sent], 0)


def test_every_character_of_a_us_keyboard_is_typed_as_itself() -> None:
    for character in map(chr, range(0x20, 0x7F)):
        typed = keys_from_text(keys_of(character.encode())[0])
        shifted = [key for key in typed if key[0] != "lshift"]
        assert len(shifted) == 2, character
        assert (("lshift", True) in typed) == (character in '~!@#$%^&*()_+{}|:"<>?' or character.isupper())


def test_characters_that_a_us_keyboard_has_not_are_counted_and_not_typed() -> None:
    assert keys_of("aäb€\U0001f600c".encode() + b"\xff") == ("abc", 4)


@given(st.data())
def test_however_the_bytes_are_split_the_keys_are_the_same_and_exist(data: st.DataObject) -> None:
    piece = (
        st.sampled_from([name.encode() for name in SENT]) | st.binary(max_size=6) | st.text(max_size=3).map(str.encode)
    )
    sent = b"".join(data.draw(st.lists(piece, max_size=6)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    together = keys_of(sent)
    assert keys_of(*pieces) == together
    assert keys_of(*(sent[at : at + 1] for at in range(len(sent)))) == together
    keys_from_text(together[0])


@given(st.binary(max_size=200).map(lambda data: b"\x1b[" + data))
def test_no_more_than_one_sequence_ever_waits(data: bytes) -> None:
    keys = TerminalKeys()
    keys.feed(data)
    assert len(keys._pending) < 40

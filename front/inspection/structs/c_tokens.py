"""C text to tokens, and the preprocessor lines that pasted headers have.

``#define NAME tokens`` replaces NAME from there on; ``#ifdef``, ``#ifndef``, ``#if NUMBER``, ``#else``, ``#endif`` and
``#undef`` do what they should; ``#include`` is passed over, for the usual types are known; ``#pragma pack`` becomes a
token of its own; ``# 12 "file.h"`` of preprocessed text sets the line.  What needs a real preprocessor (macros with
parameters where they are used, other conditions) is refused: run ``gcc -E -P`` first.

Source: ISO/IEC 9899:2011, 6.4 "Lexical elements", 6.10 "Preprocessing directives".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hillemu.emu.errors import UserMistake

MOST_TOKENS = 2_000_000
_MOST_NESTED = 40
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\f\v]+|\\\r?\n)|(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<newline>\n)
    |(?P<name>[A-Za-z_$][A-Za-z0-9_$]*)|(?P<number>(?:0[xX][0-9A-Fa-f]+|0[bB][01]+|[0-9]+)[uUlL]*(?![\w.]))
    |(?P<char>'(?:\\.[0-7]*|\\x[0-9A-Fa-f]+|[^'\\\n])')|(?P<string>"(?:\\.|[^"\\\n])*")
    |(?P<mark>\.\.\.|<<|>>|<=|>=|==|!=|&&|\|\||->|\+\+|--|[-+*/%&|^~!<>=?:;,.(){}\[\]\#])""",
    re.VERBOSE | re.DOTALL,
)


class WrongC(UserMistake):
    """C text that cannot be understood; the message has the line, what is there, and what was expected."""


class Token(NamedTuple):
    """`kind` is ``name``, ``number``, ``char``, ``string``, ``mark``, ``pack`` or ``end``; `text` is the source's."""

    kind: str
    text: str
    line: int


def tokens_of(text: str, macros: dict[str, list[Token]]) -> list[Token]:
    """Cut `text` up; `macros` is what ``#define`` said so far, and grows.  Raises `WrongC`."""
    return _Cutter(text, macros).run()


class _Cutter:
    def __init__(self, text: str, macros: dict[str, list[Token]]) -> None:
        self.text = text
        self.macros = macros
        self.line = 1
        self.found: list[Token] = []
        self.conditions: list[tuple[bool, bool, int]] = []  # is this part read, was one before, line of the #if

    def run(self) -> list[Token]:
        at, line_is_new = 0, True
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None or self.text.startswith("/*", at) > (match.lastgroup == "comment"):
                raise self._bad_character(at)
            at = match.end()
            kind, piece = match.lastgroup or "", match.group()
            if kind == "newline":
                self.line += 1
                line_is_new = True
                continue
            if kind in ("space", "comment"):
                self.line += piece.count("\n")
                continue
            if piece == "#" and line_is_new:
                at = self._directive(at)
                continue
            line_is_new = False
            if self._is_read:
                self._add(Token(kind, piece, self.line), 0)
        if self.conditions:
            raise WrongC(f"line {self.conditions[-1][2]}: this #if has no #endif")
        self.found.append(Token("end", "the end of the text", self.line))
        return self.found

    @property
    def _is_read(self) -> bool:
        return all(read for read, _, _ in self.conditions)

    def _add(self, token: Token, depth: int) -> None:
        replacement = self.macros.get(token.text) if token.kind == "name" else None
        if replacement is None:
            self.found.append(token)
            if len(self.found) > MOST_TOKENS:
                raise WrongC(f"line {token.line}: more than {MOST_TOKENS:,} tokens")
            return
        if depth > _MOST_NESTED:
            raise WrongC(f"line {token.line}: macro {token.text} is defined by itself")
        for part in replacement:
            if part.text == token.text:  # C does not replace a macro in its own text.
                self.found.append(part._replace(line=token.line))
            else:
                self._add(part._replace(line=token.line), depth + 1)

    # ---- directives ---------------------------------------------------------------------------------------------

    def _directive(self, at: int) -> int:
        """Do what the line says; return where it ends."""
        line, pieces = self.line, []
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None:
                # What a skipped or passed-over line has is nobody's business.
                at += 1
                continue
            if match.lastgroup == "newline":
                break
            at = match.end()
            self.line += match.group().count("\n")
            if match.lastgroup not in ("space", "comment"):
                adjoins = at - len(match.group()) > 0 and not self.text[match.start() - 1].isspace()
                pieces.append((Token(match.lastgroup or "", match.group(), line), adjoins))
        self._obey([token for token, _ in pieces], [adjoins for _, adjoins in pieces], line)
        return at

    def _obey(self, tokens: list[Token], adjoins: list[bool], line: int) -> None:
        if not tokens:
            return
        word, rest = tokens[0].text, tokens[1:]
        if word in ("if", "ifdef", "ifndef"):
            read = self._is_read and self._condition(word, rest, line)
            self.conditions.append((read, read, line))
        elif word in ("else", "elif", "endif"):
            if not self.conditions:
                raise WrongC(f"line {line}: #{word} without #if")
            _, was_read, began = self.conditions.pop()
            if word != "endif":
                read = not was_read and self._is_read and (word == "else" or self._condition("if", rest, line))
                self.conditions.append((read, was_read or read, began))
        elif not self._is_read:
            return
        elif word == "define":
            self._define(rest, adjoins[1:], line)
        elif word == "undef" and rest:
            self.macros.pop(rest[0].text, None)
        elif word == "pragma" and rest and rest[0].text == "pack":
            self.found.append(Token("pack", " ".join(token.text for token in rest[1:]), line))
        elif word == "error":
            raise WrongC(f"line {line}: #error {' '.join(token.text for token in rest)}")
        elif tokens[0].kind == "number" or (word == "line" and rest and rest[0].kind == "number"):
            self.line = int((tokens[0] if word != "line" else rest[0]).text) - 1

    def _define(self, rest: list[Token], adjoins: list[bool], line: int) -> None:
        if not rest or rest[0].kind != "name":
            raise WrongC(f"line {line}: #define needs a name")
        if len(rest) > 1 and rest[1].text == "(" and adjoins[1]:
            return  # A macro with parameters: harmless until it is used, where it is an unknown name.
        self.macros[rest[0].text] = rest[1:]

    def _condition(self, word: str, rest: list[Token], line: int) -> bool:
        if word != "if" and rest:
            return (rest[0].text in self.macros) == (word == "ifdef")
        texts = [token.text for token in rest]
        negated = bool(texts) and texts[0] == "!"
        inner = [text for text in (texts[1:] if negated else texts) if text not in ("(", ")")]
        if len(inner) == 2 and inner[0] == "defined":
            return (inner[1] in self.macros) != negated
        if len(rest) == 1 and rest[0].kind in ("number", "name"):
            value = rest
            while len(value) == 1 and value[0].kind == "name" and value[0].text in self.macros:
                value = self.macros[value[0].text]
            return len(value) == 1 and value[0].kind == "number" and int(value[0].text.rstrip("uUlL"), 0) != 0
        raise WrongC(f"line {line}: '#{word} {' '.join(texts)}' needs a preprocessor: run gcc -E -P on the text first")

    def _bad_character(self, at: int) -> WrongC:
        character = self.text[at]
        if self.text.startswith("/*", at):
            return WrongC(f"line {self.line}: this comment has no end")
        if character in "\"'":
            return WrongC(f"line {self.line}: this {character} has no partner on its line")
        return WrongC(f"line {self.line}: {character!r} is not C")

"""The reader: includes, macros, repetition and conditions.  What comes out are plain statements.

``.include``; ``.macro name a, b=default, c:req, rest:vararg`` with ``\\a``, ``\\@`` (a number that no other expansion
has) and ``\\()`` (nothing: ends a name), ``.exitm``, ``.purgem``; ``.rept``, ``.irp``, ``.endr``; ``.if .ifdef .ifndef
.ifb .ifnb .elseif .else .endif``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hillemu.boot.assembler.source import (
    AssemblyError,
    Place,
    Statement,
    outside_quotes,
    split_arguments,
    statements,
    string_end,
)

MAX_DEPTH = 100
MAX_STATEMENTS = 1_000_000
_NAME = re.compile(r"[A-Za-z_.$][\w.$]*", re.ASCII)
_ARGUMENT = re.compile(r"\\(@|\(\)|[A-Za-z_$][\w$]*)", re.ASCII)
_OPERATORS = "+-*/%&|^<>=!~:"
_OPENERS = {".macro": ".endm", ".rept": ".endr", ".irp": ".endr"}
_CONDITIONS = frozenset((".if", ".ifdef", ".ifndef", ".ifb", ".ifnb"))


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    default: str = ""
    required: bool = False
    rest: bool = False


@dataclass(frozen=True, slots=True)
class Macro:
    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]


@dataclass(slots=True)
class _Condition:
    place: Place
    active: bool
    """This branch is read."""
    settled: bool
    """Some branch was read already, or none may be."""
    saw_else: bool = False


@dataclass(slots=True)
class _Frame:
    """A file or an expansion that is being read."""

    source: Iterator[Statement]
    is_macro: bool = False
    conditions: list[_Condition] = field(default_factory=list)


class Reader:
    """Hands out the statements that are to be assembled, one by one."""

    def __init__(self, include_paths: Sequence[Path], evaluate: Callable[[str, Place], int]) -> None:
        self._include_paths = include_paths
        self._evaluate = evaluate
        self._frames: list[_Frame] = []
        self._macros: dict[str, Macro] = {}
        self._expansions = 0
        self._count = 0
        self.is_defined: Callable[[str], bool] = lambda name: False

    def read(self, text: str, file: str) -> Iterator[Statement]:
        """All statements of `text`, which is called `file` in messages."""
        self._frames.append(_Frame(statements(text, file)))
        while self._frames:
            frame = self._frames[-1]
            statement = next(frame.source, None)
            if statement is None:
                if frame.conditions:
                    raise AssemblyError(frame.conditions[-1].place, "`.if` without `.endif`")
                self._frames.pop()
                continue
            self._count += 1
            if self._count > MAX_STATEMENTS:
                raise AssemblyError(statement.place, f"more than {MAX_STATEMENTS} statements")
            label, word, rest = _split(statement.text)
            if self._condition(word, rest, statement, frame):
                continue
            if label:
                yield Statement(label, statement.place)
            if word and not self._directive(word, rest, statement, frame):
                yield Statement(statement.text[len(label) :].strip(), statement.place)

    # ------------------------------------------------------------------------------------------ conditions

    def _condition(self, word: str, rest: str, statement: Statement, frame: _Frame) -> bool:
        """Handle a condition, or skip what a condition hides; false if the statement is to be read."""
        place = statement.place
        active = all(condition.active for condition in frame.conditions)
        if word in _CONDITIONS:
            holds = active and self._holds(word, rest, place)
            frame.conditions.append(_Condition(place, holds, holds or not active))
            return True
        if word in (".elseif", ".else", ".endif"):
            if not frame.conditions:
                raise AssemblyError(place, f"`{word}` without `.if`")
            condition = frame.conditions[-1]
            if word == ".endif":
                frame.conditions.pop()
                return True
            if condition.saw_else:
                raise AssemblyError(place, f"`{word}` after `.else`")
            condition.saw_else = word == ".else"
            condition.active = not condition.settled and (word == ".else" or self._holds(".if", rest, place))
            condition.settled |= condition.active
            return True
        return not active

    def _holds(self, word: str, rest: str, place: Place) -> bool:
        if word in (".ifb", ".ifnb"):
            return (not rest.strip()) == (word == ".ifb")
        if word in (".ifdef", ".ifndef"):
            return self.is_defined(rest.strip()) == (word == ".ifdef")
        return self._evaluate(rest, place) != 0

    # ------------------------------------------------------------------------------------------ directives

    def _directive(self, word: str, rest: str, statement: Statement, frame: _Frame) -> bool:
        place = statement.place
        if word == ".include":
            self._push(self._include(rest, place), place)
        elif word == ".macro":
            self._define(rest, place, frame)
        elif word == ".rept":
            count = self._evaluate(rest, place)
            body = self._block(word, place, frame)
            if count * max(len(body), 1) > MAX_STATEMENTS:
                raise AssemblyError(place, f"{count} repetitions are more than {MAX_STATEMENTS} statements")
            self._push(_again(body * max(count, 0), place, "repeated by"), place)
        elif word == ".irp":
            name, _, values = rest.replace(",", " ", 1).strip().partition(" ")
            body = self._block(word, place, frame)
            replaced = (
                Statement(self._substitute(line.text, {name: value}, 0), line.place)
                for value in split_arguments(values)
                for line in body
            )
            self._push(_again(replaced, place, "repeated by"), place)
        elif word in (".endm", ".endr"):
            raise AssemblyError(place, f"`{word}` without its beginning")
        elif word == ".exitm":
            while self._frames and not self._frames[-1].is_macro:
                self._frames.pop()
            if not self._frames:
                raise AssemblyError(place, "`.exitm` outside a macro")
            self._frames.pop()
        elif word == ".purgem":
            if self._macros.pop(rest.strip().lower(), None) is None:
                raise AssemblyError(place, f"no macro `{rest.strip()}`")
        elif word in self._macros:
            self._expand(self._macros[word], rest, place)
        else:
            return False
        return True

    def _push(self, source: Iterable[Statement], place: Place, is_macro: bool = False) -> None:
        if len(self._frames) >= MAX_DEPTH:
            raise AssemblyError(
                Place(place.file, place.line), f"more than {MAX_DEPTH} includes or macros inside one another"
            )
        self._frames.append(_Frame(iter(source), is_macro))

    def _include(self, rest: str, place: Place) -> Iterator[Statement]:
        path = self.find_file(rest, place)
        return statements(read_text(path, place), str(path), place, "included from")

    def find_file(self, rest: str, place: Place) -> Path:
        """The file that a quoted name means: beside the including file, then in the include paths."""
        if len(rest) < 2 or rest[0] != '"' or string_end(rest, 0) != len(rest):
            raise AssemblyError(place, "a file name in double quotes is missing")
        name = rest[1:-1]
        for folder in (Path(place.file).parent, *self._include_paths):
            if (path := folder / name).is_file():
                return path
        raise AssemblyError(place, f"cannot find `{name}`")

    def _block(self, opener: str, place: Place, frame: _Frame) -> list[Statement]:
        """The statements up to the end of a macro or a repetition."""
        body: list[Statement] = []
        ends = [_OPENERS[opener]]
        for statement in frame.source:
            _, word, _ = _split(statement.text)
            if word == ends[-1]:
                ends.pop()
                if not ends:
                    return body
            elif word in _OPENERS:
                ends.append(_OPENERS[word])
            body.append(statement)
        raise AssemblyError(place, f"`{opener}` without `{_OPENERS[opener]}`")

    # ------------------------------------------------------------------------------------------ macros

    def _define(self, rest: str, place: Place, frame: _Frame) -> None:
        match = _NAME.match(rest)
        if match is None:
            raise AssemblyError(place, "a macro needs a name")
        name = match[0]
        body = self._block(".macro", place, frame)
        parameters = []
        for start, end in _macro_arguments(rest[match.end() :]):
            part = rest[match.end() :][start:end]
            head, _, default = part.partition("=")
            word, _, kind = head.strip().partition(":")
            if not _NAME.fullmatch(word) or kind not in ("", "req", "vararg"):
                raise AssemblyError(place, f"bad parameter `{part}` of macro `{name}`")
            parameters.append(Parameter(word, _unquote(default.strip()), kind == "req", kind == "vararg"))
        if name.lower() in self._macros:
            raise AssemblyError(place, f"macro `{name}` is defined twice")
        self._macros[name.lower()] = Macro(name, tuple(parameters), tuple(body))

    def _expand(self, macro: Macro, rest: str, place: Place) -> None:
        values = {parameter.name: parameter.default for parameter in macro.parameters}
        given: set[str] = set()
        for position, (start, end) in enumerate(_macro_arguments(rest)):
            part = rest[start:end]
            key, equals, value = part.partition("=")
            if equals and key.strip() in values:
                name, text = key.strip(), value.strip()
            elif position < len(macro.parameters):
                name, text = macro.parameters[position].name, part
                if macro.parameters[position].rest:
                    values[name] = rest[start:]
                    given.add(name)
                    break
            else:
                raise AssemblyError(place, f"macro `{macro.name}` takes {len(macro.parameters)} arguments")
            if text:
                values[name] = _unquote(text)
                given.add(name)
        for parameter in macro.parameters:
            if parameter.required and parameter.name not in given:
                raise AssemblyError(place, f"macro `{macro.name}` needs its argument `{parameter.name}`")
        number = self._expansions
        self._expansions += 1
        body = (Statement(self._substitute(line.text, values, number), line.place) for line in macro.body)
        self._push(_again(body, place, f"in macro `{macro.name}`, used at"), place, is_macro=True)

    @staticmethod
    def _substitute(text: str, values: dict[str, str], number: int) -> str:
        def replacement(match: re.Match[str]) -> str:
            word = match[1]
            if word == "@":
                return str(number)
            return "" if word == "()" else values.get(word, match[0])

        return _ARGUMENT.sub(replacement, text)


def _again(body: Iterable[Statement], place: Place, how: str) -> Iterator[Statement]:
    """The statements of a body, standing where they are written and used at `place`.

    An argument may have brought in a `;`, so each is split again.
    """
    for line in body:
        for part in statements(line.text, line.place.file):
            yield Statement(part.text, Place(line.place.file, line.place.line, place, how))


def _split(text: str) -> tuple[str, str, str]:
    """Labels with their colons, the first word in lower case, and the rest."""
    at = 0
    while (match := re.compile(r"\s*([A-Za-z_.$][\w.$]*|[0-9]+)\s*:", re.ASCII).match(text, at)) is not None:
        at = match.end()
    body = text[at:].strip()
    word, _, rest = body.partition(" ") if " " in body else (body, "", "")
    if "\t" in word:
        word, _, rest = body.partition("\t")
    return text[:at], word.lower(), rest.strip()


def _macro_arguments(text: str) -> list[tuple[int, int]]:
    """Where a macro's arguments begin and end in `text`.

    As in GNU as, a comma separates them and so does white space, except beside an operator and within brackets:
    ``a b`` and ``a, b`` are two arguments, ``a + b`` and ``[a b]`` are one.
    """
    spans = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        while text[at].isspace():
            at += 1
        start = at
        end = _argument_end(text, at)
        spans.append((start, len(text[:end].rstrip())))
        at = end
        while at < len(text) and text[at].isspace():
            at += 1
        if at < len(text) and text[at] == ",":
            at += 1
            if at == len(text):
                spans.append((at, at))
    return spans


def _argument_end(text: str, at: int) -> int:
    for index, here, depth in outside_quotes(text, at):
        if depth == 0 and here == ",":
            return index
        if depth == 0 and here.isspace():
            following = text[index:].lstrip()[:1]
            if following == "," or (text[index - 1] not in _OPERATORS and following not in _OPERATORS):
                return index
    return len(text)


def _unquote(text: str) -> str:
    return text[1:-1] if text[:1] == '"' and string_end(text, 0) == len(text) else text


def read_text(path: Path, place: Place | None = None) -> str:
    """A source file's text; `AssemblyError` if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise AssemblyError(place or Place(str(path), 1), f"cannot read {path}: {reason}") from None

"""Takes values out of a specification's tables, and says in which line a wrong one stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Never, TypeVar

from hillemu.emu.errors import ImageError, OptionError, UserMistake
from hillemu.grading.places import Places, Step
from hillemu.similar_names import alike_or_all

T = TypeVar("T")

_TYPES: dict[type, str] = {
    str: "a text in quotes",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
    float: "a number",
}


class SpecMistake(UserMistake):
    """A specification is wrong; the message is ``FILE:LINE: what, and what to do``."""


class Table:
    """One table of the file `name`, whose keys are taken one by one; `end` refuses what is left."""

    def __init__(self, name: str, places: Places, content: dict[str, Any], path: tuple[Step, ...] = ()) -> None:
        self.name = name
        self.content = content
        self._places = places
        self._path = path
        self._known: list[str] = []
        self._label = ""

    def call(self, label: str) -> None:
        """Name this table, as in ``check 'boots'``, in all messages from now on."""
        self._label = label + ": "

    def fault(self, what: str, key: str | None = None) -> Never:
        """Raise `SpecMistake` about `key` of this table, or about all of it."""
        line = self._places.line(*self._path, *([key] if key is not None else []))
        raise SpecMistake(f"{self.name}:{line}: {self._label}{what}")

    def has(self, key: str) -> bool:
        return key in self.content

    def take(self, key: str, kind: type[T], default: T) -> T:
        """The value of `key`, which must be of `kind`; `default` where there is none."""
        self._known.append(key)
        if key not in self.content:
            return default
        return self._checked(key, self.content[key], kind)

    def anything(self, key: str, default: object = None) -> object:
        """The value of `key`, of whatever kind."""
        self._known.append(key)
        return self.content.get(key, default)

    def text(self, key: str, default: str = "") -> str:
        return self.take(key, str, default)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; one text alone will do."""
        self._known.append(key)
        value = self.content.get(key, [])
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list):
            self.fault(f"{key} is {_shown(value)}; it must be a text in quotes, or a list of them", key)
        return tuple(self._checked(key, one, str) for one in value)

    def patterns(self, key: str) -> tuple[re.Pattern[str], ...]:
        """A list of regular expressions."""
        return tuple(self.converted(key, text, lambda text: re.compile(text, re.MULTILINE)) for text in self.texts(key))

    def converted(self, key: str, value: str, convert: Callable[[str], T]) -> T:
        """What `convert` makes of `value`; its `ValueError`, `OptionError` and `re.error` are faults of `key`."""
        try:
            return convert(value)
        except (re.error, OverflowError, RecursionError) as error:
            self.fault(f"{key}: {value!r} is not a regular expression: {error}", key)
        except OptionError as error:
            self.fault(f"{key}: {error.fault}", key)
        except ValueError as error:
            self.fault(f"{key}: {error}", key)

    def tables(self, key: str) -> list[Table]:
        """The tables ``[[key]]``."""
        self._known.append(key)
        found = self._checked(key, self.content.get(key, []), list)
        return [self._inner(self._checked(key, one, dict), key, number) for number, one in enumerate(found)]

    def table(self, key: str) -> Table:
        """The table ``[key]``, empty if there is none."""
        return self._inner(self.take(key, dict, {}), key)

    def named_tables(self, key: str) -> dict[str, Table]:
        """The tables ``[key.NAME]``."""
        outer = self.table(key)
        return {name: outer._inner(outer._checked(name, value, dict), name) for name, value in outer.content.items()}

    def end(self, *also: str) -> None:
        """Refuse keys that nobody has taken; `also` are known, too."""
        known = [*self._known, *also]
        for key in self.content:
            if key not in known:
                self.fault(f"unknown key {key!r}{alike_or_all(key, known)}", key)

    def _checked(self, key: str, value: Any, kind: type[T]) -> T:
        # bool is an int to Python, and nobody means it.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.fault(f"{key} is {_shown(value)}; it must be {_TYPES[kind]}", key)
        return value

    def _inner(self, content: dict[str, Any], *path: Step) -> Table:
        return Table(self.name, self._places, content, (*self._path, *path))


def open_table(path: str) -> Table:
    """The whole of the TOML file `path`; raises `ImageError` if it cannot be read, `SpecMistake` if it is not TOML."""
    try:
        text = Path(path).read_bytes().decode("utf-8").replace("\r\n", "\n")
    except OSError as error:
        raise ImageError(path, f"cannot read it: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ImageError(path, f"is not text in UTF-8 (byte {error.start})") from None
    except ValueError as error:  # a name with a NUL
        raise ImageError(path, str(error)) from None
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at line (\d+), column \d+\)| \(at end of document\)", str(error))
        line = (place and place[1]) or text.count("\n") + 1
        raise SpecMistake(f"{path}:{line}: {str(error)[: place.start() if place else None]}") from None
    except RecursionError:
        raise SpecMistake(f"{path}: is nested too deeply") from None
    return Table(path, Places(text), content)


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:40] + "..."

"""Names that C text can use: types, tags, enumerators, macros; and where to look for those that it does not define."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hillemu.inspection.structs.c_tokens import Token
from hillemu.inspection.structs.types import USUAL_TYPEDEFS, CType, Record

Elsewhere = Callable[[str], CType | None]
"""Finds a type by its whole name, ``struct task`` or ``task_t``; None if it does not know it."""


@dataclass
class Scope:
    """All names at one moment.  `elsewhere` is asked for what is not defined here, before the usual types are."""

    elsewhere: Elsewhere = lambda _: None
    typedefs: dict[str, CType] = field(default_factory=dict)
    tags: dict[str, CType] = field(default_factory=dict)
    """By kind and tag: ``struct task``."""
    constants: dict[str, int] = field(default_factory=dict)
    variables: dict[str, CType] = field(default_factory=dict)
    macros: dict[str, list[Token]] = field(default_factory=dict)

    def copy(self) -> Scope:
        """The same names, to add to."""
        return Scope(
            self.elsewhere,
            dict(self.typedefs),
            dict(self.tags),
            dict(self.constants),
            dict(self.variables),
            {name: list(tokens) for name, tokens in self.macros.items()},
        )

    def typedef(self, name: str) -> CType | None:
        """The type that the identifier `name` stands for."""
        return self.typedefs.get(name) or self.elsewhere(name) or USUAL_TYPEDEFS.get(name)

    def tag(self, name: str) -> CType | None:
        """The structure, union or enumeration of that whole name, complete if it is so anywhere."""
        own = self.tags.get(name)
        if own is not None and not (isinstance(own, Record) and not own.is_complete):
            return own
        return self.elsewhere(name) or own

    def __iter__(self) -> Iterator[str]:
        yield from self.typedefs
        yield from self.tags

"""Where in a machine an object lies that a snapshot cannot keep, as people call it: a field, or a function's variable.

>>> class Allocator:
...     def __init__(self, names): self.names = [names]
>>> lost = iter("abc")
>>> place_of(lost, [[Allocator(lost)]], lambda one: vars(one).values() if isinstance(one, Allocator) else one)
'Allocator.names'
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from types import FunctionType, MemberDescriptorType
from typing import Any


def place_of(lost: object, roots: Iterable[object], parts_of: Callable[[Any], Iterable[object]]) -> str:
    """The nearest name on the way from `roots` to `lost`; `parts_of` an object are those that it refers to."""
    for part, whole in pairwise(_way_up(lost, roots, parts_of)):
        for name, value in _names(whole):
            if value is part:
                return f"{getattr(whole, '__qualname__', type(whole).__qualname__)}.{name}"
    return "the machine"


def _way_up(lost: object, roots: Iterable[object], parts_of: Callable[[Any], Iterable[object]]) -> list[object]:
    """`lost`, what refers to it, what refers to that, and so on, to one of `roots`."""
    waiting = list(roots)
    wholes: dict[int, object] = {}
    alive: list[object] = []  # bound methods are made when they are asked for, and numbers of dead objects used again
    while waiting:
        whole = waiting.pop()
        alive.append(whole)
        if whole is lost:
            break
        for part in parts_of(whole):
            if id(part) not in wholes:
                wholes[id(part)] = whole
                waiting.append(part)
    way = [lost]
    while (whole := wholes.pop(id(way[-1]), None)) is not None:
        way.append(whole)
    return way


def _names(whole: Any) -> Iterator[tuple[str, object]]:
    if isinstance(whole, FunctionType):
        yield from zip(whole.__code__.co_freevars, whole.__closure__ or (), strict=True)
        return
    yield from getattr(whole, "__dict__", {}).items()
    for base in type(whole).__mro__:
        for name, member in vars(base).items():
            if isinstance(member, MemberDescriptorType):
                yield name, getattr(whole, name, None)

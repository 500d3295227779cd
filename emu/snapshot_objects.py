"""Records the fields of a machine's objects, and writes them back into the same objects.

Chips, buses, events and the hosted kernel are plain Python objects that refer to each other.  A snapshot walks from
some roots over everything that hillemu made, and the user's module for its kernel, and keeps for each object what its
fields referred to, for each list, dictionary, set, deque and bytearray what was in it.  Objects keep their identity
when that is written back, so wires, bound methods and the native core's references stay right.

What a class may say about itself:

`OUTSIDE_STATE`   names of fields that are not the machine's: observers, what mirrors the native core
`HAS_STATE`       `False`: nothing of these objects is
`save_state()`    gives all there is to keep of an object, for `load_state(saved)`; its fields are not walked then

An object of an unknown kind (an open file, an iterator) raises `CannotBeKept`: somebody has to decide.  Objects and
functions that are not hillemu's, the user's callbacks, are not part of the machine.

>>> class Latch:
...     __module__ = "hillemu.example"
...     def __init__(self): self.values = [1]
>>> latch = Latch()
>>> state = ObjectState.of([latch])
>>> latch.values.append(2); latch.extra = True
>>> state.write_back(); vars(latch)
{'values': [1]}
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, tzinfo
from enum import Enum
from functools import partial
from mmap import mmap
from pathlib import PurePath
from re import Pattern
from types import (
    BuiltinFunctionType,
    CellType,
    FunctionType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    NoneType,
    WrapperDescriptorType,
)
from typing import Any, NamedTuple

from hillemu.emu.errors import WiringError
from hillemu.emu.snapshot_place import place_of

OURS = ("hillemu", "kernel_module")
"""Whose objects a machine is made of: the packages' names, and that of what `--kernel-module` brings."""
NATIVE_CORE = "hillemu.emu.cpu._core"
"""Has ways of its own to keep its state."""

_LEAVES: tuple[type, ...] = (
    NoneType, bool, int, float, str, bytes, range, slice, Enum, type, ModuleType, Pattern, PurePath, mmap,
    date, datetime, time, timedelta, tzinfo, MemberDescriptorType, WrapperDescriptorType, property, type(Ellipsis),
)  # fmt: skip
"""Values, and memory, whose content is `hillemu.emu.page_versions`'s."""


class CannotBeKept(WiringError):
    """A machine refers to an object of an unknown kind; the message says what it is, and `place` where."""

    def __init__(self, lost: object, place: str) -> None:
        self.kind = f"{type(lost).__module__}.{type(lost).__qualname__}".removeprefix("builtins.")
        self.place = place
        super().__init__(f"no snapshot can be made of a {self.kind}, which is in {place}")


Loader = Callable[[Any, Any], None]
Saver = Callable[[Any, list[Any]], Any]
"""Gives what to keep of an object, and adds what it refers to to the list."""


class _Kind(NamedTuple):
    """How objects of one class are kept; no `load`: they cannot change."""

    save: Saver | None
    load: Loader | None


class ObjectState:
    """The fields of all objects that can be reached from some roots, at one moment."""

    def __init__(self, entries: list[tuple[Loader, Any, Any]]) -> None:
        self._entries = entries

    @classmethod
    def of(cls, roots: Iterable[object]) -> ObjectState:
        """Record what can be reached from `roots`; raises `CannotBeKept` for an object of an unknown kind."""
        entries: list[tuple[Loader, Any, Any]] = []
        seen: set[int] = set()
        roots = list(roots)
        waiting: list[Any] = roots.copy()
        kinds = _KINDS
        while waiting:
            one = waiting.pop()
            try:
                save, load = kinds[one.__class__]
            except KeyError:
                kind = _kind_of(one.__class__)
                if kind is None:
                    raise CannotBeKept(one, place_of(one, roots, _parts_of)) from None
                save, load = kinds[one.__class__] = kind
            if save is None or id(one) in seen:
                continue
            seen.add(id(one))
            saved = save(one, waiting)
            if load is not None:
                entries.append((load, one, saved))
        return cls(entries)

    def write_back(self) -> None:
        """Give every object its fields back."""
        for load, one, saved in self._entries:
            load(one, saved)

    @property
    def objects(self) -> list[object]:
        """What is recorded: everything here that can change."""
        return [one for _, one, _ in self._entries]


def _parts_of(one: object) -> list[object]:
    """What `one` refers to."""
    kind = _kind_of(type(one)) if type(one) not in _KINDS else _KINDS[type(one)]
    parts: list[Any] = []
    if kind is not None and kind.save is not None:
        kind.save(one, parts)
    return parts


# ---- containers -----------------------------------------------------------------------------------------------------


def _save_items(one: Any, waiting: list[Any]) -> Any:
    waiting.extend(one)
    return tuple(one)


def _load_list(one: list[Any], saved: tuple[Any, ...]) -> None:
    one[:] = saved


def _load_anew(one: Any, saved: Any) -> None:
    one.clear()
    one.update(saved)


def _load_deque(one: deque[Any], saved: tuple[Any, ...]) -> None:
    one.clear()
    one.extend(saved)


def _save_mapping(one: Any, waiting: list[Any]) -> Any:
    waiting.extend(one.keys())
    waiting.extend(one.values())
    return dict(one)


def _save_buffer(one: Any, waiting: list[Any]) -> bytes:
    return bytes(one)


def _load_buffer(one: bytearray, saved: bytes) -> None:
    if one != saved:
        one[:] = saved  # no change of length where a memoryview looks at it: that raises BufferError


def _load_array(one: array[Any], saved: bytes) -> None:
    if one.tobytes() != saved:
        fresh = array(one.typecode, saved)
        if len(fresh) == len(one):
            memoryview(one)[:] = memoryview(fresh)
        else:
            one[:] = fresh


def _save_view(one: memoryview, waiting: list[Any]) -> None:
    waiting.append(one.obj)


# ---- functions ------------------------------------------------------------------------------------------------------


def _save_function(one: FunctionType, waiting: list[Any]) -> None:
    if one.__closure__ and one.__module__.partition(".")[0] in OURS:
        waiting.extend(one.__closure__)
    if one.__defaults__:
        waiting.extend(one.__defaults__)
    if one.__kwdefaults__:
        waiting.extend(one.__kwdefaults__.values())


def _save_method(one: MethodType, waiting: list[Any]) -> None:
    waiting.append(one.__self__)


def _save_partial(one: partial[Any], waiting: list[Any]) -> None:
    waiting += (one.func, *one.args, *one.keywords.values())


class _Nothing(Enum):
    """Where a slot or a cell has no value."""

    EMPTY = 0


_EMPTY = _Nothing.EMPTY


def _save_cell(one: CellType, waiting: list[Any]) -> Any:
    try:
        content = one.cell_contents
    except ValueError:
        return _EMPTY
    waiting.append(content)
    return content


def _load_cell(one: CellType, saved: Any) -> None:
    if saved is _EMPTY:
        del one.cell_contents
    else:
        one.cell_contents = saved


_CONTAINERS: dict[type, _Kind] = {
    list: _Kind(_save_items, _load_list),
    set: _Kind(_save_items, _load_anew),
    deque: _Kind(_save_items, _load_deque),
    dict: _Kind(_save_mapping, _load_anew),
    OrderedDict: _Kind(_save_mapping, _load_anew),
    defaultdict: _Kind(_save_mapping, _load_anew),
    Counter: _Kind(_save_mapping, _load_anew),
    bytearray: _Kind(_save_buffer, _load_buffer),
    array: _Kind(_save_buffer, _load_array),
    CellType: _Kind(_save_cell, _load_cell),
    tuple: _Kind(_save_items, None),
    frozenset: _Kind(_save_items, None),
    MappingProxyType: _Kind(_save_mapping, None),
    memoryview: _Kind(_save_view, None),
    FunctionType: _Kind(_save_function, None),
    MethodType: _Kind(_save_method, None),
    BuiltinFunctionType: _Kind(_save_method, None),
    MethodWrapperType: _Kind(_save_method, None),
    partial: _Kind(_save_partial, None),
}
_LEAF = _Kind(None, None)
_KINDS: dict[type, _Kind] = dict(_CONTAINERS)


def _kind_of(cls: type) -> _Kind | None:
    """Decide about a class that was not seen before; `None` where somebody has to."""
    ours = cls.__module__.partition(".")[0] in OURS
    if (
        cls is object
        or issubclass(cls, _LEAVES)
        or not getattr(cls, "HAS_STATE", True)
        or cls.__module__ == NATIVE_CORE
    ):
        return _LEAF
    if ours and hasattr(cls, "save_state"):
        return _Kind(_save_itself, _load_itself)
    if cls.__module__ == "random" and hasattr(cls, "getstate"):
        return _Kind(_save_generator, _load_generator)
    if issubclass(cls, tuple):
        return _CONTAINERS[tuple]
    if ours and not issubclass(cls, tuple(_CONTAINERS)):
        return _fields_of(cls)
    if not ours and cls.__module__.partition(".")[0] not in sys.stdlib_module_names:
        return _LEAF  # the user's
    return None


def _save_itself(one: Any, waiting: list[Any]) -> Any:
    return one.save_state()


def _load_itself(one: Any, saved: Any) -> None:
    one.load_state(saved)


def _save_generator(one: Any, waiting: list[Any]) -> Any:
    return one.getstate()


def _load_generator(one: Any, saved: Any) -> None:
    one.setstate(saved)


# ---- objects --------------------------------------------------------------------------------------------------------


def _fields_of(cls: type) -> _Kind:
    """Keep the fields of the objects of `cls`: those in their dictionary and those in slots."""
    outside: frozenset[str] = getattr(cls, "OUTSIDE_STATE", frozenset())
    frozen = bool(getattr(getattr(cls, "__dataclass_params__", None), "frozen", False))
    slots = [
        member
        for base in cls.__mro__
        for name, member in vars(base).items()
        if isinstance(member, MemberDescriptorType) and name not in outside
    ]
    if not slots:
        return _dictionary_of(outside, frozen)

    def save(one: Any, waiting: list[Any]) -> Any:
        values = [_EMPTY] * len(slots)
        for number, slot in enumerate(slots):
            try:
                values[number] = slot.__get__(one)
            except AttributeError:
                continue
        waiting.extend(values)
        if hasattr(one, "__dict__"):
            waiting.append(vars(one))
        return values

    def load(one: Any, saved: Any) -> None:
        for slot, value in zip(slots, saved, strict=True):
            if value is not _EMPTY:
                slot.__set__(one, value)
            else:
                _forget(slot, one)

    return _Kind(save, None if frozen else load)


def _forget(slot: MemberDescriptorType, one: object) -> None:
    try:
        slot.__delete__(one)
    except AttributeError:
        return


def _dictionary_of(outside: frozenset[str], frozen: bool) -> _Kind:
    def save(one: Any, waiting: list[Any]) -> Any:
        fields = one.__dict__.copy()
        for name in outside:
            fields.pop(name, None)
        waiting.extend(fields.values())
        return fields

    def load(one: Any, saved: Any) -> None:
        fields = one.__dict__
        fields.update(saved)
        if len(fields) > len(saved):
            for name in fields.keys() - saved.keys() - outside:
                del fields[name]

    return _Kind(save, None if frozen else load)

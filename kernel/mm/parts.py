"""Whether a part that a user brings is what it should be: said when it is made, not when it is first needed."""

from __future__ import annotations

from collections.abc import Mapping

from hillemu.emu.errors import UserMistake

ALLOCATOR = {"alloc": (0,), "free": (1, 0), "free_frames": None}
POLICY = {"victim": ()}
_Wanted = Mapping[str, tuple[int, ...] | None]
_NAMES = {"alloc": "alloc(order)", "free": "free(frame, order)", "victim": "victim()", "added": "added(frame)"}


def must_have(part: object, what: str, wanted: _Wanted, optional: _Wanted | None = None) -> None:
    """Raise `UserMistake` unless `part` has what is `wanted`: methods that take such arguments, or (None) numbers.

    Those that are `optional` may be missing.
    """
    name = type(part).__name__
    if type(part).__module__.startswith("hillemu."):
        return
    for attribute, arguments in (*wanted.items(), *(optional or {}).items()):
        described = _NAMES.get(attribute, attribute)
        if not hasattr(part, attribute):
            if attribute in wanted:
                raise UserMistake(f"{what}: {name} has no {described}")
            continue
        member = getattr(part, attribute)
        if arguments is None:
            if callable(member):
                raise UserMistake(f"{what}: {attribute} of {name} is a method, not a number: @property is missing")
            if not isinstance(member, int):
                raise UserMistake(f"{what}: {attribute} of {name} is {member!r}, not a number")
            continue
        if not callable(member):
            raise UserMistake(f"{what}: {attribute} of {name} is {member!r}, not a method {described}")
        why = cannot_take(member, arguments)
        if why:
            raise UserMistake(f"{what}: {attribute} of {name} cannot be called as {described}: {why}")


def must_take(function: object, what: str, described: str, arguments: tuple[object, ...]) -> None:
    """Raise `UserMistake` unless `function`, which is `what`, can be called with `arguments`, which are `described`."""
    if not callable(function):
        raise UserMistake(f"{what} is {function!r}, which cannot be called")
    why = cannot_take(function, arguments)
    if why:
        raise UserMistake(f"{what} is called with {described}, which it cannot take: {why}")


def cannot_take(function: object, arguments: tuple[object, ...]) -> str:
    """Why `function` cannot be called with `arguments`; empty if it can, or does not tell."""
    import inspect

    try:
        signature = inspect.signature(function)  # type: ignore[arg-type]  # it is for callables, and refuses others
    except (TypeError, ValueError):
        return ""
    try:
        signature.bind(*arguments)
    except TypeError as error:
        return str(error)
    return ""

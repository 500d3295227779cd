"""Whether a part that a user brings is what it should be: said when it is made, not when it is first needed."""

from __future__ import annotations

from collections.abc import Mapping

from hillemu.emu.errors import UserMistake

ALLOCATOR = {"alloc": (0,), "free": (1, 0), "free_frames": None}
POLICY = {"victim": ()}
_Wanted = Mapping[str, tuple[int, ...] | None]
_NAMES = {"alloc": "alloc(order)", "free": "free(frame, order)", "victim": "victim()", "added": "added(frame)"}


def must_have(part: object, what: str, wanted: _Wanted, optional: _Wanted | None = None) -> None:
    """Raise `UserMistake` unless `part` has what is `wanted`: methods that take such arguments, or (None) values.

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
        if arguments is None:
            continue
        method = getattr(part, attribute)
        if not callable(method):
            raise UserMistake(f"{what}: {attribute} of {name} is {method!r}, not a method {described}")
        why = cannot_take(method, arguments)
        if why:
            raise UserMistake(f"{what}: {attribute} of {name} cannot be called as {described}: {why}")


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

"""What a name that is not known may have meant, as the end of an error's text.

>>> did_you_mean("regoins", ["regions", "lint", "tlb"])
"; did you mean 'regions'?"
>>> did_you_mean("pages", ["regions", "lint", "tlb"])
''
>>> alike_or_all("pages", ["regions", "lint", "tlb"])
'; there are regions, lint, tlb'
>>> alike_or_nearest("message", ["page_fault", "tlb"])
"; the nearest is 'page_fault'"
"""

from __future__ import annotations

from collections.abc import Iterable

_ALIKE, _NEAREST = 0.6, 0.3
"""How much of two names must be equal, from 0 to 1."""
_MOST_FAR = 10_000
"""So many names are compared in a second at most; where there are more, some name is alike or none is worth telling."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The names of `known` that look like `name`, three at most; nothing if none does."""
    alike = _similar(name, known, _ALIKE)
    return f"; did you mean {' or '.join(alike)}?" if alike else ""


def alike_or_all(name: str, known: Iterable[str]) -> str:
    """The names that look like `name`, or all there are: for short lists."""
    names = list(dict.fromkeys(known))
    return did_you_mean(name, names) or (f"; there are {', '.join(names)}" if names else "")


def alike_or_nearest(name: str, known: Iterable[str]) -> str:
    """The names that look like `name`, or those that have at least something of it: for lists of some thousands."""
    names = set(known)
    hint = did_you_mean(name, names)
    if hint or len(names) > _MOST_FAR:
        return hint
    far = _similar(name, names, _NEAREST)
    return f"; the nearest {'are' if len(far) > 1 else 'is'} {', '.join(far)}" if far else ""


def _similar(name: str, known: Iterable[str], share: float) -> list[str]:
    import difflib

    return [repr(one) for one in difflib.get_close_matches(name, sorted(set(known)), n=3, cutoff=share)]

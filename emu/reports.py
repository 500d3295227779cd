"""How a part of the machine tells that a guest wants something that is not modelled.

A device takes a `report`; who builds the machine decides who hears it.
"""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[str], None]


def unheard(message: str) -> None:
    """Nobody listens."""

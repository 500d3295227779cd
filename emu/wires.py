"""Wires between chips: a level that one side drives and the other side watches.

A device is given the wire it drives and knows nothing of what is at the other end:

>>> seen = []
>>> irq = Line(seen.append)
>>> irq.set(True); irq.set(True); irq.set(False)
>>> seen
[True, False]
"""

from __future__ import annotations

from collections.abc import Callable


def _unconnected(level: bool) -> None:
    """Nobody watches this wire."""


class Line:
    """One wire.  `on_change(level)` runs at every change of level, and only then."""

    __slots__ = ("level", "on_change")

    def __init__(self, on_change: Callable[[bool], None] = _unconnected) -> None:
        self.level = False
        self.on_change = on_change

    def set(self, level: bool) -> None:
        """Drive the wire high (`True`) or low."""
        if level != self.level:
            self.level = level
            self.on_change(level)

    def pulse(self) -> None:
        """Drive the wire low, then high: exactly one rising edge, and it stays high."""
        self.set(False)
        self.set(True)

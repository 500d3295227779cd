"""Several chips on one wire: it is high while any of them drives it high.

PCI's interrupt pins share the chip set's inputs, and these share the interrupt controllers' inputs with ISA chips:

>>> seen = []
>>> shared = WiredOr(Line(seen.append))
>>> one, other = shared.input(), shared.input()
>>> one.set(True); other.set(True); one.set(False); other.set(False)
>>> seen
[True, False]

Source: PCI Local Bus Specification 2.1, "Interrupt Pins" (open drain, shared).  The levels are logical ones here: a pin
that a chip asserts is high, whatever its voltage.
"""

from __future__ import annotations

from hillemu.emu.wires import Line


class WiredOr:
    """Drives `output` with the OR of all wires that `input` made."""

    __slots__ = ("_high", "_output")

    def __init__(self, output: Line) -> None:
        self._output = output
        self._high = 0

    def input(self) -> Line:
        """A new wire into the junction; low at first."""
        return Line(self._changed)

    def _changed(self, level: bool) -> None:
        self._high += 1 if level else -1
        self._output.set(self._high > 0)

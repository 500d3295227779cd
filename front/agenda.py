"""What is to be done to a machine at moments that were said beforehand: keys pressed, calls made.

Keys come when so many instructions have been executed, calls when so much virtual time has passed.
"""

from __future__ import annotations

from collections.abc import Callable

Key = tuple[str, bool]
"""A key's name, and whether it is pressed (or released)."""


class Agenda:
    """`press` types keys.

    >>> agenda = Agenda(press=print)
    >>> agenda.add_keys(1000, [("a", True)]); agenda.add_call(500, lambda: print("called"))
    >>> agenda.next_instruction, agenda.next_tick
    (1000, 500)
    >>> agenda.do_due(instructions=10, tick=499)
    >>> agenda.do_due(instructions=1000, tick=500)
    called
    [('a', True)]
    >>> agenda.is_empty
    True
    """

    def __init__(self, press: Callable[[list[Key]], None]) -> None:
        self._press = press
        self._keys: list[tuple[int, list[Key]]] = []
        self._calls: list[tuple[int, Callable[[], None]]] = []

    def add_keys(self, at_instruction: int, keys: list[Key]) -> None:
        """Have `keys` pressed when so many instructions have been executed."""
        self._keys.append((at_instruction, keys))
        self._keys.sort(key=lambda due: due[0])

    def add_call(self, at_tick: int, action: Callable[[], None]) -> None:
        """Have `action` called at that tick; of several at one tick, the first that was added comes first."""
        self._calls.append((at_tick, action))
        self._calls.sort(key=lambda due: due[0])

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done any more."""
        return not (self._keys or self._calls)

    @property
    def next_instruction(self) -> int | None:
        """When the next keys are due."""
        return self._keys[0][0] if self._keys else None

    @property
    def next_tick(self) -> int | None:
        """When the next call is due."""
        return self._calls[0][0] if self._calls else None

    def do_due(self, *, instructions: int, tick: int) -> None:
        """Do what is due after so many instructions, and at `tick`."""
        while self._calls and self._calls[0][0] <= tick:
            self._calls.pop(0)[1]()
        while self._keys and self._keys[0][0] <= instructions:
            self._press(self._keys.pop(0)[1])

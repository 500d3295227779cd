"""What a check claims about a kernel.  A claim has one or more facts; each holds, or there is a reason why not.

::

    Claim
    +-- SerialInOrder, Absent, OnScreen            texts                     (claims_text.py)
    +-- Maps, NotPresent, Clean                    page tables               (claims_paging.py)
    +-- Reaches, NeverReaches, Ends, Within        how the kernel ran        (claims_run.py)
    +-- Values                                     numbers in its memory     (claims_run.py)
    +-- Members                                    its structures            (claims_structs.py)

Claims look at `Seen`: the machine as it stands, and what was noted while it ran.  A symbol that the kernel does not
have is the kernel's fault, and so a reason, not an error.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hillemu.emu.i386.spaces import Regions
    from hillemu.emu.stop import Stop
    from hillemu.machine import Machine

HOLDS = ""
"""The reason why a fact does not hold, of one that does."""


@dataclass
class Route:
    """The symbols at which the kernel arrived, as far as a check asks: `reached` counts how many of `wanted` in order.

    The kernel may come by others in between, and by the same ones again.
    """

    wanted: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    reached: int = 0
    seen: list[str] = field(default_factory=list)
    """Each symbol once, in order of the first arrival."""

    def arrive(self, name: str) -> None:
        if name not in self.seen:
            self.seen.append(name)
        if self.reached < len(self.wanted) and self.wanted[self.reached] == name:
            self.reached += 1


@dataclass
class Seen:
    """What claims are judged by."""

    machine: Machine
    route: Route
    serial: str
    """What the kernel has sent, since it was given the check's input."""
    stop: Stop | None
    """How the run ended; `None` while it goes on."""
    instructions: int
    """Executed since power-on, or since the check's input."""

    @cached_property
    def regions(self) -> Regions:
        """All that is mapped: of a large space, too much to ask for again for each fact."""
        return self.machine.paging.regions()


class Claim(ABC):
    """Some facts of one kind; `texts` has each as the specification writes it."""

    texts: tuple[str, ...]
    of_the_run = False
    """Whether the whole run matters, so that it is judged at its end, never at the moment `at`."""

    @abstractmethod
    def judge(self, seen: Seen) -> Sequence[str]:
        """For each of `texts` why it does not hold, or `HOLDS`."""


class Place(NamedTuple):
    """An address that may depend on the kernel: ``0xC0100000``, ``kernel_end``, ``page_directory+0x10``."""

    text: str
    symbol: str | None
    offset: int

    @classmethod
    def parse(cls, text: str) -> Place:
        """Raises `ValueError` for anything else.

        >>> Place.parse("stack_top-4").at({"stack_top": 0xC0100000})
        3222274044
        """
        stripped = text.strip()
        if (number := parse_number(stripped)) is not None:
            return cls(stripped, None, number)
        match = re.fullmatch(r"([A-Za-z_.$][\w.$@]*)\s*(?:([+-])\s*(\w+))?", stripped)
        offset = parse_number(match[3]) if match and match[3] else 0
        if match is None or offset is None:
            raise ValueError(f"{text!r} is no address; write 0xC0100000, symbol or symbol+0x10")
        return cls(stripped, match[1], -offset if match[2] == "-" else offset)

    def at(self, symbols: Mapping[str, int]) -> int:
        """The address in a kernel with these `symbols`; raises `UnknownSymbol`."""
        return (self.offset + (symbols[self.symbol] if self.symbol is not None else 0)) & 0xFFFFFFFF


def parse_number(text: str) -> int | None:
    """``4096``, ``0x1000`` or ``1_000``; `None` for anything else, and for more than 64 bits."""
    if not re.fullmatch(r"0[xX][0-9A-Fa-f_]+|[0-9][0-9_]*", text) or len(text) > 40:
        return None
    try:
        number = int(text, 0)
    except ValueError:  # 007, 1__0
        return None
    return number if number < 1 << 64 else None

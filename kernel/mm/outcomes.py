"""How a page fault, or a look at a program's memory, can end.

::

    fault      -> Resolved(how)              run the instruction again
               |  Killed(reason, signal)     the program cannot go on
    copy_in    -> bytes | Fault(address)     the program gave a pointer to memory that it does not have
"""

from __future__ import annotations

from typing import NamedTuple, final

from hillemu.emu.i386.address import VirtAddr

SIGBUS = 7
SIGKILL = 9
SIGSEGV = 11


class Resolved(NamedTuple):
    """The access can be tried again; `how` is one of the names below."""

    how: str


ZERO = Resolved("zero")
"""A page of zeros: demand paging."""
COW = Resolved("cow")
"""A private copy of a shared page, or the right to write for its last owner."""
FILE = Resolved("file")
"""A page of a file, from the page cache."""
SWAP = Resolved("swap")
"""A page that was swapped out."""
SPURIOUS = Resolved("spurious")
"""The tables allow the access already: the processor had an older translation."""


@final
class Killed(NamedTuple):
    """The program must end with `signal`; `reason` is a sentence for people."""

    reason: str
    signal: int = SIGSEGV


class Fault(NamedTuple):
    """A system call was given a pointer that leads nowhere: `address` is the first that cannot be used."""

    address: VirtAddr


FaultOutcome = Resolved | Killed

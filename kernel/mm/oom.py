"""When nothing can be reclaimed: one program is ended, so that the others go on.

A policy is a function that picks one of the address spaces; `largest` is what is used unless another is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from hillemu.emu.i386.address import PAGE_SIZE
from hillemu.kernel.mm.task_memory import ID, RESIDENT, SWAPPED

if TYPE_CHECKING:
    from hillemu.kernel.mm.address_space import AddressSpace

OomPolicy = Callable[[Iterable["AddressSpace"]], "AddressSpace"]
"""Picks who must end; there is at least one."""


def badness(space: AddressSpace) -> int:
    """How many pages ending this program would give back, at most: in memory, in swap, and its page tables."""
    return space.record[RESIDENT] + space.record[SWAPPED] + len(space.tables.own_frames())


def largest(spaces: Iterable[AddressSpace]) -> AddressSpace:
    """The program that has most; of equal ones the youngest."""
    return max(spaces, key=lambda space: (badness(space), space.record[ID]))


def sentence(victim: AddressSpace, cause: str) -> str:
    """Who was ended, why, and what it had."""
    resident, swapped = victim.record[RESIDENT], victim.record[SWAPPED]
    return (
        f"out of memory: killed {victim.name} ({resident * PAGE_SIZE >> 10} kB in {resident} frames, {swapped} pages "
        f"in swap, {len(victim.tables.own_frames())} page tables): {cause}"
    )

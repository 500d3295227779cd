"""The machine at the moment that is looked at, as views see it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from hillemu.inspection.views.addresses import Address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hillemu.inspection.spaces import Capture
    from hillemu.machine import Machine


class Scene:
    """One moment: the machine stands still while views look.

    `captures` has the address spaces of other moments by the words that named them, for `diff`.
    """

    def __init__(self, machine: Machine, captures: Mapping[str, Capture]) -> None:
        self.machine = machine
        self.captures = captures

    @cached_property
    def space(self) -> Capture:
        """The address space that CR3 holds."""
        return self.machine.paging.capture()

    def virtual(self, address: Address) -> int:
        """The 32-bit value of `address`; `UserMistake` if it has more."""
        return address.virtual_value(self.machine.symbols, self.machine.cpu.processor.get)

    def physical(self, address: Address) -> int:
        """The value of `address`."""
        return address.value(self.machine.symbols, self.machine.cpu.processor.get)

    def named(self, at: int) -> str:
        """``<kmain+0x10>`` for virtual `at`, or nothing."""
        found = self.machine.symbols.nearest(at)
        if found is None:
            return ""
        name, offset = found
        return f"<{name}{f'+{offset:#x}' if offset else ''}>"

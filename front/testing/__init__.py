"""Test a kernel with pytest: fixtures, markers, budgets, and assertions about page tables that explain themselves.

Installed with the package; pytest finds it by itself (`hillemu.testing.plugin`)::

    import pytest
    from hillemu.testing import faults, maps, maps_to, prints, unmapped

    pytestmark = pytest.mark.hillemu(kernel="kernel.elf", until="ready")

    def test_the_kernel_is_mapped_high(machine):
        assert machine.paging[0xC0100000] == maps_to(0x100000, "r")
        assert machine.paging[0] == unmapped

What tests take into their hands is a `MachineUnderTest`: a `hillemu.Machine` whose runs have budgets.  docs/pytest.md
is the tutorial.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hillemu.testing.budget import Budget
    from hillemu.testing.failures import BudgetExceeded, GuestFailure, StoppedEarly
    from hillemu.testing.plugin import BootFactory
    from hillemu.testing.spaces import maps, maps_nothing
    from hillemu.testing.tested_machine import MachineUnderTest
    from hillemu.testing.texts import prints
    from hillemu.testing.translations import faults, maps_to, not_present, unmapped

_HOMES = {
    "BootFactory": "plugin",
    "Budget": "budget",
    "BudgetExceeded": "failures",
    "GuestFailure": "failures",
    "MachineUnderTest": "tested_machine",
    "StoppedEarly": "failures",
    "faults": "translations",
    "maps": "spaces",
    "maps_nothing": "spaces",
    "maps_to": "translations",
    "not_present": "translations",
    "prints": "texts",
    "unmapped": "translations",
}

__all__ = [
    "BootFactory",
    "Budget",
    "BudgetExceeded",
    "GuestFailure",
    "MachineUnderTest",
    "StoppedEarly",
    "faults",
    "maps",
    "maps_nothing",
    "maps_to",
    "not_present",
    "prints",
    "unmapped",
]


def __getattr__(name: str) -> Any:
    """Import on first use: pytest loads the plugin at every start, for people who test something else, too."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

"""How the kernel ends: by switching the machine off, or with an exit code.

Source: ACPI Specification, "PM1 Control Grouping" (sleep state 5 as the 82371AB's DSDT has it); QEMU,
docs/specs (isa-debug-exit).
"""

from __future__ import annotations

from hillemu.emu.guest import Guest

PM1_CONTROL = 0x604
"""Where firmware puts the 82371AB's power management."""
SLEEP_ENABLE = 1 << 13
DEBUG_EXIT = 0xF4

FAILED = 1
"""Something is wrong with the kernel: the machine's exit code is ``1 << 1 | 1``."""


def power_off(guest: Guest) -> None:
    """Switch the machine off."""
    guest.write_port(PM1_CONTROL, SLEEP_ENABLE, 2)


def stop_with(guest: Guest, code: int) -> None:
    """End the run with exit code ``code << 1 | 1``, which isa-debug-exit makes of it."""
    guest.write_port(DEBUG_EXIT, code, 4)

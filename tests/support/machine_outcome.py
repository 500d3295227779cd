"""All that two machines which should be the same can be compared by."""

from __future__ import annotations

from typing import Any

from hillemu.machine import Machine


def outcome(machine: Machine) -> dict[str, Any]:
    """Where `machine` stands: time, processor, memory, and what the guest has said."""
    return {
        "instructions": machine.cpu.instructions,
        "ticks": machine.clock.now,
        "registers": machine.registers(),
        "ram": machine.memory.sha256(),
        "serial": machine.serial.data,
        "screen": machine.screen.cells,
        "deliveries": machine.deliveries,
        "unhandled": machine.unhandled,
    }

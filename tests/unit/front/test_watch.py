"""Waiting for a text: what counts as being on the screen."""

from __future__ import annotations

import pytest

from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.stop import StopReason
from hillemu.machine import Machine

SPIN = b"\xeb\xfe"  # jmp $
SCREEN = PhysAddr(0xB8000)
ROW_BYTES = 160


@pytest.fixture
def machine() -> Machine:
    """Before a guest that never stops by itself, and a shell's prompt on the second row."""
    machine = Machine()
    machine.load_demo()
    machine.cpu.eflags = 0x202
    machine.memory.write(PhysAddr(machine.cpu.eip), SPIN)
    machine.memory.write(PhysAddr(SCREEN + ROW_BYTES), b"".join(bytes((code, 7)) for code in b"/root # "))
    return machine


@pytest.mark.parametrize("pattern", ["/root # ", "/root #$", "^/root", "# +$"])
def test_a_prompt_matches_with_and_without_the_blanks_behind_it(machine: Machine, pattern: str) -> None:
    assert machine.run(until=pattern, max_insns=3_000_000).reason is StopReason.UNTIL


@pytest.mark.parametrize("pattern", ["root #x", "#\\n/root", " {81}"])
def test_what_is_not_on_the_screen_does_not_match(machine: Machine, pattern: str) -> None:
    assert machine.run(until=pattern, max_insns=3_000_000).reason is StopReason.MAX_INSNS

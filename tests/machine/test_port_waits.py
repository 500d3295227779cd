"""Port accesses of modelled processors wait for the ISA bus: clocks worked out by hand from its cycles.

An 8-bit device takes 6 BCLK, a 16-bit one 3, of which the tables have two bus clocks; BCLK is 4 clocks of a bus of 33
MHz and 8 of one of 66.  The Pentium's PCI takes 5 of its clocks, of 2 each, before.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import guest_builder
import pytest

from hillemu import Machine
from hillemu.emu.timing.model import timing_model
from hillemu.timed import timing_named

# (instruction, port): clocks beyond the table on the i386 and i486, and on the Pentium
WAITS = {
    ("in al, dx", 0x500): (6 * 4 - 2, 10 + 6 * 8 - 2),
    ("out dx, al", 0x500): (6 * 4 - 2, 10 + 6 * 8 - 2),
    ("in ax, dx", 0x500): (2 * 6 * 4 - 2, 10 + 2 * 6 * 8 - 2),
    ("out dx, eax", 0x500): (4 * 6 * 4 - 2, 10 + 4 * 6 * 8 - 2),
    ("in al, dx", 0x1F7): (6 * 4 - 2, 10 + 6 * 8 - 2),
    ("in ax, dx", 0x1F0): (3 * 4 - 2, 10 + 3 * 8 - 2),
    ("in ax, dx", 0x170): (3 * 4 - 2, 10 + 3 * 8 - 2),
    ("in eax, dx", 0x1F0): (2 * 3 * 4 - 2, 10 + 2 * 3 * 8 - 2),
    ("in eax, dx", 0xCF8): (0, 0),
    ("out dx, eax", 0xCFC): (0, 0),
    ("in eax, dx", 0x1000): (0, 0),
    ("in al, dx", 0xFFF): (6 * 4 - 2, 10 + 6 * 8 - 2),
    ("mov ecx, 5; rep outsb", 0x500): (5 * (6 * 4 - 2), 5 * (10 + 6 * 8 - 2)),
    ("mov ecx, 3; rep insw", 0x500): (3 * (2 * 6 * 4 - 2), 3 * (10 + 2 * 6 * 8 - 2)),
}


@pytest.mark.parametrize("processor", ["i386", "i486", "pentium"])
@pytest.mark.parametrize(
    ("instruction", "port"), WAITS, ids=lambda value: value if isinstance(value, str) else hex(value)
)
def test_a_port_access_takes_the_cycles_of_its_bus(
    lab_of: Callable[..., Any], processor: str, instruction: str, port: int
) -> None:
    taken = []
    for io_wait_states in (None, 0):
        model = timing_model(f"{processor}-nomem", io_wait_states=io_wait_states)
        source = f"mov edx, {port:#x}; mov esi, 0x5000; mov edi, 0x6000; {instruction}; hlt"
        machine = lab_of("native", source, timing=model)
        machine.run()
        taken.append(machine.processor.ticks())
        assert machine.pc.cycles.idle == 0
    assert taken[0] - taken[1] == WAITS[instruction, port][processor == "pentium"]


@pytest.mark.parametrize("io_wait_states", [None, 9])
def test_nothing_waits_where_no_hardware_answers(lab_of: Callable[..., Any], io_wait_states: int | None) -> None:
    model = timing_model("i486-nomem", io_wait_states=io_wait_states)
    machine = lab_of("native", "out 0xB0, al; out 0xB3, al; hlt", timing=model)
    seen = []
    machine.pc.on_trap(0xB0, lambda pc, value: seen.append(machine.processor.ticks()))
    machine.run()
    # OUT imm 11 each, HLT 4; only the second waits: for an ISA cycle, or as long as was asked for
    assert machine.processor.ticks() == 11 + 11 + 4 + (22 if io_wait_states is None else 9)
    assert seen == [0]


def test_the_command_line_can_ask_for_no_wait_states_and_for_none_in_particular() -> None:
    by_table, by_bus = timing_named("i486", io_wait_states=0), timing_named("i486")
    assert by_table is not None
    assert by_bus is not None
    assert [wait.bus_clocks(8) for wait in by_table.port_waits] == [0]
    assert by_bus.port_waits == timing_model("i486").port_waits != by_table.port_waits


def test_more_such_ports_than_can_be_are_refused_by_name(lab_of: Callable[..., Any]) -> None:
    machine = lab_of("native", "hlt", timing="i486-nomem")
    answer_at_once = machine.pc.cycles.answer_at_once
    with pytest.raises(ValueError, match="too many ports that nothing waits for: 0x6"):
        list(map(answer_at_once, range(0x600, 0x700)))


@pytest.mark.parametrize("processor", ["i386", "i486", "pentium"])
def test_reading_a_port_takes_nearly_a_microsecond(lab_of: Callable[..., Any], processor: str) -> None:
    """As it was measured on machines from the i386 to the Athlon, and as drivers that delay by a port expect."""
    model = timing_model(f"{processor}-nomem")
    rounds = 100
    machine = lab_of("native", f"mov edx, 0x61; mov ecx, {rounds}; 1: in al, dx; dec ecx; jnz 1b; hlt", timing=model)
    machine.run()
    assert 0.9 < machine.processor.ticks() / rounds / model.core_mhz < 1.2


@pytest.mark.parametrize("timing", ["i386", "i386-nomem", "i486", "i486-nomem", "pentium", "pentium-nomem"])
def test_the_timer_keeps_its_promises_to_a_guest_that_only_waits_by_ports(
    need_tool: Callable[[str], str], tmp_path: Path, timing: str
) -> None:
    """A count of the 8254 is loaded by the next edge of its clock, 838 ns apart, before the next access reads it."""
    need_tool("gcc")
    machine = Machine(mem="32M", timing=timing)
    machine.load(str(guest_builder.build("timer", tmp_path)))
    machine.run(max_insns=10_000_000)
    assert machine.serial.text.splitlines()[-1] == "# 15 checks, 0 failed"

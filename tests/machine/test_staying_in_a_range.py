"""A run that is to stay in a range of addresses ends in front of the first instruction outside, as at a breakpoint."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from hillemu import Machine
from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.stop import StopReason

Lab = Callable[..., Any]
SOURCE = """
    mov edi, 0x200000
    mov ecx, 3
again: inc eax; call there; push eax; pop ebx; dec ecx; jnz again
    mov ecx, 4; rep stosd
    int 0x40; ud2; inc edx
    mov byte ptr [changed + 1], 5
changed: mov dl, 4
    jmp over; inc edx
over: inc edx; hlt
there: add eax, ebx; cmp eax, 4; jb back; inc esi
back: ret
vector_64: inc esi; iretd
vector_6: add dword ptr [esp], 2; iretd
end:
"""


def ways_through(lab: Lab, start: int, end: int) -> list[tuple[int, int]]:
    """(Instructions, address of the next one) at every place of the run but the last."""
    machine = lab(SOURCE)
    places = [(0, start)]
    while machine.processor.run(instructions=1) is CoreStop.LIMIT:
        if start <= machine.get("eip") < end:
            places.append((machine.count, machine.get("eip")))
    return places[:-1]


@pytest.mark.parametrize(("core", "timing"), [("native", ""), ("portable", ""), ("native", "i486")])
def test_a_range_is_left_where_breakpoints_everywhere_outside_would_stop(lab_of: Lab, core: str, timing: str) -> None:
    lab = partial(lab_of, core)
    symbols = lab(SOURCE).symbols
    start, end = 0x100000, symbols["end"]
    whole = lab(SOURCE, timing=timing)
    assert whole.run() is CoreStop.HALT
    chance = random.Random(1)
    for count, at in chance.sample(ways_through(lab, start, end), 25):
        stay_in = range(chance.randrange(start, at + 1), chance.randrange(at + 1, end + 1))
        staying, watched = lab(SOURCE, timing=timing), lab(SOURCE, timing=timing)
        for machine in (staying, watched):
            machine.run(count)
        for outside in range(start, end):
            if outside not in stay_in:
                watched.processor.add_breakpoint(outside)
        stops = staying.processor.run(stay_in=stay_in), watched.processor.run()
        assert stops[0] is stops[1], (count, stay_in)
        assert staying.outcome() == watched.outcome(), (count, stay_in)
        staying.run()
        assert staying.outcome() == whole.outcome(), (count, stay_in)


def test_an_instruction_that_the_end_lies_in_is_executed_as_a_whole(lab: Lab) -> None:
    machine = lab("inc eax; mov ebx, 0x12345678; inc eax; hlt")
    assert machine.processor.run(stay_in=range(0x100000, 0x100003)) is CoreStop.BREAKPOINT
    assert (machine.count, machine.get("ebx"), machine.get("eax")) == (2, 0x12345678, 1)


def test_a_run_that_begins_outside_ends_at_once_and_the_next_one_may_go_everywhere(lab: Lab) -> None:
    machine = lab("inc eax; inc eax; hlt")
    for elsewhere in (range(0x100001, 0x100002), range(0x100000, 0x100000)):
        assert machine.processor.run(stay_in=elsewhere) is CoreStop.BREAKPOINT
    assert machine.count == 0
    assert machine.run() is CoreStop.HALT


def test_the_last_addresses_of_all_are_a_range_like_others(lab: Lab) -> None:
    machine = lab("hlt")
    machine.processor.reset()
    assert (machine.processor.segment("cs").base, machine.get("eip")) == (0xFFFF0000, 0xFFF0)
    assert machine.processor.run(instructions=10, stay_in=range(0xFFFFFFF0, 1 << 32)) is CoreStop.BREAKPOINT
    # The ROM is empty: eight times 00 00, ADD [EAX], AL, up to the end, and on at 0.
    assert (machine.count, machine.get("eip")) == (8, 0x10000)


def test_breakpoints_inside_stop_and_limits_hold(lab: Lab) -> None:
    machine = lab("mov ecx, 5; here: dec ecx; there: jnz here; hlt")
    stay_in = range(0x100000, machine["there"] + 2)
    machine.processor.add_breakpoint(machine["there"])
    assert machine.processor.run(stay_in=stay_in) is CoreStop.BREAKPOINT
    assert (machine.get("eip"), machine.count) == (machine["there"], 2)
    assert machine.processor.run(instructions=1, stay_in=stay_in) is CoreStop.LIMIT
    assert (machine.get("eip"), machine.count) == (machine["here"], 3)
    machine.processor.remove_breakpoint(machine["there"])
    assert machine.processor.run(stay_in=stay_in) is CoreStop.BREAKPOINT
    assert (machine.get("eip"), machine.count) == (machine["there"] + 2, 11)


def test_a_machine_that_leaves_its_range_stops_as_at_a_breakpoint(boot: Callable[..., Machine]) -> None:
    machine = boot("inc eax; inc eax; cli; hlt")
    at = machine.cpu.eip
    stop = machine.run(stay_in=range(at, at + 2))
    assert (stop.reason, stop.detail.split()[1]) == (StopReason.BREAKPOINT, f"{at + 2:#010x}")
    assert machine.run().reason is StopReason.HALT

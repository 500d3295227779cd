"""Observing never changes a run, and tells everything: random programs with random watches and callbacks.

The oracle for what a watch tells is memory itself: a copy of it from before the run, to which only what was told is
applied, must agree with what every hit says was there before, and with memory at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from random_programs import FRAME, programs

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.cpu.observers import Watch, WatchHit
from hillemu.emu.i386.address import PhysAddr

IDT, PAGE_TABLE, STACK_PAGE, CODE, DATA, UNMAPPED = 0x2000, 0x12000, 0x7F000, 0x100000, 0x500000, 0x600000
PLACES = [IDT, PAGE_TABLE, STACK_PAGE, CODE, DATA, DATA, DATA, UNMAPPED]

PROPERTY = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@st.composite
def watches(draw: st.DrawFn) -> tuple[int, int, Watch, bool]:
    """Address, length, kind, whether physical; every linear address here is also the physical one."""
    at = draw(st.sampled_from(PLACES)) + draw(st.sampled_from([0, 0, 1, 2, 0x80, 0xFF8, 0xFFE]))
    return at, draw(st.sampled_from([1, 2, 4, 100, 0x2000])), Watch(draw(st.integers(1, 3))), draw(st.booleans())


def finish(lab: Any) -> int:
    """Run to the end, however often a watch stops; return how often that was."""
    for stops in range(100_000):
        if (stop := lab.run(400_000)) is not CoreStop.WATCHPOINT:
            assert stop is CoreStop.HALT
            return stops
        assert lab.processor.observers.hits[-1].at == lab.count
    raise AssertionError("never ends")


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    for key, value in one.items():
        assert other[key] == value, key


LONG_BLOCK = FRAME.format(
    body="sti\n.rept 50; add dword ptr [DATA + 4], eax; add eax, ebx; inc ebx; .endr", timer=5, rounds=12
)
"""Interrupts fall due in the middle of a block that each hit cuts."""


@PROPERTY
@example(source=LONG_BLOCK, watched=[(DATA + 4, 4, Watch.ACCESS, False)], stops=True)
@example(source=LONG_BLOCK, watched=[(DATA + 4, 4, Watch.ACCESS, True)], stops=False)
@given(source=programs, watched=st.lists(watches(), min_size=1, max_size=3), stops=st.booleans())
def test_a_watched_run_is_the_same_run(
    lab_of: Callable[..., Any], source: str, watched: list[tuple[int, int, Watch, bool]], stops: bool
) -> None:
    plain, lab = lab_of("native", source), lab_of("native", source)
    assert finish(plain) == 0
    told: list[Any] = []
    for at, length, kind, physical in watched:
        lab.processor.observers.add_watch(at, length, kind, physical=physical, on_hit=None if stops else told.append)
    lab.processor.observers.on_cr3(told.append)
    lab.processor.observers.on_page_fault(told.append)
    for name in ("start", "round", "vector_14", "vector_32"):
        lab.processor.observers.on_arrival(lab[name], told.append)
    finish(lab)
    assert_same(plain.outcome(), lab.outcome())
    assert lab["start"] in told
    assert any(getattr(event, "before", None) == 0 for event in told)


@PROPERTY
@given(source=programs, place=st.sampled_from([STACK_PAGE, CODE, DATA, UNMAPPED, PAGE_TABLE]), physical=st.booleans())
def test_every_write_is_told_with_what_was_there_before(
    lab_of: Callable[..., Any], source: str, place: int, physical: bool
) -> None:
    lab = lab_of("native", source)
    size = 0x1000
    copy = bytearray(lab.memory.read(PhysAddr(place - 8), size + 16))

    def apply(hit: WatchHit) -> None:
        start, end = hit.address - (place - 8), hit.address - (place - 8) + hit.size
        assert hit.before == int.from_bytes(copy[start:end], "little"), hit
        copy[start:end] = hit.after.to_bytes(hit.size, "little")
        assert hit.address == hit.physical
        assert hit.at == lab.count

    lab.processor.observers.add_watch(place, size, Watch.WRITE, physical=physical, on_hit=apply)
    finish(lab)
    if place != PAGE_TABLE:  # where the processor sets accessed and dirty bits, which is not told
        assert copy[8:-8] == lab.memory.read(PhysAddr(place), size)

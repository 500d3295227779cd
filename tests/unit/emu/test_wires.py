"""A wire tells its watcher of changes, and of nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.wires import Line


@given(st.lists(st.booleans()))
def test_the_watcher_hears_each_change_once(levels: list[bool]) -> None:
    heard: list[bool] = []
    line = Line(heard.append)
    for level in levels:
        line.set(level)
    changes = [now for before, now in zip([False, *levels], levels, strict=False) if before != now]
    assert heard == changes


def test_a_pulse_is_one_rising_edge_from_either_level() -> None:
    for start in (False, True):
        heard: list[bool] = []
        line = Line()
        line.set(start)
        line.on_change = heard.append
        line.pulse()
        assert heard.count(True) == 1
        assert line.level


def test_an_unconnected_wire_still_has_a_level() -> None:
    line = Line()
    line.set(True)
    assert line.level

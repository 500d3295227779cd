"""The 8259A's priority resolver against a model of another construction: sets, and a list in order of priority."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hillemu.emu.devices.pic import Pic
from hillemu.emu.wires import Line

SET_SMM, CLEAR_SMM = 0x68, 0x48
SINGLE_EDGE_X86 = ((0, 0x13), (1, 0x00), (1, 0x01))
"""ICW1, ICW2, ICW4: no cascade, vectors from 0, so that `acknowledge` tells the level."""


def single_chip() -> Pic:
    pic = Pic(Line())
    for offset, value in SINGLE_EDGE_X86:
        pic.write(offset, 1, value)
    return pic


class PriorityList:
    """The 8259A's rules with sets of levels and a list of them in order of priority."""

    def __init__(self) -> None:
        self.order = list(range(8))
        self.high: set[int] = set()
        self.requests: set[int] = set()
        self.service: set[int] = set()
        self.masked: set[int] = set()
        self.special_mask = False

    def raise_(self, level: int) -> None:
        if level not in self.high:
            self.high.add(level)
            self.requests.add(level)

    def lower(self, level: int) -> None:
        self.high.discard(level)
        self.requests.discard(level)

    def winner(self) -> int | None:
        for level in self.order:
            if level in self.service and not (self.special_mask and level in self.masked):
                return None
            if level in self.requests and level not in self.masked:
                return level
        return None

    def acknowledge(self) -> int:
        level = self.winner()
        if level is None:
            return 7
        self.requests.discard(level)
        self.service.add(level)
        return level

    def lowest(self, level: int) -> None:
        while self.order[-1] != level:
            self.order.append(self.order.pop(0))

    def command(self, value: int) -> None:
        kind, level = value >> 5, value & 7
        if kind in (0b001, 0b101):
            serviced = [x for x in self.order if x in self.service and not (self.special_mask and x in self.masked)]
            if not serviced:
                return
            level = serviced[0]
        if kind in (0b001, 0b101, 0b011, 0b111):
            self.service.discard(level)
        if kind in (0b101, 0b110, 0b111):
            self.lowest(level)


LEVELS = st.integers(0, 7)
STEPS = st.one_of(
    st.tuples(st.just("raise"), LEVELS),
    st.tuples(st.just("lower"), LEVELS),
    st.tuples(st.just("acknowledge"), st.just(0)),
    st.tuples(st.just("mask"), st.integers(0, 255)),
    st.tuples(st.just("command"), st.builds(lambda kind, level: kind << 5 | level, st.integers(1, 7), LEVELS)),
    st.tuples(st.just("special mask"), st.booleans()),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_the_resolver_agrees_with_a_sorted_list(steps: list[tuple[str, int]]) -> None:
    pic, model = single_chip(), PriorityList()
    for what, value in steps:
        if what == "raise":
            pic.line(value).set(True)
            model.raise_(value)
        elif what == "lower":
            pic.line(value).set(False)
            model.lower(value)
        elif what == "acknowledge":
            assert pic.acknowledge() == model.acknowledge()
        elif what == "mask":
            pic.write(1, 1, value)
            model.masked = {level for level in range(8) if value >> level & 1}
        elif what == "special mask":
            pic.write(0, 1, SET_SMM if value else CLEAR_SMM)
            model.special_mask = bool(value)
        else:
            pic.write(0, 1, value)
            model.command(value)
        assert pic.output.level == (model.winner() is not None)
        assert pic.irr == sum(1 << level for level in model.requests)
        assert pic.isr == sum(1 << level for level in model.service)

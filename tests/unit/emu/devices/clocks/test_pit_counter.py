"""The 8254's counters against the data sheet's timing diagrams, and against one that steps from pulse to pulse."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hillemu.emu.devices.clocks.pit_counter import Counter

# Each diagram: the mode, and what happens before each pulse ("LSB=4", "GATE=0", nothing), with CE and OUT after it.
# CE is hexadecimal, as the data sheet prints it; the letters are OUT, low or high.
DIAGRAMS = {
    "mode 0": (0, "LSB=4:4L - 3L - 2L - 1L - 0H - FFFFH - FFFEH"),
    "mode 0, GATE low": (0, "LSB=3:3L - 2L GATE=0:2L - 2L GATE=1:1L - 0H - FFFFH"),
    "mode 0, new count": (0, "LSB=3:3L - 2L - 1L LSB=2:2L - 1L - 0H - FFFFH"),
    "mode 0, loaded while GATE is low": (0, "GATE=0:?L LSB=2:2L - 2L GATE=1:1L - 0H"),
    "mode 1": (1, "LSB=3:?H - ?H TRIG:3L - 2L - 1L - 0H - FFFFH TRIG:3L - 2L"),
    "mode 1, retriggered": (1, "LSB=3:?H - ?H TRIG:3L - 2L - 1L TRIG:3L - 2L - 1L - 0H"),
    "mode 1, GATE low": (1, "LSB=3:?H TRIG:3L GATE=0:2L - 1L - 0H - FFFFH"),
    "mode 1, new count": (1, "LSB=2:?H TRIG:2L - 1L LSB=4:0H - FFFFH - FFFEH TRIG:4L - 3L"),
    "mode 2": (2, "LSB=3:3H - 2H - 1L - 3H - 2H - 1L - 3H"),
    "mode 2, GATE low": (2, "LSB=3:3H - 2H GATE=0:2H - 2H GATE=1:3H - 2H - 1L - 3H"),
    "mode 2, new count": (2, "LSB=4:4H - 3H LSB=5:2H - 1L - 5H - 4H - 3H"),
    "mode 2, triggered with a new count": (2, "LSB=4:4H - 3H LSB=5:2H TRIG:5H - 4H - 3H"),
    "mode 3, even": (3, "LSB=4:4H - 2H - 4L - 2L - 4H - 2H - 4L - 2L - 4H"),
    "mode 3, odd": (3, "LSB=5:4H - 2H - 0H - 4L - 2L - 4H - 2H - 0H - 4L - 2L"),
    "mode 3, GATE low": (3, "LSB=4:4H - 2H - 4L - 2L - 4H - 2H - 4L GATE=0:4H - 4H GATE=1:4H - 2H - 4L"),
    "mode 3, new count": (3, "LSB=4:4H LSB=6:2H - 6L - 4L - 2L - 6H"),
    "mode 4": (4, "LSB=3:3H - 2H - 1H - 0L - FFFFH - FFFEH - FFFDH"),
    "mode 4, GATE low": (4, "GATE=0:?H LSB=3:3H - 3H GATE=1:2H - 1H - 0L - FFFFH"),
    "mode 4, new count": (4, "LSB=3:3H - 2H - 1H LSB=2:2H - 1H - 0L - FFFFH"),
    "mode 5": (5, "LSB=3:?H - ?H TRIG:3H - 2H - 1H - 0L - FFFFH TRIG:3H"),
    "mode 5, retriggered": (5, "LSB=3:?H TRIG:3H - 2H TRIG:3H - 2H - 1H - 0L - FFFFH - FFFEH"),
    "mode 5, new count": (5, "LSB=3:?H TRIG:3H - 2H LSB=5:1H - 0L - FFFFH TRIG:5H - 4H"),
}


@pytest.mark.parametrize("name", DIAGRAMS)
def test_the_counter_follows_the_timing_diagram(name: str) -> None:
    mode, script = DIAGRAMS[name]
    counter = Counter(gate=mode not in (1, 5))
    counter.program(0, mode=mode, bcd=False)
    assert counter.output(0) is (mode != 0)
    seen, expected = [], []
    for clk, step in enumerate(script.replace(" - ", " -:").split()):
        what, _, wanted = step.partition(":")
        if what.startswith("LSB="):
            counter.write_count(clk, int(what[4:]))
        elif what.startswith("GATE="):
            counter.set_gate(clk, what == "GATE=1")
        elif what == "TRIG":
            counter.set_gate(clk, False)
            counter.set_gate(clk, True)
        element = "?" if wanted.startswith("?") else f"{counter.count(clk + 1):X}"
        seen.append(element + "LH"[counter.output(clk + 1)])
        expected.append(wanted)
    assert seen == expected


def test_a_count_of_zero_is_the_largest_in_binary_and_in_bcd() -> None:
    for bcd, largest, next_digits in (False, 0x10000, 0xFFFF), (True, 10000, 0x9999):
        counter = Counter()
        counter.program(0, mode=0, bcd=bcd)
        counter.write_count(0, 0)
        assert [counter.count(1), counter.count(2)] == [0, next_digits]
        assert [counter.output(largest), counter.output(largest + 1)] == [False, True]


def test_bcd_counts_in_decimal_digits() -> None:
    counter = Counter()
    counter.program(0, mode=2, bcd=True)
    counter.write_count(0, 0x1002)
    assert [hex(counter.count(clk)) for clk in (1, 2, 3, 4, 1002, 1003)] == [
        "0x1002",
        "0x1001",
        "0x1000",
        "0x999",
        "0x1",
        "0x1002",
    ]


def test_null_count_is_set_until_the_count_reaches_the_counting_element() -> None:
    counter = Counter()
    counter.program(0, mode=2, bcd=False)
    counter.write_count(0, 10)
    assert [counter.null_count(clk) for clk in (0, 1)] == [True, False]
    counter.write_count(5, 20)
    assert [counter.null_count(clk) for clk in (5, 10, 11)] == [True, True, False]


@pytest.mark.parametrize("mode", [2, 3])
def test_a_count_of_1_is_not_loaded_in_the_periodic_modes(mode: int) -> None:
    counter = Counter()
    counter.program(0, mode=mode, bcd=False)
    assert not counter.write_count(0, 1)
    assert (counter.null_count(9), counter.output(9), counter.next_edge(9)) == (True, True, None)
    assert counter.write_count(10, 2)


def test_the_state_after_a_billion_pulses_costs_no_more_than_after_one() -> None:
    counter = Counter()
    counter.program(0, mode=3, bcd=False)
    counter.write_count(0, 11932)
    clk = 1 + 11932 * 10**9
    assert [counter.output(clk - 1), counter.output(clk), counter.count(clk + 3)] == [False, True, 11926]


class SteppedCounter:
    """The data sheet's sentences, executed at every pulse."""

    def __init__(self) -> None:
        self.mode, self.modulus, self.gate = 0, 0x10000, True
        self.program(0, False)

    def program(self, mode: int, bcd: bool) -> None:
        self.mode, self.modulus = mode, 10000 if bcd else 0x10000
        self.cr = 0
        self.ce: int | None = None
        self.out = mode != 0
        self.null = True
        self.load_next = self.armed = self.counting = False

    def write_count(self, count: int) -> None:
        count = count or self.modulus
        if count == 1 and self.mode in (2, 3):
            return
        self.cr, self.null = count, True
        if self.mode == 0:
            self.out = self.armed = False
        if self.mode in (0, 4) or (self.mode in (2, 3) and self.ce is None):
            self.load_next = True

    def set_gate(self, level: bool) -> None:
        rising = level and not self.gate
        self.gate = level
        if self.mode in (2, 3) and not level:
            self.out, self.counting = True, False
        if rising and self.mode in (1, 2, 3, 5) and self.cr:
            self.load_next = True

    def pulse(self) -> None:
        if self.mode in (4, 5):
            self.out = True
        if self.load_next:
            self.load_next = False
            self.load()
            self.armed = self.counting = True
            self.out = self.mode not in (0, 1)
            if self.mode in (2, 3):
                self.counting = self.gate
        elif self.ce is not None and self.counting and (self.gate or self.mode in (1, 5)):
            self.count()

    def load(self) -> None:
        self.null = False
        self.odd = self.mode == 3 and self.cr % 2
        self.ce = self.cr - 1 if self.odd else self.cr

    def count(self) -> None:
        assert self.ce is not None
        if self.mode == 3:
            if self.odd and self.out and self.ce == 0:
                self.out = False
                self.load()
                return
            self.ce -= 2
            if self.ce == 0 and not (self.odd and self.out):
                self.out = not self.out
                self.load()
            return
        self.ce = self.ce - 1 if self.ce else self.modulus - 1
        if self.mode == 2:
            self.out = self.ce != 1
            if self.ce == 0:
                self.out = True
                self.load()
        elif self.ce == 0 and self.armed:
            self.armed = False
            self.out = self.mode in (0, 1)


STEPS = st.one_of(
    st.tuples(st.just("program"), st.integers(0, 11)),
    st.tuples(st.just("count"), st.integers(0, 7)),
    st.tuples(st.just("gate"), st.integers(0, 1)),
    st.tuples(st.just("trigger"), st.just(0)),
    st.tuples(st.just("pulses"), st.integers(1, 12)),
    st.tuples(st.just("pulses"), st.integers(1, 12)),
)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 11), st.integers(0, 9), st.lists(STEPS, max_size=25))
def test_computing_agrees_with_stepping(first: int, count: int, steps: list[tuple[str, int]]) -> None:
    computed, stepped, clk = Counter(), SteppedCounter(), 0
    for what, value in [("program", first), ("count", count), *steps]:
        if what == "program":
            computed.program(clk, mode=value % 6, bcd=value >= 6)
            stepped.program(value % 6, value >= 6)
        elif what == "count":
            computed.write_count(clk, value)
            stepped.write_count(value)
        elif what == "gate":
            computed.set_gate(clk, bool(value))
            stepped.set_gate(bool(value))
        elif what == "trigger":
            for level in (False, True):
                computed.set_gate(clk, level)
                stepped.set_gate(level)
        for _ in range(value if what == "pulses" else 0):
            edge, before = computed.next_edge(clk), stepped.out
            clk += 1
            stepped.pulse()
            if (stepped.out and not before) or (stepped.mode in (1, 3) and stepped.out is not before):
                assert edge is not None, "no edge was foretold"
                assert edge.at == clk, "another edge was foretold"
            if edge is not None and edge.at == clk:
                computed.settle(clk)
            assert computed.output(clk) is stepped.out
            assert computed.null_count(clk) is stepped.null
            if stepped.ce is not None:
                digits = stepped.ce % stepped.modulus
                assert computed.count(clk) == (digits if stepped.modulus == 0x10000 else int(str(digits), 16))
        assert computed.output(clk) is stepped.out

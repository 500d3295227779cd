"""One counter of an Intel 8254, as a function of the number of CLK pulses.

The counter is never stepped.  It remembers the last load of its counting element (CE) and computes from that what CE,
OUT and the status are at any later pulse, so a read costs the same after one pulse or after a billion.  All times here
are pulses of CLK since power-on; a write "at pulse c" falls between the pulses c and c+1.

======  ===================================  =============================================  ======================
mode    name                                 OUT, for a count of n loaded at pulse s        GATE
======  ===================================  =============================================  ======================
0       interrupt on terminal count          low, high from s+n                             low stops the counting
1       hardware retriggerable one-shot      low, high from s+n                             rising: loads at pulse +1
2       rate generator                       low for the last pulse of every n              low stops, rising loads
3       square wave                          high for (n+1)//2, low for n//2 pulses         low stops, rising loads
4       software triggered strobe            low for the pulse s+n                          low stops the counting
5       hardware triggered strobe            low for the pulse s+n                          rising: loads at pulse +1
======  ===================================  =============================================  ======================

Source: Intel 8254 data sheet (231164), "Mode Definitions" and "Operation Common to All Modes".
"""

from __future__ import annotations

from typing import NamedTuple

FREQUENCY_HZ = 1_193_182
"""The CLK of a PC's counters."""

_HARDWARE_TRIGGERED = (1, 5)
_PERIODIC = (2, 3)


class Edge(NamedTuple):
    """The next change of OUT that is worth an event."""

    at: int
    strobe: bool
    """OUT was low for the one pulse before `at` and rises now; else OUT has the level that `Counter.output` tells."""


class _Load(NamedTuple):
    """What CE counts down from."""

    since: int
    start: int
    """CE at pulse `since`; while not `running`, CE now."""
    running: bool
    high: bool = True
    """Mode 3: the half of the square wave."""
    expiry: int | None = None
    """Modes 0, 1, 4, 5: the pulse at which CE reaches zero, once that is certain."""
    programmed: bool = True
    """A count has been loaded since the control word."""


class Counter:
    """One of the three counters.  `gate` is the level of its GATE input at power-on.

    >>> counter = Counter()
    >>> counter.program(0, mode=2, bcd=False)
    >>> counter.write_count(0, 3)
    True
    >>> [(counter.count(clk), counter.output(clk)) for clk in range(1, 6)]
    [(3, True), (2, True), (1, False), (3, True), (2, True)]
    """

    def __init__(self, *, gate: bool = True) -> None:
        self.gate = gate
        self.mode = 0
        self._modulus = 0x10000
        self._initial = 0  # the count register CR, 1 to the modulus; 0 when nothing has been written to it
        self._load = _Load(0, 0, running=False, programmed=False)
        self._load_at: int | None = None  # the pulse at which CR goes to CE, if one is due
        self._null = True

    # What the counter is told.

    def program(self, clk: int, *, mode: int, bcd: bool) -> None:
        """Take a control word: OUT goes to its initial level at once, and counting waits for a count."""
        standing = self._element(clk)
        self.mode = mode
        self._modulus = 10000 if bcd else 0x10000
        self._initial = 0
        self._load = _Load(clk, standing, running=False, programmed=False)
        self._load_at = None
        self._null = True

    def write_count(self, clk: int, digits: int) -> bool:
        """Take 16 bits into the count register, in BCD if so programmed; 0 is the largest count.

        `False`, and no effect, for a count of 1 in modes 2 and 3, which the data sheet calls illegal.
        """
        self.settle(clk)
        count = (self._number(digits) - 1) % self._modulus + 1
        if count == 1 and self.mode in _PERIODIC:
            return False
        self._initial = count
        self._null = True
        if self.mode == 0:
            self.inhibit(clk)
        if self.mode in (0, 4) or (self.mode in _PERIODIC and not self._load.programmed):
            self._load_at = clk + 1
        return True

    def inhibit(self, clk: int) -> None:
        """Mode 0: the first byte of a two-byte count stops the counting and lowers OUT."""
        self._load = _Load(clk, self._element(clk), running=False, programmed=False)
        self._load_at = None

    def set_gate(self, clk: int, level: bool) -> None:
        """Drive the GATE input."""
        if level == self.gate:
            return
        self.settle(clk)
        self.gate = level
        load = self._load
        if self.mode in (0, 4):
            if level and load.programmed:
                expiry = clk + load.start if load.expiry is None else load.expiry
                self._load = _Load(clk, load.start, True, expiry=expiry)
            elif not level and load.running:
                expired = load.expiry is not None and load.expiry <= clk
                self._load = _Load(clk, self._element(clk), False, expiry=load.expiry if expired else None)
        elif level:
            if self._initial:
                self._load_at = clk + 1
        elif self.mode in _PERIODIC and load.running:
            self._load = _Load(clk, self._element(clk), False)

    def settle(self, clk: int) -> None:
        """Make the load in force at `clk` the one to compute from; nothing earlier can be asked for any more."""
        load = self._in_force(clk)
        if load is not self._load:
            self._null = False
            self._load = load
        if self._load_at is not None and self._load_at <= clk:
            self._load_at = None

    # What can be seen of it; none of this changes anything.

    def count(self, clk: int) -> int:
        """CE as the output latches give it: 16 bits, four digits if in BCD."""
        element = self._element(clk) % self._modulus
        return element if self._modulus == 0x10000 else int(str(element), 16)

    def output(self, clk: int) -> bool:
        """The level of OUT."""
        load = self._in_force(clk)
        if self.mode == 0:
            return load.expiry is not None and clk >= load.expiry
        if self.mode == 1:
            return load.expiry is None or clk >= load.expiry
        if self.mode == 2:
            return not load.running or clk - load.since != load.start - 1
        if self.mode == 3:
            return not load.running or load.high
        return clk != load.expiry

    def null_count(self, clk: int) -> bool:
        """Whether the last count written has yet to reach CE."""
        return self._null and self._in_force(clk) is self._load

    def next_edge(self, clk: int) -> Edge | None:
        """The next change of OUT after `clk`, at which the counter must be settled.

        The falling edge of a strobe (modes 2, 4 and 5) is left out.
        """
        load, load_at, mode = self._load, self._load_at, self.mode
        if load_at is not None:
            return Edge(load_at, strobe=False)
        if mode in _PERIODIC:
            if not load.running:
                return None
            if mode == 2:
                return Edge(load.since + load.start, strobe=True)
            return Edge(load.since + (load.start + load.high) // 2, strobe=False)
        if load.expiry is None:
            return None
        at = load.expiry if mode < 2 else load.expiry + 1
        return Edge(at, strobe=mode >= 4) if at > clk else None

    # The arithmetic.

    def _number(self, digits: int) -> int:
        """The number that 16 bits stand for; a BCD digit above 9 carries."""
        if self._modulus == 0x10000:
            return digits
        return sum((digits >> 4 * place & 0xF) * 10**place for place in range(4))

    def _element(self, clk: int) -> int:
        """CE, before it is reduced to its modulus."""
        load = self._in_force(clk)
        elapsed = clk - load.since if load.running else 0
        if self.mode == 3:
            # Counts by two; an odd count is loaded less one.
            return (load.start & ~1) - 2 * elapsed
        return load.start - elapsed

    def _in_force(self, clk: int) -> _Load:
        """The load that determines the state at `clk`; the very object `_load` as long as that is still it."""
        load = self._load
        if self._load_at is not None and clk >= self._load_at:
            running = self.gate or self.mode in _HARDWARE_TRIGGERED
            expiry = self._load_at + self._initial if running and self.mode not in _PERIODIC else None
            load = _Load(self._load_at, self._initial, running, expiry=expiry)
        if load.running and self.mode in _PERIODIC:
            return self._reloaded(load, clk)
        return load

    def _reloaded(self, load: _Load, clk: int) -> _Load:
        """Follow the reloads at the end of every period (mode 2) or half period (mode 3) up to `clk`.

        The first of them takes a count that was written meanwhile.
        """
        count = self._initial
        if self.mode == 2:
            elapsed = clk - load.since - load.start
            return load if elapsed < 0 else _Load(clk - elapsed % count, count, True)
        elapsed = clk - load.since - (load.start + load.high) // 2
        if elapsed < 0:
            return load
        elapsed %= count
        high = not load.high
        half = (count + high) // 2
        if elapsed >= half:
            elapsed -= half
            high = not high
        return _Load(clk - elapsed, count, True, high)

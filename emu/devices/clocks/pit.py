"""Intel 8254 programmable interval timer: three counters of 1,193,182 Hz.

A PC has it at ports 0x40-0x43::

    offset 0-2   write: the count of counter 0-2, low byte and high byte as the control word says
                 read:  the latched status, else the latched count, else the count itself
    offset 3     write: control word   7-6 counter   5-4 access (0: latch the count)   3-1 mode   0 BCD
                        read-back      7-6 = 11   5 = 0: latch counts   4 = 0: latch status   3-1 counters

    status       7 OUT   6 null count   5-4 access   3-1 mode   0 BCD

Counter 0 drives `output` (IRQ 0).  Each of its edges is an event on the clock, at the tick computed from the number of
CLK pulses since power-on, so the edges never drift.  Where OUT is low for a single pulse (modes 2, 4 and 5) one event
gives both edges: `output` falls up to one pulse late, immediately before it rises.  Counters 1 and 2 cost nothing.

GATE 0 and 1 are tied high; GATE 2 is the wire `gate2`.  At power-on no counter runs: programming counter 0 for 18.2 Hz
is the firmware's work, as on a real PC.

Not modelled: the half pulse between the rising edge of CLK, which samples GATE, and the falling edge, which counts.
A count of 1 in modes 2 and 3, which the data sheet forbids, is reported and not loaded.

Source: Intel 8254 data sheet (231164), "Programming the 8254" and "Read Operations".
"""

from __future__ import annotations

from hillemu.emu.clock import Clock, Event
from hillemu.emu.devices.clocks.pit_counter import FREQUENCY_HZ, Counter, Edge
from hillemu.emu.reports import Report, unheard
from hillemu.emu.wires import Line

_CONTROL = 3
_READ_BACK = 3
_ACCESS_LATCH, _ACCESS_HIGH, _ACCESS_BOTH = 0, 2, 3
_NOT_DRIVEN = 0xFF


class _Channel:
    """A counter behind its byte-wide registers: the count register's halves and the output latches."""

    def __init__(self, *, gate: bool) -> None:
        self.counter = Counter(gate=gate)
        self.control = _ACCESS_BOTH << 4  # bits 5-0 of the control word, as the status returns them
        self.access = _ACCESS_BOTH
        self._forget()

    def program(self, clk: int, control: int) -> None:
        self.control = control & 0x3F
        self.access = control >> 4 & 3
        mode = control >> 1 & 7
        self.counter.program(clk, mode=mode if mode <= 5 else mode - 4, bcd=bool(control & 1))
        self._forget()

    def _forget(self) -> None:
        self._low: int | None = None  # the low byte of a count whose high byte is to come
        self._high_is_next = False
        self._latched_count: int | None = None
        self._latched_status: int | None = None
        self._unread = 0  # bytes of the latched count that have not been read

    def write(self, clk: int, value: int) -> bool:
        """Take one byte; `False` if it completed an illegal count."""
        if self.access == _ACCESS_BOTH and self._low is None:
            self._low = value
            if self.counter.mode == 0:
                self.counter.settle(clk)
                self.counter.inhibit(clk)
            return True
        if self.access == _ACCESS_BOTH:
            count = value << 8 | (self._low or 0)
            self._low = None
        else:
            count = value << 8 if self.access == _ACCESS_HIGH else value
        return self.counter.write_count(clk, count)

    def latch_count(self, clk: int) -> None:
        if self._latched_count is None:
            self._latched_count = self.counter.count(clk)
            self._unread = 2 if self.access == _ACCESS_BOTH else 1

    def latch_status(self, clk: int) -> None:
        if self._latched_status is None:
            out, null = self.counter.output(clk), self.counter.null_count(clk)
            self._latched_status = out << 7 | null << 6 | self.control

    def peek(self, clk: int) -> int:
        if self._latched_status is not None:
            return self._latched_status
        count = self.counter.count(clk) if self._latched_count is None else self._latched_count
        return count >> 8 if self.access == _ACCESS_HIGH or self._high_is_next else count & 0xFF

    def read(self, clk: int) -> int:
        value = self.peek(clk)
        if self._latched_status is not None:
            self._latched_status = None
            return value
        if self.access == _ACCESS_BOTH:
            self._high_is_next = not self._high_is_next
        if self._latched_count is not None:
            self._unread -= 1
            if not self._unread:
                self._latched_count = None
        return value


class Pit:
    """The chip.

    >>> clock = Clock(frequency_hz=FREQUENCY_HZ)
    >>> irq0 = Line(lambda level: print(clock.now, level))
    >>> pit = Pit(clock=clock, output=irq0)
    >>> pit.write(3, 1, 0x10); pit.write(0, 1, 5)
    >>> clock.advance(10)
    6 True
    """

    def __init__(self, *, clock: Clock, output: Line, report: Report = unheard) -> None:
        self.output = output
        self.gate2 = Line(self._gate2_changed)
        self._clock = clock
        self._report = report
        self._event: Event | None = None
        self._edge: Edge | None = None
        self._channels = self._make_channels()

    def output_of(self, number: int) -> bool:
        """The level of OUT of counter `number` now."""
        return self._channels[number].counter.output(self._pulses())

    def reset(self) -> None:
        """Return to the state after power-on; the 8254 has no reset pin, but a machine can cycle the power."""
        self._channels = self._make_channels()
        self._plan(self._pulses())
        self.output.set(False)

    # The bus.

    def read(self, offset: int, size: int) -> int:
        if offset == _CONTROL:
            return _NOT_DRIVEN
        return self._channels[offset].read(self._pulses())

    def peek(self, offset: int, size: int) -> int:
        if offset == _CONTROL:
            return _NOT_DRIVEN
        return self._channels[offset].peek(self._pulses())

    def write(self, offset: int, size: int, value: int) -> None:
        clk = self._pulses()
        self._catch_up(clk)
        if offset == _CONTROL:
            self._control(clk, value)
        elif not self._channels[offset].write(clk, value):
            mode = self._channels[offset].counter.mode
            self._report(f"8254 counter {offset}: a count of 1 is illegal in mode {mode} and is not loaded")
        self._drive(clk)

    def _control(self, clk: int, value: int) -> None:
        number = value >> 6
        if number == _READ_BACK:
            for index, channel in enumerate(self._channels):
                if value & 2 << index:
                    if not value & 0x20:
                        channel.latch_count(clk)
                    if not value & 0x10:
                        channel.latch_status(clk)
        elif value >> 4 & 3 == _ACCESS_LATCH:
            self._channels[number].latch_count(clk)
        else:
            self._channels[number].program(clk, value)

    # Time: from ticks to pulses of CLK and back, without rounding errors that add up.

    def _pulses(self) -> int:
        """Pulses of CLK since power-on."""
        return self._clock.now * FREQUENCY_HZ // self._clock.frequency_hz

    def _tick_of(self, clk: int) -> int:
        """The first tick at or after pulse `clk`."""
        return -(-clk * self._clock.frequency_hz // FREQUENCY_HZ)

    # Counter 0's wire.

    def _plan(self, clk: int) -> None:
        """Have `_on_event` called at the next edge of counter 0 after pulse `clk`."""
        edge = self._channels[0].counter.next_edge(clk)
        if edge == self._edge:
            return
        if self._event is not None:
            self._event.cancel()
        self._edge = edge
        self._event = None if edge is None else self._clock.schedule(self._tick_of(edge.at), self._on_event)

    def _on_event(self) -> None:
        edge, event = self._edge, self._event
        assert edge is not None
        assert event is not None
        event.cancel()  # for the edge that `_catch_up` does before its event
        self._edge = None
        counter = self._channels[0].counter
        counter.settle(edge.at)
        if edge.strobe:
            self.output.pulse()
        else:
            self.output.set(counter.output(edge.at))
        self._plan(edge.at)

    def _catch_up(self, clk: int) -> None:
        """Do the edges that are due before a write: the processor may write before the clock runs its events."""
        while self._edge is not None and self._edge.at <= clk:
            self._on_event()

    def _drive(self, clk: int) -> None:
        """After a write: the level of OUT may have changed at once, and the next edge with it."""
        self.output.set(self._channels[0].counter.output(clk))
        self._plan(clk)

    def _gate2_changed(self, level: bool) -> None:
        self._channels[2].counter.set_gate(self._pulses(), level)

    def _make_channels(self) -> tuple[_Channel, ...]:
        return tuple(_Channel(gate=gate) for gate in (True, True, self.gate2.level))

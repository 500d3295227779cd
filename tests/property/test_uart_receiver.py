"""The 16550A's receiver, whatever a driver does with its FIFO."""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from uart_bench import Bench

from hillemu.emu.devices.uart import IER, IIR_FCR, LSR, MCR, RBR_THR


class ReceiverMachine(RuleBasedStateMachine):
    """The receiver in loop mode against a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.bench.full_speed()
        self.bench[MCR] = 0x18
        self.bench[IER] = 0x05
        self.expected: deque[int] = deque()
        self.size, self.trigger = 1, 1
        self.overrun = False

    @rule(byte=st.integers(0, 255))
    def send(self, byte: int) -> None:
        self.bench[RBR_THR] = byte
        if len(self.expected) < self.size:
            self.expected.append(byte)
        else:
            self.overrun = True
            if self.size == 1:
                self.expected[0] = byte

    @rule()
    def read_data(self) -> None:
        got = self.bench[RBR_THR]
        if self.expected:
            assert got == self.expected.popleft()

    @rule()
    def read_status(self) -> None:
        assert self.bench[LSR] == 0x60 | bool(self.expected) | self.overrun << 1
        self.overrun = False

    @rule(enable=st.booleans(), clear=st.booleans(), level=st.integers(0, 3))
    def control_fifo(self, enable: bool, clear: bool, level: int) -> None:
        self.bench[IIR_FCR] = level << 6 | clear << 1 | enable
        size = 16 if enable else 1
        if size != self.size or (enable and clear):
            self.expected.clear()
        self.size, self.trigger = size, (1, 4, 8, 14)[level] if enable else 1

    @invariant()
    def the_interrupt_follows_the_model(self) -> None:
        source = self.bench.uart.peek(IIR_FCR, 1) & 0x0F
        if self.overrun:
            assert source == 0x06
        elif len(self.expected) >= self.trigger:
            assert source == 0x04
        else:
            assert source == 0x01
        assert self.bench.irq.level == (source != 0x01)


TestReceiverMachine = ReceiverMachine.TestCase
TestReceiverMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

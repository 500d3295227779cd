"""The 16550A serial port (UART): eight ports, one interrupt wire, 16 bytes of receive FIFO.

::

    offset  read                    write                   with DLAB (LCR bit 7) set
    0       RBR received byte       THR byte to send        DLL divisor, low byte
    1       IER interrupt enable    IER                     DLM divisor, high byte
    2       IIR interrupt identity  FCR FIFO control
    3       LCR line control        LCR
    4       MCR modem control       MCR
    5       LSR line status         -
    6       MSR modem status        -
    7       SCR scratch             SCR

    IER  3 modem status | 2 line status | 1 THR empty | 0 data received
    IIR  7-6 FIFOs on | 3-1 source | 0 nothing pending
    FCR  7-6 trigger 1, 4, 8, 14 | 3 DMA mode | 2 clear XMIT FIFO | 1 clear RCVR FIFO | 0 FIFOs on
    LCR  7 DLAB | 6 break | 5-3 parity | 2 stop bits | 1-0 word length - 5
    MCR  4 loop | 3 OUT2 | 2 OUT1 | 1 RTS | 0 DTR
    LSR  7 error in FIFO | 6 TEMT | 5 THRE | 4 BI | 3 FE | 2 PE | 1 OE | 0 DR
    MSR  7 DCD | 6 RI | 5 DSR | 4 CTS | 3 dDCD | 2 TERI | 1 dDSR | 0 dCTS

A byte to send leaves at once, so THRE and TEMT always read 1 (as in QEMU).  Bytes that come in do so at the speed
that the divisor sets, and the other end waits while there is no room: a host's input is never lost to an overrun.

On IBM's serial adapter OUT2 connects the interrupt pin to the bus.  Here, as on QEMU, the pin is always connected:
teaching kernels that never saw such a card (xv6, JOS) leave OUT2 clear and count on their interrupts.  The first one
that the adapter would have kept back is reported, unless THRE's is the only one enabled: so drivers try out the chip.
The cable has CTS, DSR and DCD asserted and RI not.

Source: National Semiconductor PC16550D data sheet, "Registers" and "FIFO Interrupt Mode Operation"; IBM PC AT
Technical Reference, "Serial/Parallel Adapter" (OUT2).
Not modelled: the gate of OUT2, the time that sending takes, parity, framing and word length (all 8 bits of every byte
arrive), breaks sent by the guest, DMA mode.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from hillemu.emu.clock import Clock, Event
from hillemu.emu.reports import Report, unheard
from hillemu.emu.wires import Line

COM1, COM2 = 0x3F8, 0x2F8
PORT_COUNT = 8
CRYSTAL_HZ = 1_843_200

RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR = range(8)

IER_RECEIVED, IER_THRE, IER_LINE, IER_MODEM = 0x01, 0x02, 0x04, 0x08
IIR_MODEM, IIR_NONE, IIR_THRE, IIR_RECEIVED, IIR_LINE, IIR_TIMEOUT = 0x00, 0x01, 0x02, 0x04, 0x06, 0x0C
IIR_FIFOS = 0xC0
FCR_ENABLE, FCR_CLEAR_RECEIVER = 0x01, 0x02
LCR_STOP, LCR_PARITY, LCR_DLAB = 0x04, 0x08, 0x80
MCR_OUT2, MCR_LOOP = 0x08, 0x10
LSR_DR, LSR_OE, LSR_BI, LSR_THRE, LSR_TEMT, LSR_FIFO_ERROR = 0x01, 0x02, 0x10, 0x20, 0x40, 0x80
LSR_ERRORS = 0x1E
LSR_CHARACTER_ERRORS = 0x1C
MSR_DELTAS, MSR_TERI, MSR_CTS, MSR_DSR, MSR_RI, MSR_DCD = 0x0F, 0x04, 0x10, 0x20, 0x40, 0x80

UNGATED = "a serial port interrupts with OUT2 clear (MCR bit 3), which IBM's serial adapter would not let through"

FIFO_SIZE = 16
TRIGGER_LEVELS = (1, 4, 8, 14)
TIMEOUT_CHARACTERS = 4
_CABLE = MSR_CTS | MSR_DSR | MSR_DCD


class Uart:
    """One 16550A.

    `output` is its interrupt wire; `sink(byte)` takes what the guest sends and may be replaced at any time.
    """

    def __init__(self, *, output: Line, sink: Callable[[int], None], clock: Clock, report: Report = unheard) -> None:
        self.sink = sink
        self._report = report
        self._output = output
        self._clock = clock
        self._incoming: deque[int] = deque()
        self._arrival: Event | None = None
        self._timeout: Event | None = None
        # A master reset leaves these two alone; 12 is 9600 baud, what a PC's firmware sets.
        self._divisor = 12
        self._scratch = 0
        self._msr = _CABLE
        self.reset()

    # -- the host's side ----------------------------------------------------------------------------------------

    def receive(self, data: Iterable[int]) -> None:
        """Send `data` to the guest, after all that was sent before."""
        self._incoming.extend(data)
        self._expect_next()

    def receive_break(self) -> None:
        """Send the guest a break: a zero byte marked with LSR's BI."""
        self._incoming.append(LSR_BI << 8)
        self._expect_next()

    @property
    def waiting_count(self) -> int:
        """How many bytes of `receive` have not yet reached the chip."""
        return len(self._incoming)

    def reset(self) -> None:
        """Pull the master reset pin.  What `receive` still holds is not lost: it is at the other end of the cable."""
        self._ier = self._lcr = self._mcr = 0
        self._lsr = LSR_THRE | LSR_TEMT
        self._fifo: deque[int] = deque()  # bytes, each with its LSR error bits shifted left by 8
        self._fifos_on = False
        self._capacity = self._trigger = 1
        self._rbr = 0
        self._thre_pending = self._timeout_pending = False
        self._restart_timeout()
        self._modem_lines_changed()
        self._msr &= ~MSR_DELTAS
        self._settle()
        self._expect_next()

    # -- the guest's side ---------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        if offset == LSR:
            lsr = self._lsr
            if lsr & (LSR_ERRORS | LSR_FIFO_ERROR):
                self._line_status_was_read()
            return lsr
        value = self.peek(offset, size)
        if self._lcr & LCR_DLAB and offset <= IER:
            return value
        if offset == RBR_THR:
            self._take_received()
        elif offset == IIR_FCR and value & 0x0F == IIR_THRE:
            self._thre_pending = False
            self._settle()
        elif offset == MSR:
            self._msr &= ~MSR_DELTAS
            self._settle()
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == RBR_THR and self._sends_directly:
            self.sink(value)
            return
        if self._lcr & LCR_DLAB and offset <= IER:
            self._divisor = self._divisor & 0xFF00 | value if offset == RBR_THR else self._divisor & 0xFF | value << 8
        elif offset == RBR_THR:
            self._send(value)
        elif offset == IER:
            # Enabling the interrupt while THR is empty, which it always is, raises it.
            self._thre_pending = bool(value & IER_THRE and (self._thre_pending or not self._ier & IER_THRE))
            self._ier = value & 0x0F
        elif offset == IIR_FCR:
            self._control_fifos(value)
        elif offset == LCR:
            self._lcr = value
        elif offset == MCR:
            self._mcr = value & 0x1F
            self._modem_lines_changed()
            self._expect_next()
        elif offset == SCR:
            self._scratch = value
        self._settle()

    def peek(self, offset: int, size: int) -> int:
        if offset == RBR_THR:
            return self._divisor & 0xFF if self._lcr & LCR_DLAB else self._next_received()
        if offset == IER:
            return self._divisor >> 8 if self._lcr & LCR_DLAB else self._ier
        if offset == IIR_FCR:
            return self._interrupt_source() | (IIR_FIFOS if self._fifos_on else 0)
        return (self._lcr, self._mcr, self._lsr, self._msr, self._scratch)[offset - LCR]

    # -- interrupts ---------------------------------------------------------------------------------------------

    def _interrupt_source(self) -> int:
        """The enabled source of highest priority.  Source: "Interrupt Identification Register", table."""
        enabled = self._ier
        if enabled & IER_LINE and self._lsr & LSR_ERRORS:
            return IIR_LINE
        if enabled & IER_RECEIVED:
            if len(self._fifo) >= self._trigger:
                return IIR_RECEIVED
            if self._timeout_pending:
                return IIR_TIMEOUT
        if enabled & IER_THRE and self._thre_pending:
            return IIR_THRE
        if enabled & IER_MODEM and self._msr & MSR_DELTAS:
            return IIR_MODEM
        return IIR_NONE

    def _settle(self) -> None:
        """After any change: drive the interrupt wire, and see whether THR leads straight to the sink."""
        self._sends_directly = not (self._lcr & LCR_DLAB or self._mcr & MCR_LOOP or self._ier & IER_THRE)
        interrupts = self._interrupt_source() != IIR_NONE
        if interrupts and not self._mcr & (MCR_OUT2 | MCR_LOOP) and self._ier != IER_THRE:
            self._report(UNGATED)
        self._output.set(interrupts)

    # -- sending ------------------------------------------------------------------------------------------------

    def _send(self, value: int) -> None:
        # THR is full for a moment: its interrupt goes away and comes back, an edge for the interrupt controller.
        self._thre_pending = False
        self._settle()
        if self._mcr & MCR_LOOP:
            self._accept(value)
        else:
            self.sink(value)
        self._thre_pending = bool(self._ier & IER_THRE)

    # -- receiving ----------------------------------------------------------------------------------------------

    def _character_ticks(self) -> int:
        """How long one character is on the line."""
        bits = 1 + 5 + (self._lcr & 3) + bool(self._lcr & LCR_PARITY) + (2 if self._lcr & LCR_STOP else 1)
        # The data sheet allows divisors from 1 on; a guest that forgot to set one is served at full speed.
        return max(1, bits * 16 * (self._divisor or 1) * self._clock.frequency_hz // CRYSTAL_HZ)

    def _has_room(self) -> bool:
        return len(self._fifo) < self._capacity and not self._mcr & MCR_LOOP

    def _expect_next(self) -> None:
        """Let the next byte of the other end arrive in due time, if there is one and room for it."""
        if self._incoming and self._arrival is None and self._has_room():
            self._arrival = self._clock.schedule(self._clock.now + self._character_ticks(), self._arrive)

    def _arrive(self) -> None:
        self._arrival = None
        if self._has_room():
            self._accept(self._incoming.popleft())
            self._settle()
            self._expect_next()

    def _accept(self, character: int) -> None:
        """Take a character (with error bits above the byte) from the shift register."""
        fifo = self._fifo
        if len(fifo) == self._capacity:
            # With FIFOs the new character is lost, without them it replaces the unread one.
            self._lsr |= LSR_OE
            if self._fifos_on:
                return
            fifo.clear()
        fifo.append(character)
        self._lsr |= LSR_DR
        if character > 0xFF and self._fifos_on:
            self._lsr |= LSR_FIFO_ERROR
        if len(fifo) == 1:
            self._lsr |= character >> 8
        self._restart_timeout()

    def _next_received(self) -> int:
        """The byte that RBR shows; the data sheet leaves open what an empty FIFO shows: 0, as in QEMU."""
        if self._fifo:
            return self._fifo[0] & 0xFF
        return 0 if self._fifos_on else self._rbr

    def _take_received(self) -> None:
        fifo = self._fifo
        if not fifo:
            return
        self._rbr = fifo.popleft() & 0xFF
        if fifo:
            self._lsr |= fifo[0] >> 8
        else:
            self._lsr &= ~LSR_DR
        self._timeout_pending = False
        self._restart_timeout()
        self._settle()
        self._expect_next()

    def _line_status_was_read(self) -> None:
        self._lsr &= ~LSR_ERRORS
        if self._fifo:
            self._fifo[0] &= 0xFF
        if all(character <= 0xFF for character in self._fifo):
            self._lsr &= ~LSR_FIFO_ERROR
        self._settle()

    def _restart_timeout(self) -> None:
        """The FIFO was touched: four quiet character times from now, what is left in it interrupts."""
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None
        if self._fifos_on and self._fifo:
            at = self._clock.now + TIMEOUT_CHARACTERS * self._character_ticks()
            self._timeout = self._clock.schedule(at, self._time_out)

    def _time_out(self) -> None:
        self._timeout = None
        self._timeout_pending = True
        self._settle()

    def _control_fifos(self, value: int) -> None:
        enable = bool(value & FCR_ENABLE)
        if enable != self._fifos_on or (enable and value & FCR_CLEAR_RECEIVER):
            self._fifo.clear()
            self._lsr &= ~(LSR_DR | LSR_CHARACTER_ERRORS | LSR_FIFO_ERROR)
            self._timeout_pending = False
        self._fifos_on = enable
        self._capacity = FIFO_SIZE if enable else 1
        self._trigger = TRIGGER_LEVELS[value >> 6] if enable else 1
        self._restart_timeout()
        self._expect_next()

    # -- modem lines --------------------------------------------------------------------------------------------

    def _modem_lines_changed(self) -> None:
        """Sample CTS, DSR, RI and DCD: the cable's, or in loop mode RTS, DTR, OUT1 and OUT2."""
        mcr, before = self._mcr, self._msr
        now = (mcr & 0x02) << 3 | (mcr & 0x01) << 5 | (mcr & 0x0C) << 4 if mcr & MCR_LOOP else _CABLE
        changed = (before ^ now) & 0xF0
        # TERI is a *trailing* edge: only RI going away counts.
        deltas = (changed & ~MSR_RI) >> 4 | (MSR_TERI if changed & before & MSR_RI else 0)
        self._msr = now | before & MSR_DELTAS | deltas

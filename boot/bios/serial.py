"""INT 14h: serial ports, through their chips.

::

    AH  00 initialize: AL is 7-5 baud, 4-3 parity, 2 stop bits, 1-0 word length     02 receive into AL
        01 send AL                                                                  03 status
        04 initialize, numbers in registers                                         05 modem control
    returns AH line status, 7 time-out; AL (00, 03, 04) modem status

DX is the port, 0-3, as an index into the list at 0x400.  Sending and receiving wait as long as 0x47C says.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 14h".
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.boot.bios import bda
from hillemu.boot.bios.call import BiosCall

TIME_OUT = 0x80

_DATA, _INTERRUPTS, _LINE_CONTROL, _MODEM_CONTROL, _LINE_STATUS, _MODEM_STATUS = 0, 1, 3, 4, 5, 6
_DIVISOR_LATCH = 0x80
_DATA_READY, _ERRORS, _SEND_READY = 0x01, 0x1E, 0x20
_CLEAR_TO_SEND, _DATA_SET_READY = 0x10, 0x20
_TERMINAL_READY, _REQUEST_TO_SEND = 0x01, 0x02
_BREAK = 0x40
_DIVISORS = (0x417, 0x300, 0x180, 0xC0, 0x60, 0x30, 0x18, 0x0C, 0x06)
"""110, 150, 300, 600, 1200, 2400, 4800, 9600 and 19200 baud."""
_PARITY = (0x00, 0x08, 0x18, 0x28, 0x38)
_EAGER_NS = 2_000_000
"""So long a character at 9600 baud may take; whoever waits longer can sleep until the next tick of the timer."""
_MASTER_MASK, _TIMER_IRQ_BIT = 0x21, 0x01
_UNIT_NS = 1_000_000_000
"""What a count at 0x47C stands for; IBM's loop took about that."""


class SerialServices:
    """The service of INT 14h; remembers since when it waits."""

    def __init__(self) -> None:
        self._since_ns = 0

    def __call__(self, call: BiosCall) -> None:
        base = call.load(bda.SERIAL_PORTS + 2 * call.dx, 2) if call.dx <= 3 else 0
        if not base:
            call.ah = TIME_OUT
            call.tell(f"the guest uses serial port {call.dx} (INT 14h), which is not there")
        elif call.ah == 0x00:
            _program(call, base, _DIVISORS[call.al >> 5], call.al & 0x1F)
        elif call.ah in (0x01, 0x02):
            self._transfer(call, base)
        elif call.ah == 0x03:
            _tell_status(call, base)
        elif call.ah == 0x04:
            _program_extended(call, base)
        elif call.ah == 0x05 and call.al <= 1:
            _modem_control(call, base)
        else:
            call.refuse()

    def _transfer(self, call: BiosCall, base: int) -> None:
        """Send or receive once the chip and the other end are ready, or give up after the time-out."""
        guest, sends = call.guest, call.ah == 0x01
        if not call.resumed:
            self._since_ns = guest.now_ns
            guest.write_port(base + _MODEM_CONTROL, _TERMINAL_READY | (_REQUEST_TO_SEND if sends else 0))
        lines = guest.read_port(base + _MODEM_STATUS)
        status = guest.read_port(base + _LINE_STATUS)
        needed = _DATA_SET_READY | (_CLEAR_TO_SEND if sends else 0)
        if lines & needed == needed and status & (_SEND_READY if sends else _DATA_READY):
            if sends:
                guest.write_port(base + _DATA, call.al)
                call.ah = status & ~TIME_OUT
            else:
                call.al = guest.read_port(base + _DATA)
                call.ah = status & _ERRORS
        elif (waited_ns := guest.now_ns - self._since_ns) >= call.load(bda.SERIAL_PATIENCE + call.dx) * _UNIT_NS:
            call.ah = status | TIME_OUT
        elif waited_ns < _EAGER_NS or guest.read_port(_MASTER_MASK) & _TIMER_IRQ_BIT:
            call.again()
        else:
            call.wait()


def _program(call: BiosCall, base: int, divisor: int, line_control: int) -> None:
    write: Callable[[int, int], None] = call.guest.write_port
    write(base + _LINE_CONTROL, _DIVISOR_LATCH)
    write(base + _DATA, divisor & 0xFF)
    write(base + _INTERRUPTS, divisor >> 8)
    write(base + _LINE_CONTROL, line_control)
    write(base + _INTERRUPTS, 0)
    _tell_status(call, base)


def _tell_status(call: BiosCall, base: int) -> None:
    guest = call.guest
    call.ah = guest.read_port(base + _LINE_STATUS)
    call.al = guest.read_port(base + _MODEM_STATUS)


def _program_extended(call: BiosCall, base: int) -> None:
    """AL break, BH parity, BL stop bits, CH word length, CL baud: indexes from 0."""
    if call.bh >= len(_PARITY) or call.bl > 1 or call.ch > 3 or call.cl >= len(_DIVISORS):
        call.refuse()
        return
    control = (_BREAK if call.al else 0) | _PARITY[call.bh] | call.bl << 2 | call.ch
    _program(call, base, _DIVISORS[call.cl], control)


def _modem_control(call: BiosCall, base: int) -> None:
    """AL=00h reads the modem control register into BL, 01h sets it."""
    if call.al:
        call.guest.write_port(base + _MODEM_CONTROL, call.bl)
    else:
        call.bl = call.guest.read_port(base + _MODEM_CONTROL)
    _tell_status(call, base)

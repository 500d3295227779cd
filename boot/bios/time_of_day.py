"""INT 1Ah: the tick count, and the clock chip's time, date and alarm.

::

    AH  00 read ticks   02 read time   04 read date   06 set alarm
        01 set ticks    03 set time    05 set date    07 reset alarm     numbers are BCD

AH=00h and 02h are answered by the ROM itself (boot/asm/bios_polls.inc), AH=B1h is the PCI BIOS, which is registered
beside this.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 1Ah".
"""

from __future__ import annotations

from hillemu.boot.bios import bda
from hillemu.boot.bios import clock_chip as chip
from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.clock_chip import read_clock, write_clock

_SLAVE_MASK, _CLOCK_IRQ_BIT = 0xA1, 0x01


def time_of_day(call: BiosCall) -> None:
    """The service of INT 1Ah."""
    function = _FUNCTIONS.get(call.ah)
    if function is None:
        call.refuse()
        return
    call.carry = False
    function(call)


def _set_ticks(call: BiosCall) -> None:
    call.store(bda.TICKS, call.cx << 16 | call.dx, 4)
    call.store(bda.MIDNIGHT, 0)
    call.ah = 0


def _set_time(call: BiosCall) -> None:
    guest = call.guest
    mode = read_clock(guest, chip.STATUS_B)
    write_clock(guest, chip.STATUS_B, mode | chip.SET)
    write_clock(guest, chip.SECONDS, call.dh)
    write_clock(guest, chip.MINUTES, call.cl)
    write_clock(guest, chip.HOURS, call.ch)
    mode = (mode | chip.HOURS_24) & ~(chip.SET | chip.DAYLIGHT) | call.dl & chip.DAYLIGHT
    write_clock(guest, chip.STATUS_B, mode)
    call.ah = 0
    call.al = mode


def _read_date(call: BiosCall) -> None:
    guest = call.guest
    call.dl = read_clock(guest, chip.DAY)
    call.dh = read_clock(guest, chip.MONTH)
    call.cl = read_clock(guest, chip.YEAR)
    call.ch = read_clock(guest, chip.CENTURY)
    call.ah = 0
    call.al = call.ch


def _set_date(call: BiosCall) -> None:
    guest = call.guest
    mode = read_clock(guest, chip.STATUS_B)
    write_clock(guest, chip.STATUS_B, mode | chip.SET)
    write_clock(guest, chip.DAY, call.dl)
    write_clock(guest, chip.MONTH, call.dh)
    write_clock(guest, chip.YEAR, call.cl)
    write_clock(guest, chip.CENTURY, call.ch)
    write_clock(guest, chip.STATUS_B, mode & ~chip.SET)
    call.ah = 0
    call.al = mode & ~chip.SET


def _set_alarm(call: BiosCall) -> None:
    """INT 4Ah is called when the time has come; only one alarm at a time."""
    guest = call.guest
    mode = read_clock(guest, chip.STATUS_B)
    call.ax = 0
    if mode & chip.ALARM:
        call.carry = True
        return
    write_clock(guest, chip.SECONDS_ALARM, call.dh)
    write_clock(guest, chip.MINUTES_ALARM, call.cl)
    write_clock(guest, chip.HOURS_ALARM, call.ch)
    guest.write_port(_SLAVE_MASK, guest.read_port(_SLAVE_MASK) & ~_CLOCK_IRQ_BIT)
    mode = mode & ~chip.SET | chip.ALARM
    write_clock(guest, chip.STATUS_B, mode)
    call.al = mode


def _reset_alarm(call: BiosCall) -> None:
    mode = read_clock(call.guest, chip.STATUS_B) & ~chip.ALARM
    write_clock(call.guest, chip.STATUS_B, mode)
    call.ah = 0
    call.al = mode


_FUNCTIONS = {
    0x01: _set_ticks,
    0x03: _set_time,
    0x04: _read_date,
    0x05: _set_date,
    0x06: _set_alarm,
    0x07: _reset_alarm,
}

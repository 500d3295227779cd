"""The clock chip as the BIOS uses it: time and date of INT 1Ah, its interrupt (INT 70h), the waits of INT 15h.

A wait counts down microseconds at 0x49C with each periodic interrupt, and sets bit 7 of the byte that 0x498 points to.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 70h", "Interrupt 15h - (AH)=83h"; Motorola
MC146818 data sheet.
"""

from __future__ import annotations

from hillemu.boot.bios import bda
from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.rom import AT
from hillemu.emu.guest import Guest

SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM = range(6)
WEEKDAY, DAY, MONTH, YEAR, STATUS_A, STATUS_B, STATUS_C, STATUS_D = range(6, 14)
CENTURY = 0x32

SET, PERIODIC, ALARM, BINARY, HOURS_24, DAYLIGHT = 0x80, 0x40, 0x20, 0x04, 0x02, 0x01
"""Bits of register B; `PERIODIC` and `ALARM` mean the same in register C."""
TICKS_A_DAY = 0x1800B0

WAITING, WAIT_OVER = 0x01, 0x80
"""Bits of `bda.WAIT_ACTIVE`."""

_INDEX, _DATA = 0x70, 0x71
_SLAVE_MASK, _CLOCK_IRQ_BIT = 0xA1, 0x01
_CRYSTAL_HZ = 32768
_TIMER_HZ, _TIMER_COUNTS = 1_193_182, 65536


def read_clock(guest: Guest, index: int) -> int:
    """A byte of the chip."""
    guest.write_port(_INDEX, index)
    return guest.read_port(_DATA)


def write_clock(guest: Guest, index: int, value: int) -> None:
    """Set a byte of the chip."""
    guest.write_port(_INDEX, index)
    guest.write_port(_DATA, value)


def from_bcd(value: int) -> int:
    """
    >>> from_bcd(0x59)
    59
    """
    return (value >> 4) * 10 + (value & 0x0F)


def ticks_since_midnight(guest: Guest) -> int:
    """The time of day, as INT 08h counts it: 18.2 ticks a second."""
    mode = read_clock(guest, STATUS_B)
    hours, minutes, seconds = (read_clock(guest, index) for index in (HOURS, MINUTES, SECONDS))
    afternoon, hours = not mode & HOURS_24 and bool(hours & 0x80), hours if mode & HOURS_24 else hours & 0x7F
    if not mode & BINARY:
        hours, minutes, seconds = from_bcd(hours), from_bcd(minutes), from_bcd(seconds)
    if not mode & HOURS_24:
        hours = hours % 12 + 12 * afternoon
    return min((hours * 3600 + minutes * 60 + seconds) * _TIMER_HZ // _TIMER_COUNTS, TICKS_A_DAY - 1)


def clock_interrupt(call: BiosCall) -> None:
    """The service of vector 70h."""
    guest = call.guest
    came = read_clock(guest, STATUS_C) & read_clock(guest, STATUS_B)
    if came & PERIODIC and call.load(bda.WAIT_ACTIVE) & WAITING:
        left = call.load(bda.WAIT_COUNT_US, 4) - _period_us(guest)
        call.store(bda.WAIT_COUNT_US, max(left, 0), 4)
        if left <= 0:
            stop_wait(call)
            pointer = call.load(bda.WAIT_FLAG_POINTER, 4)
            flag = (pointer >> 16) * 16 + (pointer & 0xFFFF)
            call.store(flag, call.load(flag) | WAIT_OVER)
    if came & ALARM:
        call.go_on_at(AT["clock_alarm"])


def start_wait(call: BiosCall, microseconds: int, flag_segment: int, flag_offset: int) -> bool:
    """Set bit 7 of the byte at ``segment:offset`` when the time is over; false if a wait is going on already."""
    if call.load(bda.WAIT_ACTIVE) & WAITING:
        return False
    call.store(bda.WAIT_FLAG_POINTER, flag_segment << 16 | flag_offset, 4)
    call.store(bda.WAIT_COUNT_US, microseconds, 4)
    call.store(bda.WAIT_ACTIVE, WAITING)
    guest = call.guest
    write_clock(guest, STATUS_B, read_clock(guest, STATUS_B) | PERIODIC)
    guest.write_port(_SLAVE_MASK, guest.read_port(_SLAVE_MASK) & ~_CLOCK_IRQ_BIT)
    return True


def stop_wait(call: BiosCall) -> None:
    """End the wait; its flag stays as it is."""
    call.store(bda.WAIT_ACTIVE, 0)
    write_clock(call.guest, STATUS_B, read_clock(call.guest, STATUS_B) & ~PERIODIC)


def _period_us(guest: Guest) -> int:
    rate = read_clock(guest, STATUS_A) & 0x0F
    return 1_000_000 * (1 << (rate + 6 if 0 < rate <= 2 else max(rate, 1) - 1)) // _CRYSTAL_HZ

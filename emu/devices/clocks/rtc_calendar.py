"""The MC146818's calendar: eight bytes in the chip's codes, seconds, and when an alarm rings.

The bytes of a `Codes` tuple are in the form that register B asks for::

    binary (DM = 1)     0x3B is 59
    BCD (DM = 0)        0x59 is 59
    12-hour (24/12 = 0) bit 7 of the hour is PM; midnight is 12 AM, noon 12 PM
    24-hour (24/12 = 1) 0 to 23

Source: Motorola MC146818 data sheet, "Time, Calendar, and Alarm Locations" and table "Time, Calendar, and Alarm Data
Modes"; the century byte is the PC's (QEMU keeps it, as modern chip sets do).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

SECONDS_PER_DAY = 86400
_DAYS_PER_400_YEARS = 146097
_PM = 0x80
_DO_NOT_CARE = 0xC0


class Codes(NamedTuple):
    """What the ten clock locations hold, less the alarm."""

    second: int
    minute: int
    hour: int
    weekday: int
    """1 to 7, Sunday is 1; counted on its own, never derived from the date."""
    day: int
    month: int
    year: int
    century: int


class Form(NamedTuple):
    """The bits of register B that say how the bytes are coded.

    >>> Form(binary=False, hours_24=False).encode_hour(21)
    137
    """

    binary: bool
    hours_24: bool

    def encode(self, value: int) -> int:
        return value if self.binary else value // 10 << 4 | value % 10

    def encode_hour(self, hour: int) -> int:
        if self.hours_24:
            return self.encode(hour)
        return self.encode((hour + 11) % 12 + 1) | (_PM if hour >= 12 else 0)

    def decode(self, code: int) -> int:
        """The number that `code` stands for; a digit above 9 carries, as in no valid code."""
        return code if self.binary else (code >> 4) * 10 + (code & 0xF)

    def decode_hour(self, code: int) -> int:
        if self.hours_24:
            return self.decode(code)
        return self.decode(code & ~_PM) % 12 + (12 if code & _PM else 0)

    def advance(self, codes: Codes, seconds: int) -> Codes:
        """`codes`, `seconds` later.

        Values out of range, which the data sheet forbids, are carried into the next larger unit: 31 April is 1 May.
        """
        days, second_of_day = self.moment(codes)
        now_days, now_second = divmod(days * SECONDS_PER_DAY + second_of_day + seconds, SECONDS_PER_DAY)
        year, month, day = date_of(now_days)
        weekday = (self.decode(codes.weekday) - 1 + now_days - days) % 7 + 1
        encode = self.encode
        return Codes(
            encode(now_second % 60),
            encode(now_second // 60 % 60),
            self.encode_hour(now_second // 3600),
            encode(weekday),
            encode(day),
            encode(month),
            encode(year % 100),
            encode(year // 100 % 100),
        )

    def codes_of(self, when: datetime) -> Codes:
        """The codes of a date and time; fractions of a second are dropped."""
        encode = self.encode
        return Codes(
            encode(when.second),
            encode(when.minute),
            self.encode_hour(when.hour),
            encode(when.isoweekday() % 7 + 1),
            encode(when.day),
            encode(when.month),
            encode(when.year % 100),
            encode(when.year // 100),
        )

    def moment(self, codes: Codes) -> tuple[int, int]:
        """`codes` as a day number and the second of that day."""
        decode = self.decode
        second = decode(codes.second) + 60 * decode(codes.minute) + 3600 * self.decode_hour(codes.hour)
        extra_days, second_of_day = divmod(second, SECONDS_PER_DAY)
        month = decode(codes.month) - 1
        year = 100 * decode(codes.century) + decode(codes.year) + month // 12
        return days_of(year, month % 12 + 1, 1) + decode(codes.day) - 1 + extra_days, second_of_day

    def next_alarm(self, alarm: tuple[int, int, int], second_of_day: int) -> int | None:
        """Seconds after `second_of_day` (1 to 86400) at which the alarm's second, minute and hour match.

        A byte of 0xC0 to 0xFF is "don't care".  `None` if the alarm can never match.
        """
        seconds, minutes = (self._matching(code, 60, self.encode) for code in alarm[:2])
        hours = self._matching(alarm[2], 24, self.encode_hour)
        if not (seconds and minutes and hours):
            return None
        after = second_of_day + 1
        for day in (0, SECONDS_PER_DAY):
            for hour in hours:
                if day + 3600 * hour + 3599 < after:
                    continue
                for minute in minutes:
                    start = day + 3600 * hour + 60 * minute
                    if start + 59 < after:
                        continue
                    for second in seconds:
                        if start + second >= after:
                            return start + second - second_of_day
        raise AssertionError("a matching alarm rings within a day")

    @staticmethod
    def _matching(code: int, limit: int, encode: Callable[[int], int]) -> range:
        """The values below `limit` that an alarm byte matches: all, one or none."""
        if code & _DO_NOT_CARE == _DO_NOT_CARE:
            return range(limit)
        for value in range(limit):
            if encode(value) == code:
                return range(value, value + 1)
        return range(0)


def days_of(year: int, month: int, day: int) -> int:
    """Days since 1 March of the year 0, in the Gregorian calendar.

    >>> days_of(2000, 3, 1) - days_of(2000, 2, 28)
    2
    """
    # Years begin in March here, so that the leap day is the last of the year.
    year -= month <= 2
    month = (month + 9) % 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 1


def date_of(days: int) -> tuple[int, int, int]:
    """The year, month and day of a day number.

    >>> date_of(days_of(2024, 2, 29))
    (2024, 2, 29)
    """
    era, day = divmod(days, _DAYS_PER_400_YEARS)
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    return era * 400 + year + (month >= 10), (month + 2) % 12 + 1, day - (153 * month + 2) // 5 + 1

"""The clock's codes against `datetime`, and its alarm against a search through the day."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hillemu.emu.devices.clocks.rtc_calendar import SECONDS_PER_DAY, Codes, Form, date_of, days_of

FORMS = [Form(binary, hours_24) for binary in (False, True) for hours_24 in (False, True)]
LAST = datetime(9999, 12, 31, 23, 59, 59)


def spelled(when: datetime, form: Form) -> tuple[int, ...]:
    """The data sheet's codes by way of text: BCD digits are the hexadecimal reading of the decimal ones."""
    numbers = [when.second, when.minute, when.hour, int(when.strftime("%w")) + 1, when.day, when.month]
    numbers += [when.year % 100, when.year // 100]
    pm = 0
    if not form.hours_24:
        pm = 0x80 if when.hour >= 12 else 0
        numbers[2] = int(when.strftime("%I"))
    codes = numbers if form.binary else [int(str(number), 16) for number in numbers]
    codes[2] |= pm
    return tuple(codes)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=100, deadline=None)
@given(when=st.datetimes(max_value=LAST), seconds=st.integers(0, 10**10))
def test_advancing_agrees_with_datetime(form: Form, when: datetime, seconds: int) -> None:
    assert form.codes_of(when) == spelled(when, form)
    seconds = min(seconds, int((LAST - when.replace(microsecond=0)).total_seconds()))
    assert form.advance(form.codes_of(when), seconds) == spelled(when + timedelta(seconds=seconds), form)


def test_day_numbers_agree_with_datetime_around_every_turn_of_the_month() -> None:
    origin = days_of(1, 1, 1) - datetime(1, 1, 1).toordinal()
    for year in (1, 4, 100, 399, 400, 1900, 1999, 2000, 2023, 2024, 2100, 9999):
        for month in range(1, 13):
            for day in (1, 15, 28):
                days = datetime(year, month, day).toordinal() + origin
                assert days_of(year, month, day) == days
                for off in range(-1, 4):
                    if 0 < days - origin + off <= datetime.max.toordinal():
                        there = datetime.fromordinal(days - origin + off)
                        assert date_of(days + off) == (there.year, there.month, there.day)


def test_the_weekday_is_counted_not_derived() -> None:
    form = Form(binary=True, hours_24=True)
    wrong = form.codes_of(datetime(2026, 1, 1, 23, 59, 59))._replace(weekday=7)
    assert form.advance(wrong, 1).weekday == 1


def test_values_out_of_range_carry_into_the_next_unit() -> None:
    form = Form(binary=False, hours_24=True)
    codes = Codes(0x75, 0x59, 0x23, 1, 0x31, 0x04, 0x26, 0x20)
    assert form.advance(codes, 0) == Codes(0x15, 0x00, 0x00, 1, 0x02, 0x05, 0x26, 0x20)


ALARM_BYTES = st.one_of(st.integers(0, 0x24), st.integers(0, 255), st.sampled_from([0xC0, 0xFF]))


@settings(max_examples=25, deadline=None)
@given(
    form=st.sampled_from(FORMS),
    alarm=st.tuples(ALARM_BYTES, ALARM_BYTES, ALARM_BYTES),
    start=st.integers(0, SECONDS_PER_DAY - 1),
)
def test_the_next_alarm_is_the_first_second_whose_bytes_match(
    form: Form, alarm: tuple[int, int, int], start: int
) -> None:
    def codes(value: int) -> int:
        return value if form.binary else int(str(value), 16)

    low = [codes(value) for value in range(60)]
    hours = [spelled(datetime(2026, 1, 1, hour), form)[2] for hour in range(24)]

    def matches(second: int) -> bool:
        now = (low[second % 60], low[second // 60 % 60], hours[second // 3600 % 24])
        return all(wanted >= 0xC0 or wanted == byte for wanted, byte in zip(alarm, now, strict=True))

    found = next((after for after in range(1, SECONDS_PER_DAY + 1) if matches(start + after)), None)
    assert form.next_alarm(alarm, start) == found

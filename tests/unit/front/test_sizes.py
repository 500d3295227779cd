"""Sizes as people type them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.errors import OptionError
from hillemu.sizes import check_ram_size, format_size, parse_ram_size

MIB = 1 << 20
NONSENSE = "|  |M|B|lots|-64M|+64M|64T|64 M M|0x40|1e3|1.M|.5G|1.2.3G|64_0|64iB|٦٤M|²".split("|")  # noqa: SIM905


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("64", 64 * MIB),
        ("64M", 64 * MIB),
        ("64m", 64 * MIB),
        ("64MiB", 64 * MIB),
        ("64mb", 64 * MIB),
        (" 64M ", 64 * MIB),
        ("65536K", 64 * MIB),
        ("4M", 4 * MIB),
        ("4096k", 4 * MIB),
        ("64G", 64 << 30),
        ("1.5G", 1536 * MIB),
        ("0.25g", 256 * MIB),
        ("16388K", 16388 << 10),
    ],
)
def test_a_size_means_what_people_expect(text: str, size_bytes: int) -> None:
    assert parse_ram_size(text) == size_bytes


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_refused_with_an_example_of_sense(text: str) -> None:
    with pytest.raises(OptionError, match=r"^--mem: .* is not a size; write it like 512M, 4G or 65536K$"):
        parse_ram_size(text)


@pytest.mark.parametrize("text", ["0", "3M", "3.99M", "1K", "4095K"])
def test_a_size_below_the_smallest_machine_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="too little; the smallest machine has 4M"):
        parse_ram_size(text)


@pytest.mark.parametrize("text", ["65G", "64.5G", "999999999999999G", "67108868K"])
def test_a_size_above_the_largest_machine_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="too much; the largest machine has 64G"):
        parse_ram_size(text)


def test_a_size_that_ends_inside_a_page_is_refused() -> None:
    with pytest.raises(OptionError, match="16385K is 16778240 bytes, which is not a whole number of 4 KiB pages"):
        parse_ram_size("16385K")


def test_the_message_names_the_option_that_was_wrong() -> None:
    with pytest.raises(OptionError, match=r"^mem: 1M is too little"):
        check_ram_size(MIB)


@given(st.integers(1024, 16 * 1024 * 1024))
def test_a_formatted_size_reads_back_the_same(pages: int) -> None:
    assert parse_ram_size(format_size(pages * 4096)) == pages * 4096


@given(st.text(max_size=12))
def test_any_text_is_a_size_or_an_option_error(text: str) -> None:
    size_bytes = None
    with suppress(OptionError):
        size_bytes = parse_ram_size(text)
    assert size_bytes is None or (4 * MIB <= size_bytes <= 64 << 30 and size_bytes % 4096 == 0)


def test_an_endless_number_is_refused() -> None:
    with pytest.raises(OptionError, match="is not a size"):
        parse_ram_size("9" * 5000)

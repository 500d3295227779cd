"""The host bridge against the 82441FX data sheet."""

from __future__ import annotations

import pytest
from pci_bench import PciBench


def test_the_thirteen_segments_cover_the_upper_memory_without_gaps() -> None:
    bench = PciBench()
    for n in range(7):
        bench.config_write(0, 0, 0x59 + n, 0x33, 1)
    reached = 0xC0000
    for first in sorted(bench.pam):
        assert first == reached
        reached = bench.pam[first][0]
    assert reached == 0x100000
    assert len(bench.pam) == 13


@pytest.mark.parametrize(
    ("register", "value", "first", "end", "read", "write"),
    [
        (0x59, 0x10, 0xF0000, 0x100000, True, False),
        (0x5A, 0x02, 0xC0000, 0xC4000, False, True),
        (0x5A, 0x30, 0xC4000, 0xC8000, True, True),
        (0x5F, 0x01, 0xE8000, 0xEC000, True, False),
        (0x5F, 0x20, 0xEC000, 0xF0000, False, True),
    ],
)
def test_an_attribute_nibble_rules_its_segment(
    register: int, value: int, first: int, end: int, read: bool, write: bool
) -> None:
    bench = PciBench()
    bench.config_write(0, 0, register, value, 1)
    assert bench.pam == {first: (end, read, write)}


def test_only_changes_are_told_and_reset_is_one() -> None:
    bench = PciBench()
    bench.config_write(0, 0, 0x59, 0x30, 1)
    bench.pam.clear()
    bench.config_write(0, 0, 0x59, 0x70, 1)  # the cache enable bit changes nothing
    assert bench.pam == {}
    bench.host.reset()
    assert bench.pam == {0xF0000: (0x100000, False, False)}


def test_a_dword_reaches_four_registers() -> None:
    bench = PciBench()
    bench.config_write(0, 0, 0x58, 0x00003000)
    assert bench.pam == {0xF0000: (0x100000, True, True)}


def test_a_locked_smram_register_stays_as_it_is() -> None:
    bench = PciBench()
    bench.config_write(0, 0, 0x72, 0x1A, 1)
    bench.config_write(0, 0, 0x72, 0x4A, 1)
    assert bench.config_read(0, 0, 0x72, 1) == 0x1A
    assert bench.reports == []
    bench.host.reset()
    assert bench.config_read(0, 0, 0x72, 1) == 0x02


def test_opening_the_smram_is_reported_once() -> None:
    bench = PciBench()
    for value in (0x4A, 0x0A, 0x4A):
        bench.config_write(0, 0, 0x72, value, 1)
    assert len(bench.reports) == 1
    assert "SMRAM" in bench.reports[0]

"""Free RAM, against a plain set of addresses."""

from __future__ import annotations

import random

import pytest

from hillemu.boot.space import Space
from hillemu.emu.guest import FakeMemory

MIB = 1 << 20


def test_the_hole_below_1_mib_is_never_free() -> None:
    space = Space(FakeMemory(4 * MIB))
    assert space.is_free(0x9FFFF, 1)
    assert not space.is_free(0x9FFFF, 2)
    assert not any(space.is_free(at, 1) for at in range(0xA0000, 0x100000, 0x1000))
    assert space.is_free(0x100000, 3 * MIB)
    assert not space.is_free(0x100000, 3 * MIB + 1)


def test_claiming_what_is_taken_is_a_bug_and_says_so() -> None:
    space = Space(FakeMemory(4 * MIB))
    space.claim(0x200000, 0x1000)
    with pytest.raises(AssertionError, match="0x200fff are not free"):
        space.claim(0x200FFF, 1)


def test_first_and_last_fit_agree_with_a_set_of_addresses() -> None:
    chance = random.Random(1)
    for _ in range(300):
        size = chance.randrange(1, 64)
        space, free = Space(FakeMemory(size)), set(range(size))
        for _ in range(chance.randrange(6)):
            base, count = chance.randrange(size), chance.randrange(1, 9)
            wanted = set(range(base, base + count))
            assert space.is_free(base, count) == (wanted <= free)
            if wanted <= free:
                space.claim(base, count)
                free -= wanted
        count, align = chance.randrange(1, 9), 1 << chance.randrange(4)
        low, high = chance.randrange(size), chance.randrange(size + 1)
        fits = [at for at in range(0, size, align) if set(range(at, at + count)) <= free]
        assert space.last_fit(count, align) == max(fits, default=None)
        bounded = [at for at in fits if at >= low and at + count <= high]
        assert space.first_fit(count, align, low, high) == min(bounded, default=None)


def test_the_largest_run_is_measured_from_where_it_may_begin() -> None:
    space = Space(FakeMemory(4 * MIB))
    space.claim(0x180000, 0x1000)
    assert space.largest_run_bytes() == 0x400000 - 0x181000
    assert space.largest_run_bytes(0x300000) == 0x100000
    assert space.largest_run_bytes(4 * MIB) == 0


def test_a_machine_without_ram_has_no_room() -> None:
    space = Space(FakeMemory(0))
    assert not space.is_free(0, 1)
    assert space.first_fit(1, 1) is None
    assert space.last_fit(1, 1) is None

"""The benchmark's guests compute what they should: a loop that is fast and wrong would make a fine ratio."""

from __future__ import annotations

import doctest
import importlib.util
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from hillemu import Machine
from hillemu.emu.stop import StopReason

REPEATS = 3
MAX_INSNS = 20_000_000
MASK = 0xFFFFFFFF


def rotate_left(value: int, count: int) -> int:
    return (value << count | value >> 32 - count) & MASK


# What each loop's checksum is, by the definition at the top of its source.


def arithmetic(repeats: int) -> int:
    total = 0
    for _ in range(repeats):
        for count in range(10_000, 0, -1):
            total = total + count & MASK
            total = rotate_left(total ^ total * 0x01000193 & MASK, 5)
            total = total - ((3 * total + 7 & MASK) >> 3) & MASK
    return total


def copied_words(repeats: int) -> int:
    words = [number * 0x9E3779B1 & MASK for number in range(16384)]
    words[0] += repeats
    total = 0
    for word in words:
        total = rotate_left(total, 1) + word & MASK
    return total


def list_chase(repeats: int) -> int:
    node = total = 0
    for _ in range(repeats):
        for _ in range(65535):
            node = node * 25173 + 13849 & 0xFFFF
        total = rotate_left(total, 1) + node & MASK
    return total


def sieve(repeats: int) -> int:
    primes = sum(
        all(number % divisor for divisor in SMALL_PRIMES if divisor * divisor <= number) for number in range(2, 65536)
    )
    total = 0
    for _ in range(repeats):
        total = rotate_left(total, 1) + primes & MASK
    return total


SMALL_PRIMES = [number for number in range(2, 256) if all(number % divisor for divisor in range(2, number))]


def fib(repeats: int) -> int:
    smaller, larger = 0, 1
    for _ in range(20):
        smaller, larger = larger, smaller + larger
    total = 0
    for _ in range(repeats):
        total = rotate_left(total, 1) + smaller & MASK
    return total


EXPECTED: dict[str, Callable[[int], int]] = {
    "arithmetic": arithmetic,
    "rep_movsd": copied_words,
    "word_copy": copied_words,
    "list_chase": list_chase,
    "sieve": sieve,
    "fib": fib,
}


@pytest.fixture(scope="module")
def load(root: Path) -> Iterator[Callable[[str], ModuleType]]:
    """`load("kernels")` is bench/kernels.py; the benchmark is no package, so its files are loaded by their paths."""
    loaded: dict[str, ModuleType] = {}

    def load_file(stem: str) -> ModuleType:
        name = f"hillemu_bench_{stem}"
        if name in loaded:
            return loaded[name]
        spec = importlib.util.spec_from_file_location(name, root / "bench" / f"{stem}.py")
        assert spec is not None
        assert spec.loader is not None
        module = loaded[name] = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield load_file
    for name in loaded:
        del sys.modules[name]


@pytest.fixture(scope="module")
def kernels(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("kernels")


def boot(image: Path) -> Machine:
    machine = Machine(mem="32M")
    machine.load(str(image))
    machine.run(max_insns=MAX_INSNS)
    return machine


def test_every_loop_of_the_benchmark_is_checked_here(kernels: ModuleType) -> None:
    assert {loop.name for loop in kernels.LOOPS} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_loop_marks_its_begin_and_end_and_sends_the_right_checksum(
    name: str, kernels: ModuleType, tmp_path: Path
) -> None:
    machine = boot(kernels.build(name, tmp_path, repeats=REPEATS))

    assert machine.last_stop is not None
    assert (machine.last_stop.reason, machine.last_stop.exit_code) == (StopReason.EXIT, 1)
    assert machine.serial.text == f"<>{EXPECTED[name](REPEATS):08X}"
    assert machine.cpu.cr0 >> 31 == 1, "paging shall be on"


def test_the_first_byte_kernel_sends_one_byte_and_goes_on_until_it_is_killed(
    kernels: ModuleType, tmp_path: Path
) -> None:
    machine = boot(kernels.build("first_byte", tmp_path))

    assert machine.last_stop is not None
    assert machine.last_stop.reason is StopReason.MAX_INSNS
    assert machine.serial.text == "<"


def test_ratios_means_and_goals_are_computed_as_documented(load: Callable[[str], ModuleType]) -> None:
    assert doctest.testmod(load("figures")) == (0, 4)


def test_what_slows_the_host_for_a_while_slows_all_alike(load: Callable[[str], ModuleType]) -> None:
    """Ratios are taken round by round: a host that is ten times slower in the last round changes none of them."""
    figures = load("figures")
    assert figures.ratio([1.0, 1.0, 10.0], [2.0, 2.0, 20.0]) == 0.5

    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return float(len(order))

    measures = {name: partial(measure, name) for name in ("a", "b")}
    found = figures.interleaved(2, measures, lambda what: None)
    assert order == ["a", "b", "b", "a"]
    assert found == {"a": [1.0, 4.0], "b": [2.0, 3.0]}

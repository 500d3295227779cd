"""Machines that are kept for the next test: how many, which, and what a failed boot costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from hillemu.testing import BudgetExceeded, MachineUnderTest
from hillemu.testing.budget import Budget
from hillemu.testing.pool import MOST_KEPT, MachinePool
from hillemu.testing.request import BootRequest, Folders, make_request

READY = "all 6 checks passed"


@pytest.fixture
def pool() -> MachinePool:
    return MachinePool()


def request(root: Path, **words: object) -> BootRequest:
    folder = root / "images"
    return make_request({"kernel": "demo.elf", "mem": "8M"} | words, Folders((folder,), folder), Budget())


def ignore(_: MachineUnderTest) -> None:
    pass


def test_a_machine_that_was_given_back_is_lent_again_as_it_was(pool: MachinePool, root: Path) -> None:
    machine = pool.lend(request(root, until=READY), ignore)
    before = machine.memory.sha256(), machine.cpu.instructions, machine.serial.text
    machine.memory.set_u32(0x300000, 1)
    machine.run()
    pool.take_back(machine)
    assert pool.lend(request(root, until=READY), ignore) is machine
    assert (machine.memory.sha256(), machine.cpu.instructions, machine.serial.text) == before
    assert pool.boots == 1


def test_a_machine_is_lent_to_one_at_a_time(pool: MachinePool, root: Path) -> None:
    one, two = (pool.lend(request(root), ignore) for _ in range(2))
    assert one is not two
    assert pool.boots == 2


def test_any_other_word_is_another_machine(pool: MachinePool, root: Path) -> None:
    words = [{}, {"mem": "16M"}, {"cpu": "486"}, {"append": "x"}, {"until": READY}, {"until": "hillemu"}]
    for one in words:
        pool.take_back(pool.lend(request(root, **one), ignore))
    assert pool.boots == len(words)
    for one in words:
        pool.take_back(pool.lend(request(root, **one), ignore))
    assert pool.boots == len(words)


def test_few_idle_machines_are_kept_and_the_oldest_go_first(pool: MachinePool, root: Path) -> None:
    sizes = [f"{mib}M" for mib in range(8, 8 + MOST_KEPT + 2)]
    for mem in sizes:
        pool.take_back(pool.lend(request(root, mem=mem), ignore))
    assert len(pool) == MOST_KEPT
    pool.take_back(pool.lend(request(root, mem=sizes[-1]), ignore))
    assert pool.boots == len(sizes)
    pool.take_back(pool.lend(request(root, mem=sizes[0]), ignore))
    assert pool.boots == len(sizes) + 1


def test_a_boot_that_fails_fails_in_the_same_way_again_without_running(pool: MachinePool, root: Path) -> None:
    told: list[MachineUnderTest] = []
    messages = set()
    for _ in range(3):
        with pytest.raises(BudgetExceeded) as raised:
            pool.lend(request(root, until="never", budget="10k"), told.append)
        messages.add(str(raised.value))
    assert pool.boots == 1
    assert len(messages) == 1
    assert len({id(machine) for machine in told}) == 1
    for limit in range(10_001, 10_001 + 2 * MOST_KEPT):
        with pytest.raises(BudgetExceeded):
            pool.lend(request(root, until="never", budget=limit), ignore)
    assert len(pool) == MOST_KEPT


def test_closing_lets_go_of_all(pool: MachinePool, root: Path) -> None:
    for mem in ("8M", "9M"):
        pool.lend(request(root, mem=mem), ignore)
    pool.close()
    assert len(pool) == 0

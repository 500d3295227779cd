"""The line after ``monitor``: each command takes the words that the help says, and tells of others."""

from __future__ import annotations

import pytest

from hillemu.debugging.monitor import Monitor
from hillemu.machine import Machine


@pytest.fixture
def monitor() -> Monitor:
    machine = Machine(mem="4M")
    machine.load_demo()

    def never() -> None:
        raise AssertionError("a mistake does nothing to the machine")

    return Monitor(machine, restart=never, quit_=never, was_moved=never)


def test_a_command_that_takes_no_words_says_so_and_does_nothing(monitor: Monitor) -> None:
    without = [name for name, entry in monitor.commands.items() if not entry.arguments]
    assert {"regions", "frames", "idt", "system_reset", "quit"} <= set(without)
    for name in without:
        if name != "snapshot":
            assert monitor.run(f"{name} now") == f"'monitor {name}' takes nothing else, not 'now'\n"


def test_a_command_of_fewer_or_more_words_than_it_takes_says_which_those_are(monitor: Monitor) -> None:
    assert monitor.run("pt") == "'monitor pt' wants ADDR\n"
    assert monitor.run("pt 1 2") == "'monitor pt' wants ADDR, not '1 2'\n"
    assert monitor.run("xp") == "'monitor xp' wants ADDR [BYTES]\n"
    assert monitor.run("xp 1 2 3") == "'monitor xp' wants ADDR [BYTES], not '1 2 3'\n"
    assert monitor.run("snapshot save") == "'monitor snapshot save' wants NAME\n"
    assert monitor.run("snapshot load a b") == "'monitor snapshot load' wants NAME, not 'a b'\n"


def test_a_second_word_that_no_command_has_is_told_with_those_that_are(monitor: Monitor) -> None:
    assert monitor.run("info").endswith("there are 'info registers', 'info mem', 'info tlb'\n")
    assert monitor.run("info regs").startswith("there is no command 'info regs'; there are 'info registers'")
    assert monitor.run("snapshot delete a") == (
        "there is no command 'snapshot delete'; there are 'snapshot', 'snapshot save', 'snapshot load'\n"
    )
    assert monitor.run("help pt").startswith("'monitor help'")


def test_a_word_that_is_no_address_is_told_with_how_gdbs_expressions_are_given() -> None:
    machine = Machine(mem="4M")
    said = Monitor(machine, restart=int, quit_=int, was_moved=int).run("pt &kpgdir[0x200]")
    assert said == "'&kpgdir[0x200]' is no number; the script's commands pt and xp take what GDB's 'print' does\n"

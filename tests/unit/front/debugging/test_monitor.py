"""The line after ``monitor``: each command takes the words that the help says, and tells of others."""

from __future__ import annotations

import re

import pytest
from real_mode import RealMode

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


def test_help_tells_of_one_command_or_of_those_that_begin_alike(monitor: Monitor) -> None:
    assert monitor.run("help pt") == "pt ADDR  walk the page tables for a virtual address, and show every entry\n"
    assert [line.split()[1] for line in monitor.run("help info").splitlines()] == ["mem", "registers", "tlb"]
    assert monitor.run("help info mem").startswith("info mem  ")
    assert monitor.run("help inf") == "there is no command 'inf'; 'monitor help' lists what there is\n"


@pytest.mark.parametrize("word", ["&kpgdir[0x200]", "/8xw"])
def test_what_gdb_would_understand_is_told_with_how_gdb_is_asked(monitor: Monitor, word: str) -> None:
    assert monitor.run(f"pt {word}") == (
        f"{word!r} is no address here; the script's commands pt and xp take what GDB's 'print' does, "
        "and behind its 'physical', x/8xw shows physical memory\n"
    )


def test_an_address_is_a_number_a_symbol_or_a_register_and_steps_from_there() -> None:
    machine = Machine(mem="4M")
    monitor = Monitor(machine, restart=int, quit_=int, was_moved=int)
    machine.cpu.processor.set("esp", 0x1000)
    assert monitor.run("pt $esp+8").startswith("=> 0x00001008: ")
    assert monitor.run("xp $esp-0x10 1").startswith("00000ff0: ")
    assert "no register 'exp'" in monitor.run("pt $exp")
    assert monitor.run("pt 0x100000000") == "0x100000000: 0x100000000 is beyond the 32-bit address space\n"
    assert "no symbol 'main'" in monitor.run("pt main")
    assert "neither RAM nor ROM" in monitor.run("xp 0x100000000")


@pytest.mark.parametrize("count", ["0", "-5", "4097", "all"])
def test_a_number_of_bytes_that_cannot_be_shown_is_told(monitor: Monitor, count: str) -> None:
    assert monitor.run(f"xp 0x1000 {count}") == f"{count!r}: from 1 to 4,096 bytes can be shown\n"


def test_tables_that_are_not_there_are_told() -> None:
    """On a machine that stands at its reset vector."""
    monitor = Monitor(Machine(mem="4M"), restart=int, quit_=int, was_moved=int)
    assert "there is no GDT yet" in monitor.run("gdt")
    assert "no IDT but a table of far pointers" in monitor.run("idt")
    assert monitor.run("tss") == "TSS: none, TR is null\n"
    assert monitor.run("deliveries") == "none\n"


def test_what_was_delivered_is_told_as_a_crash_report_tells_it() -> None:
    """A BIOS service is INT 0x13, and no SIMD exception."""
    guest = RealMode("int 0x13; hlt")
    guest.run(1)
    monitor = Monitor(guest.machine, restart=int, quit_=int, was_moved=int)
    assert re.fullmatch(r"insn \d+: INT 0x13 at 0000:00008000\n", monitor.run("deliveries"))

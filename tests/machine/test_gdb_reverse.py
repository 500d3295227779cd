"""The distribution's GDB goes backwards through our guests."""

from __future__ import annotations

from pathlib import Path

from gdb_session import DebuggedHillemu, in_order

from hillemu.debugging.server import SCRIPT
from hillemu.machine import Machine


def test_steps_and_functions_of_c_are_undone_by_line(gdb: str, c_kernel: Path) -> None:
    with DebuggedHillemu(gdb, c_kernel) as machine:
        text = machine.debug(
            *("break count_to", "continue", "next 3", "p sum", "reverse-next", "reverse-step", "p sum", "info line"),
            *("reverse-finish", "x/i $pc", "step", "p end", "delete", "continue", "reverse-continue", "p $eip"),
            *("continue", "continue"),
            symbols=c_kernel,
        )
        record = machine.finish()
    in_order(
        text,
        *(r"Breakpoint 1, count_to", r"\$1 = 0\n", r"24\t", r"22\t", r"=> .*call .*<count_to>", r"= 20000\n"),
        *("hillemu: exit", "No more reverse-execution history", r"<_start>", "hillemu: exit", "exited with code 041"),
    )
    assert record["stop"] == "exit"


def test_who_wrote_this_variable_is_one_command(gdb: str, c_kernel: Path) -> None:
    with DebuggedHillemu(gdb, c_kernel) as machine:
        text = machine.debug(
            *("break count_to", "continue", "delete", "watch depth_reached", "reverse-continue", "x/i $pc"),
            *("reverse-continue", "p depth_reached", "continue", "reverse-stepi", "x/i $pc"),
            symbols=c_kernel,
        )
    in_order(
        text,
        *(r"Hardware watchpoint 2: depth_reached\n\nOld value = 8\nNew value = 0\n", r"descend \(depth=0", "=> .*mov"),
        *("No more reverse-execution history", "= 0", r"Old value = 0\nNew value = 8"),
        *(r"Old value = 8\nNew value = 0", "=> .*mov"),
    )


def test_who_wrote_this_page_table_entry_is_one_command_and_the_run_ends_as_ever(gdb: str, demo: Path) -> None:
    """The handler of the demo's page fault maps 0xD0000000, by the first entry of `hole_table`."""
    with DebuggedHillemu(gdb, demo) as machine:
        text = machine.debug(
            *("continue", "pt 0xd0000000", "who-wrote &hole_table", "pt 0xd0000000", "info symbol $pc", "bt 1"),
            *("stepi", "pt 0xd0000000", "continue", "continue"),
            symbols=demo,
            scripts=(SCRIPT,),
        )
        record = machine.finish()
    in_order(
        text,
        *("physical 0x", "watchpoint", r"Old value = \d+\nNew value = 0\n", "=> .*page_fault.*mov", "not present"),
        *("page_fault", "physical 0x", "exited normally"),
    )
    plain = Machine()
    plain.load(str(demo))
    stop = plain.run()
    assert (record["stop"], record["instructions"]) == (stop.reason.value, plain.cpu.instructions)
    assert record["serial"] == plain.serial.text
    assert record["ram_sha256"] == plain.memory.sha256()

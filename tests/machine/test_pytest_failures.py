"""The pytest plugin from outside: how tests fail, and how it gets on with pytest's other parts."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from pytest_project import MARKED, Run, runner

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    return runner(pytester)


# ---- failures -------------------------------------------------------------------------------------------------------


def test_a_budget_ends_a_run_at_the_same_instruction_and_tells_where_it_stood(run: Run) -> None:
    result = run(
        MARKED
        + """
@pytest.mark.parametrize("n", range(2))
def test_it(machine, n):
    machine.serial.send(b"al")
    machine.run(until="never", budget="50k")
"""
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "E *BudgetExceeded: 'never' did not appear within the budget of 50,000 instructions",
            "E *at: 0x* <spin*>, after * instructions, * s virtual",
            "E *serial text:",
            "E *| hello",
            "E *| ready",
            "E *| a",
            "E *screen:",
            "E *| a",
            "E *exception: none",
            "*hillemu: crash report*",
        ]
    )
    places = [line for line in result.stdout.lines if line.startswith("E ") and " at: " in line]
    assert len(places) == 2
    assert len(set(places)) == 1
    result.stdout.no_fnmatch_line("*hillemu: serial text*")  # the message has all of it


def test_virtual_time_bounds_a_guest_that_sleeps(run: Run) -> None:
    result = run(MARKED + "def test_it(machine): machine.run(until='never', budget='20ms 1G')")
    result.stdout.fnmatch_lines(
        ["E *BudgetExceeded: 'never' did not appear within the budget of 0.02 s of virtual time"]
    )


@pytest.mark.parametrize(("letter", "why"), [("h", "halt (cli; hlt, at 0x*)"), ("t", "triple-fault*"), ("q", "exit *")])
def test_a_guest_that_ends_before_its_goal_fails_the_test(letter: str, why: str, run: Run) -> None:
    result = run(
        MARKED
        + f"""
def test_text(machine):
    machine.serial.send(b"{letter}")
    machine.run(until="never")
def test_symbol(machine):
    machine.serial.send(b"{letter}")
    machine.run(at="spin")
def test_without_a_goal_the_end_is_the_tests_to_judge(machine):
    machine.serial.send(b"{letter}")
    assert machine.run().reason != "until"
"""
    )
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(
        [
            f"E *StoppedEarly: 'never' did not appear: the guest stopped before: {why}",
            f"E *StoppedEarly: the guest did not reach spin: the guest stopped before: {why}",
        ]
    )


def test_a_run_ends_in_front_of_a_symbol_and_leaves_no_breakpoint(run: Run) -> None:
    result = run(
        MARKED
        + """
def test_it(machine):
    machine.serial.send(b"l")
    assert machine.run(at="spin").reason == "breakpoint"
    assert machine.cpu.eip == machine.symbols["spin"]
    assert len(machine.breakpoints) == 0

@pytest.mark.hillemu(at="listen")
def test_boot(machine):
    assert machine.cpu.eip == machine.symbols["listen"]
"""
    )
    result.assert_outcomes(passed=2)


def test_a_boot_that_fails_is_not_tried_again_but_told_each_time(run: Run, pytester: pytest.Pytester) -> None:
    result = run(
        "pytestmark = pytest.mark.hillemu(kernel='kernel.elf', until='never', budget='20k')\n"
        "@pytest.mark.parametrize('n', range(20))\ndef test_it(machine, n): pass"
    )
    result.assert_outcomes(errors=20)
    assert sum(line.startswith("'never' did not appear within") for line in result.stdout.lines) == 20


def test_a_failed_test_tells_of_its_machine_once_and_briefly(run: Run) -> None:
    result = run(
        MARKED
        + """
@pytest.fixture
def breaks_at_the_end(machine):
    yield
    assert 0, "teardown, too"
def test_it(machine, breaks_at_the_end):
    machine.serial.send(b"\\x1b[31m" + b"x\\n" * 500)
    machine.run(max_insns=1_000_000)
    assert machine.memory is None
def test_it_passes(machine): pass
"""
    )
    result.assert_outcomes(failed=1, passed=1, errors=1)
    titles = [line.strip("- ") for line in result.stdout.lines if line.startswith("-") and "hillemu: " in line]
    assert titles == ["hillemu: machine", "hillemu: serial text", "hillemu: screen", "hillemu: crash report"]
    shown = "\n".join(result.stdout.lines)
    assert "lines before)" in shown
    assert "\x1b" not in shown
    assert len(result.stdout.lines) < 300


def test_walks_are_explained_where_pytest_shows_them(run: Run) -> None:
    result = run(
        MARKED
        + """
def test_walk(machine):
    machine.memory.set_u32(0x301000, 0x302003)
    machine.memory.set_u32(0x302004, 0x5001)
    assert machine.paging.at(cr3=0x301000)[0x1234] == maps_to(0x5234, "rw")
def test_text(machine):
    assert machine.serial.text == prints("hello", "reddy")
""",
        "-vv",
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "E *assert 0x00001234 -> 0x00005234 -r-x == maps_to(0x5234, 'rw')",
            "E *expected a writable page",
            "E *PDE[[]0x000]=0x00302003 -> 0x00302000 -rwx | w",
            "E *PTE[[]0x001]=0x00005001 -> 0x00005000 -r-x | -> 0x00005000 !u w <-- no w",
            "E *'reddy' does not come behind 'hello' in line 1",
            "E *the nearest is line 2: 'ready'",
        ]
    )


# ---- beside others --------------------------------------------------------------------------------------------------


def test_junit_output_has_the_kernel_and_the_instructions(run: Run, pytester: pytest.Pytester) -> None:
    result = run(MARKED + "def test_it(machine): machine.run(max_insns=1000)", "--junitxml=result.xml")
    result.assert_outcomes(passed=1)
    case = ElementTree.parse(pytester.path / "result.xml").find(".//testcase")
    assert case is not None
    properties = {one.get("name"): str(one.get("value")) for one in case.iter("property")}
    assert properties["hillemu_kernel"] == "kernel.elf"
    assert int(properties["hillemu_instructions"]) > 1000


def test_failures_come_through_xdist_from_workers_with_machines_of_their_own(run: Run) -> None:
    pytest.importorskip("xdist")
    result = run(
        MARKED
        + """
@pytest.mark.parametrize("n", range(6))
def test_it(machine, n):
    machine.serial.send(b"%d" % n)
    machine.run(until=str(n))
    assert n != 5
""",
        "-n2",
        apart=True,
    )
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["*hillemu: serial text*", "ready", "5"])


def test_pytest_starts_without_a_machine(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
import sys

def test_it():
    ours = {name for name in sys.modules if name.partition(".")[0] == "hillemu"}
    assert ours == {"hillemu", "hillemu.testing", "hillemu.testing.plugin"}
    assert not {"unicorn", "capstone", "keystone", "elftools", "numpy"} & set(sys.modules)

def test_that_fails():
    assert {"a": 1} == {"a": 2}
"""
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)


def test_the_marker_and_the_fixtures_are_documented(pytester: pytest.Pytester) -> None:
    told = pytester.runpytest_inprocess("--markers").stdout
    told.fnmatch_lines(["@pytest.mark.hillemu(kernel, kernel_module, mem, *"])
    pytester.runpytest_inprocess("--fixtures").stdout.fnmatch_lines(["hillemu_boot*", "machine*"])

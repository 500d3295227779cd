"""The pytest plugin from outside: what is booted for a test, and that no test can influence another."""

from __future__ import annotations

import pytest
from pytest_project import MARKED, Run, runner, talker

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    return runner(pytester)


# ---- who says what is booted ----------------------------------------------------------------------------------------


def test_the_closest_word_counts(run: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "option.elf").write_bytes(talker())
    pytester.makeini("[pytest]\nhillemu_kernel = ini.elf\n")
    result = run(
        """
pytestmark = pytest.mark.hillemu(mem="8M", append="module")

def of(machine):
    return machine.kernel_path, machine.memory.size_bytes >> 20, machine.request.append

def test_option(machine):
    assert of(machine) == ("option.elf", 8, "module")

@pytest.mark.hillemu(kernel="kernel.elf")
class TestClass:
    def test_class(self, machine):
        assert of(machine) == ("kernel.elf", 8, "module")

    @pytest.mark.hillemu(append="function")
    def test_function(self, machine, hillemu_boot):
        assert of(machine) == ("kernel.elf", 8, "function")
        assert of(hillemu_boot(mem="16M", append="call")) == ("kernel.elf", 16, "call")

    @pytest.mark.parametrize("machine", ["32M", {"append": "parameter"}], indirect=True)
    def test_parameter(self, machine):
        assert of(machine) in [("kernel.elf", 32, "module"), ("kernel.elf", 8, "parameter")]
""",
        "--hillemu-kernel=option.elf",
    )
    result.assert_outcomes(passed=5)


def test_the_configuration_or_a_fixture_names_the_kernel_of_tests_that_name_none(
    run: Run, pytester: pytest.Pytester
) -> None:
    pytester.makeini("[pytest]\nhillemu_kernel = kernel.elf\n")
    source = "def test_it(machine): assert machine.run(until='ready').reason == 'until'"
    run(source).assert_outcomes(passed=1)
    pytester.makeconftest(
        """
import pathlib, pytest
@pytest.fixture(scope="session")
def hillemu_kernel(tmp_path_factory):
    built = tmp_path_factory.mktemp("build") / "built.elf"
    built.write_bytes(pathlib.Path("kernel.elf").read_bytes())
    return built
"""
    )
    run(f"{source}; assert machine.kernel_path == 'built.elf'").assert_outcomes(passed=1)


def test_lists_in_a_marker_run_the_test_with_each_value(run: Run) -> None:
    result = run(
        """
@pytest.mark.hillemu(kernel="kernel.elf", mem=["8M", "64M"], cpu=["486", "max"])
def test_it(machine):
    print("made", machine.memory.size_bytes >> 20, machine.cpu.model)
""",
        "-v",
        "-s",
    )
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*test_it[[]8M-486]*made 8 486", "*test_it[[]64M-max]*made 64 max"])


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('kernel="nope.elf"', "kernel: nope.elf: no such file (looked in *)"),
        ('kernal="kernel.elf"', "hillemu: there is no 'kernal'; did you mean 'kernel'?"),
        ('"kernel.elf"', "@pytest.mark.hillemu: write what 'kernel.elf' is, as in kernel='kernel.elf'"),
        ("kernel=[3]", "kernel: 3 is no file name*"),
        ("", "kernel: which one? Say @pytest.mark.hillemu(kernel=FILE), *"),
        ('kernel="kernel.elf", mem="lots"', "mem: 'lots' is not a size; *"),
        ('kernel="kernel.elf", cpu="z80"', "*z80*"),
        ('kernel="kernel.elf", timing="z80"', "*z80*"),
        ('kernel="kernel.elf", at="mian"', "no symbol 'mian' in kernel.elf*"),
        ('kernel="kernel.elf", until="ready("', "until: 'ready(' is not a regular expression: *"),
        ('kernel="test_a_mistake_is_told_in_one_line.py"', "*.py: *"),
        ('kernel="kernel.elf", until="ready", budget="much"', "budget: 'much' is no budget; *"),
    ],
)
def test_a_mistake_is_told_in_one_line(marker: str, message: str, run: Run) -> None:
    result = run(f"@pytest.mark.hillemu({marker})\ndef test_it(machine): pass\ndef test_other(): pass")
    result.assert_outcomes(errors=1, passed=1)
    lines = result.stdout.lines
    at = next(number for number, line in enumerate(lines) if "ERROR at setup of test_it" in line)
    result.stdout.fnmatch_lines([f"{message}".replace("[", "[[]")])
    assert lines[at + 2].startswith(("----", "====")), "more than one line"


def test_cycles_can_be_bounded_and_asserted(run: Run) -> None:
    result = run(
        """
@pytest.mark.hillemu(kernel="kernel.elf", timing=["i486", "pentium-nomem"], budget="100M")
def test_enough(machine):
    machine.run(until="ready", budget="10M cycles")
    assert machine.cycles > machine.cpu.instructions > 0

@pytest.mark.hillemu(kernel="kernel.elf", timing="i486")
def test_too_few(machine):
    machine.run(until="ready", budget="5 cycles")

@pytest.mark.hillemu(kernel="kernel.elf")
def test_of_nobody(machine):
    machine.run(until="ready", budget="5 cycles")
""",
        "-v",
    )
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*test_enough[[]i486]*PASSED*",
            "*BudgetExceeded: 'ready' did not appear within the budget of 5 cycles (it took *)",
            "*OptionError: budget: cycles are those of a processor; say which, as timing='i486'",
        ]
    )


def test_a_mistake_in_a_call_points_at_the_tests_own_line(run: Run) -> None:
    result = run("def test_it(hillemu_boot):\n    hillemu_boot(kernel='nope.elf')")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [">*hillemu_boot(kernel='nope.elf')", "E *OptionError: kernel: nope.elf: no such file*"]
    )
    result.stdout.no_fnmatch_line("*def make_request*")


# ---- machines that are used again -----------------------------------------------------------------------------------


def test_a_hundred_tests_cost_one_boot(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
from hillemu.testing.tested_machine import MachineUnderTest

made = []
init = MachineUnderTest.__init__
MachineUnderTest.__init__ = lambda self, request: (made.append(request), init(self, request))[1]

def pytest_unconfigure():
    MachineUnderTest.__init__ = init
    print("machines made:", len(made))
"""
    )
    result = run(
        MARKED + "@pytest.mark.parametrize('n', range(100))\ndef test_it(machine, n): machine.run(max_insns=n)"
    )
    result.assert_outcomes(passed=100)
    result.stdout.fnmatch_lines(["machines made: 1"])


@pytest.mark.parametrize("seed", range(3))
def test_tests_in_any_order_cannot_influence_each_other(seed: int, run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        f"""
import random
def pytest_collection_modifyitems(items):
    random.Random({seed}).shuffle(items)
"""
    )
    result = run(
        MARKED
        + """
seen = set()

@pytest.fixture(params=range(2))
def fresh(request, machine):
    # What the run so far left, and how it goes on.
    point = machine.snapshot()
    before = state(machine)
    machine.serial.send(b"xyz")
    machine.run(max_insns=5000)
    seen.add((before, state(machine)))
    assert len(seen) == 1
    machine.restore(point)
    return machine

def state(machine):
    return (
        machine.memory.sha256(), tuple(machine.registers().items()), machine.serial.data, machine.screen.cells,
        machine.clock.now, machine.cpu.instructions, machine.last_stop, tuple(machine.breakpoints), len(machine.notes),
        machine.default_budget, hasattr(machine, "mine"), len(machine._pc.serial_log.observers),
    )

def test_writes_memory(fresh): fresh.memory.set_u32(0x300000, 5)
def test_writes_registers(fresh): fresh.cpu.eax = 77; fresh.cpu.eip = 0
def test_talks(fresh):
    fresh.serial.send(b"abc")
    fresh.run(until="abc")
def test_crashes(fresh):
    fresh.serial.send(b"t")
    assert fresh.run().reason == "triple-fault"
def test_fails_in_a_callback(fresh):
    fresh.on_write(range(0xB8000, 0xB8001), lambda hit: 1 / 0)
    fresh.serial.send(b"x")
    with pytest.raises(ZeroDivisionError):
        fresh.run(until="x")
def test_leaves_observers(fresh):
    fresh.breakpoints.add("listen")
    fresh.watchpoints.add(range(0x200000, 0x200001))
    fresh.on_call("listen", lambda call: 1 / 0)
    fresh.on_page_fault(lambda fault: 1 / 0)
    fresh.on_cr3(lambda load: 1 / 0)
    fresh.serial.on_byte(lambda byte: 1 / 0)
def test_leaves_fields(fresh): fresh.mine = 1; fresh.default_budget = None; fresh.notes.append("x"); fresh.reboot = True
def test_closes(fresh): fresh.close()
def test_loads_another(fresh): fresh.load_demo(); fresh.run(max_insns=1000)
def test_resets(fresh): fresh.boot_again(); fresh.run(max_insns=10)
def test_types(fresh): fresh.keyboard.type("abc"); fresh.schedule_keys("x", 10**9)
def test_has_a_date(fresh): fresh.schedule_call(10**15, fresh.stop)
def test_fails(fresh): assert fresh is None
""",
        "-q",
    )
    result.assert_outcomes(passed=24, failed=2)


def test_a_machine_whose_disk_was_closed_is_booted_anew(run: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "disk.img").write_bytes(bytes(1 << 20))
    result = run(
        """
pytestmark = pytest.mark.hillemu(kernel="kernel.elf", disks=["disk.img"], until="ready")

@pytest.mark.parametrize("n", range(3))
def test_it(machine, n):
    assert machine.serial.text == prints("ready")
    machine.close()
"""
    )
    result.assert_outcomes(passed=3)


def test_two_machines_of_one_test_are_two(run: Run) -> None:
    result = run(
        """
@pytest.mark.parametrize("n", range(2))
def test_it(hillemu_boot, n):
    one, two = (hillemu_boot(kernel="kernel.elf", until="ready") for _ in range(2))
    assert one is not two
    one.serial.send(b"x")
    one.run(until="x")
    assert one.serial.text == prints("ready\\nx")
    assert two.serial.text != prints("x")
    assert 0, "fails to be reported"
"""
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*hillemu: serial text of machine 1*", "x", "*hillemu: machine of machine 2*"])


def test_a_kernel_that_was_built_anew_is_booted_anew(run: Run) -> None:
    result = run(
        """
import pathlib
@pytest.mark.parametrize("word", [b"hello", b"adieu"])
def test_it(hillemu_boot, word):
    kernel = pathlib.Path("kernel.elf")
    kernel.write_bytes(kernel.read_bytes().replace(b"hello", word))
    assert hillemu_boot(kernel="kernel.elf", until="ready").serial.text == prints(word.decode())
"""
    )
    result.assert_outcomes(passed=2)

"""The pytest plugin with the built-in kernel and a user's own parts for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pytest_project import Run, runner
from stack_allocator import STACK

pytest_plugins = ["pytester"]

READY = 'pytestmark = pytest.mark.hillemu(kernel="built-in", until="String: Hello", budget="50M")\n'


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    (pytester.path / "stack.py").write_text(STACK)
    (pytester.path / "broken.py").write_text("def frame_allocator(zone): return 1 // 0\n")
    (pytester.path / "wrong.py").write_text("frame_allocator = (\n")
    return runner(pytester)


def test_the_kernel_s_objects_and_its_page_tables_are_at_hand(run: Run) -> None:
    result = run(
        READY
        + """
def test_it(machine):
    machine.kernel.check()
    assert machine.kernel_path == "built-in"
    assert machine.paging[0xC0100000] == maps_to(0x100000)
    assert machine.paging[0] == unmapped
    assert machine.run().reason == "power-off"
"""
    )
    result.assert_outcomes(passed=1)


def test_an_allocator_with_something_that_cannot_be_taken_back_is_told_of_in_one_line(run: Run) -> None:
    Path("flow.py").write_text(
        STACK.replace("__init__(self, zone):", "__init__(self, zone):\n        self.it = iter('ab')")
    )
    result = run(READY + '@pytest.mark.hillemu(kernel_module="flow.py")\ndef test_it(machine): ...\n')
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*flow.py: Stack.it has a str_ascii_iterator, which no snapshot*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_what_a_test_does_to_a_user_s_allocator_the_next_one_does_not_see(run: Run) -> None:
    result = run(
        READY
        + """
counts = set()

@pytest.mark.hillemu(kernel_module="stack.py")
@pytest.mark.parametrize("turn", range(3))
def test_it(machine, turn):
    pmm = machine.kernel.vm.pmm
    assert type(pmm.zones[0].allocator).__name__ == "Stack"
    counts.add(pmm.free_frames)
    frame = pmm.alloc_page()
    assert pmm.free_frames not in counts and len(counts) == 1
    machine.run()
    assert frame
"""
    )
    result.assert_outcomes(passed=3)


def test_every_module_of_a_list_is_tested_and_one_from_the_command_line_where_no_marker_names_one(
    run: Run, pytester: pytest.Pytester
) -> None:
    (pytester.path / "other.py").write_text(STACK.replace("class Stack", "class Other").replace("= Stack", "= Other"))
    result = run(
        """
def name(machine):
    return type(machine.kernel.vm.pmm.zones[0].allocator).__name__

pytestmark = pytest.mark.hillemu(until="String: Hello")

@pytest.mark.hillemu(kernel="built-in", kernel_module=["stack.py", "other.py"])
def test_listed(machine):
    print("made", name(machine))

@pytest.mark.hillemu(kernel="built-in")
def test_typed(machine):
    assert name(machine) == "Other"

@pytest.mark.hillemu(kernel="kernel.elf", until="ready")
def test_another_kernel(machine):
    assert machine.kernel_path == "kernel.elf"
""",
        "--hillemu-kernel-module=other.py",
        "-v",
        "-s",
    )
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*test_listed[[]stack.py]*made Stack", "*test_listed[[]other.py]*made Other"])


def test_another_profile_is_named_like_a_kernel(run: Run) -> None:
    result = run(
        """
@pytest.mark.hillemu(kernel=["hillson", "bitmap"], mem="16M", until="power off")
def test_listed(machine):
    print("made", type(machine.kernel).__name__, machine.kernel_path)
    assert machine.kernel.check() == []

@pytest.mark.hillemu(kernel="bitmap", append="frames=6", until="alloc_page")
def test_the_words_reach_it(machine):
    assert machine.kernel.residents.limit == 6
    assert machine.symbols["memory_manager"]

@pytest.mark.hillemu(kernel="bitmap", disks=["kernel.elf"])
def test_what_it_does_not_read_is_refused(machine):
    pass
""",
        "-s",
        "-v",
    )
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(
        ["*test_listed[[]hillson]*made Kernel hillson*", "*test_listed[[]bitmap]*made BitmapKernel bitmap*"]
    )
    result.stdout.fnmatch_lines(["*disks: the built-in kernel does not read it"])


@pytest.mark.parametrize("where", ["option", "configuration", "fixture"])
def test_the_option_the_configuration_and_the_fixture_can_name_it(
    where: str, run: Run, pytester: pytest.Pytester
) -> None:
    if where == "configuration":
        pytester.makeini("[pytest]\nhillemu_kernel = built-in\n")
    elif where == "fixture":
        pytester.makeconftest(
            "import pytest\n@pytest.fixture(scope='session')\ndef hillemu_kernel(): return 'built-in'"
        )
    options = ["--hillemu-kernel=built-in"] if where == "option" else []
    run("def test_it(machine): assert machine.run(until='mm_init').reason == 'until'", *options).assert_outcomes(
        passed=1
    )


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('kernel="built-in", kernel_module="nope.py"', "kernel_module: nope.py: no such file (looked in *)"),
        ('kernel="built-in", kernel_module="wrong.py"', "*wrong.py:1: '(' was never closed"),
        ('kernel="kernel.elf", kernel_module="stack.py"', "kernel_module: is for the built-in kernel; *"),
        ('kernel="built-in", disks=["kernel.elf"]', "disks: the built-in kernel does not read it"),
    ],
)
def test_a_mistake_is_told_in_one_line(marker: str, message: str, run: Run) -> None:
    result = run(f"@pytest.mark.hillemu({marker})\ndef test_it(machine): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_a_part_that_fails_is_shown_with_its_author_s_line(run: Run) -> None:
    result = run(
        "@pytest.mark.hillemu(kernel='built-in', kernel_module='broken.py')\ndef test_it(machine): machine.run()"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*return 1 // 0*", "*broken.py:1: ZeroDivisionError"])


def test_the_guide_s_test_of_an_allocator_passes(run: Run, root: Path, pytester: pytest.Pytester) -> None:
    (pytester.path / "my_allocator.py").write_text(STACK)
    guide = (root / "docs" / "pytest.md").read_text()
    (example,) = re.findall(r'```python\n(@pytest\.mark\.hillemu\(kernel="built-in".*?)```', guide, re.DOTALL)
    run(example).assert_outcomes(passed=1)

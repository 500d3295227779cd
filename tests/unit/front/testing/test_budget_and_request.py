"""What tests ask for: budgets, layers of words, files and the names that guests are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from hillemu.emu.errors import OptionError
from hillemu.testing.budget import Budget
from hillemu.testing.request import Folders, make_request, merged, variant_name, variants

S = 10**9


@pytest.mark.parametrize(
    ("text", "instructions", "virtual_ns"),
    [
        ("1", 1, 20 * S),
        (12, 12, 20 * S),
        ("50M", 50_000_000, 20 * S),
        ("1.5G", 1_500_000_000, 30 * S),
        ("3_000k", 3_000_000, 20 * S),
        ("250ms", 10**9, S // 4),
        ("0.1s", 10**9, S // 10),
        ("2min", 10**9, 120 * S),
        ("5m, 3s", 5_000_000, 3 * S),
        ("3s 5M", 5_000_000, 3 * S),
    ],
)
def test_a_budget_bounds_what_it_says_and_leaves_the_rest(text: str | int, instructions: int, virtual_ns: int) -> None:
    assert Budget.parse(text) == (instructions, virtual_ns, None)


def test_a_budget_may_be_one_of_cycles() -> None:
    assert Budget.parse("2_000 cycles") == (10**9, 20 * S, 2000)
    assert Budget.parse("1.5kcycles 3s") == (10**9, 3 * S, 1500)
    assert Budget.parse("5M 20k Cycles") == (5_000_000, 20 * S, 20_000)


def test_what_a_budget_does_not_say_is_the_default() -> None:
    assert Budget.parse("1k", Budget(7, 8)) == (1000, 8 * 1000 // 7, None)
    assert Budget.parse("3", Budget(7, 8)) == (3, 8, None)
    assert Budget.parse("1s", Budget(7, 8)) == (7, S, None)


@pytest.mark.parametrize(
    "text", ["", "0", "lots", "1 2", "1s 2s", "-5", "1.5.2", "5x", "0s", "1 M", "5s cycles", "cycles"]
)
def test_what_is_no_budget_is_refused_with_the_options_name(text: str) -> None:
    with pytest.raises(OptionError, match=r"^hillemu_budget: .* is no budget; write instructions"):
        Budget.parse(text, option="hillemu_budget")


def test_the_goal_of_a_closer_layer_replaces_both_kinds_of_goal() -> None:
    assert merged([{"until": "ready"}, {"at": "main"}]) == {"at": "main"}
    assert merged([{"at": "main"}, {"until": "ready", "mem": "8M"}]) == {"until": "ready", "mem": "8M"}


def test_lists_multiply() -> None:
    found = variants({"mem": ["8M", "16M"], "cpu": ("386", "486"), "append": "x"})
    assert [variant_name(one) for one in found] == ["8M-386", "8M-486", "16M-386", "16M-486"]
    assert variants({"mem": "8M"}) == [{}]


@pytest.fixture
def project(tmp_path: Path) -> Folders:
    (tmp_path / "tests").mkdir()
    (tmp_path / "kernel.elf").write_bytes(b"top")
    (tmp_path / "tests" / "kernel.elf").write_bytes(b"beside the test")
    (tmp_path / "initrd").write_bytes(b"1")
    return Folders((tmp_path / "tests", tmp_path), tmp_path)


def test_the_file_beside_the_test_comes_before_that_of_the_root_folder(project: Folders) -> None:
    request = make_request({"kernel": "kernel.elf", "modules": [("initrd", "ro")]}, project, Budget())
    assert request.kernel.path.read_bytes() == b"beside the test"
    assert [(file.path.name, words) for file, words in request.modules] == [("initrd", "ro")]


def test_guests_are_told_names_that_do_not_depend_on_where_the_project_lies(
    project: Folders, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("elsewhere") / "built.elf"
    outside.write_bytes(b"x")
    told = [
        make_request({"kernel": given}, project, Budget()).kernel.name
        for given in ("kernel.elf", project.root / "kernel.elf", "../initrd", outside)
    ]
    assert told == ["tests/kernel.elf", "kernel.elf", "initrd", "built.elf"]


def test_a_kernel_that_was_built_anew_is_another_request(project: Folders) -> None:
    before = make_request({"kernel": "kernel.elf"}, project, Budget())
    assert make_request({"kernel": "kernel.elf"}, project, Budget()) == before
    (project.root / "tests" / "kernel.elf").write_bytes(b"another")
    assert make_request({"kernel": "kernel.elf"}, project, Budget()) != before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "kernel: which one"),
        ({"kernel": "kernl.elf"}, "kernel: kernl.elf: no such file (looked in "),
        ({"kernel": "orang"}, "); did you mean 'orange'?"),
        ({"kernel": "/nowhere/at/all"}, "kernel: /nowhere/at/all: no such file"),
        ({"kernel": 5}, "kernel: 5 is no file name"),
        ({"kernel": "kernel.elf", "modules": "initrd"}, "modules: 'initrd' is no list; write ['initrd']"),
        ({"kernel": "kernel.elf", "modules": [("initrd", 5)]}, "is neither a file nor (file, arguments)"),
        ({"kernel": "kernel.elf", "mem": 1.5}, "mem: 1.5 is not a size"),
        ({"kernel": "kernel.elf", "append": 5}, "append: 5 is no text"),
        ({"kernel": "kernel.elf\0"}, "kernel: kernel.elf\0: no such file"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_word(words: dict[str, object], message: str, project: Folders) -> None:
    with pytest.raises(OptionError) as raised:
        make_request(words, project, Budget())
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)

"""`hillemu profile` on a kernel in C: figures worked out from its source, and callgrind's own reader as a judge."""

from __future__ import annotations

import json
import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hillemu import Machine
from hillemu.boot.shipped import shipped_image
from hillemu.cli import main


def profile_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The JSON document of a profile; the guest of `c_kernel` ends with exit code 33."""
    assert main(["profile", "--json", "--quiet", *arguments]) in (0, 33)
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def row(document: dict[str, Any], function: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [one for one in document["functions"] if one["function"] == function]
    return found


def test_functions_have_their_calls_and_what_they_called(c_kernel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = profile_of(capsys, str(c_kernel))
    assert [row(document, name)["calls"] for name in ("kernel_main", "descend", "count_to", "out")] == [1, 4, 1, 1]
    main_row, called = row(document, "kernel_main"), ("descend", "count_to", "out")
    total = main_row["own"]["instructions"] + sum(row(document, name)["total"]["instructions"] for name in called)
    assert main_row["total"]["instructions"] == total
    descend = row(document, "descend")
    assert descend["own"] == descend["total"]  # it calls only itself
    assert row(document, "count_to")["own"]["instructions"] > 6 * 20_000


@pytest.mark.parametrize("timing", [(), ("--timing", "i486-nomem"), ("--timing", "pentium")])
def test_the_rows_sum_up_to_the_run(
    c_kernel: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, timing: tuple[str, ...]
) -> None:
    document = profile_of(capsys, str(c_kernel), *timing)
    record = tmp_path / "run.json"
    assert main(["boot", str(c_kernel), "--quiet", "--serial", "null", "--json", str(record), *timing]) == 33
    run = json.loads(record.read_text())
    assert document["total"]["instructions"] == run["instructions"]
    if timing:
        assert document["total"]["cycles"] == run["cycles"]
    for key, of_run in (("branches", "executed"), ("mispredicted", "mispredicted")):
        assert document["total"].get(key) == run.get("branches", {}).get(of_run)
    for rows in (document["functions"], document["lines"]):
        for key, value in document["total"].items():
            assert sum(one["own"][key] for one in rows) == value


def test_misses_are_told_only_with_a_memory_model(c_kernel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cache_misses" not in profile_of(capsys, str(c_kernel), "--timing", "i486-nomem")["total"]
    assert profile_of(capsys, str(c_kernel), "--timing", "i486")["total"]["cache_misses"] > 0


def test_lines_are_those_of_the_source(c_kernel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = (Path(__file__).parents[1] / "support" / "gdb_kernel.c").read_text().splitlines()
    costliest = profile_of(capsys, str(c_kernel))["lines"][:2]
    texts = []
    for one in costliest:
        file, _, line = one["line"].partition(":")
        assert file == "gdb_kernel.c"
        texts.append(source[int(line) - 1].strip())
    assert sorted(texts) == ["for (i = 0; i < end; i++)", "sum += i & 3;"]


def test_the_table_has_the_costliest_first(c_kernel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", str(c_kernel), "--timing", "i486", "--top", "2"]) == 33
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert re.match(
        r"[\d,]+ cycles \(0 idle\), [\d,]+ instructions, \d\.\d\d cycles an instruction on the i486", lines[0]
    )
    assert lines[2].split()[-2:] == ["calls", "function"]
    assert lines[3].endswith(" 1  count_to")
    assert re.fullmatch(r"\.\.\. and \d+ more functions", lines[5])
    assert "hillemu: stopped: exit, exit code 33" in shown.err


def test_callgrind_reads_it(
    c_kernel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], need_tool: Callable[[str], str]
) -> None:
    file = tmp_path / "callgrind.out.kernel"
    document = profile_of(capsys, str(c_kernel), "--timing", "i486", "--callgrind", str(file))
    annotate = [need_tool("callgrind_annotate"), "--auto=no", "--inclusive=yes", "--threshold=100", str(file)]
    told = subprocess.run(annotate, capture_output=True, text=True, check=True)
    assert not told.stderr
    numbers = {
        name: [int(part.replace(",", "")) for part in re.findall(r"([\d,]+) \(", figures)]
        for figures, name in re.findall(r"^(.*\))\s+gdb_kernel\.c:(\w+) \[", told.stdout, re.MULTILINE)
    }
    totals = document["total"]
    assert f"{totals['instructions']:,} (100.0%)" in told.stdout
    for name in ("kernel_main", "count_to", "out"):
        assert numbers[name][:2] == [row(document, name)["total"][key] for key in ("instructions", "cycles")]


def test_callgrind_has_branches_by_valgrinds_names(
    c_kernel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "callgrind.out.kernel"
    total = profile_of(capsys, str(c_kernel), "--timing", "pentium-nomem", "--callgrind", str(file))["total"]
    lines = dict(line.split(": ", 1) for line in file.read_text().splitlines() if line.startswith(("events", "totals")))
    counted = dict(zip(lines["events"].split(), map(int, lines["totals"].split()), strict=True))
    assert counted["Bc"] == total["conditional_branches"] > counted["Bcm"] == total["conditional_mispredicted"] > 0
    assert counted["Branches"] == total["branches"] > counted["Mispredicted"] == total["mispredicted"] > counted["Bcm"]


def test_the_page_is_whole(c_kernel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "profile.html"
    profile_of(capsys, str(c_kernel), "--timing", "i486", "--html", str(page))
    root = ElementTree.parse(page).getroot()
    texts = "".join(root.itertext())
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", page.read_text())
    pictures = [element for element in root.iter() if element.tag.endswith("svg")]
    assert len(pictures) == 5  # calls; busy, cycles an instruction, TLB misses, cache misses
    assert "count_to" in texts
    assert "gdb_kernel.c:" in texts


def test_files_of_a_kernel_whose_name_is_no_text_are_whole(c_kernel: Path, tmp_path: Path) -> None:
    kernel = os.fsdecode(os.fsencode(tmp_path) + b"/k\xff.elf")
    Path(kernel).write_bytes(c_kernel.read_bytes())
    page, callgrind = tmp_path / "page.html", tmp_path / "callgrind.out"
    main(["profile", kernel, "--html", str(page), "--callgrind", str(callgrind)])
    assert "k\\xff.elf" in page.read_text(encoding="utf-8")
    assert "k\\udcff.elf" in callgrind.read_text(encoding="utf-8")


def test_programs_of_the_built_in_kernel_have_names(capsys: pytest.CaptureFixture[str]) -> None:
    document = profile_of(capsys, "--mem", "16M")
    assert any(one["image"] == "memory_test.elf" for one in document["functions"])


def test_modules_and_named_files_bring_symbols(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "program.elf"
    program.write_bytes(shipped_image("memory_test.elf"))
    as_module = profile_of(capsys, "--mem", "16M", "--module", str(program))
    assert any(one["image"] == "program.elf" for one in as_module["functions"])
    as_symbols = profile_of(capsys, "--mem", "16M", "--symbols", str(program))
    assert any(one["image"] == "program.elf" for one in as_symbols["functions"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--symbols", "nosuch.elf"], "nosuch.elf: cannot read the symbols"),
        (["--symbols", "README.md"], "--symbols: README.md has none"),
        (["--serial", "stdio"], "--serial: standard output is for the profile"),
        (["--html", "nosuch/page.html"], "nosuch/page.html: cannot write the --html file"),
        (["--html", "x", "--callgrind", "x"], "--callgrind: x is the page of --html already"),
        (["--top", "0"], "--top: '0' is not a number of rows"),
        (["--timing", "i468"], "i468"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], told: str, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    assert main(["profile", *arguments]) == 125
    shown = capsys.readouterr()
    assert not shown.out
    assert told in shown.err
    assert shown.err.count("\n") == 1


def test_a_profile_in_python_is_of_the_runs_inside(c_kernel: Path) -> None:
    machine = Machine(mem="16M", timing="i486-nomem")
    machine.load(str(c_kernel))
    machine.run(max_insns=100)
    with machine.profile() as profile:
        machine.run(max_insns=1000)
        assert profile.total.instructions == 1000
    machine.run(max_insns=500)
    assert profile.total.instructions == 1000
    assert {one.function for one in profile.by_function()} >= {"count_to"}
    tree = profile.tree()
    assert tree.total == profile.total


def test_instructions_without_figures_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "--timing", "i486", "--top", "1"]) == 0
    assert "no documented timing, 1 cycle each: CPUID (" in capsys.readouterr().err
    assert profile_of(capsys, "--timing", "i486")["untimed"]["CPUID"] > 0


def test_accesses_that_the_model_cannot_translate_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    pae = ["profile", "--append", "paging=pae tests=off", "--timing", "pentium", "--top", "1"]
    assert main(pae) == 0
    assert re.search(r"[1-9][\d,]* accesses under PAE cost no walks", capsys.readouterr().err)
    assert main(["profile", "--timing", "pentium", "--top", "1"]) == 0
    assert "PAE" not in capsys.readouterr().err

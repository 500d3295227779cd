"""The benchmark's comparison with Bochs: the disk that it boots, and what a figure is worth."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from hillemu import Machine
from hillemu.emu.stop import StopReason

MAX_INSNS = 20_000_000


@pytest.fixture(scope="module")
def bochs(root: Path) -> Iterator[ModuleType]:
    """bench/bochs.py; its neighbours are found as when bench/run.py runs."""
    before = set(sys.modules)
    sys.path.insert(0, str(root / "bench"))
    try:
        spec = importlib.util.spec_from_file_location("hillemu_bench_bochs", root / "bench" / "bochs.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(root / "bench"))
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(root / "bench")):
                del sys.modules[name]


@pytest.mark.parametrize("loop", ["rep_movsd", "list_chase", "fib"])
def test_a_loop_sends_from_the_disk_what_it_sends_by_multiboot(bochs: ModuleType, tmp_path: Path, loop: str) -> None:
    image = bochs.build(loop, tmp_path, repeats=1)
    disk = tmp_path / "disk.img"
    disk.write_bytes(bochs.disk_of(image))
    sent = []
    for path in (image, disk):
        machine = Machine(mem="32M")
        machine.load(str(path))
        assert machine.run(max_insns=MAX_INSNS).reason is StopReason.EXIT
        sent.append(machine.serial.text)
        machine.close()
    assert sent[0] == sent[1]
    assert sent[0].startswith("<>")
    assert len(sent[0]) == bochs.RECORD_BYTES


def test_bochs_sends_the_checksum_that_hillemu_sends(
    bochs: ModuleType, need_tool: Callable[[str], str], tmp_path: Path
) -> None:
    need_tool("bochs")
    if not bochs.is_installed():
        pytest.skip("bochs is here without its terminal display or BIOS")
    image = bochs.build("sieve", tmp_path, repeats=1)
    (seconds, sum_there), (_, sum_here) = bochs._bochs(image), bochs._hillemu(image, "i486")
    assert sum_there == sum_here
    assert seconds > 0
    assert bochs._bochs(image)[1] == sum_there, "a run that was killed keeps nobody from the next"


def test_the_report_has_a_goal_for_each_loop(bochs: ModuleType) -> None:
    text, goals = bochs.report({"sieve": {"bochs": [6.0, 9.0], "insn": [1.0, 1.0], "i486": [1.0, 2.0]}})
    assert text.splitlines()[1].split() == ["sieve", "7.50", "1.00", "1.50", "7.5", "5.2"]
    assert [goal.met for goal in goals] == [True]
    assert [goal.met for goal in bochs.report({"x": {"bochs": [2], "insn": [1], "i486": [1]}})[1]] == [False]


def test_without_bochs_the_report_says_so_and_promises_nothing(
    bochs: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = bochs.measure(tmp_path, rounds=1, shorter=1, tell=print)
    text, goals = bochs.report(found)
    assert "not installed" in text
    assert goals == []

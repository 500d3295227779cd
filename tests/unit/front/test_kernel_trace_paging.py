"""`hillemu kernel-trace --paging`: the table, Belady's anomaly in it, and mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hillemu.cli import main

BELADY = "1,2,3,4,1,2,5,1,2,3,4,5"


def test_belady_s_anomaly_is_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """The faults are those of Tanenbaum's and Silberschatz's books: FIFO 9 and 10, LRU 10 and 8, the least 7 and 6."""
    assert main(["kernel-trace", "--paging", BELADY, "--frames", "3,4"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "12 references to 5 pages",
        "frames    fifo   clock     lru   least",
        "     3       9       9      10       7",
        "     4      10      10       8       6",
        "fifo: 10 faults with 4 frames, 9 with 3: Belady's anomaly",
        "clock: 10 faults with 4 frames, 9 with 3: Belady's anomaly",
    ]


def test_without_frames_all_numbers_up_to_that_of_the_pages_are_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernel-trace", "--paging", BELADY]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:7]]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]
    assert rows[-1] == ["5"] * 5, "with a frame for each page, each faults once"


def test_the_string_may_come_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.txt"
    file.write_text("# recorded\n0x40000 0x40001\n0x40000\n")
    assert main(["kernel-trace", "--paging", str(file), "--frames", "1-2"]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == [
        "     1       3       3       3       3",
        "     2       2       2       2       2",
    ]


def test_a_policy_of_one_s_own_stands_beside_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = tmp_path / "last.py"
    module.write_text(
        "class page_replacement:\n"
        "    def __init__(self, pages):\n        self.last = None\n"
        "    def added(self, frame):\n        self.last = frame\n"
        "    def victim(self):\n        return self.last\n"
    )
    assert main(["kernel-trace", "--paging", BELADY, "--frames", "3", "--kernel-module", str(module)]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[1].split()[-2:] == ["yours", "least"]
    # Last in, first out keeps 1 and 2: 3, 4, 5, 3, 4 and 5 take turns in the third frame.
    assert table[2].split() == ["3", "9", "9", "10", "8", "7"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trace.txt", "--paging", "1"], "--paging: and the trace trace.txt are two commands; give one of them"),
        (["--paging", "1,2", "--frames", "0"], "--frames: '0' is no number of frames; write it like 3,4 or 3-8"),
        (["--paging", "1,2", "--frames", "4-3"], "--frames: '4-3' names no number of frames, or more than 64"),
        (["--paging", "1,2", "--frames", "1-65"], "--frames: '1-65' names no number of frames, or more than 64"),
        (["trace.txt", "--frames", "3"], "--frames: needs --paging: it is pages that are in frames"),
        (["--paging", "nowhere.txt"], "nowhere.txt: No such file or directory; a reference string is"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["kernel-trace", *arguments]) == 125
    err = capsys.readouterr().err
    assert err.startswith(f"hillemu: {said}")
    assert err.count("\n") == 1

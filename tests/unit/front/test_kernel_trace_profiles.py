"""`hillemu kernel-trace FILE --profile NAME`: a trace of allocations through the kmalloc of any kernel that has one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hillemu.cli import main

TRACE = "a 1 100\na 2 5000\nr 2 9000\nf 1\na 3 60\n"


@pytest.fixture
def trace(tmp_path: Path) -> str:
    file = tmp_path / "trace.txt"
    file.write_text(TRACE)
    return str(file)


@pytest.mark.parametrize(
    ("profile", "held"),
    [
        ([], "16,552"),
        (["--profile", "hillson"], "16,552"),
        (["--profile", "bitmap"], "24,576"),
        (["--profile", "orange"], "16,384"),
    ],
)
def test_the_trace_is_replayed_through_the_profile_s_kmalloc(
    profile: list[str], held: str, trace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Held, by hand: 4 pages and 168 bytes of the pool; 4 pages of blocks and 2 of pools; 1 + 3 pages."""
    assert main(["kernel-trace", trace, "--no-debug-aids", *profile]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "operations:     5"
    assert lines[2].startswith("peak:           9,100 bytes in use, ")
    assert [line.split(":")[0] for line in lines[1:]] == [
        "throughput", "peak", "utilisation", "fragmentation", "not freed",
    ]  # fmt: skip
    assert lines[2].endswith(f", {held} bytes held")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--profile", "orange", "--mem", "4M"],
            "--mem: init_mm: page tables that map 4 GiB need 4100 KB at 0x100000, where there are 2944 KB: "
            "give the machine 8 MB or more",
        ),
        (["--profile", "bitmab"], "--profile: there is no 'bitmab'; did you mean 'bitmap'?"),
        (
            ["--profile", "bitmap", "--kernel-module", "mine.py"],
            "--kernel-module: an allocator of your own serves profile hillson only",
        ),
        (
            ["--profile", "bitmap", "--paging", "1,2"],
            "--profile: and --paging are two things: policies are compared without a kernel",
        ),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(
    options: list[str], said: str, trace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [] if "--paging" in options else [trace]
    assert main(["kernel-trace", *files, *options]) == 125
    assert capsys.readouterr().err == f"hillemu: {said}\n"

"""The README's example runs, and what README.md and docs/guide.md say about options is what the command says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hillemu.commands.options import make_parser


def test_the_readmes_example_runs_and_prints(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert re.search(r"at 0x[0-9a-f]+ after [\d,]+ instructions\nRAM: [0-9a-f]{64}$", out)


def test_the_readme_lists_every_option_of_boot_and_no_other(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args(["boot", "--help"])
    offered = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", capsys.readouterr().out)) - {"--help", "--no-reboot"}
    readme = (root / "README.md").read_text()
    listed = set(re.findall(r"^\| `(--[a-z-]+)", readme, re.MULTILINE)) | {"--keys-at"}
    assert listed == offered

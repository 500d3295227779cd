"""examples/pytest-kernel works as docs/pytest.md says: built with gcc, and run by pytest."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def example(pytester: pytest.Pytester, root: Path, gcc_m32: str, need_tool: object) -> Path:
    """A copy of the example, which is where pytest runs."""
    assert callable(need_tool)
    need_tool("make")
    shutil.copytree(root / "examples" / "pytest-kernel", pytester.path, dirs_exist_ok=True)
    return pytester.path


def test_the_examples_tests_pass(example: Path, pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=11)
    assert not (example / "kernel.elf").exists()


def test_they_pass_after_make_as_well(example: Path, pytester: pytest.Pytester) -> None:
    subprocess.run(["make", "-s"], cwd=example, check=True)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=11)


def test_a_kernel_that_breaks_its_promise_is_caught(example: Path, pytester: pytest.Pytester) -> None:
    kernel = example / "kernel.c"
    source = kernel.read_text()
    assert source.count("(is_code ? 0 : WRITABLE)") == 1
    kernel.write_text(source.replace("(is_code ? 0 : WRITABLE)", "WRITABLE"))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=9, failed=2)
    result.stdout.fnmatch_lines(["E *PTE[[]0x100]=* -> 0x00100000 -rwx* | -> 0x00100000 !u !w <-- has w"])


def test_the_tutorials_first_test_fails_as_the_tutorial_says(
    example: Path, pytester: pytest.Pytester, root: Path
) -> None:
    page = (root / "docs" / "pytest.md").read_text()
    source = next(block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "pytestmark" in block)
    shown = next(block for block in re.findall(r"```text\n(.*?)```", page, re.DOTALL) if "PTE[0x100]" in block)
    (example / "test_kernel.py").write_text(source)
    (example / "conftest.py").unlink()
    pytester.run("make", "-s")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    # Addresses and counts are the compiler's.
    told = [re.sub(r"0x[0-9a-fA-F]{5,}|\+0x\w+|:\d+|[\d,]+ instructions", "*", line) for line in result.stdout.lines]
    for line in shown.splitlines():
        if line.strip():
            assert re.sub(r"0x[0-9a-fA-F]{5,}|\+0x\w+|:\d+|[\d,]+ instructions", "*", line) in told

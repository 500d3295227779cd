"""A Unicorn that is not the one whose layout the core knows is refused in one line that says which is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Boot = Callable[[str], "subprocess.CompletedProcess[str]"]
VERSION = "unsigned uc_version(unsigned *major, unsigned *minor) {{ return {number:#x}; }}"


@pytest.fixture
def boot_with(tmp_path: Path, need_tool: Callable[[str], str]) -> Boot:
    """`boot_with(C source)` runs ``hillemu boot`` with a libunicorn that is nothing but that source."""

    def boot(source: str) -> subprocess.CompletedProcess[str]:
        package = tmp_path / "unicorn"
        (package / "lib").mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (tmp_path / "fake.c").write_text(source)
        library = package / "lib" / "libunicorn.so.2"
        subprocess.run([need_tool("gcc"), "-shared", "-fPIC", "fake.c", "-o", library], cwd=tmp_path, check=True)
        return subprocess.run(
            [sys.executable, "-m", "hillemu", "boot"],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return boot


def test_another_release_is_named_with_the_one_that_is_needed(boot_with: Boot) -> None:
    done = boot_with(VERSION.format(number=0x020103FF))
    assert done.returncode == 125
    (line,) = done.stderr.splitlines()
    assert "is Unicorn 2.1.3, and hillemu needs exactly 2.1.4" in line
    assert "pip install unicorn==2.1.4" in line


def test_the_right_version_without_its_functions_is_refused_by_name(boot_with: Boot) -> None:
    done = boot_with(VERSION.format(number=0x020104FF))
    assert done.returncode == 125
    (line,) = done.stderr.splitlines()
    assert "it has no function uc_open" in line


def test_something_that_is_no_unicorn_at_all_is_refused(boot_with: Boot) -> None:
    done = boot_with("int nothing;")
    assert done.returncode == 125
    (line,) = done.stderr.splitlines()
    assert "needs exactly 2.1.4" in line

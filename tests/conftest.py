"""What every test may ask for."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def package_dirs() -> dict[str, Path]:
    """The rooms, as pyproject.toml maps them: ``{"hillemu.emu": Path(".../emu"), ...}``."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    return {package: ROOT / folder for package, folder in setuptools["package-dir"].items()}


def modules_of_the_tree() -> Iterator[tuple[str, Path]]:
    """Every module's canonical name and file, found by looking, not by a list."""
    for package, folder in package_dirs().items():
        for file in sorted(folder.rglob("*.py")):
            parts = [package, *file.relative_to(folder).with_suffix("").parts]
            if parts[-1] == "__init__":
                parts.pop()
            yield ".".join(parts), file


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's top folder."""
    return ROOT


@pytest.fixture(scope="session")
def modules() -> dict[str, Path]:
    """Canonical module name to source file, for every module in the rooms."""
    return dict(modules_of_the_tree())


@pytest.fixture(scope="session")
def packages() -> dict[str, Path]:
    """Canonical package name to folder, for every package in the rooms."""
    return {name: file.parent for name, file in modules_of_the_tree() if file.name == "__init__.py"}


@pytest.fixture(scope="session")
def need_tool() -> Callable[[str], str]:
    """`need_tool("qemu-system-i386")` is the tool's path; without it the test skips, but fails in CI (``CI=true``)."""

    def find(tool: str) -> str:
        path = shutil.which(tool)
        if path is not None:
            return path
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(f"{tool} is not installed, and in CI no test may skip: add it to .ci/run")
        pytest.skip(f"{tool} is not installed")

    return find


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `module_name` runs once for every module of the tree."""
    if "module_name" in metafunc.fixturenames:
        metafunc.parametrize("module_name", [name for name, _ in modules_of_the_tree()])

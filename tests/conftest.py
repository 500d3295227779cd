"""What every test may ask for."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Never

import guest_builder
import guest_drives as guest_drive_images
import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# No example is too slow: a host that does other things at the same time must not fail a test.
settings.register_profile("home", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# At home hypothesis draws new examples in every run; CI must judge the change, not the dice.
settings.register_profile("ci", parent=settings.get_profile("home"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI", "").lower() in ("1", "true") else "home")


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


def do_without(reason: str) -> Never:
    """Skip for want of a tool, but never in CI (``CI=true``): fail there."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"{reason}, and in CI no test may skip: add it to .ci/run")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def need_tool() -> Callable[[str], str]:
    """`need_tool("qemu-system-i386")` is the tool's path; without it the test skips, but fails in CI (``CI=true``)."""

    def find(tool: str) -> str:
        return shutil.which(tool) or do_without(f"{tool} is not installed")

    return find


@pytest.fixture(scope="session")
def distribution_file(root: Path) -> Callable[[str, str], Path]:
    """`distribution_file("ipxe", "boot/ipxe.lkrn")` is a file of a package that tests/distribution/fetch.sh unpacks.

    The name may be a pattern, as in ``boot/vmlinuz-*``.  Without the package the test skips, but fails in CI.
    """

    def find(package: str, pattern: str) -> Path:
        found = sorted((root / "build" / "distribution" / package).glob(pattern))
        return found[0] if found else do_without(f"{package} is not there: run tests/distribution/fetch.sh")

    return find


@pytest.fixture(scope="session")
def gcc_m32() -> str:
    """The path of a gcc that compiles and links for i386."""
    if (reason := guest_builder.missing_compiler()) is not None:
        do_without(reason)
    return shutil.which("gcc") or "gcc"


@pytest.fixture(scope="session")
def image_of(root: Path, gcc_m32: str) -> Callable[[str], Path]:
    """`image_of("paging")` compiles that guest of tests/guest."""
    return lambda name: guest_builder.build(name, root / "build" / "guests")


@pytest.fixture(scope="session")
def guest_drives(tmp_path_factory: pytest.TempPathFactory) -> guest_drive_images.GuestDrives:
    """The images in the drives of guests that look at drives."""
    return guest_drive_images.make_drives(tmp_path_factory.mktemp("drives"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `module_name` runs once for every module of the tree."""
    if "module_name" in metafunc.fixturenames:
        metafunc.parametrize("module_name", [name for name, _ in modules_of_the_tree()])

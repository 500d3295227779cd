"""What is in the tree is in the wheel, and the wheel works without the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

# Only what hangs takes so long: a compiler on a host that is busy with other things may take minutes.
TIMEOUT_S = 900
NOT_BUILT_FROM = (".venv", ".git", "build", "dist", "__pycache__", "*.so", "*.egg-info", ".*_cache", ".hypothesis")


def run(*command: object, cwd: Path, **environment: str) -> str:
    """Run a command; its standard output, or a failed test that shows everything it said."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, f"{command}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def settings(root: Path) -> dict[str, Any]:
    """pyproject.toml's [tool.setuptools]."""
    table: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    return table


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as for a release: a source distribution first, and the wheel from that."""
    folder = tmp_path_factory.mktemp("wheel")
    # A copy, so that the build leaves nothing behind in the tree and takes nothing from an earlier build.
    shutil.copytree(root, folder / "tree", ignore=shutil.ignore_patterns(*NOT_BUILT_FROM), symlinks=True)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", folder / "tree", cwd=folder)
    return next((folder / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """A folder with nothing in it but the installed wheel."""
    target = wheel.parent.parent / "installed"
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"),
        *("--target", target, wheel),
        cwd=wheel.parent,
    )
    return target


def test_the_package_list_names_every_package_of_the_tree(settings: dict[str, Any], packages: dict[str, Path]) -> None:
    assert settings["packages"] == sorted(packages), "correct [tool.setuptools] packages in pyproject.toml"


def test_every_folder_with_modules_is_a_package(modules: dict[str, Path]) -> None:
    assert {file.parent for file in modules.values() if not (file.parent / "__init__.py").exists()} == set()


def test_no_room_is_called_like_the_package(root: Path) -> None:
    assert not (root / "hillemu").exists(), "in the current directory it would shadow the installed package"


def test_the_wheel_holds_every_module_and_every_data_file(
    wheel: Path, settings: dict[str, Any], packages: dict[str, Path], modules: dict[str, Path]
) -> None:
    expected = {
        f"{package.replace('.', '/')}/{file.name}"
        for package, folder in packages.items()
        for file in [
            *(file for file in modules.values() if file.parent == folder),
            *(file for pattern in settings["package-data"].get(package, ()) for file in folder.glob(pattern)),
        ]
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("hillemu/")}

    assert expected - held == set()
    assert {name for name in held - expected if not name.endswith(".so")} == set()


def test_no_file_that_a_package_needs_at_run_time_is_left_out(
    settings: dict[str, Any], packages: dict[str, Path]
) -> None:
    forgotten = [
        file
        for package, folder in packages.items()
        for file in folder.iterdir()
        if file.suffix in (".elf", ".bin", ".s", ".inc", ".typed", ".csv")
        and not any(file.match(pattern) for pattern in settings["package-data"].get(package, ()))
    ]
    assert not forgotten, f"add a pattern to [tool.setuptools.package-data] for {forgotten}"


def test_the_wheel_holds_the_native_core(wheel: Path) -> None:
    held = zipfile.ZipFile(wheel).namelist()
    assert [name for name in held if name.startswith("hillemu/emu/cpu/_core.") and name.endswith(".so")]


def test_the_source_distribution_holds_the_native_cores_sources(wheel: Path, root: Path) -> None:
    import tarfile

    with tarfile.open(next(wheel.parent.glob("*.tar.gz"))) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    sources = [*(root / "emu/cpu/native").glob("*.[ch]"), root / "LICENSE", root / "README.md", root / "setup.py"]
    assert {str(file.relative_to(root)) for file in sources} - held == set()


def test_every_module_of_the_wheel_can_be_imported_from_the_repositorys_folder(
    installed: Path, root: Path, modules: dict[str, Path]
) -> None:
    """The current directory must not shadow the wheel: it has folders called emu, boot and kernel."""
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    module = importlib.import_module(name)\n"
        "    print(module.__file__)\n"
    )
    files = run(sys.executable, "-c", program, *modules, cwd=root, PYTHONPATH=str(installed)).splitlines()

    assert len(files) == len(modules)
    assert [file for file in files if not Path(file).is_relative_to(installed)] == []


def test_the_installed_command_runs(installed: Path, tmp_path: Path) -> None:
    shown = run(installed / "bin" / "hillemu", "--help", cwd=tmp_path, PYTHONPATH=str(installed))
    assert "boot a kernel image" in shown
    shown = run(sys.executable, "-m", "hillemu", "--version", cwd=tmp_path, PYTHONPATH=str(installed))
    assert shown.startswith("hillemu ")


def test_a_project_elsewhere_tests_its_kernel_with_nothing_but_the_installed_wheel(
    installed: Path, root: Path, tmp_path: Path
) -> None:
    shutil.copy(root / "images" / "demo.elf", tmp_path / "kernel.elf")
    (tmp_path / "pytest.ini").write_text("[pytest]\nhillemu_kernel = kernel.elf\nfilterwarnings = error\n")
    (tmp_path / "conftest.py").write_text(
        "import pytest\n\n"
        "@pytest.fixture\n"
        "def booted(machine):\n"
        "    machine.run(until='checks passed')\n"
        "    return machine\n"
    )
    (tmp_path / "test_kernel.py").write_text(
        "import hillemu\n"
        "from hillemu.testing import prints\n\n"
        "def test_it(booted):\n"
        "    print(hillemu.__file__)\n"
        "    assert booted.serial.text == prints('all 6 checks passed')\n"
    )
    shown = run(sys.executable, "-m", "pytest", "-s", cwd=tmp_path, PYTHONPATH=str(installed))
    assert "1 passed" in shown
    assert str(installed) in shown

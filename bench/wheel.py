"""hillemu as users have it: installed from a wheel, without the finder of an editable installation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from processes import BenchError

ROOT = Path(__file__).resolve().parent.parent
_NOT_BUILT_FROM = (".*", "build", "dist", "tests", "__pycache__", "*.so", "*.egg-info")


def install(folder: Path) -> Path:
    """Build the wheel, install it into a virtual environment in `folder`; return the command `hillemu` there.

    What hillemu depends on is taken from this environment.  Raises `BenchError` when something cannot be built.
    """
    shutil.copytree(ROOT, folder / "tree", ignore=shutil.ignore_patterns(*_NOT_BUILT_FROM))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder / "tree")
    _run(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv/bin/python"
    wheel = next(folder.glob("*.whl"))
    _run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel)

    site_packages = next((folder / "venv/lib").glob("python*/site-packages"))
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("platlib") + "\n")
    command = folder / "venv/bin/hillemu"
    _run(command, "--version")  # a first start must not count: Python compiles what pip has not
    return command


def _run(*command: object) -> None:
    done = subprocess.run(list(map(str, command)), cwd=os.sep, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")

"""Build the kernel before the first test that needs it."""

import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def hillemu_kernel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    subprocess.run(["make", "-s", "-f", HERE / "Makefile", f"VPATH={HERE}", "kernel.elf"], cwd=folder, check=True)
    return folder / "kernel.elf"

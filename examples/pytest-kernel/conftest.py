"""Build the kernel before the first test that needs it."""

import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def hillemu_kernel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    # -B: make would be content with a kernel.elf that lies beside the sources.
    subprocess.run(["make", "-Bs", "-f", HERE / "Makefile", f"VPATH={HERE}", "kernel.elf"], cwd=folder, check=True)
    return folder / "kernel.elf"

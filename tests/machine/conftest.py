"""Machines without an image for the tests of this folder; see ``tests/support/laboratory.py``."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import guest_builder
import pytest
from bitmap_machine import INSTRUCTIONS, bitmap_with
from laboratory import make_lab

from hillemu.emu.snapshot import Snapshot
from hillemu.machine import Machine


@pytest.fixture(params=["native", "portable"])
def core(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs the test with each of the two cores."""
    monkeypatch.setenv("HILLEMU_CORE", request.param)
    name: str = request.param
    return name


@pytest.fixture
def lab(core: str) -> Callable[..., Any]:
    """`lab("inc eax; hlt")` is a machine with that code, for each of the two cores."""
    return make_lab


@pytest.fixture
def lab_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`lab_of("portable", "inc eax; hlt")`: the same with a core of the test's choice."""

    def make(core: str, source: str, **options: Any) -> Any:
        monkeypatch.setenv("HILLEMU_CORE", core)
        return make_lab(source, **options)

    return make


HEADER = ".section .multiboot; .long 0x1BADB002, 0, 0xE4524FFE; .text; _start: "


@pytest.fixture
def boot(tmp_path: Path) -> Callable[..., Any]:
    """`boot("cli; hlt", mem="16M")` is a `hillemu.Machine` that has loaded a multiboot kernel of that code."""
    from hillemu import Machine
    from hillemu.boot.assembler import assemble_text

    def make(source: str, **options: Any) -> Machine:
        path = tmp_path / "kernel.elf"
        path.write_bytes(assemble_text(HEADER + source).data)
        machine = Machine(**{"mem": "16M", **options})
        machine.load(str(path))
        return machine

    return make


# ---- for GDB


@pytest.fixture
def gdb(need_tool: Callable[[str], str]) -> str:
    return need_tool("gdb")


@pytest.fixture(scope="session")
def c_kernel(gcc_m32: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kernel in C, with symbols and without optimisation."""
    kernel = tmp_path_factory.mktemp("kernel") / "kernel.elf"
    flags = [flag for flag in guest_builder.FLAGS if flag not in ("-O2", "-masm=intel")]
    script = ["-T", str(guest_builder.SCRIPT)]
    source = Path(guest_builder.__file__).with_name("gdb_kernel.c")
    subprocess.run([gcc_m32, *flags, "-O0", "-g", *guest_builder.LINK_FLAGS, *script, source, "-o", kernel], check=True)
    return kernel


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in guest as a file."""
    from hillemu.boot.shipped import shipped_image

    path = tmp_path_factory.mktemp("demo") / "demo.elf"
    path.write_bytes(shipped_image("demo.elf"))
    return path


@pytest.fixture(scope="module")
def started_bitmap(tmp_path_factory: pytest.TempPathFactory) -> tuple[Machine, Snapshot]:
    machine = bitmap_with(tmp_path_factory.mktemp("programs"), {"idle": "1: jmp 1b\n"})
    machine.run(until=r"kmalloc\(1024\)", max_insns=INSTRUCTIONS)
    machine.run(max_insns=1000)
    assert machine.kernel.programs.running is not None
    return machine, machine.snapshot()


@pytest.fixture
def started(started_bitmap: tuple[Machine, Snapshot]) -> Machine:
    """Profile bitmap in the middle of a program; what a test breaks is whole again for the next one."""
    machine, point = started_bitmap
    machine.restore(point)
    return machine

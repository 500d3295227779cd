"""Machines without an image for the tests of this folder; see ``tests/laboratory.py``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _load_laboratory() -> ModuleType:
    """Test folders are no packages, so the module that they share is loaded by its path."""
    name = "hillemu_laboratory"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).resolve().parents[1] / "laboratory.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


laboratory = _load_laboratory()


@pytest.fixture(params=["native", "portable"])
def core(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs the test with each of the two cores."""
    monkeypatch.setenv("HILLEMU_CORE", request.param)
    name: str = request.param
    return name


@pytest.fixture
def lab(core: str) -> Callable[..., Any]:
    """`lab("inc eax; hlt")` is a machine with that code, for each of the two cores."""
    return laboratory.make_lab  # type: ignore[no-any-return]


@pytest.fixture
def lab_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`lab_of("portable", "inc eax; hlt")`: the same with a core of the test's choice."""

    def make(core: str, source: str, **options: Any) -> Any:
        monkeypatch.setenv("HILLEMU_CORE", core)
        return laboratory.make_lab(source, **options)

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

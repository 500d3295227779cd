"""Machines without an image for the tests of this folder; see ``tests/laboratory.py``."""

from __future__ import annotations

import importlib.util
import os
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


@pytest.fixture(scope="session")
def lab_of() -> Callable[..., Any]:
    """`lab_of("portable", "inc eax; hlt")` is a machine with that code; one fixture serves all examples of a test."""
    before = os.environ.get("HILLEMU_CORE")

    def make(core: str, source: str, **options: Any) -> Any:
        os.environ["HILLEMU_CORE"] = core
        try:
            return _load_laboratory().make_lab(source, **options)
        finally:
            os.environ.pop("HILLEMU_CORE")
            if before is not None:
                os.environ["HILLEMU_CORE"] = before

    return make

"""Machines without an image for the tests of this folder; see ``tests/support/laboratory.py``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from laboratory import make_lab


@pytest.fixture(scope="session")
def lab_of() -> Callable[..., Any]:
    """`lab_of("portable", "inc eax; hlt")` is a machine with that code; one fixture serves all examples of a test."""
    before = os.environ.get("HILLEMU_CORE")

    def make(core: str, source: str, **options: Any) -> Any:
        os.environ["HILLEMU_CORE"] = core
        try:
            return make_lab(source, **options)
        finally:
            os.environ.pop("HILLEMU_CORE")
            if before is not None:
                os.environ["HILLEMU_CORE"] = before

    return make

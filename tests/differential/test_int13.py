"""INT 13h as SeaBIOS answers it on the QEMU that is installed: is what the unit tests compare with still true?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from int13 import answers_on_qemu
from int13_cases import CASES, recorded


@pytest.mark.parametrize("name", CASES)
def test_the_recorded_answers_are_those_of_qemu(name: str, tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    case = CASES[name]
    case.make(tmp_path)
    answers = answers_on_qemu(need_tool("qemu-system-i386"), case.arguments(tmp_path), case.asks, tmp_path)
    assert answers == recorded()[name]

"""The examples in docstrings are true.

Run by canonical name: ``pytest --doctest-modules emu`` would import a second copy of every module.
"""

from __future__ import annotations

import doctest
import importlib


def test_the_examples_of_a_module_print_what_they_say(module_name: str) -> None:
    module = importlib.import_module(module_name)

    results = doctest.testmod(module, optionflags=doctest.REPORT_NDIFF)

    assert results.failed == 0, f"{results.failed} examples of {module_name} are wrong; see the captured output"

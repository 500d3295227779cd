"""Our own guests say the same here as on QEMU, and all of their checks hold on both.

QEMU is the second opinion: a check that fails there is a wrong check, unless its guest is named here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Run = Callable[[str], Any]

UNLIKE_QEMU = ("unlike_qemu", "task_switch_16")
"""The guests that ask what the manuals say and QEMU does not do; their first lines say where."""
SHUTS_DOWN = "triple_fault"
"""The guest that ends without isa-debug-exit."""


def assert_that_all_checks_hold(guest: str, outcome: Any) -> None:
    if guest == SHUTS_DOWN:
        assert outcome.lines == ["# triple fault", "shutting down"]
        assert outcome.ending == "reset"
        return
    assert outcome.failures == [], outcome.serial
    assert outcome.ending == "exit 1", outcome.serial
    checks = sum(line.startswith("ok ") for line in outcome.lines)
    assert checks > 0
    assert outcome.lines[-1] == f"# {checks} checks, 0 failed"


def test_every_check_of_the_guest_holds_here(guest: str, on_hillemu: Run) -> None:
    assert_that_all_checks_hold(guest, on_hillemu(guest))


def test_every_check_of_the_guest_holds_on_qemu(guest: str, on_qemu: Run) -> None:
    if guest in UNLIKE_QEMU:
        assert on_qemu(guest).failures, "QEMU has learnt all of it: move these checks to the other guests"
    else:
        assert_that_all_checks_hold(guest, on_qemu(guest))


def test_the_guest_prints_the_same_here_as_on_qemu(guest: str, on_hillemu: Run, on_qemu: Run) -> None:
    here, there = on_hillemu(guest), on_qemu(guest)
    if guest in UNLIKE_QEMU:
        assert here != there
    else:
        assert here.lines == there.lines
        assert here.ending == there.ending

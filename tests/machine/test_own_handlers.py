"""A user's own trap handlers, in the kernels of all profiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from hillemu.kernel.options import KernelOptions
from hillemu.kernel.trap_frame import EAX, SYSTEM_CALL
from hillemu.machine import Machine

WRITE, EXIT = 4, 1


@pytest.mark.parametrize("profile", ["hillson", "bitmap", "orange"])
def test_a_handler_of_one_s_own_sees_every_trap_and_hands_it_on(profile: str) -> None:
    calls: Counter[int] = Counter()

    def on_boot(kernel: Any) -> None:
        def system_call(frame: int) -> None:
            calls[kernel.words[frame + EAX]] += 1
            answer(frame)

        answer: Callable[[int], None] = kernel.handle(SYSTEM_CALL, system_call)

    machine = Machine(mem="32M")
    machine.load_kernel(profile=profile, options=KernelOptions(on_boot=on_boot, check=True))
    machine.run()
    assert machine.serial.text.endswith("all is well\nkernel: power off\n")
    assert calls[WRITE] > 0
    assert calls[EXIT] > 0

"""How often in a second a guest's IN and OUT reach a device written in Python, by the machine's ordinary port bus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from figures import Goal, table
from kernels import build
from processes import BenchError

from hillemu.boot.image import BootOptions, Image
from hillemu.boot.loader import load_image
from hillemu.emu.cpu.models import model_named
from hillemu.emu.devices.clocks.cmos import DEFAULT_BASE
from hillemu.emu.pc import Pc

TRAP_PORT = 0x5000
REPEATS = 1_000_000
CALLS_PER_SECOND = 1_000_000


class Counter:
    """A device of one register that reads as what was last written, plus one."""

    def __init__(self) -> None:
        self.value = 0

    def read(self, offset: int, size: int) -> int:
        return self.value + 1 & 0xFF

    def write(self, offset: int, size: int, value: int) -> None:
        self.value = value


def measure(folder: Path, *, rounds: int, shorter: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Calls a second, `rounds` times; `shorter` divides the repetitions."""
    repeats = REPEATS // shorter
    image = build("port_calls", folder, repeats=repeats)
    found = []
    for number in range(rounds):
        tell(f"port calls, round {number + 1}/{rounds}")
        found.append(2 * repeats / _seconds(image, repeats))
    return {"calls_per_second": found}


def _seconds(path: Path, repeats: int) -> float:
    exit_values: list[int] = []

    def leave(code: int) -> None:
        exit_values.append(code >> 1)
        pc.processor.stop()

    pc = Pc(
        size_bytes=64 << 20,
        model=model_named("max"),
        rtc_base=DEFAULT_BASE,
        on_exit=leave,
        on_reset=lambda: None,
        report=lambda message: None,
    )
    pc.ports.attach(TRAP_PORT, 1, Counter())
    load_image(pc, Image.open(str(path)), BootOptions())
    started = perf_counter()
    pc.processor.run()
    seconds = perf_counter() - started
    if exit_values != [repeats & 0xFF]:
        raise BenchError(f"port calls: the guest counted {exit_values} instead of {repeats & 0xFF}")
    return seconds


def report(found: dict[str, Any]) -> tuple[str, list[Goal]]:
    """The table, and what should have come out."""
    calls = found["calls_per_second"]
    rows = [("IN and OUT", f"{median(calls):,.0f}", f"{max(calls):,.0f}", f"{1e9 / median(calls):.0f}")]
    return table(("Python port handler", "calls/s", "best", "ns/call"), rows), [
        Goal("ports: calls of a Python handler a second", median(calls), CALLS_PER_SECOND, at_least=True)
    ]

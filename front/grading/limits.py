"""How far a kernel that is graded may go: whatever it does, its run ends.

====================  ====================================================================
instructions          ``budget`` of its boot
virtual time          ``timeout`` of its boot: a kernel that sleeps executes few instructions
serial output         `MOST_SERIAL_BYTES`: a kernel may print all day
the host's time       `HOST_SECONDS`: a last resort, also for patterns that take forever to
                      match what the kernel made up; where SIGALRM is, and in the main thread
====================  ====================================================================

The first three are the same on every host, and so is what a kernel scores.  The last is not; a check that it ends has
no points, and says so.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from hillemu.emu.errors import HillemuError
from hillemu.emu.stop import Stop, StopReason

if TYPE_CHECKING:
    from hillemu.grading.spec import Boot
    from hillemu.machine import Machine

MOST_SERIAL_BYTES = 4 << 20
HOST_SECONDS = 300.0
NANOSECONDS = 1_000_000_000


class HostLimit(HillemuError):
    """A run took more than its share of the host's time."""


class Limits:
    """The limits of one run of `machine`, from now on."""

    def __init__(self, machine: Machine, boot: Boot) -> None:
        self._machine = machine
        self._boot = boot
        self._ends_ns = machine.clock.now_ns + int(boot.timeout_s * NANOSECONDS)
        self._ends_bytes = len(machine.serial.data) + MOST_SERIAL_BYTES
        self._told = ""

    def between(self) -> bool:
        """To be called between two slices, as `Machine.run` does."""
        if self._machine.clock.now_ns >= self._ends_ns:
            self._end(f"after {self._boot.timeout_s:g} s of virtual time, the timeout")
        elif len(self._machine.serial.data) >= self._ends_bytes:
            self._end(f"it has sent {MOST_SERIAL_BYTES >> 20} MiB to the serial port")
        return False

    def stop(self, stop: Stop) -> Stop:
        """How the run has ended, if `stop` is what the machine says."""
        return Stop(StopReason.INTERRUPTED, self._told) if self._told else stop

    def _end(self, told: str) -> None:
        self._told = told
        self._machine.stop()


@contextmanager
def host_limit(seconds: float) -> Iterator[None]:
    """Raise `HostLimit` inside when the host has spent `seconds`, wherever Python is then."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def expired(number: int, frame: FrameType | None) -> None:
        raise HostLimit(f"the host has spent {time.monotonic() - started:.0f} s on it, and goes on with the next")

    started = time.monotonic()
    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

"""How a run's stop is told to GDB."""

from __future__ import annotations

from hillemu.emu.gdb.target import HostSignal, Stopped
from hillemu.emu.stop import Stop, StopReason

_SIGNALS = {
    StopReason.INTERRUPTED: HostSignal.INT,
    StopReason.BREAKPOINT: HostSignal.TRAP,
    StopReason.WATCHPOINT: HostSignal.TRAP,
    StopReason.HALT: HostSignal.STOP,
    StopReason.HANG: HostSignal.STOP,
    StopReason.TRIPLE_FAULT: HostSignal.SEGV,
    StopReason.CPU_ERROR: HostSignal.ABRT,
    StopReason.DISK_FAILURE: HostSignal.ABRT,
}
"""Everything else is an end that the guest or the user chose: SIGTERM, "Terminated"."""
RESUMABLE = frozenset((StopReason.HALT, StopReason.HANG))
"""A guest that stands still may go on after the person at the debugger has changed something."""


def as_stopped(stop: Stop) -> Stopped:
    """The end of a run as a stop: the machine can still be looked at."""
    words = f"hillemu: {stop.reason.value}" + (f" ({stop.detail})" if stop.detail else "")
    return Stopped(_SIGNALS.get(stop.reason, HostSignal.TERM), message=words)

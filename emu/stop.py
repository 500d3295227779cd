"""Why a run ended: a value, not an exception."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class StopReason(StrEnum):
    """The one-word reason, as `--json` prints it."""

    EXIT = "exit"
    """The guest wrote to isa-debug-exit; `Stop.exit_code` is QEMU's status, ``value << 1 | 1``."""
    POWER_OFF = "power-off"
    """The guest switched the machine off."""
    HALT = "halt"
    """HLT with interrupts disabled, with nothing scheduled that could ever wake the processor, or for an hour."""
    HANG = "hang"
    """A jump to itself with interrupts disabled."""
    UNTIL = "until"
    """The text that the caller waited for has appeared."""
    MAX_INSNS = "max-insns"
    """The instruction limit of this run is reached, exactly."""
    BREAKPOINT = "breakpoint"
    """EIP is at a breakpoint; the instruction there has not run yet."""
    WATCHPOINT = "watchpoint"
    """An instruction did what a watchpoint waits for; it has just been executed."""
    INTERRUPTED = "interrupted"
    """Ctrl-C, or `Machine.stop` called from a device or an observer."""
    RESET = "reset"
    """The guest asked for a reset and the machine was told not to reboot."""
    TRIPLE_FAULT = "triple-fault"
    """The processor shut down: a fault while delivering a double fault."""
    DISK_FAILURE = "disk-failure"
    """A disk image can no longer be read or written; `Stop.detail` names it and says why."""
    CPU_ERROR = "cpu-error"
    """The emulator could not go on; `Stop.detail` says why."""


CRASHES = frozenset({StopReason.TRIPLE_FAULT, StopReason.CPU_ERROR})
"""Reasons that count as a guest's crash (exit status 126)."""


class Stop(NamedTuple):
    """How a run ended."""

    reason: StopReason
    detail: str = ""
    """One sentence for people, e.g. ``cli; hlt at 0x00101234``."""
    exit_code: int | None = None
    """What the guest set, if it set one."""

    @property
    def is_crash(self) -> bool:
        return self.reason in CRASHES

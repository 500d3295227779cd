"""What `hillemu boot` tells the shell.

======  ==========================================================================
status  meaning
======  ==========================================================================
0       a clean stop: the guest halted or switched off, `--until` matched, Ctrl-C
guest   the exit code that the guest set, modulo 256 (isa-debug-exit: always odd)
124     `--max-insns` was reached
125     nothing wrong with the guest: an option, a file, a disk image that failed, or hillemu itself
126     the guest crashed
======  ==========================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hillemu.emu.stop import Stop

CLEAN = 0
INSTRUCTION_LIMIT = 124
USER_MISTAKE = 125
GUEST_CRASH = 126


def exit_status(stop: Stop) -> int:
    """The process's exit status for a run that ended with `stop`.

    >>> from hillemu.emu.stop import Stop, StopReason
    >>> exit_status(Stop(StopReason.EXIT, exit_code=33)), exit_status(Stop(StopReason.TRIPLE_FAULT))
    (33, 126)
    """
    from hillemu.emu.stop import StopReason  # not at the top: `hillemu --help` needs only the numbers

    if stop.exit_code is not None:
        return stop.exit_code & 0xFF
    if stop.is_crash:
        return GUEST_CRASH
    if stop.reason is StopReason.DISK_FAILURE:
        return USER_MISTAKE
    return INSTRUCTION_LIMIT if stop.reason is StopReason.MAX_INSNS else CLEAN

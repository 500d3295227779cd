"""On a virtual machine, a debugger and the machine that it steps are quicker on one processor than on two.

They never work at the same time: each waits until the other has answered.  On two processors the one that waits goes
idle, and to wake it goes through the host that the virtual machine runs on: some 20 us when that is idle, and many
times as long when it is not.  On one processor it is a change of processes, 2 us.

Where the processors are real, waking one takes little more than that, and two are left to the host to use.
"""

from __future__ import annotations

import os
from pathlib import Path

_CPUINFO, _STAT = Path("/proc/cpuinfo"), Path("/proc/self/stat")
_PROCESSOR_FIELD = 39
"""Of /proc/PID/stat, counted from 1 (proc(5)): where the process ran last."""


def stay_on_one_processor() -> bool:
    """Use only the processor that we are on, if this is a virtual machine; whether that is so.

    Processes that are started from now on stay there, too.
    """
    if not hasattr(os, "sched_setaffinity") or not _is_virtual():
        return False
    try:
        os.sched_setaffinity(0, {_here()})
    except (OSError, ValueError, IndexError):
        return False
    return True


def _is_virtual() -> bool:
    """Whether the host says that it is a virtual machine, as x86 does by CPUID.1:ECX bit 31."""
    try:
        flags = next(line for line in _CPUINFO.read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return False
    return "hypervisor" in flags.split()


def _here() -> int:
    # The name before it, in parentheses, may have spaces.
    fields = _STAT.read_text().rpartition(")")[2].split()
    return int(fields[_PROCESSOR_FIELD - 3])

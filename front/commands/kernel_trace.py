"""`hillemu kernel-trace`: replay an allocation trace through the kernel's kmalloc, and judge.

Memory is that of a machine, without a processor: what is measured is the allocator.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from hillemu.boot.image import read_file
from hillemu.boot.memory_map import memory_map
from hillemu.commands.exit_status import CLEAN
from hillemu.emu.errors import UserMistake
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.memory import PhysicalMemory
from hillemu.kernel.mm.assembly import KernelMemory
from hillemu.kernel.mm.boot_memory import Reserved
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.mm.memory_map import MemoryRegion
from hillemu.kernel.trace import parse, replay
from hillemu.kernel_module import blaming, kernel_options

if TYPE_CHECKING:
    from hillemu.commands.options import CommandLine

CONTRADICTIONS = 1
"""Exit status when the allocators' structures contradict each other afterwards."""
_KERNEL = Reserved(PhysAddr(0x100000), PhysAddr(0x110000), "kernel image")
"""Where it would lie."""


def kernel_trace(options: CommandLine) -> int:
    """Replay the trace that `options` name, tell on standard output, return the exit status.

    Raises `UserMistake` for a file that cannot be read, or is no trace.
    """
    try:
        text = bytes(read_file(options.trace)).decode("ascii")
    except UnicodeDecodeError:
        raise UserMistake(f"{options.trace}: is no trace: not a text file") from None
    operations = parse(text.splitlines(), options.trace)
    memory = PhysicalMemory(options.mem)
    regions = [MemoryRegion(entry.base, entry.end - entry.base, entry.kind) for entry in memory_map(memory)]
    aids = Options() if options.debug_aids else Options(red_zones=False, poison=False)
    parts = kernel_options(options.kernel_module)
    with blaming(options.kernel_module) if options.kernel_module else nullcontext():
        kernel = KernelMemory.build(
            memory, regions, [_KERNEL], allocator=parts.frame_allocator, debug=aids, report=lambda line: print(line)
        )
        for line in replay(operations, kernel.kmalloc, time.perf_counter).lines():
            print(line)
    found = kernel.check()
    for sentence in found:
        print(f"check: {sentence}")
    return CONTRADICTIONS if found else CLEAN

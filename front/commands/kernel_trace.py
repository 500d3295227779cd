"""`hillemu kernel-trace`: replay an allocation trace through the kernel's kmalloc, or page references, and judge.

Memory is that of a machine, without a processor: what is measured is the allocator.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

from hillemu.boot.image import read_file
from hillemu.boot.memory_map import MemoryKind, memory_map
from hillemu.commands.exit_status import CLEAN
from hillemu.emu.errors import OptionError, UserMistake
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.memory import PhysicalMemory
from hillemu.kernel.mm.assembly import KernelMemory
from hillemu.kernel.mm.boot_memory import Reserved
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.mm.memory_map import MemoryRegion
from hillemu.kernel.profiles.registry import DEFAULT, profile_named
from hillemu.kernel.replacement_trace import POLICIES, compare_policies, read_references
from hillemu.kernel.trace import Replayed, parse, replay
from hillemu.kernel_module import blaming, kernel_options

if TYPE_CHECKING:
    from hillemu.commands.command_line import CommandLine

CONTRADICTIONS = 1
"""Exit status when the allocators' structures contradict each other afterwards."""
_KERNEL = Reserved(PhysAddr(0x100000), PhysAddr(0x110000), "kernel image")
"""Where it would lie."""
_MOST_FRAMES = 16
"""Rows of the table that nobody has asked for in particular."""


def kernel_trace(options: CommandLine) -> int:
    """Replay the trace that `options` name, tell on standard output, return the exit status.

    Raises `UserMistake` for a file that cannot be read, or is no trace.
    """
    if options.paging is not None:
        return _paging(options, options.paging)
    if options.frames is not None:
        raise OptionError("--frames", "needs --paging: it is pages that are in frames")
    if options.trace is None:
        raise UserMistake("kernel-trace needs the FILE of a trace, or --paging; see 'hillemu kernel-trace --help'")
    try:
        text = bytes(read_file(options.trace)).decode("ascii")
    except UnicodeDecodeError:
        raise UserMistake(f"{options.trace}: is no trace: not a text file") from None
    operations = parse(text.splitlines(), options.trace)
    memory = PhysicalMemory(options.mem)
    with blaming(options.kernel_module) if options.kernel_module else nullcontext():
        allocator, check = _allocator(options, memory)
        for line in replay(operations, allocator, time.perf_counter).lines():
            print(line)
    found = check()
    for sentence in found:
        print(f"check: {sentence}")
    return CONTRADICTIONS if found else CLEAN


def _allocator(options: CommandLine, memory: PhysicalMemory) -> tuple[Replayed, Callable[[], list[str]]]:
    """The `kmalloc` of the profile that `options` name, and what finds its contradictions."""
    profile = profile_named(options.profile).name
    regions = [MemoryRegion(entry.base, entry.end - entry.base, entry.kind) for entry in memory_map(memory)]
    aids = Options() if options.debug_aids else Options(red_zones=False, poison=False)
    if profile == DEFAULT:
        parts = kernel_options(options.kernel_module)
        kernel = KernelMemory.build(
            memory, regions, [_KERNEL], allocator=parts.frame_allocator, debug=aids, report=lambda line: print(line)
        )
        return kernel.kmalloc, kernel.check
    if options.kernel_module is not None:
        raise OptionError("--kernel-module", f"an allocator of your own serves profile {DEFAULT} only")
    if profile == "orange":
        return _vm_alloc(memory, regions)
    from hillemu.kernel.profiles.bitmap.boot_map import MapEntry, usable_pages
    from hillemu.kernel.profiles.bitmap.replayed import ReplayedHeap

    pages = usable_pages(
        tuple(MapEntry(PhysAddr(region.base), region.size_bytes, region.type, 1) for region in regions)
    )
    heap = ReplayedHeap(memory, pages, aids, print)
    return heap, heap.check


def _vm_alloc(memory: PhysicalMemory, regions: list[MemoryRegion]) -> tuple[Replayed, Callable[[], list[str]]]:
    """Profile orange's `vm_alloc`, which gives whole pages."""
    from hillemu.kernel.errors import InvalidParameters
    from hillemu.kernel.profiles.orange.replayed import ReplayedVmAlloc

    usable = [(region.base, region.size_bytes) for region in regions if region.type == MemoryKind.USABLE]
    try:
        allocator = ReplayedVmAlloc(memory, usable, print)
    except InvalidParameters as fault:
        raise OptionError("--mem", str(fault)) from None
    return allocator, allocator.check


def _paging(options: CommandLine, argument: str) -> int:
    """Print the page faults of every policy side by side; the user's own is the column ``yours``."""
    if options.profile is not None:
        raise OptionError("--profile", "and --paging are two things: policies are compared without a kernel")
    if options.trace is not None:
        raise OptionError("--paging", f"and the trace {options.trace} are two commands; give one of them")
    references = read_references(argument)
    frames = options.frames or tuple(range(1, min(len(set(references)), _MOST_FRAMES) + 1))
    policies = dict(POLICIES)
    module = options.kernel_module
    if module is not None:
        policies["yours"] = kernel_options(module).page_replacement
    with blaming(module) if module else nullcontext():
        for line in compare_policies(references, frames, policies).lines():
            print(line)
    return CLEAN

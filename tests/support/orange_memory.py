"""Guest memory as profile orange's loader leaves it: memory ranges at 0x8000, page tables that map RAM one to one."""

from __future__ import annotations

from array import array

from hillemu.emu.guest import FakeMemory, GuestMemory
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.reports import Report, unheard
from hillemu.kernel.profiles.orange.memory_manager import MemoryManager

MIB = 1 << 20
VARIABLES = PhysAddr(0x9000)
"""Where MM's variables lie in these tests."""
FIRMWARE_BYTES = 128 << 10
"""At the end of RAM, and not of type 1."""


def save_ranges(memory: GuestMemory, *ranges: tuple[int, int]) -> None:
    """What `SaveMemInfo` writes: (base, length) of each range."""
    memory.set_u32(PhysAddr(0x8000), len(ranges))
    for number, pair in enumerate(ranges):
        for word, value in enumerate(pair):
            memory.set_u32(PhysAddr(0x8004 + 8 * number + 4 * word), value)


def set_up_paging(memory: GuestMemory, ram_bytes: int) -> None:
    """What `SetupPaging` builds: whole tables, as many as map all of RAM."""
    tables = -(-ram_bytes // (4 * MIB))
    for number in range(tables):
        memory.set_u32(PhysAddr(0x100000 + 4 * number), 0x101003 + 0x1000 * number)
    memory.write(PhysAddr(0x101000), array("I", range(3, tables << 22, 0x1000)).tobytes())


def loaded_memory(mib: int, memory: GuestMemory | None = None) -> GuestMemory:
    """RAM of `mib` MiB, ready for `init_mm`; `memory` may be some other kind of as much RAM."""
    memory = memory or FakeMemory(mib * MIB)
    save_ranges(memory, (0, 0x9FC00), (MIB, (mib - 1) * MIB - FIRMWARE_BYTES))
    set_up_paging(memory, mib * MIB)
    return memory


class CountedFlushes:
    """Stands for the processor's TLB."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def make_mm(
    mib: int, *, report: Report = unheard, log: Report = unheard, flush: CountedFlushes | None = None
) -> MemoryManager:
    """MM after `init_mm`, on a machine with `mib` MiB."""
    return MemoryManager.init_mm(
        loaded_memory(mib), VARIABLES, report=report, log=log, flush_tlb=flush or CountedFlushes()
    )

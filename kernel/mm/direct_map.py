"""The kernel's direct map as Python sees it: physical memory below 256 MiB, by virtual address.

Two views of the same memory: `bytes` for content, `u32` for structures.  Their indexes are physical addresses, and
physical addresses divided by four.
"""

from __future__ import annotations

from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr, VirtAddr
from hillemu.kernel.layout import DIRECT_MAP_BYTES, KERNEL_BASE, phys_to_virt
from hillemu.kernel.mm.words import Words, window_from_zero, words, words_from_zero


class DirectMap:
    """What the kernel reaches at 0xC0000000 and above, as far as there is RAM."""

    def __init__(self, memory: GuestMemory) -> None:
        self.memory = memory
        low = [run.end for run in memory.ram_ranges if run.base < DIRECT_MAP_BYTES]
        self.end = min(max(low), DIRECT_MAP_BYTES)
        """The first physical address beyond."""
        self.bytes = window_from_zero(memory, self.end)
        self.u32 = words_from_zero(memory, self.end, "I")
        self.u64 = words_from_zero(memory, self.end, "Q")

    def holds(self, at: int, count: int = 1) -> bool:
        """Whether `count` bytes at virtual address `at` lie in it."""
        return at >= KERNEL_BASE and at + count <= KERNEL_BASE + self.end

    def read(self, at: VirtAddr, count: int) -> bytes:
        return bytes(self.bytes[at - KERNEL_BASE : at - KERNEL_BASE + count])

    def write(self, at: VirtAddr, data: bytes) -> None:
        """Change data; code goes through `GuestMemory.write`."""
        self.bytes[at - KERNEL_BASE : at - KERNEL_BASE + len(data)] = data

    def u32_array(self, at: VirtAddr, count: int, *, every: int = 1) -> Words:
        """`count` words of 32 bits at a virtual address, of each `every` the first; `IndexError` outside its RAM."""
        return words(self.memory, self.phys(at), count, every=every)

    def u64_array(self, at: VirtAddr, count: int) -> Words:
        """`count` words of 64 bits at a virtual address; `IndexError` outside the direct map's RAM."""
        return words(self.memory, self.phys(at), count, "Q")

    def virt(self, at: PhysAddr) -> VirtAddr:
        return phys_to_virt(at)

    def phys(self, at: VirtAddr) -> PhysAddr:
        return PhysAddr(at - KERNEL_BASE)

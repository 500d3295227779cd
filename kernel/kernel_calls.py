"""What guest code in ring 0 calls: the functions of boot/asm/kernel_calls.inc.

The number of a function is its place in `FUNCTIONS`; it comes in EAX.  Behind the frame lie the return address, which
says who calls, and the arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.emu.i386.address import PhysAddr, VirtAddr
from hillemu.kernel.guest_calls import GuestCalls
from hillemu.kernel.layout import KERNEL_BASE
from hillemu.kernel.mm.vm_map import vm_alloc_map, vm_free_unmap

if TYPE_CHECKING:
    from hillemu.kernel.kernel import Kernel
    from hillemu.kernel.mm.address_space import AddressSpace

FUNCTIONS = (
    "kernel_begin", "kernel_start", "start_programs", "double_fault", "printk",
    "kmalloc", "kfree", "kzalloc", "krealloc", "kmalloc_aligned", "ksize", "kmalloc_print_stats",
    "pmm_alloc_page", "pmm_free_page", "pmm_alloc_pages", "pmm_free_pages", "vm_alloc_map", "vm_free_unmap",
    "thread_exit", "thread_yield",
)  # fmt: skip


class KernelCalls(GuestCalls):
    """Carries the calls out."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel, FUNCTIONS)
        self._kernel = kernel

    # ---- the life of the kernel -----------------------------------------------------------------------------------

    def _kernel_begin(self) -> int:
        return self._kernel.begin(self._argument(0), PhysAddr(self._argument(1)))

    def _kernel_start(self) -> None:
        self._kernel.start()

    def _start_programs(self) -> None:
        self._kernel.start_programs()

    def _double_fault(self) -> None:
        self._kernel.faults.double_fault()

    def _thread_exit(self) -> None:
        self._kernel.thread_exit(self._argument(0))

    def _thread_yield(self) -> None:
        self._kernel.scheduler.yield_()

    # ---- memory ---------------------------------------------------------------------------------------------------

    def _kmalloc(self) -> int:
        return self._kernel.memory.kmalloc.kmalloc(self._argument(0), self._caller)

    def _kfree(self) -> None:
        self._kernel.memory.kmalloc.kfree(VirtAddr(self._argument(0)), self._caller)

    def _kzalloc(self) -> int:
        return self._kernel.memory.kmalloc.kzalloc(self._argument(0), self._caller)

    def _krealloc(self) -> int:
        at, size = VirtAddr(self._argument(0)), self._argument(1)
        return self._kernel.memory.kmalloc.krealloc(at, size, self._caller)

    def _kmalloc_aligned(self) -> int:
        return self._kernel.memory.kmalloc.kmalloc_aligned(self._argument(0), self._argument(1), self._caller)

    def _ksize(self) -> int:
        return self._kernel.memory.kmalloc.ksize(VirtAddr(self._argument(0)))

    def _kmalloc_print_stats(self) -> None:
        self._kernel.kmalloc_print_stats()

    def _pmm_alloc_page(self) -> int:
        return self._kernel.memory.pmm.alloc_page()

    def _pmm_free_page(self) -> int:
        return self._kernel.memory.pmm.free_page(PhysAddr(self._argument(0)))

    def _pmm_alloc_pages(self) -> int:
        return self._kernel.memory.pmm.alloc_pages(self._argument(0))

    def _pmm_free_pages(self) -> int:
        return self._kernel.memory.pmm.free_pages(PhysAddr(self._argument(0)), self._argument(1))

    def _vm_alloc_map(self) -> int:
        space = self._space(self._argument(0), "vm_alloc_map")
        if space is None:
            return -1
        return vm_alloc_map(space, self._argument(1), self._argument(2), self._argument(3), self._kernel.log)

    def _vm_free_unmap(self) -> int:
        space = self._space(self._argument(0), "vm_free_unmap")
        if space is None:
            return -1
        vm_free_unmap(space, self._argument(1), self._argument(2))
        return 0

    def _space(self, page_directory: int, who: str) -> AddressSpace | None:
        """The address space whose page directory has this virtual address."""
        for space in self._kernel.vm.spaces.values():
            if KERNEL_BASE + space.cr3 == page_directory:
                return space
        self._kernel.report(f"{who}: 0x{page_directory:08X} is no page directory; called by {self._caller_name()}")
        return None

"""What profile orange's guest code in ring 0 calls: the functions at the end of boot/asm/orange_kernel.s.

The number of a function is its place in `FUNCTIONS`; it comes in EAX.  Behind the frame lie the return address and the
arguments, as the System V ABI for i386 has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.kernel.guest_calls import GuestCalls

if TYPE_CHECKING:
    from hillemu.kernel.profiles.orange.kernel import OrangeKernel

FUNCTIONS = ("init_mm", "start_processes", "double_fault", "printk", "vm_alloc", "vm_free")


class Calls(GuestCalls):
    """Carries the calls out."""

    def __init__(self, kernel: OrangeKernel) -> None:
        super().__init__(kernel, FUNCTIONS)
        self._kernel = kernel

    def _init_mm(self) -> int:
        self._kernel.init_mm()
        return 1

    def _start_processes(self) -> None:
        self._kernel.start_processes()

    def _double_fault(self) -> None:
        self._kernel.double_fault()

    def _vm_alloc(self) -> int:
        return self._kernel.mm.vm_alloc(self._argument(0), self._argument(1))

    def _vm_free(self) -> int:
        return self._kernel.mm.vm_free(self._argument(0), self._argument(1))

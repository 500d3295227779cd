"""The kernel that comes with hillemu, on a machine: its image, its programs, the Python behind its trap port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.boot.handoff import Handoff
from hillemu.boot.image import Image, Loaded, Module
from hillemu.boot.shipped import shipped_image
from hillemu.emu.i386.address import PhysAddr
from hillemu.kernel.kernel import Kernel
from hillemu.kernel.options import KernelOptions
from hillemu.kernel.trap_frame import TRAP_PORT
from hillemu.symbols import SymbolTable

if TYPE_CHECKING:
    from hillemu.emu.guest import Guest

IMAGE_NAME = "kernel.elf"
SHIPPED_PROGRAMS = ("memory_test.elf",)
"""Run in this order when the user brings no modules."""


class HostedKernel:
    """Answers the trap port of `guest`, with a new `Kernel` for each boot.  One to a machine."""

    kernel: Kernel

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.options = KernelOptions()
        """For the next boot."""
        self._symbols = SymbolTable(shipped_image(IMAGE_NAME), name=IMAGE_NAME)
        guest.on_trap(TRAP_PORT, lambda trapped, value: self.kernel.trap(trapped, value))

    def boot(self, loaded: Loaded) -> None:
        """Make the kernel of the image that was `loaded`."""
        base = min(segment.base for segment in loaded.segments)
        end = max(segment.end for segment in loaded.segments)
        handoff = Handoff(PhysAddr(base), PhysAddr(end), self._symbols, self._symbols.describe)
        self.kernel = Kernel(self._guest, handoff, self.options)


def kernel_image() -> Image:
    """The kernel's image."""
    return Image(IMAGE_NAME, shipped_image(IMAGE_NAME))


def shipped_programs() -> tuple[Module, ...]:
    """The programs that come with hillemu, as boot modules."""
    return tuple(Module(name, "", shipped_image(name)) for name in SHIPPED_PROGRAMS)

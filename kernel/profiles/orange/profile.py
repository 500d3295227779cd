"""Profile `orange`: pf_list, vm_alloc in both spaces at once, fork on it; see docs/profiles.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.kernel.profiles.orange.layout import PHYSICAL, VIRTUAL
from hillemu.kernel.profiles.profile import BootsFrom, Profile

if TYPE_CHECKING:
    from hillemu.boot.handoff import Handoff
    from hillemu.emu.guest import Guest
    from hillemu.kernel.options import KernelOptions
    from hillemu.kernel.profiles.orange.kernel import OrangeKernel


def _make(guest: Guest, handoff: Handoff, options: KernelOptions) -> OrangeKernel:
    from hillemu.kernel.profiles.orange.kernel import OrangeKernel

    return OrangeKernel(guest, handoff, options)


PROFILE = Profile(
    name="orange",
    title="list of page frames, vm_alloc contiguous in linear and physical space, fork on it",
    boots_from=BootsFrom.DISK,
    image="orange.img",
    symbols="orange.elf",
    physical_layout=PHYSICAL,
    virtual_layout=VIRTUAL,
    make=_make,
    programs=("orange_init.elf",),
    program_space=(0x40000000, 0xC0000000),
)

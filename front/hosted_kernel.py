"""The kernel of a profile, on a machine: its image, its programs, the Python behind its trap port."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hillemu.boot.handoff import BootFile, Handoff
from hillemu.boot.image import BootOptions, Image, Loaded, Module
from hillemu.boot.shipped import shipped_folder, shipped_image
from hillemu.emu.errors import OptionError
from hillemu.emu.i386.address import PhysAddr
from hillemu.kernel.options import PARTS, KernelOptions
from hillemu.kernel.profiles.profile import BootsFrom, Profile, ProfileKernel
from hillemu.kernel.profiles.registry import profile_named
from hillemu.kernel.trap_frame import TRAP_PORT
from hillemu.symbols import SymbolTable

if TYPE_CHECKING:
    from hillemu.emu.guest import Guest


class HostedKernel:
    """Answers the trap port of `guest`, with a new kernel of the `profile` for each boot.  One to a machine."""

    kernel: ProfileKernel
    profile: Profile
    symbols: SymbolTable

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.options = KernelOptions()
        """For the next boot."""
        self._arguments = ""
        self._modules: tuple[Module, ...] = ()
        guest.on_trap(TRAP_PORT, lambda trapped, value: self.kernel.trap(trapped, value))

    def prepare(
        self, profile: str | None, modules: tuple[Module, ...], append: str, options: KernelOptions | None
    ) -> tuple[Image, BootOptions]:
        """Choose the kernel for the next boots, by the name of its `profile`; what is to be loaded.

        Raises `OptionError` for a profile that does not exist, or that does not use a part among the `options`;
        `UserMistake` if its image is missing.
        """
        chosen = profile_named(profile)
        _refuse_parts(chosen, options or self.options)
        self.profile = chosen
        self.symbols = SymbolTable(shipped_image(self.profile.symbols), name=self.profile.symbols)
        if options is not None:
            self.options = options
        self._modules = modules or self._programs()
        self._arguments = append
        name = self.profile.image
        if not self.boots_from_disk:
            return Image(name, shipped_image(name)), BootOptions(cmdline=append, modules=self._modules)
        return Image(os.path.join(shipped_folder(), name), shipped_image(name)), BootOptions()

    @property
    def boots_from_disk(self) -> bool:
        return self.profile.boots_from is BootsFrom.DISK

    def boot(self, loaded: Loaded) -> None:
        """Make the kernel of the image that was `loaded`."""
        base, end = self._disk_extent() if self.boots_from_disk else _extent(loaded)
        handoff = Handoff(PhysAddr(base), PhysAddr(end), self.symbols, self.symbols.describe)
        if self.boots_from_disk:
            files = tuple(BootFile(_name(one), tuple(one.cmdline.split()), bytes(one.data)) for one in self._modules)
            handoff = handoff._replace(arguments=self._arguments, files=files)
        self.kernel = self.profile.make(self._guest, handoff, self.options)

    def _programs(self) -> tuple[Module, ...]:
        """The programs that come with hillemu, as boot modules."""
        return tuple(Module(name, "", shipped_image(name)) for name in self.profile.programs)

    def _disk_extent(self) -> tuple[int, int]:
        """Where the kernel lies that the disk's loader will load."""
        from hillemu.boot.elf import read_elf

        segments = read_elf(Image(self.profile.symbols, self.symbols.elf)).segments
        return min(one.paddr for one in segments), max(one.paddr + one.memory_bytes for one in segments)


def _refuse_parts(profile: Profile, options: KernelOptions) -> None:
    usual = KernelOptions()
    for name in PARTS:
        if name not in profile.parts and getattr(options, name) is not getattr(usual, name):
            uses = ", ".join(profile.parts)
            raise OptionError("--kernel-module", f"profile {profile.name} does not use {name}; of yours it uses {uses}")


def _extent(loaded: Loaded) -> tuple[int, int]:
    return min(segment.base for segment in loaded.segments), max(segment.end for segment in loaded.segments)


def _name(module: Module) -> str:
    return module.path.rpartition("/")[2]

"""The firmware that a machine has when the user gives none, from power-on to the jump into what is booted.

It sets up the chip set and the PCI bus, puts the ROM, its vectors and tables into memory, and answers BIOS calls.  Its
services are imported when a guest first calls them, since most kernels never do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hillemu.boot.bios.clock_chip import ticks_since_midnight
from hillemu.boot.bios.data import write_bios_data
from hillemu.boot.bios.dispatcher import Bios, Service
from hillemu.boot.bios.modes import start_video
from hillemu.boot.bios.rom import install_rom
from hillemu.boot.firmware import Firmware
from hillemu.boot.firmware_tables import write_firmware_tables
from hillemu.boot.pci_setup import set_up_pci
from hillemu.emu.guest import Guest
from hillemu.emu.reports import Report

if TYPE_CHECKING:
    from hillemu.boot.bios.call import BiosCall, MemoryBus
    from hillemu.boot.bios.drives import Drives
    from hillemu.boot.disk_boot import Booted, DiskBoot
    from hillemu.boot.video_mode import Framebuffer

_VIDEO, _DISK, _SYSTEM, _BOOT_FAILED, _BOOTSTRAP, _TIME = 0x10, 0x13, 0x15, 0x18, 0x19, 0x1A
_APM, _PCI, _VBE = 0x53, 0xB1, 0x4F


class ProcessorFacts(NamedTuple):
    """What tables tell of the processor: CPUID leaf 1, EAX and EDX (zeros where there is no CPUID)."""

    signature: int
    features: int


class BuiltInFirmware:
    """The firmware of `guest`.

    `restart` is called when the guest enters the ROM at its reset vector; `bus` is the memory bus, for services that
    draw where a device answers.
    """

    def __init__(
        self,
        guest: Guest,
        *,
        processor: ProcessorFacts,
        restart: Callable[[], None],
        bus: MemoryBus,
        has_fw_cfg: bool = False,
        report: Report,
    ) -> None:
        self._guest = guest
        self._processor = processor
        self._has_fw_cfg = has_fw_cfg
        self._bus = bus
        self._report = report
        self._drives: Drives | None = None
        self._boot: DiskBoot | None = None
        self._bios = Bios(guest, report=report, reset=restart, bus=bus)
        self._bios.register(_DISK, self._disk_service)
        self._bios.register(_SYSTEM, self._apm_service, function=_APM)
        self._bios.register(_TIME, self._pci_service, function=_PCI)
        self._bios.register(_VIDEO, self._vbe_service, function=_VBE)
        self._services: dict[str, Service] = {}

    def connect(self, drives: Drives, *, order: str, force: bool) -> None:
        """Take the machine's `drives`, and from where to boot; raises `OptionError` for an order without sense."""
        from hillemu.boot.disk_boot import DiskBoot

        self._drives = drives
        self._services.clear()
        self._boot = boot = DiskBoot(drives, order=order, force=force, show=self._show)
        self._bios.register(_BOOT_FAILED, boot.int18)
        self._bios.register(_BOOTSTRAP, boot.int19)

    def power_on(self) -> None:
        """Leave the machine, just reset, as a BIOS does before it boots."""
        guest, memory = self._guest, self._guest.memory
        self._bios.reset()
        install_rom(guest)
        set_up_pci(guest)
        install_rom(guest)  # into the RAM that now stands where the ROM was
        write_bios_data(memory, ticks=ticks_since_midnight(guest))
        start_video(guest)
        floppies = 0
        if self._drives is not None:
            from hillemu.boot.bios.disk_tables import write_disk_tables

            write_disk_tables(memory, self._drives)
            floppies = (1 << self._drives.floppy_count) - 1
        write_firmware_tables(
            memory,
            signature=self._processor.signature,
            features=self._processor.features,
            floppies=floppies,
            fw_cfg=self._has_fw_cfg,
        )

    def boot_drives(self) -> Booted:
        """Load what boots first; raises `ImageError` that says why nothing does."""
        assert self._boot is not None, "a machine that boots from drives has some"
        self._boot.reset()
        return self._boot.start(self._guest)

    @property
    def for_loaders(self) -> Firmware:
        """What a loader may ask for."""
        return Firmware(set_mode=self._set_mode)

    def _set_mode(self, width: int, height: int, depth: int) -> Framebuffer | None:
        from hillemu.boot.bios.screen_setup import set_video_mode

        return set_video_mode(self._guest, width, height, depth)

    def _show(self, text: str) -> None:
        from hillemu.boot.bios.call import BiosCall
        from hillemu.boot.bios.video import write_text

        write_text(BiosCall(self._guest, _VIDEO, bus=self._bus), text)

    # ---- services that need to be made -------------------------------------------------------------------------

    def _disk_service(self, call: BiosCall) -> None:
        if "disk" not in self._services:
            from hillemu.boot.bios.disk import DiskService
            from hillemu.boot.bios.drives import Drives

            self._services["disk"] = DiskService(self._drives or Drives(), report=self._report)
        self._services["disk"](call)

    def _apm_service(self, call: BiosCall) -> None:
        if "apm" not in self._services:
            from hillemu.boot.bios.apm import ApmService
            from hillemu.boot.bios.rom import AT

            self._services["apm"] = ApmService(entry16=AT["apm16"], entry32=AT["apm32"])
        self._services["apm"](call)

    def _pci_service(self, call: BiosCall) -> None:
        if "pci" not in self._services:
            from hillemu.boot.bios.pci import PciService
            from hillemu.boot.bios.rom import AT, SEGMENT

            self._services["pci"] = PciService(entry32=(SEGMENT << 4) + AT["pci32"])
        self._services["pci"](call)

    def _vbe_service(self, call: BiosCall) -> None:
        if "vbe" not in self._services:
            from hillemu.boot.bios.vbe import VbeService
            from hillemu.boot.bios.video_card import monitor_facts

            self._services["vbe"] = VbeService(monitor_facts(self._guest, self._bus))
        self._services["vbe"](call)

"""From images to a machine that is ready to start: which firmware, what is in the drives, what is booted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hillemu.boot.image import BootOptions, Image, Loaded, read_file
from hillemu.boot.loader import kind_of, load_image
from hillemu.boot.power_on import BuiltInFirmware, ProcessorFacts
from hillemu.emu.devices.pci.expansion_rom import SIGNATURE
from hillemu.emu.devices.pci.pci_vga import ROM_BYTES as VIDEO_ROM_BYTES
from hillemu.emu.errors import ImageError, OptionError
from hillemu.emu.memory import MAX_FIRMWARE_BYTES, MIN_FIRMWARE_BYTES
from hillemu.emu.pc import Pc, run_firmware
from hillemu.emu.reports import Report

if TYPE_CHECKING:
    from hillemu.boot.bios.drives import Drives
    from hillemu.boot.detect import Kind

EXTRA_DEVICES = ("fw-cfg", "pc-testdev", "isa-debugcon")
"""Devices of QEMU's that a machine has when the user asks for them."""


class DriveOptions(NamedTuple):
    """What the user says about drives; see docs/disks.md."""

    floppies: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    cdroms: tuple[str, ...] = ()
    boot: str | None = None
    """In which order to try the drives: letters of "acd"."""
    force_boot: bool = False
    """Boot a sector that has no signature, too."""
    disk_write: bool = False
    """Have what the guest writes reach the files."""

    @property
    def has_images(self) -> bool:
        return bool(self.floppies or self.disks or self.cdroms)

    def refuse_without_drives(self) -> None:
        """Raise `OptionError` for an option that means nothing in a machine without drives."""
        for option, given in (
            ("--boot", self.boot is not None),
            ("--force-boot", self.force_boot),
            ("--disk-write", self.disk_write),
        ):
            if given:
                raise OptionError(option, "there is no drive; give a disk as IMAGE, or --floppy, --disk, --cdrom")


class Booting:
    """Knows how `pc` starts: with the built-in firmware, or by the ROM image `bios` with `vga_bios` on the card.

    Raises `OptionError` for options that make no sense together and for an extra device that does not exist,
    `ImageError` for a ROM image that cannot be used.
    """

    def __init__(
        self,
        pc: Pc,
        *,
        drives: DriveOptions,
        bios: str | None,
        vga_bios: str | None,
        devices: tuple[str, ...],
        restart: Callable[[], None],
        report: Report,
    ) -> None:
        self._pc = pc
        self._options = drives
        self._drives: Drives | None = None
        self._report = report
        self._rom = None if bios is None else _read_rom(bios)
        if vga_bios is not None:
            if self._rom is None:
                raise OptionError("--vga-bios", "needs --bios: the built-in firmware knows the card by itself")
            pc.pci.put_video_rom(_read_video_rom(vga_bios))
        add = {"fw-cfg": pc.add_fw_cfg, "pc-testdev": pc.add_testdev, "isa-debugcon": pc.add_debugcon}
        for name in devices:
            if name not in EXTRA_DEVICES:
                raise OptionError("--device", f"there is no {name!r}; choose one of {', '.join(EXTRA_DEVICES)}")
            add[name]()
        self._firmware = BuiltInFirmware(
            pc,
            processor=ProcessorFacts(pc.model.signature, pc.model.edx),
            restart=restart,
            bus=pc.mmio,
            has_fw_cfg="fw-cfg" in devices,
            report=report,
        )

    def prepare(self, image: Image | None, options: BootOptions) -> Callable[[], Loaded]:
        """Put `image` where it belongs; what is returned resets the machine and makes it ready to start.

        Without `image`, drives (or the ROM) are started.  Raises `ImageError` and `OptionError`.
        """
        drive_kind = None if image is None else self._kind_of_drive(image, options.format)
        if image is not None and drive_kind is None:
            if self._rom is not None:
                raise OptionError("--bios", f"{image.path} is a kernel; a ROM image starts drives only")
            self._plug_in(None)
            return lambda: self._load(image, options)
        if image is None or drive_kind is None:
            self._plug_in(None)
        else:
            _refuse_kernels_options(image, drive_kind, options)
            self._plug_in((image.path, drive_kind))
        return self._start_drives

    def close(self) -> None:
        """Let go of the files in the drives; what the guest wrote is in them if that was asked for."""
        if self._drives is not None:
            self._drives.close()
            self._drives = None

    def _kind_of_drive(self, image: Image, wanted: str) -> Kind | None:
        """What kind of drive `image` goes into; `None` if it is a kernel."""
        from hillemu.boot.detect import FLOPPY_BYTES, is_disk_kind

        try:
            kind = kind_of(image, wanted)
        except ImageError:
            # A floppy without a boot sector is told so when it is booted, and may be booted all the same.
            if image.size_bytes and (self._options.force_boot or image.size_bytes in FLOPPY_BYTES):
                from hillemu.boot.drive_plan import kind_of_drive

                return kind_of_drive(image)
            raise
        return kind if is_disk_kind(kind) else None

    def _load(self, image: Image, options: BootOptions) -> Loaded:
        self._power_on()
        return load_image(self._pc, image, options, self._firmware.for_loaders)

    def _start_drives(self) -> Loaded:
        from hillemu.boot.detect import Kind
        from hillemu.emu.i386.address import PhysAddr

        if self._rom is not None:
            self._pc.memory.set_firmware(self._rom)
            self._pc.reset()
            return Loaded(Kind.ROM, PhysAddr(0xFFFFFFF0), (), (), PhysAddr(0), (), ())
        self._power_on()
        booted = self._firmware.boot_drives()
        return Loaded(Kind.DISK, booted.entry, (), (), PhysAddr(0), (f"booted from {booted.description}",), ())

    def _power_on(self) -> None:
        self._pc.reset()
        run_firmware(self._pc)
        self._firmware.power_on()

    def _plug_in(self, first: tuple[str, Kind] | None) -> None:
        """Fill the drives, `first` before the others; what was in them is let go."""
        self.close()
        if first is None and not self._options.has_images and self._rom is None:
            self._options.refuse_without_drives()
            return
        from hillemu.boot.bios.disk_tables import drive_type_of
        from hillemu.boot.drive_plan import open_drives, plan_drives
        from hillemu.emu.board.storage import SLOTS, Floppy, Slot
        from hillemu.emu.devices.clocks.cmos_layout import Disk

        wanted = self._options
        plan = plan_drives(first, floppies=wanted.floppies, disks=wanted.disks, cdroms=wanted.cdroms, boot=wanted.boot)
        self._drives = drives = open_drives(plan, writable=wanted.disk_write)
        for drive in (*drives.disks, *drives.cds):  # a floppy may be short
            if drive.medium is not None and drive.medium.note:
                self._report(drive.medium.note)
        slots: list[Slot | None] = [None] * SLOTS
        for disk in drives.disks:
            shape = disk.physical
            facts = Disk(shape.cylinders, shape.heads, shape.sectors, disk.translation)
            slots[disk.slot] = Slot(disk.medium, facts)
        for cd in drives.cds:
            slots[cd.slot] = Slot(cd.medium)
        floppies = [Floppy(one.medium, drive_type_of(one.logical)) for one in drives.floppies if one.medium]
        self._pc.insert(floppies, slots, plan.order)
        self._firmware.connect(drives, order=plan.order, force=wanted.force_boot)


def _refuse_kernels_options(image: Image, kind: Kind, options: BootOptions) -> None:
    for option, given in (
        ("--append", options.cmdline),
        ("--module", options.modules),
        ("--initrd", options.initrds),
    ):
        if given:
            raise OptionError(option, f"is for kernels; {image.path} is a {kind.value} image, whose boot sector is run")


def _read_rom(path: str) -> bytes:
    image = bytes(read_file(path))
    if len(image) % 0x10000 or not MIN_FIRMWARE_BYTES <= len(image) <= MAX_FIRMWARE_BYTES:
        raise ImageError(path, f"is {len(image):,} bytes: a ROM image has 64 KiB to 512 KiB, a multiple of 64 KiB")
    return image


def _read_video_rom(path: str) -> bytes:
    image = bytes(read_file(path))
    if not image.startswith(SIGNATURE) or len(image) > VIDEO_ROM_BYTES:
        raise ImageError(path, f"is no video BIOS: one starts with 55 AA and has at most {VIDEO_ROM_BYTES >> 10} KiB")
    return image

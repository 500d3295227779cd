"""The machine as people hold it: load, run, look.

>>> machine = Machine(mem="64M")
>>> loaded = machine.load_demo()
>>> stop = machine.run()
>>> stop.reason.value
'halt'
>>> machine.serial.text.splitlines()[-1]
'hillemu demo: all 6 checks passed'

Looking never changes a run: memory, registers, screen and symbols are only peeked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hillemu.agenda import Agenda
from hillemu.boot.elf import is_elf
from hillemu.boot.image import BootOptions, Image, Loaded, Module
from hillemu.boot.shipped import shipped_image, shipped_path
from hillemu.booting import Booting, DriveOptions
from hillemu.breakpoints import Breakpoints
from hillemu.console import CpuView, KeyboardPort, SerialPort
from hillemu.emu.clock import Clock
from hillemu.emu.cpu.core import Delivery
from hillemu.emu.cpu.models import model_named
from hillemu.emu.devices.clocks.cmos import DEFAULT_BASE
from hillemu.emu.devices.video.text_screen import TextScreen
from hillemu.emu.errors import UserMistake
from hillemu.emu.memory import PhysicalMemory
from hillemu.emu.pc import Pc
from hillemu.emu.reports import Report, unheard
from hillemu.emu.stop import Stop, StopReason
from hillemu.looking import Looking
from hillemu.rewinding import Rewinding
from hillemu.running import Running
from hillemu.sizes import check_ram_size, parse_ram_size
from hillemu.symbols import SymbolTable
from hillemu.terminal.display import save_png, screen_lines
from hillemu.timed import INSTRUCTIONS, Timed, timing_named
from hillemu.watching import Watching

if TYPE_CHECKING:
    from hillemu.emu.devices.video.picture import Picture
    from hillemu.emu.timing.model import TimingModel
    from hillemu.hosted_kernel import HostedKernel
    from hillemu.kernel.options import KernelOptions

NO_DRIVES = DriveOptions()


class Machine(Running, Looking, Rewinding, Watching, Timed):
    """A PC with `mem` of RAM (bytes, or text as ``--mem`` takes it), switched on and waiting for an image.

    `cpu` names a processor model, `rtc_base` is the clock chip's date at power-on.  `report` hears, once each, of what
    the guest uses and hillemu does not model.  With `reboot`, a reset by the guest boots the image again; without, it
    ends the run.  `drives` says what is in the floppy, disk and CD drives, `bios` names a ROM image that runs instead
    of the built-in firmware, `vga_bios` the one that it finds on the graphics card, `devices` extra devices
    (`booting.EXTRA_DEVICES`).  `timing` names the model that virtual time is counted by (docs/timing.md).

    Raises `OptionError` for a value that makes no sense, `ImageError` for a ROM image that cannot be used.
    """

    OUTSIDE_STATE = Rewinding.OUTSIDE_STATE | Looking.OUTSIDE_STATE

    def __init__(
        self,
        mem: str | int = "64M",
        *,
        cpu: str = "max",
        rtc_base: datetime | None = None,
        report: Report | None = None,
        reboot: bool = False,
        drives: DriveOptions = NO_DRIVES,
        bios: str | None = None,
        vga_bios: str | None = None,
        devices: Sequence[str] = (),
        timing: str | TimingModel = INSTRUCTIONS,
    ) -> None:
        size_bytes = parse_ram_size(mem, "mem") if isinstance(mem, str) else check_ram_size(mem)
        self.reboot = reboot
        self._report = report or unheard
        self._reported: set[str] = set()
        self._pc = Pc(
            size_bytes=size_bytes,
            model=model_named(cpu),
            rtc_base=rtc_base or DEFAULT_BASE,
            on_exit=self._guest_exits,
            on_reset=self._guest_resets,
            on_power_off=self._guest_powers_off,
            report=self._report_once,
            timing=timing_named(timing) if isinstance(timing, str) else timing,
        )
        self._booting = Booting(
            self._pc,
            drives=drives,
            bios=bios,
            vga_bios=vga_bios,
            devices=tuple(devices),
            restart=self._guest_resets,
            report=self._report_once,
        )
        self._boot: Callable[[], Loaded] | None = None
        self._hosted: HostedKernel | None = None
        self._agenda = Agenda(self._pc.keyboard.type)
        self.memory: PhysicalMemory = self._pc.memory
        self.clock: Clock = self._pc.clock
        self.screen: TextScreen = self._pc.screen
        self.cpu = CpuView(self._pc.processor)
        self.serial = SerialPort(self._pc.serial, self._pc.serial_log)
        self.serial2 = SerialPort(self._pc.serial2, self._pc.serial2_log)
        self.debug_console = self._pc.debug_log
        self.keyboard = KeyboardPort(self._pc.keyboard)
        self.symbols = SymbolTable()
        self.symbol_files: list[str] = []
        """Where GDB finds the symbols of what was loaded."""
        self.breakpoints = Breakpoints(self._pc.processor, lambda name: self.symbols[name])
        self.loaded: Loaded | None = None

    # ---- images -------------------------------------------------------------------------------------------------

    def load(
        self,
        path: str | None = None,
        *,
        format: str = "auto",  # noqa: A002 - the word that --format uses
        modules: Sequence[str | tuple[str, str]] = (),
        append: str = "",
        initrds: Sequence[str] = (),
    ) -> Loaded:
        """Put the image at `path` into the machine, and make it ready to start: a kernel, a disk, a floppy or a CD.

        Without `path`, the machine boots from its drives.  `modules` are boot modules: a file, or (file, arguments);
        `append` is the kernel's command line, `initrds` are the parts of Linux's initial RAM disk.
        Raises `ImageError` or `OptionError`; the machine can be used for another image then.
        """
        pairs = [(module, "") if isinstance(module, str) else module for module in modules]
        options = BootOptions(
            format, append, tuple(Module.open(*pair) for pair in pairs), tuple(Module.open(name) for name in initrds)
        )
        return self._load(None if path is None else Image.open(path), options)

    def load_demo(self) -> Loaded:
        """Load the built-in guest (sources in boot/asm)."""
        loaded = self._load(Image("demo.elf", shipped_image("demo.elf")), BootOptions())
        self.symbol_files = [shipped_path("demo.elf")]
        return loaded

    def load_kernel(
        self,
        *,
        profile: str | None = None,
        modules: Sequence[str | tuple[str, str]] = (),
        append: str = "",
        options: KernelOptions | None = None,
    ) -> Loaded:
        """Load a kernel whose memory management is Python; `kernel` is the object behind it.

        `profile` names which (`hillemu profiles` lists them); without, it is `hillson`.  It runs the programs among
        `modules`, or its own test program if there are none.  Raises as `load` does.
        """
        pairs = [(module, "") if isinstance(module, str) else module for module in modules]
        return self._load_built_in(tuple(Module.open(*pair) for pair in pairs), append, options, profile)

    def _load_built_in(
        self, modules: tuple[Module, ...], append: str, options: KernelOptions | None, profile: str | None
    ) -> Loaded:
        from hillemu.hosted_kernel import HostedKernel

        self._hosted = hosted = self._hosted or HostedKernel(self._pc)
        return self._load(*hosted.prepare(profile, modules, append, options), hosted)

    @property
    def kernel(self) -> Any:
        """The profile's kernel that `load_kernel` has loaded; raises `UserMistake` if another image is."""
        if self._hosted is None:
            raise UserMistake("this machine does not run hillemu's kernel; call load_kernel() first")
        return self._hosted.kernel

    def _load(self, image: Image | None, options: BootOptions, hosted: HostedKernel | None = None) -> Loaded:
        prepared = self._booting.prepare(image, options)

        def boot() -> Loaded:
            loaded = prepared()
            if hosted is not None:
                hosted.boot(loaded)
            return loaded

        self.loaded = boot()
        self._boot = boot
        elf = image if image is not None and is_elf(image) else None
        self.symbols = SymbolTable(bytes(elf.data), name=elf.path) if elf else SymbolTable()
        if hosted is not None:
            self.symbols = hosted.symbols
        self.symbol_files = [shipped_path(self.symbols.name)] if hosted else [elf.path] if elf else []
        for note in self.loaded.notes:
            self._report_once(note)
        return self.loaded

    def close(self) -> None:
        """Let go of the files in the drives; what the guest wrote is in them if that was asked for."""
        self._booting.close()

    # ---- debugging ----------------------------------------------------------------------------------------------

    def debug(self, *arguments: str) -> Stop:
        """Debug the machine with GDB on this terminal, from where it stands until GDB leaves it; see `debugging.debug`.

        `arguments` are GDB's.  Raises `OptionError` if no GDB is installed.
        """
        from hillemu.debugging import debug

        return debug(self, arguments=arguments)

    # ---- what the guest asks for --------------------------------------------------------------------------------

    def _guest_exits(self, code: int) -> None:
        self._end(Stop(StopReason.EXIT, "the guest wrote to isa-debug-exit", code))

    def _guest_resets(self) -> None:
        self._reset_wanted = True
        self._pc.processor.stop()

    def _guest_powers_off(self) -> None:
        self._end(Stop(StopReason.POWER_OFF, "the guest switched the machine off"))

    # ---- looking ------------------------------------------------------------------------------------------------

    def registers(self) -> dict[str, int]:
        """All registers by name."""
        return self._pc.processor.registers()

    @property
    def deliveries(self) -> list[Delivery]:
        """The last 16 exceptions and interrupts, oldest first."""
        return self._pc.processor.deliveries

    @property
    def unhandled(self) -> dict[str, dict[int, int]]:
        """Accesses that no device answered: how many, by port or by page of physical memory."""
        buses = {"port": self._pc.ports.unhandled, "memory": self._pc.mmio.unhandled}
        return {f"{bus}_{kind}": dict(at) for bus, counts in buses.items() for kind, at in counts._asdict().items()}

    def screen_lines(self) -> list[str]:
        """What the screen shows: the rows of its text, or one line that names the graphics mode."""
        return screen_lines(self._pc.card, self.screen.lines)

    def picture(self) -> Picture:
        """What the screen shows, text or graphics: `width`, `height` and `rgb`, three bytes a pixel row by row."""
        from hillemu.emu.devices.video.picture import picture_of

        return picture_of(self._pc.card)

    def save_picture(self, path: str) -> None:
        """Save the picture as the PNG file `path`; raises `OptionError` if that fails."""
        save_png(self.picture(), path)

    def crash_report(self) -> str:
        """What a dead guest was doing, in one page of text; raises `UserMistake` before the first run."""
        if self.last_stop is None:
            raise UserMistake("nothing has run yet")
        from hillemu.report import crash_report
        from hillemu.report.stopped import StoppedMachine

        return crash_report(
            StoppedMachine(self.last_stop, self._pc.processor, self.memory, self.deliveries, self.symbols)
        )

    def _report_once(self, message: str) -> None:
        if message not in self._reported:
            self._reported.add(message)
            self._report(message)

    def __repr__(self) -> str:
        return f"<Machine {self.memory.size_bytes >> 20} MiB, {self.cpu.model}, {self.cpu.instructions:,} instructions>"

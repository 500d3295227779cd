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

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hillemu.boot.image import BootOptions, Image, Loaded, Module
from hillemu.boot.shipped import shipped_image
from hillemu.booting import Booting, DriveOptions
from hillemu.breakpoints import Breakpoints
from hillemu.console import CpuView, KeyboardPort, SerialPort
from hillemu.emu.clock import DEFAULT_FREQUENCY_HZ, Clock
from hillemu.emu.cpu.core import EVERYWHERE, CoreStop, Delivery
from hillemu.emu.cpu.models import model_named
from hillemu.emu.devices.clocks.cmos import DEFAULT_BASE
from hillemu.emu.devices.input.keys import keys_from_text
from hillemu.emu.devices.video.text_screen import TextScreen
from hillemu.emu.errors import MediumError, UserMistake
from hillemu.emu.memory import PhysicalMemory
from hillemu.emu.pc import Pc
from hillemu.emu.reports import Report, unheard
from hillemu.emu.stop import Stop, StopReason
from hillemu.looking import Looking
from hillemu.rewinding import Rewinding
from hillemu.sizes import check_ram_size, parse_ram_size
from hillemu.symbols import SymbolTable
from hillemu.terminal.ctrl_c import DeferredCtrlC
from hillemu.terminal.display import save_png, screen_lines
from hillemu.timed import INSTRUCTIONS, Timed, timing_named
from hillemu.watch import TextWatch
from hillemu.watching import Watching

if TYPE_CHECKING:
    from hillemu.emu.devices.video.picture import Picture
    from hillemu.emu.timing.model import TimingModel
    from hillemu.hosted_kernel import HostedKernel
    from hillemu.kernel.options import KernelOptions

NO_DRIVES = DriveOptions()

LONGEST_SLEEP_TICKS = 3600 * DEFAULT_FREQUENCY_HZ


class Machine(Looking, Rewinding, Watching, Timed):
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
        self._ending: Stop | None = None
        self._reset_wanted = False
        self._keys_due: list[tuple[int, list[tuple[str, bool]]]] = []
        self._calls_due: list[tuple[int, Callable[[], None]]] = []
        self._awake_count = -1  # instructions at the last slice's start, and when that number was new
        self._awake_at = 0
        self.memory: PhysicalMemory = self._pc.memory
        self.clock: Clock = self._pc.clock
        self.screen: TextScreen = self._pc.screen
        self.cpu = CpuView(self._pc.processor)
        self.serial = SerialPort(self._pc.serial, self._pc.serial_log)
        self.serial2 = SerialPort(self._pc.serial2, self._pc.serial2_log)
        self.debug_console = self._pc.debug_log
        self.keyboard = KeyboardPort(self._pc.keyboard)
        self.symbols = SymbolTable()
        self.breakpoints = Breakpoints(self._pc.processor, lambda name: self.symbols[name])
        self.last_stop: Stop | None = None
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
        return self._load(Image("demo.elf", shipped_image("demo.elf")), BootOptions())

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
        is_elf = image is not None and image.has(0, b"\x7fELF")
        self.symbols = SymbolTable(bytes(image.data), name=image.path) if image and is_elf else SymbolTable()
        if hosted is not None:
            self.symbols = hosted.symbols
        for note in self.loaded.notes:
            self._report_once(note)
        return self.loaded

    def close(self) -> None:
        """Let go of the files in the drives; what the guest wrote is in them if that was asked for."""
        self._booting.close()

    # ---- running ------------------------------------------------------------------------------------------------

    def run(
        self,
        *,
        until: str | re.Pattern[str] | TextWatch | None = None,
        max_insns: int | None = None,
        between: Callable[[], bool] | None = None,
        over_breakpoint: bool = True,
        stay_in: range = EVERYWHERE,
    ) -> Stop:
        """Run until the guest stops, a breakpoint is reached, or:

        `until`      the serial text or the screen matches this regular expression (text that is there already counts
                     only on the screen; a `text_watch` remembers the text of the runs before)
        `max_insns`  exactly this many instructions have been executed

        `between` is called before the first instruction and then after every 10 ms of virtual time at the latest,
        always between two instructions, where the guest cannot notice.  It may look, take its time, type
        (`keyboard`, `serial`) or call `stop`.  It returns whether input may come from it: while it may, a halt that
        only input can end does not end the run; virtual time stands still there until `between` gives some.
        Every linear address outside `stay_in` is as a breakpoint; one at the first instruction of all is passed
        `over_breakpoint`, or stops the run at once.

        Raises `UserMistake` when no image is loaded.  A disk image that fails is a way to end (`DISK_FAILURE`); any
        other exception in a device or an observer ends the run and is raised here.
        """
        if self._boot is None:
            raise UserMistake("no image is loaded; call load() or load_demo() first")
        watch = self.text_watch(until) if isinstance(until, str | re.Pattern) else until
        end = None if max_insns is None else self.cpu.instructions + max_insns
        self._ending = None
        ctrl_c = DeferredCtrlC(self.stop)
        try:
            while True:
                input_may_come = between is not None and between()
                try:
                    stop = self._run_slice(end, over_breakpoint, stay_in, input_may_come)
                except MediumError as error:
                    stop = Stop(StopReason.DISK_FAILURE, str(error))
                over_breakpoint = False
                if watch is not None and stop is None and watch.screen_matches():
                    stop = Stop(StopReason.UNTIL, f"{watch.pattern.pattern!r} is on the screen")
                if stop is not None:
                    self.last_stop = stop
                    return stop
        finally:
            if watch is not None and watch is not until:
                watch.close()
            ctrl_c.close()

    def text_watch(self, pattern: str | re.Pattern[str]) -> TextWatch:
        """What several runs can be given as `until`, to end when the text of all of them matches; close it then."""
        return TextWatch(pattern, self._pc.serial_log, self._pc.screen, self._text_found)

    def step(self, count: int = 1) -> Stop:
        """Execute exactly `count` instructions; interrupts and exceptions are taken as in a run."""
        return self.run(max_insns=count)

    def stop(self) -> None:
        """End the run that is going on: from an observer, a device, another thread or a signal handler."""
        self._end(Stop(StopReason.INTERRUPTED))

    def boot_again(self) -> None:
        """Reset the machine and load its image anew, as a reboot does; raises `UserMistake` if there is none."""
        if self._boot is None:
            raise UserMistake("no image is loaded; call load() or load_demo() first")
        self._reset_wanted = False
        self._boot()

    def _run_slice(self, end: int | None, over_breakpoint: bool, stay_in: range, input_may_come: bool) -> Stop | None:
        """Run to the next thing that we look at; return why it was the last slice, or `None`."""
        self._make_calls_due(self.clock.now)
        now = self.cpu.instructions
        if now != self._awake_count:
            self._awake_count, self._awake_at = now, self.clock.now
        self._press_keys_due(now)
        goals = [at for at in (end, self._keys_due[0][0] if self._keys_due else None) if at is not None]
        instructions = max(min(goals) - now, 0) if goals else None
        # To the next multiple: where we look must not depend on where this run, perhaps a debugger's step, began.
        ticks = self.slice_ticks - self.clock.now % self.slice_ticks
        if self._calls_due:
            ticks = min(ticks, self._calls_due[0][0] - self.clock.now)
        core_stop = self._pc.processor.run(
            instructions=instructions, ticks=ticks, over_breakpoint=over_breakpoint, stay_in=stay_in
        )
        if self._reset_wanted:
            return self._restart()
        if self._ending is not None:
            stop, self._ending = self._ending, None
            # Only now does the processor stand still, at the place that is to be told.
            return stop if stop.detail else stop._replace(detail=self._place())
        match core_stop:
            case CoreStop.LIMIT:
                if end is not None and self.cpu.instructions >= end:
                    return Stop(StopReason.MAX_INSNS, self._place())
                return self._sleep(input_may_come) if self.cpu.instructions == now else self._hang()
            case CoreStop.HALT:
                return self._halt(input_may_come)
            case CoreStop.BREAKPOINT:
                return Stop(StopReason.BREAKPOINT, self._place())
            case CoreStop.WATCHPOINT:
                return Stop(StopReason.WATCHPOINT, self.watchpoints.told)
            case CoreStop.TRIPLE_FAULT:
                if self._pc.is_resumed_by_firmware:
                    self._pc.processor.reset()
                    return None
                if self.reboot:
                    self._report_once("triple fault: the guest reboots")
                    return self._restart()
                return Stop(StopReason.TRIPLE_FAULT, self._place())
            case CoreStop.ERROR:
                return Stop(StopReason.CPU_ERROR, f"{self._pc.processor.error_text}, {self._place()}")
        return None

    def _halt(self, input_may_come: bool) -> Stop | None:
        """The processor halted, and nothing in the machine will ever wake it; perhaps somebody outside will."""
        if not self.cpu.eflags & 0x200:
            return Stop(StopReason.HALT, f"cli; hlt, {self._place()}")
        if self._calls_due:
            self._make_calls_due(self._calls_due[0][0])
            return None
        if input_may_come:
            return None
        return Stop(StopReason.HALT, f"interrupts are enabled, but nothing can ever interrupt, {self._place()}")

    def _sleep(self, input_may_come: bool) -> Stop | None:
        """The processor was halted all the time, while chips tick whose interrupts are masked; that may never end."""
        if self.clock.now - self._awake_at < LONGEST_SLEEP_TICKS or self._calls_due or input_may_come:
            return None
        return Stop(StopReason.HALT, f"interrupts are enabled, but none has come for an hour, {self._place()}")

    def _hang(self) -> Stop | None:
        """A jump to itself with interrupts disabled never ends."""
        if self.cpu.eflags & 0x200 or not self.cpu.jumps_to_itself(self.memory):
            return None
        return Stop(StopReason.HANG, f"a jump to itself with interrupts disabled, {self._place()}")

    def _place(self) -> str:
        return f"at {self.symbols.describe(self.cpu.linear_eip)}"

    def _end(self, stop: Stop) -> None:
        if self._ending is None:
            self._ending = stop
        self._pc.processor.stop()

    def _text_found(self, pattern: str) -> None:
        self._end(Stop(StopReason.UNTIL, f"{pattern!r} came over the serial port"))

    def _guest_exits(self, code: int) -> None:
        self._end(Stop(StopReason.EXIT, "the guest wrote to isa-debug-exit", code))

    def _guest_resets(self) -> None:
        self._reset_wanted = True
        self._pc.processor.stop()

    def _guest_powers_off(self) -> None:
        self._end(Stop(StopReason.POWER_OFF, "the guest switched the machine off"))

    def _restart(self) -> Stop | None:
        self._reset_wanted = False
        if not self.reboot:
            return Stop(StopReason.RESET, f"the guest asked for a reset, {self._place()}")
        self.boot_again()
        return None

    # ---- input --------------------------------------------------------------------------------------------------

    def schedule_keys(self, text: str, at_insns: int = 0) -> None:
        """Type `text` (as ``--keys`` takes it) when `at_insns` instructions have been executed."""
        self._keys_due.append((at_insns, keys_from_text(text)))
        self._keys_due.sort(key=lambda due: due[0])

    def schedule_call(self, at_ns: int, action: Callable[[], None]) -> None:
        """Call `action` between two instructions, as soon as `at_ns` of virtual time have passed since power-on.

        Input that `action` gives is repeatable to the bit, even where the processor halts: instructions stand still
        there, time does not.
        """
        self._calls_due.append((self.clock.ticks_from_ns(at_ns), action))
        self._calls_due.sort(key=lambda due: due[0])

    def _make_calls_due(self, now: int) -> None:
        while self._calls_due and self._calls_due[0][0] <= now:
            self._calls_due.pop(0)[1]()

    def _press_keys_due(self, now: int) -> None:
        while self._keys_due and self._keys_due[0][0] <= now:
            self._pc.keyboard.type(self._keys_due.pop(0)[1])

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

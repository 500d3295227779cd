"""`hillemu boot`: one run of one machine, from options to exit status.

What can be refused is refused before the machine is switched on: input files are read first, then output files opened.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain, repeat
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from hillemu.commands.debugger import Debugger, debugger_of
from hillemu.commands.exit_status import USER_MISTAKE, exit_status
from hillemu.emu.errors import OptionError, UserMistake
from hillemu.terminal.display import check_png
from hillemu.terminal.serial_output import SerialOutput, open_serial_output, reason_of

if TYPE_CHECKING:
    from hillemu.commands.command_line import CommandLine
    from hillemu.emu.stop import Stop
    from hillemu.input_record import Typed
    from hillemu.machine import Machine
    from hillemu.page_recording import PageRecording
    from hillemu.symbols import SymbolTable
    from hillemu.terminal.live_input import LiveInput
    from hillemu.terminal.screen_view import LiveScreen


def boot(options: CommandLine) -> int:
    """Boot what `options` describe, run it to its end, tell what happened; return the exit status.

    Raises `UserMistake` for everything that is wrong with an option or a file.
    """
    return boot_with(options, debugger_of(options))


def boot_with(options: CommandLine, debugger: Debugger) -> int:
    """`boot`, with `debugger`."""
    with debugger.listening():
        return _boot(options, debugger)


def _boot(options: CommandLine, debugger: Debugger) -> int:
    check_input(options)
    terminal = _terminal_to_type_on(options)
    script = _read_replay(options.replay)  # before --json, which may be the same file
    serial_input = read_serial_input(options.serial_input)
    serial = open_serial_output(options.serial)
    record_file = open_for_writing(options.json, "--json")
    pages_file = open_for_writing(options.record_pages, "--record-pages")
    picture = options.display.png if options.display else None
    if picture is not None:
        check_png(picture)

    machine = power_on(options)
    recording = _recording(machine, options)
    prepare_input(machine, options, serial_input)
    typed = _schedule(machine, script)
    shows_live = options.shows_screen and not options.quiet and not debugger.has_terminal
    live = _live_screen(machine, serial) if shows_live else None
    _connect_serial(machine, serial, live)
    run, end = debugger.running(machine, typed, say)

    started = time.perf_counter()
    try:
        with (
            _typing(machine, terminal, options.live, typed, live) as typist,
            stopping_on_signals(end),
            debugger.present(say),  # who reads that we listen may end us
            live.redrawing() if live else nullcontext(),
            blaming(options.kernel_module),
        ):
            stop = run(typist.between if typist else None)
    finally:
        wall_s = time.perf_counter() - started
        lost = [fault for fault in (fault_of(serial), fault_of(machine)) if fault]

    if picture is not None:
        try:
            machine.save_picture(picture)
        except UserMistake as unsaved:  # told after the summary, as all that was lost
            lost.append(unsaved)
    _tell(
        machine,
        stop,
        None if debugger.takes_time else wall_s,
        options,
        was_typed_live=typist is not None and typist.has_typed,
    )
    if record_file is not None:
        _write_record(record_file, machine, stop, wall_s, typed)
    if pages_file is not None and recording is not None:
        with written(pages_file, "--record-pages"):
            pages_file.writelines(f"{line}\n" for line in recording.lines())
    for fault in lost:
        say(str(fault))
    return USER_MISTAKE if lost else exit_status(stop)


def say(line: str) -> None:
    """Tell the user one line of ours."""
    print(f"hillemu: {line}", file=sys.stderr, flush=True)


def check_input(options: CommandLine) -> None:
    """Refuse options that contradict each other about what is booted or typed; raises `OptionError`."""
    _check_built_in(options)
    _check_keys(options)


def prepare_input(machine: Machine, options: CommandLine, serial_input: bytes) -> None:
    """Give `machine` what its serial port and keyboard will receive."""
    if options.serial_input_after is None:
        machine.serial.send(serial_input)
    else:
        from hillemu.held_input import send_after

        send_after(machine, options.serial_input_after, serial_input)
    for text, at_insns in zip(options.keys, chain(options.keys_at, repeat(0)), strict=False):
        machine.schedule_keys(text, at_insns)


def power_on(options: CommandLine, symbols: Sequence[SymbolTable] | None = None) -> Machine:
    """The machine that `options` describe, with what is booted loaded; raises `UserMistake`.

    `symbols` are those of `--symbols`, where they have been read already.
    """
    if symbols is None and options.symbols:
        from hillemu.commands.symbol_files import read_symbols

        symbols = read_symbols(options.symbols)
    from hillemu.booting import DriveOptions
    from hillemu.machine import Machine
    from hillemu.timed import INSTRUCTIONS, timing_named

    machine = Machine(
        mem=options.mem,
        cpu=options.cpu,
        timing=timing_named(options.timing, options.bus_mhz, options.wait_states, options.io_wait_states)
        or INSTRUCTIONS,
        rtc_base=options.rtc_base,
        report=None if options.quiet else say,
        reboot=options.reboot,
        drives=DriveOptions(
            tuple(options.floppy),
            tuple(options.disk),
            tuple(options.cdrom),
            options.boot,
            options.force_boot,
            options.disk_write,
        ),
        bios=options.bios,
        vga_bios=options.vga_bios,
        devices=options.device,
    )
    if options.lint:
        machine.lint_tlb()
    if boots_the_built_in_kernel(options):
        from hillemu.commands.built_in import load_built_in

        load_built_in(machine, options)
    else:
        machine.load(
            options.image,
            format=options.format,
            modules=tuple(options.module),
            append=options.append,
            initrds=options.initrd,
        )
    if symbols:
        machine.add_symbols(symbols)
    return machine


def boots_the_built_in_kernel(options: CommandLine) -> bool:
    """Whether nothing else is named."""
    return options.image is None and not options.has_drives and options.bios is None


def blaming(kernel_module: str | None) -> AbstractContextManager[None]:
    """Tell what goes wrong in the user's kernel module as its author's mistake, if there is one."""
    if kernel_module is None:
        return nullcontext()
    from hillemu.kernel_module import blaming

    return blaming(kernel_module)


def _check_built_in(options: CommandLine) -> None:
    if options.image is None:
        _refuse(
            "needs an IMAGE; the built-in kernel does not read it",
            {"--initrd": options.initrd, "--format": options.format != "auto"},
        )
    if boots_the_built_in_kernel(options):
        return
    if options.image is None:
        _refuse(
            "needs an IMAGE, or the built-in kernel, which boots without drives and --bios",
            {"--append": options.append, "--module": options.module},
        )
    _refuse(
        "is for the built-in kernel, which boots without IMAGE, drives and --bios",
        {
            "--profile": options.profile,
            "--kernel-module": options.kernel_module,
            "--check": options.check,
            "--record-pages": options.record_pages,
        },
    )


def _refuse(why: str, given: dict[str, object]) -> None:
    for option, value in given.items():
        if value:
            raise OptionError(option, why)


def _check_keys(options: CommandLine) -> None:
    if len(options.keys_at) > len(options.keys):
        raise OptionError("--keys-at", "is given more often than --keys; each belongs to one --keys, in order")
    if options.serial_input_after is not None and options.serial_input is None:
        raise OptionError("--serial-input-after", "there is no --serial-input to hold back")


def _terminal_to_type_on(options: CommandLine) -> int | None:
    """The terminal's descriptor, if somebody wants to type into the run."""
    if options.live is None:
        return None
    if options.serial_input == "-":
        raise OptionError("--live", "and '--serial-input -' would both read standard input; choose one")
    if sys.stdin is None or not sys.stdin.isatty():
        raise OptionError(
            "--live", "standard input is not a terminal; --keys and --serial-input are for scripts and files"
        )
    return sys.stdin.fileno()


def _read_replay(name: str | None) -> list[Typed]:
    if name is None:
        return []
    from hillemu.input_record import read_record

    return read_record(name)


def _schedule(machine: Machine, script: list[Typed]) -> list[Typed]:
    """Have `machine` receive `script`; what it has received will be in the list returned."""
    typed: list[Typed] = []
    if script:
        from hillemu.input_record import schedule

        schedule(machine, script, typed)
    return typed


@contextmanager
def _typing(
    machine: Machine, terminal: int | None, to: str | None, typed: list[Typed], live: LiveScreen | None
) -> Iterator[LiveInput | None]:
    """Let the user type on `terminal`, if that is wanted, inside the ``with`` block."""
    if terminal is None or to is None:
        yield None
        return
    from hillemu.terminal.live_input import LiveInput
    from hillemu.terminal.mode import keyboard_mode

    with keyboard_mode(terminal, before_suspending=live.erase if live else lambda: None):
        yield LiveInput(machine, terminal, to, typed)


def read_serial_input(name: str | None) -> bytes:
    """The bytes of ``--serial-input``; raises `UserMistake`."""
    if name is None:
        return b""
    try:
        if name == "-":
            return sys.stdin.buffer.read() if sys.stdin is not None else b""
        with open(name, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise UserMistake(f"{name}: cannot read the serial input: {reason_of(error)}") from None


def open_for_writing(name: str | None, option: str) -> TextIO | None:
    """The file of `option`, if `name` asks for one; raises `UserMistake`."""
    if name is None:
        return None
    try:
        return open(name, "w", encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserMistake(f"{name}: cannot write the {option} file: {reason_of(error)}") from None


@contextmanager
def written(file: TextIO, option: str) -> Iterator[None]:
    """Close `file` afterwards; raises `UserMistake`, which names `option`, for what cannot be written."""
    try:
        with file:
            yield
    except OSError as error:
        raise UserMistake(f"{file.name}: cannot write the {option} file: {reason_of(error)}") from None


def _recording(machine: Machine, options: CommandLine) -> PageRecording | None:
    """Record the programs' pages from now on, if `options` want it."""
    if options.record_pages is None:
        return None
    from hillemu.kernel.profiles.registry import profile_named
    from hillemu.page_recording import PageRecording

    return PageRecording(machine, profile_named(options.profile))


def _connect_serial(machine: Machine, serial: SerialOutput | None, live: LiveScreen | None) -> None:
    if serial is None:
        return
    serial.on_fault = machine.stop
    machine.serial.on_byte(live.sharing(serial.put) if live and serial.is_terminal else serial.put)


def _live_screen(machine: Machine, serial: SerialOutput | None) -> LiveScreen | None:
    """The redrawn screen, if standard error is a terminal that can be drawn on."""
    import os

    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return None
    from hillemu.terminal.screen_view import LiveScreen

    return LiveScreen(sys.stderr.fileno(), machine.screen_lines)


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first Ctrl-C or SIGTERM; a second one ends hillemu the hard way."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        signal.signal(number, before[signal.Signals(number)])
        stop()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def fault_of(output: SerialOutput | Machine | None) -> UserMistake | None:
    """Close an output; what was lost is told after the summary, so it is returned."""
    try:
        if output is not None:
            output.close()
    except UserMistake as lost:
        return lost
    return None


def _tell(machine: Machine, stop: Stop, wall_s: float | None, options: CommandLine, *, was_typed_live: bool) -> None:
    if options.shows_screen and not options.quiet:
        from hillemu.terminal.screen_view import framed

        for row in framed(machine.screen_lines()):
            print(row, file=sys.stderr)
    if stop.is_crash:
        print(machine.crash_report(), file=sys.stderr)
    from hillemu.emu.stop import StopReason

    if not options.quiet:
        from hillemu.commands.run_summary import summary_lines, typed_live

        until = options.until.pattern if options.until else None
        live_note = typed_live(options.json) if was_typed_live else None
        for line in summary_lines(machine, stop, wall_s, until, live_note):
            say(line)
    elif stop.reason is StopReason.DISK_FAILURE:
        say(stop.detail)


def _write_record(file: TextIO, machine: Machine, stop: Stop, wall_s: float, typed: list[Typed]) -> None:
    import json

    from hillemu.commands.run_summary import run_record

    with written(file, "--json"):
        json.dump(run_record(machine, stop, wall_s, typed), file, indent=2)
        file.write("\n")

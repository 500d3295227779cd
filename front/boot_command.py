"""`hillemu boot`: one run of one machine, from options to exit status.

What can be refused is refused before the machine is switched on: output files are opened first, input files read.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from hillemu.emu.errors import OptionError, UserMistake
from hillemu.exit_status import exit_status
from hillemu.serial_output import SerialOutput, open_serial_output, reason_of

if TYPE_CHECKING:
    from hillemu.emu.stop import Stop
    from hillemu.machine import Machine
    from hillemu.options import CommandLine
    from hillemu.screen_view import LiveScreen


def boot(options: CommandLine) -> int:
    """Boot what `options` describe, run it to its end, tell what happened; return the exit status.

    Raises `UserMistake` for everything that is wrong with an option or a file.
    """
    _check_built_in(options)
    serial_input = _read_serial_input(options.serial_input)
    serial = open_serial_output(options.serial)
    record_file = _open_for_writing(options.json)

    machine = _power_on(options)
    machine.serial.send(serial_input)
    if options.keys is not None:
        machine.schedule_keys(options.keys, options.keys_at)
    live = _live_screen(machine, serial) if options.display == "text" and not options.quiet else None
    _connect_serial(machine, serial, live)

    started = time.perf_counter()
    try:
        with _stopping_on_signals(machine.stop), live.redrawing() if live else nullcontext():
            stop = machine.run(until=options.until, max_insns=options.max_insns)
    finally:
        wall_s = time.perf_counter() - started
        lost_output = _close(serial)

    _tell(machine, stop, wall_s, options)
    if record_file is not None:
        _write_record(record_file, machine, stop, wall_s)
    if lost_output is not None:
        raise lost_output
    return exit_status(stop)


def say(line: str) -> None:
    """Tell the user one line of ours."""
    print(f"hillemu: {line}", file=sys.stderr, flush=True)


def _power_on(options: CommandLine) -> Machine:
    from hillemu.machine import Machine

    machine = Machine(
        mem=options.mem,
        cpu=options.cpu,
        rtc_base=options.rtc_base,
        report=None if options.quiet else say,
        reboot=options.reboot,
    )
    if options.image is None:
        machine.load_demo()
    else:
        machine.load(options.image, format=options.format, modules=tuple(options.module), append=options.append)
    return machine


def _check_built_in(options: CommandLine) -> None:
    if options.image is None:
        for option, given in (
            ("--append", options.append),
            ("--module", options.module),
            ("--format", options.format != "auto"),
        ):
            if given:
                raise OptionError(option, "needs an IMAGE; the built-in guest does not read it")


def _read_serial_input(name: str | None) -> bytes:
    if name is None:
        return b""
    try:
        if name == "-":
            return sys.stdin.buffer.read() if sys.stdin is not None else b""
        with open(name, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise UserMistake(f"{name}: cannot read the serial input: {reason_of(error)}") from None


def _open_for_writing(name: str | None) -> TextIO | None:
    if name is None:
        return None
    try:
        return open(name, "w", encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserMistake(f"{name}: cannot write the --json file: {reason_of(error)}") from None


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
    from hillemu.screen_view import LiveScreen

    return LiveScreen(sys.stderr.fileno(), lambda: machine.screen.lines)


@contextmanager
def _stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
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


def _close(serial: SerialOutput | None) -> UserMistake | None:
    """Close the serial output; what was lost is told after the summary, so it is returned."""
    try:
        if serial is not None:
            serial.close()
    except UserMistake as lost:
        return lost
    return None


def _tell(machine: Machine, stop: Stop, wall_s: float, options: CommandLine) -> None:
    if options.display == "text" and not options.quiet:
        from hillemu.screen_view import framed

        for row in framed(machine.screen.lines):
            print(row, file=sys.stderr)
    if stop.is_crash:
        print(machine.crash_report(), file=sys.stderr)
    if not options.quiet:
        from hillemu.run_summary import summary_lines

        for line in summary_lines(machine, stop, wall_s, options.until.pattern if options.until else None):
            say(line)


def _write_record(file: TextIO, machine: Machine, stop: Stop, wall_s: float) -> None:
    import json

    from hillemu.run_summary import run_record

    try:
        with file:
            json.dump(run_record(machine, stop, wall_s), file, indent=2)
            file.write("\n")
    except OSError as error:
        raise UserMistake(f"{file.name}: cannot write the --json file: {reason_of(error)}") from None

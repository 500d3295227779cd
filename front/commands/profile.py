"""`hillemu profile`: one run, and where its time went."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, TextIO

from hillemu.commands.boot import (
    blaming,
    boots_the_built_in_kernel,
    check_input,
    fault_of,
    open_for_writing,
    power_on,
    prepare_input,
    read_serial_input,
    say,
    stopping_on_signals,
    written,
)
from hillemu.commands.exit_status import USER_MISTAKE, exit_status
from hillemu.commands.run_summary import ending_line, not_in_the_model
from hillemu.commands.symbol_files import read_symbols
from hillemu.emu.errors import OptionError
from hillemu.profiling.tables import by_function, by_line, summary
from hillemu.symbols import SymbolTable
from hillemu.terminal.serial_output import open_serial_output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hillemu.commands.command_line import CommandLine
    from hillemu.emu.stop import Stop
    from hillemu.machine import Machine
    from hillemu.profiling.run_profile import RunProfile

SCHEMA = 1
"""Of the JSON document; it grows when something in it changes its meaning or goes away."""


def profile(options: CommandLine) -> int:
    """Run as `options` say, and show the profile; return the exit status, as of `hillemu boot`.

    Raises `UserMistake`.
    """
    check_input(options)
    if options.serial == "stdio":
        raise OptionError("--serial", "standard output is for the profile; name a FILE")
    if options.html is not None and options.html == options.callgrind:
        raise OptionError("--callgrind", f"{options.html} is the page of --html already; name another file")
    named = read_symbols(options.symbols)
    symbols = [*named, *_program_symbols(options)]
    serial_input = read_serial_input(options.serial_input)
    serial = open_serial_output(options.serial)
    page = open_for_writing(options.html, "--html")
    callgrind = open_for_writing(options.callgrind, "--callgrind")

    with ExitStack() as closing:
        machine = power_on(options, named)
        closing.callback(machine.close)
        if serial is not None:
            machine.serial.on_byte(serial.put)
            serial.on_fault = machine.stop
        prepare_input(machine, options, serial_input)
        with stopping_on_signals(machine.stop), blaming(options.kernel_module), machine.profile(symbols) as measured:
            stop = machine.run(until=options.until, max_insns=options.max_insns)

    lost = fault_of(serial)
    _tell(machine, stop, measured, options)
    _show(machine, measured, stop, options)
    _write(page, callgrind, measured, stop, options.image or "the built-in kernel")
    if lost is not None:
        say(str(lost))
    return USER_MISTAKE if lost else exit_status(stop)


def _program_symbols(options: CommandLine) -> Iterator[SymbolTable]:
    """Those of boot modules, which are often programs, and of the built-in kernel's own programs."""
    from hillemu.boot.shipped import shipped_image
    from hillemu.kernel.profiles.registry import profile_named

    for name, _ in options.module:
        with suppress(OSError, ValueError), open(name, "rb") as file:  # who boots it tells what is wrong with it
            if (table := SymbolTable(file.read(), name=name.rpartition("/")[2])) and not table.fault:
                yield table
    if boots_the_built_in_kernel(options) and not options.module:
        for name in profile_named(options.profile).programs:
            yield SymbolTable(shipped_image(name), name=name)


def _tell(machine: Machine, stop: Stop, measured: RunProfile, options: CommandLine) -> None:
    if stop.is_crash:
        print(machine.crash_report(), file=sys.stderr)
    if options.quiet:
        return
    say(ending_line(stop))
    for line in not_in_the_model(machine):
        say(line)
    if not measured.functions.has_symbols:
        say("the image has no symbols, so code goes by its page; --symbols FILE.elf brings some")
    elif options.by == "line" and not any(measured.functions.line(site.pc) for site in measured.measured.sites):
        say("the image does not say which lines its code comes from; compile it with -g")


def _show(machine: Machine, measured: RunProfile, stop: Stop, options: CommandLine) -> None:
    if options.as_json:
        ended = {"reason": stop.reason.value, "detail": stop.detail, "exit_code": stop.exit_code}
        untimed = {"untimed": machine.untimed} if machine.timing else {}
        json.dump({"schema": SCHEMA, "stop": ended, **untimed, **measured.as_dict()}, sys.stdout, indent=2)
        print()
        return
    from hillemu.inspection.views.terminal import show

    rows = by_line if options.by == "line" else by_function
    shown, total = rows(measured, options.top), summary(measured)
    show([("profile", type(total)({}, (*total.blocks, *shown.blocks)))], sys.stdout)


def _write(page: TextIO | None, callgrind: TextIO | None, measured: RunProfile, stop: Stop, image: str) -> None:
    if page is not None:
        from hillemu.profiling.page import write_page

        with written(page, "--html"):
            write_page(page, measured, image=image, ending=ending_line(stop))
    if callgrind is not None:
        from hillemu.profiling.callgrind import write_callgrind

        with written(callgrind, "--callgrind"):
            write_callgrind(callgrind, measured, command=image)

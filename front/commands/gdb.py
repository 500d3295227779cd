"""`hillemu gdb`: one command boots a machine and debugs it, with GDB on this terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from hillemu.commands.boot import boot_with
from hillemu.commands.debugger import AwaitedGdb, Say
from hillemu.debugging.one_processor import stay_on_one_processor
from hillemu.debugging.server import Server
from hillemu.debugging.started_gdb import StartedGdb, meeting_place
from hillemu.emu.errors import OptionError
from hillemu.terminal.display import Display

if TYPE_CHECKING:
    from hillemu.commands.command_line import CommandLine
    from hillemu.commands.debugger import Run
    from hillemu.input_record import Typed
    from hillemu.machine import Machine


def gdb(options: CommandLine) -> int:
    """Carry the command out; return the exit status of the machine's run.

    Raises `UserMistake` for everything that is wrong with an option or a file.
    """
    if options.serial_input == "-":
        raise OptionError("--serial-input", "standard input is GDB's; give a file")
    debugger = _Debugger(options, StartedGdb(options.debugger, options.gdb_arguments))
    options.wait = True
    options.display = options.display or Display(shows_text=False)
    stay_on_one_processor()
    return boot_with(options, debugger)


class _Debugger(AwaitedGdb):
    """GDB as a child of ours, attached before the first instruction."""

    has_terminal = ends_with_debugger = True

    def __init__(self, options: CommandLine, started: StartedGdb) -> None:
        super().__init__(options)
        self._started = started

    @contextmanager
    def listening(self) -> Iterator[None]:
        with meeting_place() as place, Server(place) as self.server:
            yield

    def running(self, machine: Machine, typed: list[Typed], say: Say) -> tuple[Run, Callable[[], None]]:
        run, self._end_run = super().running(machine, typed, say)
        self._images = [*machine.symbol_files, *self.options.symbols]
        return run, self._end

    def present(self, say: Say) -> AbstractContextManager[object]:
        return self._started.beside(self.server, self._images, self._end_run)

    def _end(self) -> None:
        self._end_run()
        self._started.end()

"""`hillemu gdb`: one command boots a machine and debugs it, with GDB on this terminal.

::

    this terminal --- GDB --- a socket --- hillemu (no keyboard; Ctrl-C is GDB's)

GDB is a child of ours and has the terminal for itself; the guest's serial output is written between what it says.  The
machine ends when GDB leaves it; when the machine ends first, we wait until GDB does, too.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hillemu.boot.elf import MAGIC
from hillemu.commands.boot import boot_with
from hillemu.commands.debugger import AwaitedGdb, Say
from hillemu.debugging.listening import LOCALHOST, has_socket_files
from hillemu.debugging.one_processor import stay_on_one_processor
from hillemu.debugging.server import SCRIPT
from hillemu.emu.errors import OptionError, UserMistake
from hillemu.terminal.display import Display

if TYPE_CHECKING:
    from hillemu.commands.command_line import CommandLine
    from hillemu.commands.debugger import Run
    from hillemu.input_record import Typed
    from hillemu.machine import Machine

PROGRAMS = ("gdb", "gdb-multiarch", "i386-elf-gdb", "i686-elf-gdb", "x86_64-elf-gdb")
"""What is looked for: GDB of a PC knows the i386; elsewhere one for many targets, or for this one, does."""


def gdb(options: CommandLine) -> int:
    """Carry the command out; return the exit status of the machine's run.

    Raises `UserMistake` for everything that is wrong with an option or a file.
    """
    if options.serial_input == "-":
        raise OptionError("--serial-input", "standard input is GDB's; give a file")
    program = _program(options.debugger)
    options.wait = True
    options.display = options.display or Display(shows_text=False)
    stay_on_one_processor()
    with _place() as options.gdb:
        return boot_with(options, StartedGdb(options, program))


class StartedGdb(AwaitedGdb):
    """GDB as a child of ours, attached before the first instruction."""

    has_terminal = ends_with_debugger = True

    def __init__(self, options: CommandLine, program: str) -> None:
        super().__init__(options)
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    def running(self, machine: Machine, typed: list[Typed], say: Say) -> tuple[Run, Callable[[], None]]:
        run, self._end_run = super().running(machine, typed, say)
        return run, self._end

    @contextmanager
    def present(self, say: Say) -> Iterator[None]:
        command = gdb_command(self._program, self.options, str(self.server.address))
        try:
            self._process = subprocess.Popen(command)
        except OSError as error:
            raise UserMistake(f"{self._program}: cannot start it: {error.strerror or error}") from None
        # The terminal sends Ctrl-C to both; GDB tells us what it makes of it.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        watch = threading.Thread(target=self._end_behind, args=(self._process,), daemon=True)
        watch.start()
        try:
            yield
        finally:
            watch.join()
            signal.signal(signal.SIGINT, before)

    def _end_behind(self, process: subprocess.Popen[bytes]) -> None:
        """End the run when GDB is gone, which may never have attached."""
        process.wait()
        self._end_run()

    def _end(self) -> None:
        self._end_run()
        if self._process is not None:
            self._process.terminate()


def gdb_command(program: str, options: CommandLine, address: str) -> list[str]:
    """GDB with our script and the symbols that there are, attached at `address`; then what the user wants."""
    tables = list(options.symbols)
    if options.image is not None and _is_elf(options.image):
        tables.insert(0, options.image)
    more = [f"add-symbol-file {_quoted(name)}" for name in tables[1:]]
    commands = [*(["set confirm off", *more, "set confirm on"] if more else []), f"target remote {address}"]
    return [program, "-q", "-x", str(SCRIPT), *tables[:1], *(f"-ex={one}" for one in commands), *options.gdb_arguments]


@contextmanager
def _place() -> Iterator[str]:
    """Where we two meet: if it can be had, where nobody else comes, and what is sent takes half the time."""
    if not has_socket_files():
        yield f"{LOCALHOST}:0"
        return
    with tempfile.TemporaryDirectory(prefix="hillemu-") as folder:
        yield f"unix:{folder}/gdb"


def _program(named: str | None) -> str:
    """The GDB to start."""
    if named is not None:
        if found := shutil.which(named):
            return found
        raise OptionError("--debugger", f"{named}: there is no such program")
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    raise OptionError("--debugger", f"none of {', '.join(PROGRAMS)} is installed; install one, or name another")


def _is_elf(name: str) -> bool:
    try:
        with open(name, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False  # that it cannot be booted is told when it is


def _quoted(name: str) -> str:
    """`name` as one word of a GDB command."""
    return '"' + name.replace("\\", r"\\").replace('"', r"\"") + '"'

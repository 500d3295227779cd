"""GDB on this terminal, as a child of ours that debugs one machine.

::

    this terminal --- GDB --- a socket of our own --- hillemu (no keyboard; Ctrl-C is GDB's)

What the guest writes to this terminal comes between what GDB says.  The run ends when GDB leaves the machine; when the
run ends first, we wait until GDB does, too.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hillemu.boot.elf import begins_as_elf
from hillemu.debugging.listening import LOCALHOST, Address, Place, SocketFile, has_socket_files
from hillemu.debugging.server import SCRIPT, Server
from hillemu.emu.errors import OptionError, UserMistake

PROGRAMS = ("gdb", "gdb-multiarch", "i386-elf-gdb", "i686-elf-gdb", "x86_64-elf-gdb")
"""What is looked for: GDB of a PC knows the i386; elsewhere one for many targets, or for this one, does."""


class StartedGdb:
    """`program`, with `arguments` behind what we say.

    Raises `OptionError` where there is no such program; `program` without a value is one that is installed.
    """

    def __init__(self, program: str | None, arguments: Sequence[str]) -> None:
        self._program = _found(program)
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def command(self, address: object, images: Sequence[str]) -> list[str]:
        """What is started: our script, the symbols of ELF files, the machine at `address`, what the user wants."""
        symbols = [name for name in images if _is_elf(name)]
        more = [f"add-symbol-file {_quoted(name)}" for name in symbols[1:]]
        ours = [*(["set confirm off", *more, "set confirm on"] if more else []), f"target remote {address}"]
        commands = [f"-ex={one}" for one in ours]
        return [self._program, "-q", "-x", str(SCRIPT), *symbols[:1], *commands, *self._arguments]

    @contextmanager
    def beside(self, server: Server, images: Sequence[str], end_run: Callable[[], None]) -> Iterator[None]:
        """GDB at `server` during the ``with`` block and until it ends; `end_run` is called when it has.

        It has the symbols of those among `images` that are ELF files.

        Raises `UserMistake` if it cannot be started.
        """
        try:
            self._process = process = subprocess.Popen(self.command(server.address, images))
        except OSError as error:
            raise UserMistake(f"{self._program}: cannot start it: {error.strerror or error}") from None

        def end_behind() -> None:
            process.wait()
            end_run()  # it may never have attached

        # The terminal sends Ctrl-C to both; GDB tells us what it makes of it.
        is_main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, signal.SIG_IGN) if is_main else None
        watch = threading.Thread(target=end_behind, daemon=True)
        watch.start()
        try:
            yield
        except BaseException:
            server.hang_up()  # GDB waits for the machine, and we for GDB
            raise
        finally:
            watch.join()
            if is_main:
                signal.signal(signal.SIGINT, before)

    def end(self) -> None:
        """Have GDB end."""
        if self._process is not None:
            self._process.terminate()


@contextmanager
def meeting_place() -> Iterator[Place]:
    """Where we two meet: if it can be had, where nobody else comes, and what is sent takes half the time."""
    if not has_socket_files():
        yield Address(LOCALHOST, 0)
        return
    with tempfile.TemporaryDirectory(prefix="hillemu-") as folder:
        yield SocketFile(f"{folder}/gdb")


def _found(program: str | None) -> str:
    for name in (program,) if program is not None else PROGRAMS:
        if found := shutil.which(name):
            return found
    if program is not None:
        raise OptionError("--debugger", f"{program}: there is no such program")
    raise OptionError("--debugger", f"none of {', '.join(PROGRAMS)} is installed; install one, or name another")


def _is_elf(name: str) -> bool:
    try:
        with open(name, "rb") as file:
            return begins_as_elf(file.read(4))
    except (OSError, ValueError):
        return False  # that it cannot be booted is told when it is


def _quoted(name: str) -> str:
    """`name` as one word of a GDB command."""
    return '"' + name.replace("\\", r"\\").replace('"', r"\"") + '"'

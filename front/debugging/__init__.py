"""GDB on a `Machine`: what a debugger may do to it, the server that listens, and GDB itself beside it.

>>> from hillemu import Machine
>>> from hillemu.debugging import debug
>>> machine = Machine()                                   # doctest: +SKIP
>>> machine.load("kernel.elf")                            # doctest: +SKIP
>>> stop = machine.run(until="mounted")                   # doctest: +SKIP
>>> stop = debug(machine)                                 # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hillemu.emu.stop import Stop
    from hillemu.machine import Machine


def debug(
    machine: Machine,
    where: str | None = None,
    *,
    wait: bool = True,
    arguments: Sequence[str] = (),
) -> Stop:
    """Run `machine` under GDB, from where it stands.

    Without `where`, GDB is started on this terminal, with the symbols of what was loaded, and with `arguments`; the run
    ends when GDB leaves the machine.
    With it, the run goes to its end, and GDB may attach there (``[HOST:]PORT``, 127.0.0.1 without a host, or
    ``unix:FILE``); with `wait` the next instruction waits for it.

    Raises `OptionError` if `where` cannot be listened at, or if no GDB is installed.
    """
    from hillemu.debugging.debugged_run import DebuggedRun
    from hillemu.debugging.listening import parse_address
    from hillemu.debugging.server import Server

    if where is not None:
        with Server(parse_address(where)) as server:
            return DebuggedRun(machine, server).run(wait=wait)
    from hillemu.debugging.started_gdb import StartedGdb, meeting_place

    gdb = StartedGdb(None, arguments)
    with meeting_place() as place, Server(place) as server:
        run = DebuggedRun(machine, server, ends_with_debugger=True)
        with gdb.beside(server, machine.symbol_files, run.stop):
            return run.run(wait=True)

"""GDB on a `Machine`: what a debugger may do to it, and the server that listens.

>>> from hillemu import Machine
>>> from hillemu.debugging import debug
>>> machine = Machine()                                   # doctest: +SKIP
>>> machine.load("kernel.elf")                            # doctest: +SKIP
>>> stop = debug(machine, "1234", wait=True)              # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hillemu.emu.stop import Stop
    from hillemu.machine import Machine


def debug(machine: Machine, where: str, *, wait: bool = True) -> Stop:
    """Run `machine` to its end, and let GDB attach at `where` (``[HOST:]PORT``; 127.0.0.1 without a host).

    With `wait` the first instruction waits for GDB.  Raises `OptionError` if `where` cannot be listened at.
    """
    from hillemu.debugging.debugged_run import DebuggedRun
    from hillemu.debugging.listening import parse_address
    from hillemu.debugging.server import Server

    with Server(parse_address(where)) as server:
        return DebuggedRun(machine, server).run(wait=wait)

"""Who debugs a run: GDB that is waited for (`hillemu boot --gdb`), or that is started (`hillemu gdb`).

Both listen before the machine exists, because a port may be taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from hillemu.emu.errors import OptionError

if TYPE_CHECKING:
    from hillemu.commands.command_line import CommandLine
    from hillemu.debugging.debugged_run import DebuggedRun
    from hillemu.debugging.server import Server
    from hillemu.emu.stop import Stop
    from hillemu.input_record import Typed
    from hillemu.machine import Machine

    Run = Callable[[Callable[[], bool] | None], Stop]
    """Runs a machine to its end, with a `between` as for `Machine.run`."""

Say = Callable[[str], None]


class Debugger:
    """Nobody: the machine runs alone."""

    has_terminal = False
    """Whether it is the debugger's terminal that we are on."""
    takes_time = False
    """Whether the machine stands still while a person thinks."""

    def __init__(self, options: CommandLine) -> None:
        self.options = options

    def listening(self) -> AbstractContextManager[object]:
        """Listen inside the ``with`` block."""
        if self.options.wait:
            raise OptionError("--wait", "needs --gdb: it is a debugger that is waited for")
        return nullcontext()

    def running(self, machine: Machine, typed: list[Typed], say: Say) -> tuple[Run, Callable[[], None]]:
        """How to run `machine`, and how to end that from a signal handler or another thread."""
        until, max_insns = self.options.until, self.options.max_insns
        return lambda between: machine.run(until=until, max_insns=max_insns, between=between), machine.stop

    def present(self, say: Say) -> AbstractContextManager[object]:
        """Have the debugger there inside the ``with`` block."""
        return nullcontext()


class AwaitedGdb(Debugger):
    """Whoever attaches at ``--gdb [HOST:]PORT``, now or later, and again."""

    server: Server
    takes_time = True
    ends_with_debugger = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        from hillemu.debugging.listening import parse_address
        from hillemu.debugging.server import Server

        assert self.options.gdb is not None
        with Server(parse_address(self.options.gdb)) as self.server:
            yield

    def running(self, machine: Machine, typed: list[Typed], say: Say) -> tuple[Run, Callable[[], None]]:
        debugged = self._debugged(machine, typed, say)
        wait = self.options.wait
        return lambda between: debugged.run(wait=wait, between=between), debugged.stop

    def present(self, say: Say) -> AbstractContextManager[object]:
        for line in self.server.greeting(wait=self.options.wait):
            say(f"gdb: {line}")
        return nullcontext()

    def _debugged(self, machine: Machine, typed: list[Typed], say: Say) -> DebuggedRun:
        from hillemu.debugging.debugged_run import DebuggedRun

        return DebuggedRun(
            machine,
            self.server,
            until=self.options.until,
            max_insns=self.options.max_insns,
            record=typed,
            tell=lambda text: say(f"gdb: {text}"),
            ends_with_debugger=self.ends_with_debugger,
        )


def debugger_of(options: CommandLine) -> Debugger:
    """Who is to debug what `hillemu boot` runs."""
    return Debugger(options) if options.gdb is None else AwaitedGdb(options)

"""A debugger without sockets: packets one after the other into a `DebuggedRun`, and its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, count
from typing import Any

from gdb_target import READ_DESCRIPTION, packet, packets_in

from hillemu.debugging.debugged_run import DebuggedRun
from hillemu.debugging.server import Event
from hillemu.emu.gdb.registers import BY_NAME
from hillemu.emu.stop import Stop
from hillemu.machine import Machine

ATTACHING = (b"QStartNoAckMode", READ_DESCRIPTION)
"""What a debugger asks first."""


class ScriptedServer:
    """Plays a debugger that attaches, sends `packets` one after the other, each when the last is answered, and stays.

    A packet may also be an `Event`.  When the script is through, the debugger is `Event.GONE` and the run woken.
    """

    def __init__(self, *packets: bytes | Event) -> None:
        self._script: Iterator[bytes | Event] = iter((Event.ATTACHED, *map(packet, ATTACHING), *packets))
        self._attaching = len(ATTACHING)
        self.answers: list[bytes] = []
        """To `packets`."""
        self.on_end: Callable[[], None] = lambda: None

    def will_send(self, packets: Iterator[bytes | Event]) -> None:
        """Send `packets`, too, each made when the last is answered."""
        self._script = chain(self._script, packets)

    def next(self, timeout_s: float | None) -> bytes | Event | None:
        if timeout_s == 0:
            return None
        item = next(self._script, None)
        if item is None:
            self.on_end()
            return Event.WOKEN
        is_ready = isinstance(item, Event) or item.startswith((b"$", b"\x03"))
        return item if is_ready else packet(item)

    def send(self, data: bytes) -> None:
        for answer in packets_in(data):
            if self._attaching:
                self._attaching -= 1
            else:
                self.answers.append(answer)

    def hang_up(self) -> None:
        pass

    def wake(self) -> None:
        pass


def debug(machine: Machine, *packets: bytes | Event, **options: Any) -> tuple[list[bytes], Stop]:
    """The answers to `packets`, and how the run ended; it is stopped at the end of the script."""
    server = ScriptedServer(*packets)
    run = DebuggedRun(machine, server, **options)  # type: ignore[arg-type]
    server.on_end = run.stop
    stop = run.run(wait=True)
    return server.answers, stop


def debug_and_interrupt(
    machine: Machine, *packets: bytes | Event, looks: int = 100, between: Callable[[], bool] | None = None
) -> list[bytes]:
    """The answers to `packets` and to a Ctrl-C that comes at the running machine's look number `looks`, from 0."""
    server = ScriptedServer(*packets)
    looked = count()
    typed = server.next
    server.next = lambda timeout_s: (  # type: ignore[method-assign]
        typed(timeout_s) if timeout_s != 0 else b"\x03" if next(looked) == looks else None
    )
    run = DebuggedRun(machine, server)  # type: ignore[arg-type]
    server.on_end = run.stop
    run.run(wait=True, between=between)
    return server.answers


def value(hexadecimal: bytes) -> int:
    return int.from_bytes(bytes.fromhex(hexadecimal.decode()), "little")


def p(name: str) -> bytes:
    return b"p%x" % BY_NAME[name].number


def set_to(name: str, number: int) -> bytes:
    register = BY_NAME[name]
    return b"P%x=%b" % (register.number, number.to_bytes(register.size_bytes, "little").hex().encode())


def monitor(command: str) -> bytes:
    """The packet for ``monitor COMMAND``."""
    return b"qRcmd," + command.encode().hex().encode()

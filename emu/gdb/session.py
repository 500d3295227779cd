"""One connection: bytes in, bytes out.

Whoever owns the socket and the machine does this::

    session = Session(target)
    send(session.receive(data))          # as data comes; `target` is called for what it asks
    if session.running: ...              # set the machine in motion, and go on receiving: it may be an interrupt
    send(session.stopped(outcome))       # when it stands still again
    if session.closed: ...               # nothing more will be answered

Not supported, and answered as the protocol wants it (with an empty reply): threads other than the one processor,
non-stop mode, tracepoints, files on the host (vFile), programs on the host (vAttach; vRun boots again).  A packet that
makes no sense is answered with ``E NN``, or ``E.`` and why to a client that understands that (GDB from version 16); so
is one that comes while the machine runs, because only an interrupt may.
"""

from __future__ import annotations

import re
from functools import lru_cache

from hillemu.emu.gdb import memory_commands, point_commands, queries, register_commands, resume_commands, transfers
from hillemu.emu.gdb.context import UNKNOWN, Command, Context, Reply
from hillemu.emu.gdb.fields import Malformed
from hillemu.emu.gdb.framing import Framer, Packet, Signal, escape, frame
from hillemu.emu.gdb.resume_commands import console, stop_reply
from hillemu.emu.gdb.target import Ended, ErrorNumber, Outcome, Target, TargetError, Unsupported

_BY_LETTER: dict[bytes, Command] = {
    **register_commands.COMMANDS,
    **memory_commands.COMMANDS,
    **point_commands.COMMANDS,
    **resume_commands.COMMANDS,
    **queries.COMMANDS,
}
_BY_NAME: dict[bytes, Command] = {
    **memory_commands.NAMED,
    **resume_commands.NAMED,
    **queries.NAMED,
    **transfers.NAMED,
}
_DAMAGED = TargetError(ErrorNumber.INVALID, "the packet's checksum is wrong, or it is too long")
_RUNNING = TargetError(ErrorNumber.INVALID, "the machine runs: only an interrupt is obeyed")
_NAME = re.compile(rb"[qQv][A-Za-z.]*\??")


class Session:
    """The stub's side of one connection to a debugger."""

    def __init__(self, target: Target) -> None:
        self._context = Context(target)
        self._framer = Framer()
        self._last_sent = b""

    @property
    def running(self) -> bool:
        """Whether the machine is to be in motion; the client waits for `stopped`."""
        return self._context.running and not self._context.closing

    @property
    def closed(self) -> bool:
        """Whether the client is through with us."""
        return self._context.closing

    def receive(self, data: bytes) -> bytes:
        """Do what `data` asks for; return what is to be sent."""
        if (packet := self._framer.only_packet(data)) and not self._context.closing:  # nearly always
            return self._packet(packet)
        sent = bytearray()
        for item in self._framer.feed(data):
            if self.closed:
                break
            if isinstance(item, Packet):
                sent += self._packet(item)
            elif item is Signal.INTERRUPT:
                self._context.target.interrupt()
            elif item is Signal.NAK and not self._context.no_ack:
                sent += self._last_sent
        return bytes(sent)

    def stopped(self, outcome: Outcome) -> bytes:
        """Tell the client that waits for it that the machine stands still; return what is to be sent."""
        if not self.running:
            return b""
        words = self.say(outcome.message) if outcome.message else b""
        self._context.running = False
        if isinstance(outcome, Ended):
            self._context.closing = True
        return words + self._send(stop_reply(self._context, outcome))

    def say(self, text: str) -> bytes:
        """What shows the person at the debugger a line; only while the machine runs."""
        return self._send(console(text)) if self.running else b""

    def _packet(self, packet: Packet) -> bytes:
        if not packet.intact and not self._context.no_ack:
            return b"-"
        acknowledged = b"" if self._context.no_ack else b"+"
        reply = self._answer(packet.payload) if packet.intact else self._error(_DAMAGED)
        return acknowledged if reply is None else acknowledged + self._send(reply)

    def _answer(self, payload: bytes) -> Reply:
        if self._context.running:
            return self._error(_RUNNING)
        command, arguments = _short(payload) if len(payload) <= _SHORT_BYTES else _divided(payload)
        if command is None:
            return UNKNOWN
        try:
            return command(self._context, arguments)
        except Malformed as error:
            return self._error(TargetError(ErrorNumber.INVALID, str(error)))
        except TargetError as error:
            return self._error(error)
        except Unsupported:
            return UNKNOWN

    def _send(self, payload: bytes) -> bytes:
        self._last_sent = frame(payload)
        return self._last_sent

    def _error(self, error: TargetError) -> bytes:
        if not self._context.understands_messages:
            return b"E%02x" % error.number
        return b"E." + escape(str(error).encode("ascii", "backslashreplace"))


def _divided(payload: bytes) -> tuple[Command | None, bytes]:
    """The command that `payload` names, if there is such a one, and what follows its name."""
    if named := _NAME.match(payload):
        return _BY_NAME.get(named[0]), payload[named.end() :]
    return _BY_LETTER.get(payload[:1]), payload[1:]


_SHORT_BYTES = 64
_short = lru_cache(maxsize=256)(_divided)
"""GDB sends the same few by the ten thousand."""

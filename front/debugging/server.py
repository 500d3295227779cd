"""The socket: one debugger at a time; who else comes is told so and sent away."""

from __future__ import annotations

import os
import select
import selectors
import socket
from contextlib import suppress
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

from hillemu.debugging.listening import Place
from hillemu.debugging.prompt_waiting import PromptWaiting
from hillemu.emu.errors import OptionError
from hillemu.emu.gdb.framing import frame

SCRIPT = Path(__file__).with_name("hillemu.gdb")
"""Has GDB follow the guest between 16-bit and 32-bit code."""
READ_BYTES = 1 << 16
SEND_TIMEOUT_S = 10
"""A client that takes nothing for so long is gone."""
EVERYBODY_EVERY = 64
"""Of so many packets, one is waited for together with whoever else wants something; between them only the client is."""
_MOST_REFUSED = 4
_BUSY = b"+" + frame(b"E.hillemu: another debugger is attached to this machine")


class Event(Enum):
    """What `Server.next` has to tell beside data."""

    ATTACHED = "attached"
    GONE = "gone"
    """The client closed the connection, or it broke."""
    WOKEN = "woken"
    """Somebody called `Server.wake`."""


class Server:
    """Listens at `address` from the start; a context manager.  Raises `OptionError` if it cannot."""

    def __init__(self, address: Place, option: str = "--gdb") -> None:
        self._client: socket.socket | None = None
        self._refused: list[socket.socket] = []
        try:
            self._listener = address.listen()
        except (OSError, UnicodeError) as error:
            raise OptionError(option, f"cannot listen at {address}: {_why(error)}; choose another") from None
        self._wake_end, self._woken_end = socket.socketpair()
        self._sources = selectors.DefaultSelector()
        self._waiting: PromptWaiting[bytes | Event] = PromptWaiting(self._received)
        self._asked = 0
        self._wake_end.setblocking(False)
        for source in (self._listener, self._woken_end):
            self._listen_to(source)
        self.address = address.used_by(self._listener)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        self.hang_up()
        self._sources.close()
        for end in (self._listener, self._wake_end, self._woken_end, *self._refused):
            end.close()
        self.address.release()

    def greeting(self, *, wait: bool) -> list[str]:
        """What the user should know at the start, in lines."""
        lines = [f"listening: attach with gdb -x {SCRIPT} KERNEL -ex 'target remote {self.address}'"]
        if not self.address.is_local:
            lines.append(
                "warning: whoever can reach this port can read and change the guest; without HOST only you can"
            )
        if wait:
            lines.append("waiting for GDB before the first instruction")
        return lines

    def next(self, timeout_s: float | None) -> bytes | Event | None:
        """What comes first: data, or an event; `None` after `timeout_s` (`None`: wait for ever).

        Another client that comes meanwhile is refused.
        """
        if timeout_s is None and self._client is not None:
            self._asked += 1
            # The client has answered already, or will at once, again and again; the others wait a moment.
            if self._asked % EVERYBODY_EVERY and (data := self._received() or self._waiting.awake()):
                return data
        while True:
            ready = [key.fileobj for key, _ in self._sources.select(timeout_s)]
            if self._woken_end in ready:
                self._woken_end.recv(READ_BYTES)
                return Event.WOKEN
            data = self._received() if self._client in ready else None
            if data is Event.GONE:
                return data  # who calls just then takes its place
            # A client that never pauses must not keep the others waiting.
            if self._listener in ready and self._accept():
                return Event.ATTACHED
            for caller in self._refused[:]:
                if caller in ready:
                    self._answer_refused(caller)
            if data is not None:
                return data
            if not ready:
                return None

    def send(self, data: bytes) -> None:
        """Send all of `data`; that the client is gone will be told by `next`."""
        if self._client is None or not data:
            return
        if not _sent_all(self._client, data):
            # An end of file is what `next` shall see.
            with suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)
        self._waiting.sent()

    def hang_up(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            self._close(self._client)
            self._client = None

    def wake(self) -> None:
        """Have `next` return, from a signal handler or another thread."""
        with suppress(OSError):  # woken already, so often that no more fits
            self._wake_end.send(b"!")

    def _received(self) -> bytes | Event | None:
        """What the client has sent; `None` if that is nothing yet."""
        client = self._client
        if client is None:
            return None
        try:
            data = client.recv(READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        self._waiting.received()
        if not data:
            self.hang_up()
        return data or Event.GONE

    def _accept(self) -> bool:
        """Take the next caller; whether that one is the client."""
        try:
            caller, _ = self._listener.accept()
        except OSError:  # gone again
            return False
        if self._client is not None:
            self._refuse(caller)
            return False
        self._listen_to(caller)
        if caller.family in (socket.AF_INET, socket.AF_INET6):
            # Every packet is answered at once, and waited for.
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = caller
        return True

    def _refuse(self, caller: socket.socket) -> None:
        """Keep `caller` until it has asked something: GDB does not listen before."""
        self._listen_to(caller)
        self._refused.append(caller)
        if len(self._refused) > _MOST_REFUSED:
            self._close(self._refused.pop(0))

    def _answer_refused(self, caller: socket.socket) -> None:
        """Answer the first packet; close when the caller has understood."""
        with suppress(OSError):
            if data := caller.recv(READ_BYTES):
                if b"$" in data:
                    caller.sendall(_BUSY)
                    caller.shutdown(socket.SHUT_WR)
                return
        self._close(caller)
        self._refused.remove(caller)

    def _listen_to(self, source: socket.socket) -> None:
        # A time-out would have the host asked twice for each packet.
        source.setblocking(False)
        self._sources.register(source, selectors.EVENT_READ)

    def _close(self, source: socket.socket) -> None:
        self._sources.unregister(source)
        source.close()


def _sent_all(client: socket.socket, data: bytes) -> bool:
    """Whether `client`, which does not block, took all of `data`."""
    while data:
        try:
            data = data[client.send(data) :]
        except BlockingIOError:
            if not select.select([], [client], [], SEND_TIMEOUT_S)[1]:
                return False
        except OSError:
            return False
    return True


def _why(error: OSError | UnicodeError) -> str:
    if isinstance(error, OSError) and error.errno and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)  # Python adds what we have said already
    return getattr(error, "strerror", None) or str(error)

"""Where to listen: ``[HOST:]PORT``, or ``unix:PATH``.

>>> parse_address("1234")
Address(host='127.0.0.1', port=1234)
>>> parse_address("[::1]:1234").host
'::1'
>>> str(parse_address("unix:/tmp/kernel.gdb"))
'/tmp/kernel.gdb'
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from typing import NamedTuple

from hillemu.emu.errors import OptionError

LOCALHOST = "127.0.0.1"
_UNIX = "unix:"
_BACKLOG = 4
_PRIVATE = 0o177
"""Taken from a file's mode: nobody but the user may connect."""


class Address(NamedTuple):
    """A host's name or number, and a TCP port; port 0 has the host choose one."""

    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether only programs on this host can reach it."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def listen(self) -> socket.socket:
        """A socket that listens here; raises `OSError` or `UnicodeError`."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        return socket.create_server(self, family=family, backlog=_BACKLOG)

    def used_by(self, listener: socket.socket) -> Address:
        """What `listener` listens at, with the port that the host has chosen."""
        return Address(*listener.getsockname()[:2])

    def release(self) -> None:
        """Give back what is the host's."""


class SocketFile(NamedTuple):
    """A Unix domain socket, which is a file: only the user's own programs can reach it."""

    path: str

    @property
    def is_local(self) -> bool:
        return True

    def __str__(self) -> str:
        return self.path

    def listen(self) -> socket.socket:
        """A socket that listens here; raises `OSError`.  One that is left over from a killed program is replaced."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(_PRIVATE)
        try:
            if self._is_left_over():
                os.unlink(self.path)
            listener.bind(self.path)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
        finally:
            os.umask(before)
        return listener

    def used_by(self, listener: socket.socket) -> SocketFile:
        return self

    def release(self) -> None:
        with suppress(OSError):
            os.unlink(self.path)

    def _is_left_over(self) -> bool:
        """Whether there is a socket at which nobody listens."""
        try:
            if not stat.S_ISSOCK(os.stat(self.path).st_mode):
                return False
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
                caller.connect(self.path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return False


Place = Address | SocketFile


def parse_address(text: str, option: str = "--gdb") -> Place:
    """Raises `OptionError` for what is no address, and for a Unix domain socket where the host has none."""
    if text.startswith(_UNIX):
        return _socket_file(text.removeprefix(_UNIX), option)
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (port.isascii() and port.isdecimal() and int(port) <= 0xFFFF):
        raise OptionError(option, f"{text!r} is not [HOST:]PORT or unix:PATH; write it like 1234 or 127.0.0.1:1234")
    return Address(host if colon and host else LOCALHOST, int(port))


def has_socket_files() -> bool:
    """Whether this host has Unix domain sockets."""
    return hasattr(socket, "AF_UNIX")


def _socket_file(path: str, option: str) -> SocketFile:
    if not path or "\0" in path:
        raise OptionError(option, "unix: names no file; write it like unix:/tmp/kernel.gdb")
    if not has_socket_files():
        raise OptionError(option, "this host has no Unix domain sockets; choose a port")
    return SocketFile(path)

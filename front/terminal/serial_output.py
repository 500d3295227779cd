"""Where COM1's output goes: raw bytes to a file descriptor, as soon as the guest sends them.

A terminal or a pipe gets every byte at once, so that a prompt without a newline shows; a regular file gets lines.
A reader that went away (``hillemu boot | head``) or a full disk ends the run instead of raising inside a device.
"""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Callable

from hillemu.emu.errors import UserMistake

_BUFFER_BYTES = 4096


class SerialOutput:
    """Writes bytes to the descriptor `fd`; `name` is for messages.

    `on_fault` is called once, when writing has become impossible; later bytes are dropped.
    """

    def __init__(self, fd: int, name: str, *, owns_fd: bool = False) -> None:
        self.fd = fd
        self.name = name
        self.on_fault: Callable[[], None] | None = None
        self.fault: OSError | None = None
        self._owns_fd = owns_fd
        self._buffered = stat.S_ISREG(os.fstat(fd).st_mode)
        self._pending = bytearray()

    def put(self, byte: int) -> None:
        """Send one byte of the guest's."""
        self._pending.append(byte)
        if not self._buffered or byte == 0x0A or len(self._pending) >= _BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write out what waits for the end of its line."""
        data = bytes(self._pending)
        self._pending.clear()
        while data and self.fault is None:
            try:
                data = data[os.write(self.fd, data) :]
            except BlockingIOError:
                select.select([], [self.fd], [])  # somebody made our standard output non-blocking
            except OSError as error:
                self.fault = error
                if self.on_fault is not None:
                    self.on_fault()

    def close(self) -> None:
        """Flush; then raise `UserMistake` if output was lost to anything but a reader that had enough."""
        self.flush()
        if self._owns_fd:
            os.close(self.fd)
        if self.fault is not None and not isinstance(self.fault, BrokenPipeError):
            raise UserMistake(f"{self.name}: cannot write the serial output: {self.fault.strerror}")

    @property
    def is_terminal(self) -> bool:
        return os.isatty(self.fd)


def open_serial_output(target: str) -> SerialOutput | None:
    """The output for `--serial`: ``stdio``, ``null`` (returns None) or a file's name, which is made anew.

    Raises `UserMistake` when the file cannot be written.
    """
    if target == "null":
        return None
    if target == "stdio":
        if sys.stdout is None:  # started with standard output closed
            return None
        sys.stdout.flush()
        return SerialOutput(sys.stdout.fileno(), "standard output")
    try:
        return SerialOutput(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), target, owns_fd=True)
    except (OSError, ValueError) as error:
        raise UserMistake(f"{target}: cannot write the serial output there: {reason_of(error)}") from None


def reason_of(error: OSError | ValueError) -> str:
    """Why a file could not be opened, without the errno number and the name: ``No such file or directory``."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

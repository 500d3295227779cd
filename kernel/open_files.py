"""The files that a process has open: 0, 1 and 2 are the console, the others boot modules, each with a position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.kernel.errno import Errno

if TYPE_CHECKING:
    from hillemu.kernel.mm.files import File

STDIN, STDOUT, STDERR = 0, 1, 2
FIRST_FILE = 3
MAX_FILES = 64


class OpenFiles:
    """Numbers to files; a copy of it is what a child inherits."""

    def __init__(self) -> None:
        self._files: dict[int, File] = {}
        self._positions: dict[int, int] = {}

    def copy(self) -> OpenFiles:
        """The same files at the same positions, which move apart from now on (on Linux they would not)."""
        made = OpenFiles()
        made._files, made._positions = dict(self._files), dict(self._positions)
        return made

    def open(self, file: File) -> int:
        """The lowest free number now stands for `file`; EMFILE if there is none."""
        for number in range(FIRST_FILE, MAX_FILES):
            if number not in self._files:
                self._files[number], self._positions[number] = file, 0
                return number
        return Errno.EMFILE

    def close(self, number: int) -> int:
        """0, or EBADF."""
        if self._files.pop(number, None) is None:
            return Errno.EBADF
        del self._positions[number]
        return 0

    def find(self, number: int) -> File | None:
        """What `number` stands for; None if it is not open, or the console."""
        return self._files.get(number)

    def read(self, number: int, count: int) -> bytes | Errno:
        """Up to `count` bytes from the position on, which moves behind them."""
        file = self._files.get(number)
        if file is None:
            return Errno.EBADF
        at = self._positions[number]
        data = file.read(at, max(0, min(count, file.size_bytes - at)))
        self._positions[number] = at + len(data)
        return data

"""GDB as development environments drive it: GDB/MI, a command a line, answered by records.

Source: Debugging with GDB, "GDB/MI Output Syntax".
"""

from __future__ import annotations

import re
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

TIMEOUT_S = 60
_RESULT = re.compile(r"\^(done|running|connected|error|exit)")


class MiSession:
    """``gdb --interpreter=mi`` in `folder`; a context manager."""

    def __init__(self, gdb: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [gdb, "-nx", "--interpreter=mi"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
        )
        self._watchdog = threading.Timer(TIMEOUT_S, self._process.kill)
        self._watchdog.start()
        self.said: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        self._watchdog.cancel()
        self._process.kill()
        self._process.communicate()

    def ask(self, command: str) -> str:
        """The result record of `command`; all before it is in `said`."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self.wait_for(_RESULT)

    def wait_for(self, pattern: str | re.Pattern[str]) -> str:
        """The next line that begins with `pattern`."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line)
            if re.match(pattern, line):
                return line.rstrip("\n")
        raise AssertionError("gdb has ended: " + "".join(self.said[-20:]))

    def stopped(self) -> str:
        """The record of the next stop."""
        return self.wait_for(r"\*stopped")

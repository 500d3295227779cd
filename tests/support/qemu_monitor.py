"""QEMU, run to an instruction and asked there: its GDB stub for the breakpoint, QMP for the monitor's commands."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from qmp import Qmp

PATIENCE_S = 30


class QemuMonitor:
    """`command` boots an image; QEMU waits in front of the first instruction.  `folder` is for its sockets."""

    def __init__(self, command: list[str], folder: Path) -> None:
        gdb_path, qmp_path = folder / "gdb", folder / "qmp"
        self._process = subprocess.Popen(
            [
                *command,
                *("-S", "-display", "none", "-serial", "null", "-monitor", "none"),
                *("-gdb", f"unix:{gdb_path},server=on,wait=off", "-qmp", f"unix:{qmp_path},server=on,wait=off"),
            ],
            stdin=subprocess.DEVNULL,
        )
        try:
            self._gdb = _connect(gdb_path)
            with _connect(qmp_path) as qmp:
                self._stream = qmp.makefile("rw")
            self._qmp = Qmp(self._stream, self._stream)
        except BaseException:
            self._process.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gdb.close()
        self._stream.close()
        self._process.kill()
        self._process.wait()

    def run_to(self, at: int) -> None:
        """Run until the instruction at virtual `at` is next, one instruction at least."""
        assert self._gdb_says("s")[0] in "ST"  # QEMU would stop at once at a breakpoint that it stands at.
        assert self._gdb_says(f"Z1,{at:x},1") == "OK"
        assert self._gdb_says("c")[0] in "ST"
        assert self._gdb_says(f"z1,{at:x},1") == "OK"

    def human(self, command: str) -> str:
        """What the monitor prints for `command`, with plain line ends."""
        return self._qmp.human(command)

    def _gdb_says(self, packet: str) -> str:
        """Source: GDB's manual, "Remote Protocol", "Overview"."""
        self._gdb.sendall(f"${packet}#{sum(packet.encode()) % 256:02x}".encode())
        said = b""
        while b"#" not in said or len(said) < said.index(b"#") + 3:
            piece = self._gdb.recv(4096)
            assert piece, "QEMU is gone"
            said += piece
        self._gdb.sendall(b"+")
        return said[said.index(b"$") + 1 : said.index(b"#")].decode()


def _connect(path: Path) -> socket.socket:
    end = time.monotonic() + PATIENCE_S
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE_S)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return connection

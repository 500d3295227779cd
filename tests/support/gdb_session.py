"""`hillemu boot --gdb` or QEMU as a process, and the distribution's GDB driven by scripts against it."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hillemu.boot.assembler import assemble_text

TIMEOUT_S = 60
"""Far more than any session needs."""
FLOPPY_BYTES = 1440 << 10
LISTENING = re.compile(r"target remote ([^']+)'")
HEADER = ".section .multiboot; .long 0x1BADB002, 0, 0xE4524FFE; .text; _start: "
INTERRUPT_SOON = "shell (sleep 0.4; kill -INT $PPID) &"
"""A GDB command: Ctrl-C will be typed while the next command runs."""


class DebuggedHillemu:
    """A machine that waits for debuggers; a context manager.  `arguments` are for `hillemu boot`."""

    def __init__(self, gdb: str, *arguments: object, wait: bool = True) -> None:
        self._gdb = gdb
        self._folder = tempfile.TemporaryDirectory()
        self._errors = Path(self._folder.name) / "stderr"
        self._record = Path(self._folder.name) / "run.json"
        options = ["--gdb", "0", "--display", "none", "--json", self._record, *(["--wait"] if wait else [])]
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hillemu", "boot", *map(str, arguments), *map(str, options)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self.address = self._wait_for(LISTENING)[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()
        self._folder.cleanup()

    @property
    def said(self) -> str:
        """What hillemu itself told so far."""
        return self._errors.read_text()

    def _wait_for(self, pattern: re.Pattern[str]) -> re.Match[str]:
        deadline = time.monotonic() + TIMEOUT_S
        while (found := pattern.search(self.said)) is None:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)
        return found

    def wait_until_said(self, pattern: str) -> None:
        self._wait_for(re.compile(pattern))

    def debug(self, *commands: str, symbols: Path | None = None, scripts: tuple[Path, ...] = ()) -> str:
        """Have GDB attach and carry out `commands`; all that it printed."""
        return run_gdb(self._gdb, self.address, *commands, symbols=symbols, scripts=scripts)

    def finish(self) -> dict[str, Any]:
        """Wait for the end of the run; its record, with hillemu's exit `status`."""
        status = self.process.wait(TIMEOUT_S)
        record: dict[str, Any] = json.loads(self._record.read_text())
        return record | {"status": status}


def run_gdb(gdb: str, address: str, *commands: str, symbols: Path | None = None, scripts: tuple[Path, ...] = ()) -> str:
    """Have GDB attach at `address` and carry out `commands`; all that it printed."""
    first = ["set pagination off", "set confirm off", f"target remote {address}"]
    options = [option for script in scripts for option in ("-x", str(script))]
    options += [option for command in (*first, *commands) for option in ("-ex", command)]
    done = subprocess.run(
        [gdb, "-nx", "-batch", *options, *([str(symbols)] if symbols else [])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S,
        check=False,
    )
    return done.stdout.decode()


@contextmanager
def qemu_waiting(qemu: str, *boot: object) -> Iterator[str]:
    """The address of a QEMU that waits for GDB before the first instruction; `boot` says what it boots."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    options = ("-accel", "tcg", "-m", "64M", "-display", "none", "-no-reboot", *map(str, boot))
    machine = subprocess.Popen(
        [qemu, *options, "-S", "-gdb", f"tcp:127.0.0.1:{port}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while not _is_listening(port):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        machine.kill()
        machine.wait()


def _is_listening(port: int) -> bool:
    """Seen in Linux's table of sockets: to connect would be to debug."""
    listening = re.compile(rf":{port:04X} 00000000:0000 0A")
    return bool(listening.search(Path("/proc/net/tcp").read_text()))


def build_modes(gcc: str, folder: Path) -> tuple[Path, Path]:
    """The boot sector of gdb_modes.s: a floppy's image, and the ELF file with its symbols."""
    image, symbols = folder / "floppy.img", folder / "modes.elf"
    linker = ("-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0x7c00,--build-id=none")
    source = Path(__file__).with_name("gdb_modes.s")
    subprocess.run([gcc, "-m32", "-g", *linker, source, "-o", symbols], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", symbols, image], check=True)
    image.write_bytes(image.read_bytes().ljust(FLOPPY_BYTES, b"\0"))
    return image, symbols


def in_order(text: str, *patterns: str) -> None:
    """Check that regular expressions are found one behind the other."""
    at = 0
    for pattern in patterns:
        found = re.compile(pattern).search(text, at)
        assert found, f"{pattern!r} is not behind {text[:at][-200:]!r} in:\n{text}"
        at = found.end()


def kernel_of(folder: Path, source: str) -> Path:
    """A multiboot kernel of that code."""
    path = folder / "kernel.elf"
    path.write_bytes(assemble_text(HEADER + source).data)
    return path

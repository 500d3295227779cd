"""A Debian kernel with a busybox shell on its serial console, and commands for it.

The kernel and busybox are Debian's packages, unpacked (tests/distribution/fetch.sh).  The initial RAM disk is made
here: busybox, the kernel modules asked for with what they depend on, and an init that loads them and starts a shell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cpio_newc import NewcArchive

from hillemu import Machine

_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
stty rows 25 columns 999 < /dev/ttyS0  # a shell there then shows a command on one line
{insmod}
exec setsid cttyhack sh
"""
MOST_INSTRUCTIONS = 30_000_000_000


class LinuxFiles(NamedTuple):
    """What the packages have: a kernel, the folder of its modules, and a static busybox."""

    kernel: Path
    modules: Path
    busybox: Path

    def initrd(self, modules: Iterable[str] = ()) -> bytes:
        """An initial RAM disk whose init loads `modules`, each a name and perhaps parameters, and starts a shell."""
        found = self._with_dependencies(modules)
        archive = NewcArchive()
        for folder in ("bin", "dev", "lib", "mnt", "proc", "sys", "tmp"):
            archive.directory(folder)
        archive.character_device("dev/console", 5, 1)
        archive.file("bin/busybox", self.busybox.read_bytes(), executable=True)
        archive.link("bin/sh", "busybox")
        for path, _ in found.values():
            archive.file(f"lib/{path.name}", path.read_bytes())
        insmod = "\n".join(f"insmod /lib/{path.name} {parameters}" for path, parameters in found.values())
        archive.file("init", _INIT.format(insmod=insmod).encode(), executable=True)
        return archive.finished()

    def _with_dependencies(self, modules: Iterable[str]) -> dict[str, tuple[Path, str]]:
        """File and parameters of each module, in an order in which they can be loaded."""
        found: dict[str, tuple[Path, str]] = {}
        for module in modules:
            name, _, parameters = module.partition(" ")
            (path,) = (file for file in self.modules.rglob("*.ko") if file.stem.replace("-", "_") == name)
            depends = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
            assert depends is not None, f"{path} has no .modinfo"
            needed = self._with_dependencies(depends[1].decode().replace("-", "_").split(",") if depends[1] else ())
            found = {**found, **{key: value for key, value in needed.items() if key not in found}}
            found[name] = (path, parameters)
        return found


class LinuxShell:
    """The shell on the serial console of `machine`, which has loaded a kernel."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._commands = 0

    def boot(self) -> str:
        """Run to the prompt; what the kernel said is the answer."""
        stop = self.machine.run(until="/ # ", max_insns=MOST_INSTRUCTIONS)
        assert stop.reason.value == "until", f"{stop}\n{self.machine.serial.text}"
        return self.machine.serial.text

    def run(self, command: str) -> str:
        """Type `command`, wait until it is done, and return what was printed; it must succeed."""
        self._commands += 1
        before = len(self.machine.serial.text)
        self.machine.serial.send(f"{command}; echo done-{self._commands}-$?\n".encode())
        end = re.compile(rf"done-{self._commands}-(\d+)\r\n")
        stop = self.machine.run(until=end, max_insns=MOST_INSTRUCTIONS)
        said = self.machine.serial.text[before:]
        found = end.search(said)
        assert found, f"{command}: {stop}\n{said}"
        assert found[1] == "0", said
        return said[said.index("\n") + 1 : found.start()].replace("\r\n", "\n")

    def finish(self, command: str) -> str:
        """Type a `command` that ends the run; the answer is how it ended."""
        self.machine.serial.send(f"{command}\n".encode())
        return self.machine.run(max_insns=MOST_INSTRUCTIONS).reason.value

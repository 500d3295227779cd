"""Boots the guests of ``tests/guest`` on QEMU and on this machine, as outcomes that can be compared."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import guest_builder as builder
import pytest
from guest_drives import NEED_DRIVES, GuestDrives, drive_options

APPEND = "colour=blue quiet"
"""What guest `multiboot` looks for at the end of its command line."""
MEMORY = "64M"
MAX_INSNS = 300_000_000
"""Far more than any guest needs: one that hangs fails instead of hanging the suite."""
QEMU_TIMEOUT_S = 60
"""The same for QEMU, which has no such limit; no guest takes two seconds."""


@dataclass(frozen=True)
class Outcome:
    """How a guest ended, and all that it said on COM1."""

    serial: str
    ending: str
    """``exit 1`` (QEMU's status for isa-debug-exit), ``reset``, or what went wrong."""

    @property
    def lines(self) -> list[str]:
        return self.serial.splitlines()

    @property
    def failures(self) -> list[str]:
        """The checks that did not hold, and what the guest said of them."""
        return [line for line in self.lines if not line.startswith(("ok ", "# "))]


Run = Callable[[str], Outcome]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `guest` runs once for every guest."""
    if "guest" in metafunc.fixturenames:
        metafunc.parametrize("guest", builder.guests())


@pytest.fixture(scope="session")
def boot_modules(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """The two boot modules, (file, arguments), that guest `multiboot` looks at."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "alpha").write_bytes(b"alpha")
    (folder / "beta").write_bytes(b"b" * 5000)
    return [(str(folder / "alpha"), "first one"), (str(folder / "beta"), "second")]


@pytest.fixture(scope="session")
def on_qemu(
    image_of: Callable[[str], Path],
    boot_modules: list[tuple[str, str]],
    guest_drives: GuestDrives,
    need_tool: Callable[[str], str],
) -> Run:
    """`on_qemu("paging")` is that guest's outcome on QEMU; each guest runs once."""
    machine = [
        need_tool("qemu-system-i386"),
        "-accel",
        "tcg",
        "-m",
        MEMORY,
        "-display",
        "none",
        "-no-reboot",
        "-serial",
        "stdio",
    ]
    exit_port = ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
    modules = ",".join(f"{file} {arguments}" for file, arguments in boot_modules)

    @cache
    def run(guest: str) -> Outcome:
        image = ["-kernel", str(image_of(guest)), "-append", APPEND, "-initrd", modules]
        drives = guest_drives.qemu_options if guest in NEED_DRIVES else []
        done = subprocess.run(
            [*machine, *exit_port, *image, *drives],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=QEMU_TIMEOUT_S,
            check=False,
        )
        # isa-debug-exit's statuses are odd; 0 is the end of a machine that must not reboot.
        ending = "reset" if done.returncode == 0 else f"exit {done.returncode}"
        return Outcome(done.stdout.decode("ascii"), ending if not done.stderr else done.stderr.decode())

    return run


@pytest.fixture(scope="session")
def on_hillemu(image_of: Callable[[str], Path], boot_modules: list[tuple[str, str]], guest_drives: GuestDrives) -> Run:
    """`on_hillemu("paging")` is that guest's outcome here; each guest runs once."""
    from hillemu import Machine
    from hillemu.emu.stop import StopReason

    endings = {StopReason.TRIPLE_FAULT: "reset", StopReason.RESET: "reset"}

    @cache
    def run(guest: str) -> Outcome:
        machine = Machine(mem=MEMORY, drives=drive_options(guest, guest_drives))
        machine.load(str(image_of(guest)), modules=boot_modules, append=APPEND)
        stop = machine.run(max_insns=MAX_INSNS)
        ending = f"exit {stop.exit_code}" if stop.reason is StopReason.EXIT else endings.get(stop.reason)
        return Outcome(machine.serial.text, ending or f"{stop.reason}: {stop.detail}")

    return run

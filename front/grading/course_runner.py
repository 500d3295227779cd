"""Runs a course's kernel for its grade script: the Makefile builds it, a machine of ours runs it, monitors end the run.

Times are virtual, so a test sees the same run on every host: a time-out of 30 s is 30 s of the guest's clock.

Not modelled: GDB's packets (`GDBClient` has breakpoints only), signals to QEMU, QEMU's monitor.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hillemu.emu.errors import UserMistake
from hillemu.grading.course_make import Started, make_and_record
from hillemu.grading.course_text import assert_lines_match
from hillemu.grading.qemu_arguments import QemuWish, read_arguments

if TYPE_CHECKING:
    from hillemu.machine import Machine

NANOSECONDS = 1_000_000_000
SYMBOL_FILES = ("obj/kern/kernel.sym", "kernel/kernel.sym", "kernel.sym")
"""Where the Makefiles of JOS, of xv6's labs and of xv6 put the kernel's symbols, one ``ADDRESS ... NAME`` a line."""

Monitor = Callable[["Runner"], object]


class TerminateTest(Exception):
    """Raised by what a monitor has registered: the run ends, and that is no failure."""


class QEMU:
    """The machine of one run, as grade scripts know it; `machine` is all of it, page tables included."""

    def __init__(self, started: Started) -> None:
        wish = read_arguments(started.arguments)
        _tell_once(wish.notes)
        self.on_output: list[Callable[[bytes], object]] = []
        """Called with what the guest sends: at the end of a line, or when it pauses for 10 ms of virtual time."""
        self._make_output = started.output
        self._fresh = bytearray()
        self._to_send = bytearray()
        self._deadline_ns = 0
        self._raised: BaseException | None = None
        self.timed_out = False
        self.machine: Machine = _machine(wish, started.folder)
        self.machine.serial.on_byte(self._byte)

    @property
    def outbytes(self) -> bytearray:
        """What make printed, and then the guest on its serial port."""
        return bytearray(self._make_output + self.machine.serial.data)

    @property
    def output(self) -> str:
        """`outbytes` as text."""
        return self._make_output.decode("utf-8", "replace") + self.machine.serial.text

    def write(self, buf: str | bytes) -> None:
        """Send `buf` to the guest's serial port."""
        self._to_send += buf.encode() if isinstance(buf, str) else buf

    def kill(self) -> None:
        """End the run."""
        self.machine.stop()

    def run(self, timeout_s: float) -> None:
        """Run until something registered raises, which is raised here, the guest stops, or for `timeout_s`."""
        self._deadline_ns = self.machine.clock.now_ns + int(timeout_s * NANOSECONDS)
        self.machine.run(between=self._between)
        if self._raised is None:
            self._flush()
        if self._raised is not None:
            raise self._raised

    def close(self) -> None:
        """Let go of the disks' files."""
        self.machine.close()

    def _byte(self, byte: int) -> None:
        self._fresh.append(byte)
        if byte == 0x0A:
            self._flush()

    def _between(self) -> bool:
        self._flush()
        if self._to_send:
            self.machine.serial.send(bytes(self._to_send))
            self._to_send.clear()
        if self.machine.clock.now_ns >= self._deadline_ns:
            self.timed_out = True
            self.machine.stop()
        return False

    def _flush(self) -> None:
        """Pass on what has come.  What a monitor raises waits until the machine stands still."""
        chunk = bytes(self._fresh)
        self._fresh.clear()
        if not chunk or self._raised is not None:
            return
        try:
            for callback in list(self.on_output):
                callback(chunk)
        except BaseException as error:  # also AssertionError and sys.exit() of the script's own
            self._raised = error
            self.machine.stop()


class GDBClient:
    """What grade scripts ask of GDB."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def breakpoint(self, addr: int) -> None:
        """End the run when the guest is about to execute the instruction at linear `addr`."""
        self._machine.breakpoints.add(addr)

    def cont(self) -> None:
        """Nothing: the runner starts the guest when all monitors are set up."""

    def close(self) -> None:
        """Nothing: there is no connection."""


class Runner:
    """Runs kernels; `default_monitors` watch every run.  A monitor is called with the runner before the run begins."""

    qemu: QEMU
    """The machine of the latest run."""
    gdb: GDBClient
    verbose = False
    """Whether the commands are printed."""

    def __init__(self, *default_monitors: Monitor) -> None:
        self._default_monitors = default_monitors

    def run_qemu(
        self, *monitors: Monitor, target_base: str = "qemu", make_args: Sequence[str] = (), timeout: float = 30
    ) -> None:
        """Build the make target `target_base` (with ``-nox-gdb`` or ``-gdb``) and run it for `timeout` virtual seconds.

        Raises `UserMistake` if it cannot be built or started.
        """
        self.qemu = QEMU(make_and_record(target_base, make_args, verbose=Runner.verbose))
        self.gdb = GDBClient(self.qemu.machine)
        try:
            with suppress(TerminateTest):
                for monitor in (*self._default_monitors, *monitors):
                    monitor(self)
                self.qemu.run(timeout)
                if self.qemu.timed_out:
                    print("Timeout! ", end="", flush=True)
        finally:
            self.qemu.close()

    def user_test(
        self,
        binary: str,
        *monitors: Monitor,
        snapshot: bool = True,
        make_args: Sequence[str] = (),
        timeout: float = 30,
    ) -> None:
        """Run the kernel with the user program `binary`; what is written to disks is lost, unless not `snapshot`."""
        # Makefiles compile the program's name into the kernel, and do not see that it has changed.
        maybe_unlink("obj/kern/init.o", "obj/kern/kernel")
        extra = ["QEMUEXTRA+=-snapshot"] if snapshot else []
        self.run_qemu(*monitors, target_base=f"run-{binary}", make_args=[*make_args, *extra], timeout=timeout)

    def match(self, *regexps: str, no: Sequence[str] = ()) -> None:
        """Assert what the lines of the latest run are; see `assert_lines_match`."""
        assert_lines_match(self.qemu.output, *regexps, no=no)


def maybe_unlink(*paths: str) -> None:
    """Delete the files that exist."""
    for path in paths:
        Path(path).unlink(missing_ok=True)


def stop_breakpoint(addr: int | str) -> Monitor:
    """A monitor that ends the run when the guest arrives at `addr`, an address or a symbol of the kernel."""

    def set_up(runner: Runner) -> None:
        runner.gdb.breakpoint(addr if isinstance(addr, int) else _address_of(addr, runner.qemu.machine))

    return set_up


def call_on_line(regexp: str, callback: Callable[[str], object]) -> Monitor:
    """A monitor that calls `callback` with each line of the guest's that `regexp` matches from its beginning."""

    def set_up(runner: Runner) -> None:
        rest = bytearray()

        def look(output: bytes) -> None:
            rest.extend(output)
            while b"\n" in rest:
                line, rest[:] = rest.split(b"\n", 1)
                text = line.decode("utf-8", "replace")
                if re.match(regexp, text):
                    callback(text)

        runner.qemu.on_output.append(look)

    return set_up


def stop_on_line(regexp: str) -> Monitor:
    """A monitor that ends the run at a line that `regexp` matches from its beginning."""

    def stop(_line: str) -> None:
        raise TerminateTest

    return call_on_line(regexp, stop)


def shell_script(script: Iterable[str], terminate_match: str | None = None) -> Monitor:
    """A monitor that types a line of `script` at each prompt (``$``), and ends the run at the prompt after the last.

    With `terminate_match`, the run ends instead when what came since the last prompt matches that.
    """

    def set_up(runner: Runner) -> None:
        lines = list(script)
        shown = bytearray()

        def look(output: bytes) -> None:
            shown.extend(output)
            if terminate_match is not None and re.match(terminate_match, shown.decode("utf-8", "replace")):
                raise TerminateTest
            if b"$ " not in shown:
                return
            shown.clear()
            if lines:
                runner.qemu.write(lines.pop(0) + "\n")
            elif terminate_match is None:
                raise TerminateTest

        runner.qemu.on_output.append(look)

    return set_up


def _tell_once(notes: Iterable[str]) -> None:
    """Tell each note once in a script, which runs many kernels."""
    for note in notes:
        if note not in _TOLD:
            _TOLD.add(note)
            print(f"hillemu: {note}", file=sys.stderr)


_TOLD: set[str] = set()


def _address_of(name: str, machine: Machine) -> int:
    for symbol_file in map(Path, SYMBOL_FILES):
        if symbol_file.exists():
            for address, found in _symbols(symbol_file):
                if found == name:
                    return address
    if machine.symbols:  # QEMU was started with -kernel
        return machine.symbols[name]
    raise AssertionError(f"Symbol {name} not found")


def _symbols(symbol_file: Path) -> Iterator[tuple[int, str]]:
    for line in symbol_file.read_text(errors="replace").splitlines():
        words = line.split()
        with suppress(ValueError, IndexError):
            yield int(words[0], 16) & 0xFFFFFFFF, words[-1]


def _machine(wish: QemuWish, folder: Path) -> Machine:
    from hillemu.machine import Machine

    with _in_folder(folder):
        machine = Machine(
            wish.mem,
            cpu=wish.cpu,
            reboot=wish.reboot,
            drives=wish.drives,
            bios=wish.bios,
            devices=wish.devices,
            report=lambda text: _tell_once([text]),
        )
        modules, initrds = _parts_of_kernel(wish)
        machine.load(wish.kernel, modules=modules, initrds=initrds, append=wish.append)
    return machine


def _parts_of_kernel(wish: QemuWish) -> tuple[list[str | tuple[str, str]], list[str]]:
    """What ``-initrd`` is: modules of a Multiboot kernel (``file arguments,file``), or Linux's RAM disk."""
    if wish.initrd is None:
        return [], []
    if wish.kernel is None:
        raise UserMistake("the Makefile gives QEMU -initrd without -kernel")
    from hillemu.boot.detect import Kind, detect
    from hillemu.boot.image import Image

    if detect(Image.open(wish.kernel)) is Kind.LINUX:
        return [], [wish.initrd]
    return [(name, arguments) for name, _, arguments in (one.partition(" ") for one in wish.initrd.split(","))], []


@contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    """Relative file names are relative to `folder` inside."""
    import os

    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)

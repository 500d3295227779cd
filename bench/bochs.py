"""Bochs, which interprets, and hillemu, which models an i486 beside running: the same loops, processor time.

Bochs runs as its package runs it: its BIOS reads the loop from a hard disk, and one tick is one instruction.  Needs
Linux, and Debian's packages bochs, bochs-term and bochsbios.  Source: bochsrc(5).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from figures import Goal, interleaved, ratio, table
from kernels import GUESTS, LOOPS, build
from machines import hillemu
from processes import BenchError

from hillemu.boot.assembler import assemble_file
from hillemu.boot.elf import read_elf
from hillemu.boot.image import Image

BOCHS, PLAIN, MODEL = "bochs", "insn", "i486"
NEEDED = (Path("/usr/share/bochs/BIOS-bochs-latest"), Path("/usr/share/bochs/VGABIOS-lgpl-latest"))
SHORTER = 20
"""Bochs takes some forty times as long as QEMU, for whose two seconds the repetitions were chosen."""
WAITS_FOR_MEMORY = "list_chase"
LONGER = 2
"""This loop waits for the host's memory on every machine, and with twice the repetitions hillemu takes a second."""
LEAST = 3
SECTOR_BYTES = 512
DISK_BYTES = 16 * 63 * SECTOR_BYTES  # one cylinder
RECORD_BYTES = len("<>1A2B3C4D")
CLOCK_OF_PROCESS = 2  # CPUCLOCK_SCHED of Linux, which clock_getcpuclockid(3) puts below the inverted process number
Run = Callable[[Path], tuple[float, bytes]]
"""Runs an image: seconds of processor time between its marks, and its checksum."""
CONFIGURATION = """\
config_interface: textconfig
display_library: term
megs: 64
romimage: file={bios}
vgaromimage: file={vga_bios}
ata0-master: type=disk, path={disk}, mode=flat
boot: disk
com1: enabled=1, mode=file, dev=/proc/self/fd/{serial}
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
log: {log}
panic: action=fatal
"""


def is_installed() -> bool:
    """Whether everything is there that this part needs."""
    return shutil.which(BOCHS) is not None and all(path.exists() for path in NEEDED)


def measure(folder: Path, *, rounds: int, shorter: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Seconds of processor time of each loop, by loop and machine, `rounds` times; empty without Bochs."""
    if not is_installed():
        return {}
    return {loop.title: _measure_loop(loop.name, loop.repeats, folder, rounds, shorter, tell) for loop in LOOPS}


def _measure_loop(
    name: str, repeats: int, folder: Path, rounds: int, shorter: int, tell: Callable[[str], None]
) -> dict[str, list[float]]:
    here = repeats * LONGER if name == WAITS_FOR_MEMORY else repeats // SHORTER
    image = build(name, folder, repeats=max(1, here // shorter))
    checksums: set[bytes] = set()

    def seconds(run: Run) -> float:
        took, checksum = run(image)
        checksums.add(checksum)
        if len(checksums) > 1:
            raise BenchError(f"{name}: the machines' checksums differ: {sorted(checksums)}")
        return took

    machines: dict[str, Run] = {
        BOCHS: _bochs,
        PLAIN: partial(_hillemu, timing=PLAIN),
        MODEL: partial(_hillemu, timing=MODEL),
    }
    measures = {what: partial(seconds, run) for what, run in machines.items()}
    return interleaved(rounds, measures, lambda what: tell(f"{name}, {what}"))


def _hillemu(image: Path, timing: str) -> tuple[float, bytes]:
    command = [*hillemu([sys.executable, "-m", "hillemu"])(image), "--timing", timing]
    reader, writer = os.pipe()
    return _between_marks(command, reader, writer, stdout=writer)


def _bochs(image: Path) -> tuple[float, bytes]:
    reader, writer = os.pipe()
    bios, vga_bios = NEEDED
    # A folder for each run: Bochs locks its disk by a file beside it, which stays when it is killed.
    with TemporaryDirectory(dir=image.parent) as folder:
        disk, configuration, log = (Path(folder) / name for name in ("disk.img", "bochsrc", "log"))
        disk.write_bytes(disk_of(image))
        text = CONFIGURATION.format(bios=bios, vga_bios=vga_bios, disk=disk, serial=writer, log=log)
        configuration.write_text(text, encoding="utf-8")
        return _between_marks([BOCHS, "-q", "-f", str(configuration)], reader, writer, stdout=subprocess.DEVNULL)


def _between_marks(command: list[str], reader: int, writer: int, stdout: int) -> tuple[float, bytes]:
    """Processor time that `command` takes between its guest's marks, and the checksum; the pipe is closed after it."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        pass_fds=[writer],
        env={**os.environ, "TERM": "linux"},
    ) as process:
        os.close(writer)
        try:
            assert process.stdin is not None
            process.stdin.write(b"c\n")  # the package's Bochs is built with its debugger, which waits for "continue"
            process.stdin.flush()
            received, at = b"", {b"<": 0.0, b">": 0.0}
            while len(received) < RECORD_BYTES and (piece := os.read(reader, 1)):
                if piece in at:
                    at[piece] = time.clock_gettime(~process.pid << 3 | CLOCK_OF_PROCESS)
                received += piece
        finally:
            process.kill()  # the loop's exit device is QEMU's: in Bochs its guest halts for ever
            os.close(reader)
    if len(received) != RECORD_BYTES or not received.startswith(b"<>"):
        raise BenchError(f"{' '.join(command)}: the guest sent {received!r}")
    return at[b">"] - at[b"<"], received[2:]


def disk_of(image: Path) -> bytes:
    """A hard disk that starts the multiboot ELF `image`: guests/disk.s, and behind it the segments as in memory."""
    kernel = Image.open(str(image))
    elf = read_elf(kernel)
    base = min(segment.paddr for segment in elf.segments)
    end = max(segment.paddr + segment.file_bytes for segment in elf.segments if segment.file_bytes)
    memory = bytearray(end - base)
    for segment in elf.segments:
        stored = kernel.data[segment.offset : segment.offset + segment.file_bytes]
        memory[segment.paddr - base : segment.paddr - base + segment.file_bytes] = stored
    facts = {
        "KERNEL_BASE": base,
        "ENTRY": elf.entry,
        "KERNEL_SECTORS": -(-len(memory) // SECTOR_BYTES),
        "ZERO_BASE": end,
        "ZERO_BYTES": max(segment.paddr + segment.memory_bytes for segment in elf.segments) - end,
    }
    sector = assemble_file(GUESTS / "disk.s", defines=facts).data
    return (sector + bytes(memory)).ljust(DISK_BYTES, b"\0")


def report(found: dict[str, Any]) -> tuple[str, list[Goal]]:
    """The table, and what issue and documentation promise; a line that says so without Bochs."""
    if not found:
        return (
            "bochs is not installed with its terminal display and BIOS (bochs, bochs-term, bochsbios): not compared",
            [],
        )
    faster = {kind: {title: ratio(runs[BOCHS], runs[kind]) for title, runs in found.items()} for kind in (PLAIN, MODEL)}
    rows = [
        (
            title,
            *(f"{median(runs[kind]):.2f}" for kind in (BOCHS, PLAIN, MODEL)),
            *(f"{faster[kind][title]:.1f}" for kind in faster),
        )
        for title, runs in found.items()
    ]
    heads = ("loop, seconds (median)", BOCHS, PLAIN, MODEL, f"{BOCHS} / {PLAIN}", f"{BOCHS} / {MODEL}")
    goals = [
        Goal(f"Bochs' time to i486's, {title}", times, LEAST, at_least=True) for title, times in faster[MODEL].items()
    ]
    return table(heads, rows), goals

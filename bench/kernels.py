"""The guests of the benchmark: their sources, how often each loop turns, and the images made of them.

Images need nothing but hillemu's own assembler, so the benchmark needs nothing but QEMU.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from hillemu.boot.assembler import assemble_file
from hillemu.boot.images import SOURCES

GUESTS = Path(__file__).resolve().parent / "guests"


class Loop(NamedTuple):
    """One loop: the source's `name`, what people read, and the repetitions that take QEMU about two seconds."""

    name: str
    title: str
    repeats: int


LOOPS = (
    Loop("arithmetic", "arithmetic", 60_000),
    Loop("rep_movsd", "rep movsd", 50_000),
    Loop("word_copy", "word copy", 45_000),
    Loop("list_chase", "list chase, 4 MiB", 240),
    Loop("sieve", "sieve", 5_000),
    Loop("fib", "recursive fib", 8_000),
)


def build(name: str, folder: Path, *, repeats: int = 0) -> Path:
    """Assemble guest `name` into `folder` and return the multiboot ELF; `repeats` is its REPEATS."""
    image = assemble_file(GUESTS / f"{name}.s", include_paths=[SOURCES], defines={"REPEATS": repeats})
    path = folder / f"{name}.elf"
    path.write_bytes(image.data)
    return path

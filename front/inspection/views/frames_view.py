"""The view ``frames``: physical memory by use, as a picture of one character for each piece, and as a table.

::

    0x000000000 kkkkkkkkkkkkkkkkkkkkrrrrrrrrrrrr#T##uuuuuuuuuuuuuuuuuuuuuuuuuuuu
    0x000200000 ................................................................
    *
    each character is 32 KiB: T page tables  # image  M modules  r reserved  u user  k kernel  . free
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hillemu.emu.i386.address import PAGE_SIZE
from hillemu.emu.i386.spaces import size_text
from hillemu.inspection.frame_uses import FrameRun, Use, frame_uses, what_counts
from hillemu.inspection.views.shown import Row, Shown, Table, Text, Tone

if TYPE_CHECKING:
    from hillemu.inspection.views.scene import Scene
    from hillemu.machine import Machine

LETTERS = {
    Use.TABLES: "T",
    Use.IMAGE: "#",
    Use.MODULES: "M",
    Use.RESERVED: "r",
    Use.USER: "u",
    Use.KERNEL: "k",
    Use.FREE: ".",
}
_TONES = {Use.TABLES: Tone.GOOD, Use.USER: Tone.USER, Use.RESERVED: Tone.FAINT, Use.FREE: Tone.FAINT}
COLUMNS, MOST_LINES = 64, 32
_SAME = "*"
"""Lines like the one above, as hexdump leaves them out."""
MOST_ROWS = 512


class Frames:
    """Physical memory by use."""

    moments: tuple[str, ...] = ()

    def check(self, machine: Machine) -> None:
        """Nothing can be wrong."""

    def show(self, scene: Scene) -> Shown:
        runs = frame_uses(scene.machine, scene.space)
        end = max((ram.end for ram in scene.machine.memory.ram_ranges), default=0)
        table = Table(
            ("physical", "size", "use", "what", "mapped at"),
            tuple(_row(run, scene) for run in runs[:MOST_ROWS]),
            frozenset({"size"}),
        )
        note = Text(what_counts(scene.space.control), Tone.FAINT)
        blocks: list[Text | Table] = [Text(draw(runs, end)), note, Text(_totals(runs)), table]
        if len(runs) > MOST_ROWS:
            blocks.append(Text(f"... and {len(runs) - MOST_ROWS:,} more runs; --json has them all", Tone.FAINT))
        return Shown(lambda: {"frames": [run_data(run) for run in runs]}, tuple(blocks))


def draw(runs: Sequence[FrameRun], end: int) -> str:
    """Physical memory from 0 to `end`; a character shows the use, other than free, of most of its frames."""
    cell = PAGE_SIZE
    while end > cell * COLUMNS * MOST_LINES:
        cell *= 2
    letters = "".join(_cells(runs, end, cell))
    rows = [(first, letters[first : first + COLUMNS]) for first in range(0, len(letters), COLUMNS)]
    lines: list[str] = []
    for (first, row), (_, above) in zip(rows, [(0, ""), *rows], strict=False):
        if row != above:
            lines.append(f"0x{first * cell:09X} {row}")
        elif lines[-1] != _SAME:
            lines.append(_SAME)
    legend = "  ".join(f"{letter} {use}" for use, letter in LETTERS.items())
    return "\n".join([*lines, f"each character is {size_text(cell)}: {legend}"])


def _cells(runs: Sequence[FrameRun], end: int, cell: int) -> Iterator[str]:
    index = 0
    for base in range(0, end, cell):
        amounts: dict[Use, int] = {}
        while index < len(runs) and runs[index].end <= base:
            index += 1
        for run in runs[index:]:
            if run.base >= base + cell:
                break
            amounts[run.use] = amounts.get(run.use, 0) + min(run.end, base + cell) - max(run.base, base)
        used = {use: amount for use, amount in amounts.items() if use is not Use.FREE}
        yield LETTERS[max(used, key=used.__getitem__)] if used else "." if amounts else " "


def _totals(runs: Sequence[FrameRun]) -> str:
    sums = {use: sum(run.size_bytes for run in runs if run.use is use) for use in Use}
    return ", ".join(f"{use} {size >> 10:,} KiB" for use, size in sums.items() if size)


def _row(run: FrameRun, scene: Scene) -> Row:
    at = run.mapped_at
    mapped = "" if at is None else f"0x{at:08X} {scene.named(at)}".rstrip()
    cells = (f"0x{run.base:09X}-0x{run.end - 1:09X}", size_text(run.size_bytes), str(run.use), run.owner, mapped)
    return Row(cells, _TONES.get(run.use, Tone.PLAIN))


def run_data(run: FrameRun) -> dict[str, Any]:
    """A run of frames for JSON."""
    return {
        "physical": run.base,
        "size": run.size_bytes,
        "use": str(run.use),
        "owner": run.owner,
        "mapped_at": run.mapped_at,
    }

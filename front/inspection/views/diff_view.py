"""The view ``diff AT1 AT2``: what is mapped differently at two moments of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hillemu.inspection.differences import ChangeKind
from hillemu.inspection.views.paging_view import MOST_ROWS, region_data
from hillemu.inspection.views.shown import Row, Shown, Table, Text, Tone

if TYPE_CHECKING:
    from hillemu.emu.i386.spaces import Region
    from hillemu.inspection.differences import Change
    from hillemu.inspection.views.scene import Scene
    from hillemu.machine import Machine

_TONES = {ChangeKind.MAPPED: Tone.GOOD, ChangeKind.UNMAPPED: Tone.ERROR, ChangeKind.RIGHTS: Tone.WARNING}


class Diff:
    """From the address space at `first` to that at `second`; which of them comes first in the run does not matter."""

    def __init__(self, first: str, second: str) -> None:
        self.moments = (first, second)

    def check(self, machine: Machine) -> None:
        """Moments are parsed by whoever runs the machine to them."""

    def show(self, scene: Scene) -> Shown:
        before, after = (scene.captures[moment] for moment in self.moments)
        changes = after.diff(before)
        if not changes:
            blocks: tuple[Text | Table, ...] = (Text("no difference", Tone.FAINT),)
        else:
            rows = tuple(_row(change) for change in changes[:MOST_ROWS])
            blocks = (Table(("change", "virtual", "before", "after"), rows),)
        if len(changes) > MOST_ROWS:
            blocks += (Text(f"... and {len(changes) - MOST_ROWS:,} more changes; --json has them all", Tone.FAINT),)
        roots = [before.control.cr3, after.control.cr3]
        return Shown(lambda: {"cr3": roots, "changes": [_data(change) for change in changes]}, blocks)


def _row(change: Change) -> Row:
    sides = (_side(run, change) for run in (change.before, change.after))
    cells = (str(change.kind), f"0x{change.start:08X}-0x{change.end - 1:08X}", *sides)
    return Row(cells, _TONES.get(change.kind, Tone.PLAIN))


def _side(run: Region | None, change: Change) -> str:
    if run is None:
        return "-"
    text = f"0x{run.phys_at(change.start):09X} {run.letters}"
    return f"{text} {run.page_size_bytes >> 10} KiB pages" if change.kind is ChangeKind.PAGE_SIZE else text


def _data(change: Change) -> dict[str, Any]:
    return {
        "kind": str(change.kind),
        "virtual": change.start,
        "size": change.size_bytes,
        "before": None if change.before is None else region_data(change.before),
        "after": None if change.after is None else region_data(change.after),
    }

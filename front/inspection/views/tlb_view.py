"""The view ``tlb --real``: what the TLB of the processor that ``--timing`` models holds, against the page tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.inspection.views.paging_view import Simple
from hillemu.inspection.views.shown import Row, Shown, Table, Text, Tone

if TYPE_CHECKING:
    from hillemu.inspection.views.scene import Scene
    from hillemu.machine import Machine
    from hillemu.tlb import CheckedEntry

COLUMNS = ("tlb", "set", "way", "age", "virtual", "physical", "size", "rights", "page tables", "symbol")


class RealTlb(Simple):
    """Every valid entry, and which of them the page tables no longer agree with."""

    def check(self, machine: Machine) -> None:
        """Raises `OptionError` where the machine models no TLB."""
        _ = machine.tlb

    def show(self, scene: Scene) -> Shown:
        tlb = scene.machine.tlb
        checked = tlb.against(scene.machine.paging)
        rows = tuple(_row(one, scene) for one in checked)
        counts = Text(f"{tlb.hits:,} hits, {tlb.misses:,} misses, {tlb.walk_cycles:,} cycles of walks")
        held = Table(COLUMNS, rows, frozenset({"set", "way", "age"})) if rows else Text("no entries", Tone.FAINT)
        return Shown(
            {
                **tlb.as_dict(),
                "entries": [{**one.entry._asdict(), "stale": one.is_stale, "tables": one.tables} for one in checked],
            },
            (counts, held),
            has_errors=any(one.is_stale for one in checked),
        )


def _row(one: CheckedEntry, scene: Scene) -> Row:
    entry = one.entry
    rights = ("u" if entry.user else "-") + ("w" if entry.writable else "r") + ("d" if entry.dirty else "-")
    cells = (
        entry.tlb,
        str(entry.set),
        str(entry.way),
        str(entry.age),
        f"0x{entry.page:08X}",
        f"0x{entry.frame:08X}",
        "4 MiB" if entry.size_bytes > 4096 else "4 KiB",
        rights,
        f"stale: {one.tables}" if one.is_stale else one.tables,
        scene.named(entry.page),
    )
    return Row(cells, Tone.ERROR if one.is_stale else Tone.PLAIN)

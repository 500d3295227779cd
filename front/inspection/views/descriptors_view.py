"""The views of what the processor and the boot loader set up: ``gdt``, ``idt``, ``tss``, ``multiboot``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hillemu.emu.i386.vectors import FIRST_FREE_VECTOR, describe
from hillemu.inspection.views.shown import Row, Shown, Table, Text, Tone

if TYPE_CHECKING:
    from hillemu.emu.i386.tables import TableEntry
    from hillemu.inspection.tables import DescriptorTable
    from hillemu.inspection.views.scene import Scene
    from hillemu.machine import Machine


class _Simple:
    moments: tuple[str, ...] = ()

    def check(self, machine: Machine) -> None:
        """Nothing can be wrong."""


class Gdt(_Simple):
    """The GDT that GDTR names."""

    def show(self, scene: Scene) -> Shown:
        return _table(scene.machine.gdt, "selector")


class Idt(_Simple):
    """The IDT that IDTR names."""

    def show(self, scene: Scene) -> Shown:
        return _table(scene.machine.idt, "vector", scene)


class Tss(_Simple):
    """The TSS that TR names."""

    def show(self, scene: Scene) -> Shown:
        tss = scene.machine.tss
        return Shown(tss.as_dict(), (Text(str(tss), Tone.ERROR if tss.problems else Tone.PLAIN),))


class Multiboot(_Simple):
    """The information that the boot loader left."""

    def show(self, scene: Scene) -> Shown:
        info = scene.machine.multiboot
        return Shown(info.as_dict(), (Text(str(info), Tone.ERROR if info.problems else Tone.PLAIN),))


def _table(table: DescriptorTable, index_name: str, scene: Scene | None = None) -> Shown:
    """One table; with `scene`, the procedures that its gates name are named by symbols."""
    head = f"{table.name} at 0x{table.base:08X}, limit 0x{table.limit:04X}: {len(table.used)} of {len(table)} entries"
    blocks: list[Text | Table] = [Text(head)]
    blocks += [Text(f"problem: {problem}", Tone.ERROR) for problem in table.problems]
    if table.used:
        blocks.append(Table((index_name, "descriptor", "problems"), tuple(_rows(table.used, scene))))
    return Shown(table.as_dict(), tuple(blocks))


def _rows(entries: Iterable[TableEntry], scene: Scene | None) -> Iterator[Row]:
    """A row for each entry, but one for gates in a row that are the same: many kernels fill the IDT with one."""
    same: list[TableEntry] = []
    for entry in entries:
        if scene is not None and same and _continues(same[-1], entry):
            same.append(entry)
            continue
        if same:
            yield _row(same[0], same[-1], scene)
        same = [entry]
    if same:
        yield _row(same[0], same[-1], scene)


def _continues(before: TableEntry, entry: TableEntry) -> bool:
    # Each exception has a name to be told.
    if entry.index <= FIRST_FREE_VECTOR or entry.index != before.index + 1:
        return False
    return (entry.descriptor, entry.problems) == (before.descriptor, before.problems)


def _row(entry: TableEntry, last: TableEntry, scene: Scene | None) -> Row:
    from hillemu.emu.i386.descriptors import Gate

    descriptor = entry.descriptor
    text = descriptor.text
    if scene is None:
        head = f"0x{entry.selector:04X}"
    else:
        head = describe(entry.index) if entry is last else f"vectors {entry.index:#04x}-{last.index:#04x}"
        if isinstance(descriptor, Gate) and not descriptor.is_task:
            text = f"{text} {scene.named(descriptor.offset)}".rstrip()
    return Row((head, text, "; ".join(entry.problems)), Tone.ERROR if entry.problems else Tone.PLAIN)

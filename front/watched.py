"""What who watches a guest is given: handles, a table of page faults, watchpoints.  `hillemu.watching` gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, overload

from hillemu.emu.errors import OptionError

if TYPE_CHECKING:
    from hillemu.emu.cpu.observers import PageFault, Watch, WatchHit
    from hillemu.machine import Machine
    from hillemu.watching import Place


COLUMNS = ("instructions", "address", "what", "by", "CR3")


class Handle:
    """Something that is being watched; `remove` ends that, and so does the end of a ``with`` block."""

    HAS_STATE = False

    def __init__(self, remove: Callable[[], None]) -> None:
        self._remove: Callable[[], None] | None = remove

    def remove(self) -> None:
        """No more calls from now on, also from within a callback; doing so twice does no harm."""
        remove, self._remove = self._remove, None
        if remove is not None:
            remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class PageFaults(Sequence["PageFault"]):
    """Page faults, oldest first; prints as a table."""

    def __init__(self, faults: list[PageFault], total: int, machine: Machine) -> None:
        self._faults = faults
        self._machine = machine
        self.total = total
        """How many there were since power-on; only the last 65,536 are kept."""

    @overload
    def __getitem__(self, index: int) -> PageFault: ...
    @overload
    def __getitem__(self, index: slice) -> PageFaults: ...
    def __getitem__(self, index: int | slice) -> PageFault | PageFaults:
        if isinstance(index, slice):
            return PageFaults(self._faults[index], self.total, self._machine)
        return self._faults[index]

    def __len__(self) -> int:
        return len(self._faults)

    def __str__(self) -> str:
        return "\n".join(_table([COLUMNS, *self.rows()]))

    def rows(self) -> list[tuple[str, ...]]:
        """The table's rows, as text, under `COLUMNS`."""
        from hillemu.emu.i386.errorcodes import PageFaultError

        return [
            (
                f"{fault.at:,}",
                f"{fault.address:#010x}",
                PageFaultError(fault.error_code).explain(),
                f"{fault.cs:04x}:{self._machine.symbols.describe(fault.eip)}",
                f"{fault.cr3:#010x}",
            )
            for fault in self._faults
        ]

    def as_dicts(self) -> list[dict[str, Any]]:
        """One dictionary a fault, for JSON: all numbers, and the names of the instruction's place and the error."""
        from hillemu.emu.i386.errorcodes import PageFaultError

        return [
            {
                **fault._asdict(),
                "what": PageFaultError(fault.error_code).explain(),
                "place": self._machine.symbols.describe(fault.eip),
            }
            for fault in self._faults
        ]

    def to_csv(self, path: str | None = None) -> str:
        """The faults as CSV (RFC 4180), numbers in decimal; also written to the file `path`.

        Raises `OptionError` if the file cannot be written.
        """
        import csv
        import io

        out = io.StringIO()
        names = ["address", "error_code", "cs", "eip", "cr3", "at", "what", "place"]
        writer = csv.DictWriter(out, names, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(self.as_dicts())
        text = out.getvalue()
        if path is not None:
            try:
                with open(path, "w", newline="", encoding="utf-8") as file:
                    file.write(text)
            except OSError as error:
                raise OptionError("path", f"{path}: cannot be written: {error.strerror or error}") from None
        return text

    def _repr_html_(self) -> str:
        from html import escape

        def row(cells: tuple[str, ...], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        body = "".join(row(cells, "td") for cells in self.rows())
        head = row(COLUMNS, "th")
        caption = escape(f"{len(self)} page faults of {self.total}")
        return f'<table style="text-align:left"><caption>{caption}</caption>{head}{body}</table>'

    def __rich__(self) -> Any:
        """The table for the library rich, if the caller prints with it."""
        from rich.table import Table

        table = Table(*COLUMNS, title=f"{len(self)} page faults of {self.total}")
        for cells in self.rows():
            table.add_row(*cells)
        return table

    def __repr__(self) -> str:
        return f"<{len(self)} page faults of {self.total}>"


class Trace:
    """What the machine keeps of its past without being asked to."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    @property
    def page_faults(self) -> PageFaults:
        """The page faults so far."""
        observers = self._machine.cpu.processor.observers
        return PageFaults(observers.page_faults, observers.page_fault_count, self._machine)


class Watchpoints:
    """Places in memory at which a run stops, behind the instruction that accesses them (`StopReason.WATCHPOINT`)."""

    HAS_STATE = False

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def add(self, where: Place, kind: Watch | None = None, *, physical: bool = False) -> Handle:
        """Stop at accesses to `where` of this `kind`: `Watch.WRITE` unless told otherwise.  Raises as `on_write`."""
        return self._machine.watch(where, None, kind, physical=physical)

    @property
    def hits(self) -> list[WatchHit]:
        """The accesses that stopped the last run."""
        return self._machine.cpu.processor.observers.hits

    @property
    def told(self) -> str:
        """The last of them, for people."""
        hit = self.hits[-1]
        verb = "read" if hit.kind.name == "READ" else "write"
        values = f"{hit.after:#x}" if verb == "read" or hit.before is None else f"{hit.before:#x} -> {hit.after:#x}"
        who = self._machine.symbols.describe(hit.eip)
        return f"{verb} of {hit.size} bytes at {hit.address:#010x} ({values}) by the instruction at {who}"


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

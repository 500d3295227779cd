"""What who watches a guest is given: handles, calls, a table of page faults.  `hillemu.watching` gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Self, overload

from hillemu.emu.errors import UserMistake

if TYPE_CHECKING:
    from hillemu.emu.cpu.observers import PageFault, Watch, WatchHit
    from hillemu.machine import Machine
    from hillemu.watching import Place

WORD_BYTES = 4


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


class Call:
    """The guest is about to execute the first instruction of a function.  Valid while the callback runs."""

    def __init__(self, machine: Machine, address: int) -> None:
        self._machine = machine
        self.address = address
        """Linear address of the function."""

    @property
    def return_address(self) -> int:
        """Where it will return to: what lies on top of the stack."""
        return self._stack_word(0)

    def argument(self, number: int) -> int:
        """Argument `number`, from 0, as C's calling convention for i386 passes it: four bytes each, on the stack."""
        return self._stack_word(1 + number)

    def _stack_word(self, number: int) -> int:
        cpu = self._machine.cpu
        at = cpu.segment("ss").base + cpu.esp + WORD_BYTES * number
        data = self._machine.read(at & 0xFFFFFFFF, WORD_BYTES)
        if len(data) < WORD_BYTES:
            raise UserMistake(f"the stack is not mapped at {at & 0xFFFFFFFF:#010x}: this is no call of a C function")
        return int.from_bytes(data, "little")

    def __repr__(self) -> str:
        return f"<Call of {self._machine.symbols.describe(self.address)}>"


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
        from hillemu.emu.i386.errorcodes import PageFaultError

        rows = [
            (
                f"{fault.at:,}",
                f"{fault.address:#010x}",
                PageFaultError(fault.error_code).explain(),
                f"{fault.cs:04x}:{self._machine.symbols.describe(fault.eip)}",
                f"{fault.cr3:#010x}",
            )
            for fault in self._faults
        ]
        return "\n".join(_table([("instructions", "address", "what", "by", "CR3"), *rows]))

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

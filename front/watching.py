"""Watching a guest: memory accesses, page faults, loads of CR3, calls of its functions.

>>> from hillemu import Machine
>>> machine = Machine(mem="16M")
>>> loaded = machine.load_demo()
>>> with machine.on_write(range(0xB8000, 0xB8002), print):  # the screen's first character
...     stop = machine.run(max_insns=50_000_000)  # doctest: +ELLIPSIS
WatchHit(...)

Callbacks are called between two instructions: behind the one that made the access or loaded CR3, in front of a page
fault's handler, in front of a function's first instruction.  They see the machine exactly as it is there; they may look
at everything and call `Machine.stop`, and must not change anything.  What they raise ends the run, and `Machine.run`
raises it.  Being watched never changes a run.

What it costs: nothing while nothing is watched.  An access to a page in which something is watched takes some 75 ns,
and nothing else becomes slower.  A callback for an access takes 1.4 us, for a page fault 1.1 us, for CR3 0.8 us, for a
call 0.3 us, and what it does itself.

What is seen are the processor's accesses; see `hillemu.emu.cpu.observers` for those that are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Self, overload

from hillemu.emu.errors import UserMistake

if TYPE_CHECKING:
    from hillemu.emu.cpu.observers import Cr3Load, Observers, PageFault, Watch, WatchHit
    from hillemu.machine import Machine

    Place = range | int | str
    """What to watch: a range of addresses, an address (of four bytes), or a symbol (all of it, or four bytes)."""

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


class Watching:
    """The part of `hillemu.Machine` that tells what the guest does."""

    def on_write(self, where: Place, call: Callable[[WatchHit], None], *, physical: bool = False) -> Handle:
        """Call with each write to `where`, at linear or `physical` addresses.

        Raises `UserMistake` for a range that is empty or reaches beyond the address space, and without the native core;
        `UnknownSymbol` for a name that the image does not have.
        """
        from hillemu.emu.cpu.observers import Watch

        return self.watch(where, call, Watch.WRITE, physical=physical)

    def on_read(self, where: Place, call: Callable[[WatchHit], None], *, physical: bool = False) -> Handle:
        """Call with each read from `where`; instruction fetches are none."""
        from hillemu.emu.cpu.observers import Watch

        return self.watch(where, call, Watch.READ, physical=physical)

    def on_page_fault(self, call: Callable[[PageFault], None]) -> Handle:
        """Call with each page fault (vector 14), in front of its handler's first instruction."""
        self._watched_by.on_page_fault(call)
        return Handle(lambda: self._watched_by.remove_on_page_fault(call))

    def on_cr3(self, call: Callable[[Cr3Load], None]) -> Handle:
        """Call behind each instruction that loads CR3.  Raises `UserMistake` without the native core."""
        self._watched_by.on_cr3(call)
        return Handle(lambda: self._watched_by.remove_on_cr3(call))

    def on_call(self, function: int | str, call: Callable[[Call], None]) -> Handle:
        """Call each time when the guest is about to execute the first instruction of `function`, a symbol or address.

        Raises `UnknownSymbol`.
        """
        machine = self._machine
        at = machine.symbols[function] if isinstance(function, str) else function & 0xFFFFFFFF

        def arrived(address: int) -> None:
            call(Call(machine, address))

        self._watched_by.on_arrival(at, arrived)
        return Handle(lambda: self._watched_by.remove_on_arrival(at, arrived))

    @property
    def watchpoints(self) -> Watchpoints:
        """Where a run stops when memory is accessed."""
        return Watchpoints(self._machine)

    @property
    def trace(self) -> Trace:
        """What happened until now."""
        return Trace(self._machine)

    def watch(
        self,
        where: Place,
        call: Callable[[WatchHit], None] | None,
        kind: Watch | None = None,
        *,
        physical: bool = False,
    ) -> Handle:
        """Call with each access of `kind` (a write, unless told otherwise) to `where`; `None` for `call` stops the run.

        Raises as `on_write` does.
        """
        from hillemu.emu.cpu.observers import Watch

        at, length = self._extent(where)
        number = self._watched_by.add_watch(at, length, kind or Watch.WRITE, physical=physical, on_hit=call)
        return Handle(lambda: self._watched_by.remove_watch(number))

    def _extent(self, where: Place) -> tuple[int, int]:
        if isinstance(where, str):
            symbol = self._machine.symbols.symbol(where)
            return symbol.address, symbol.size_bytes or WORD_BYTES
        if isinstance(where, int):
            return where, WORD_BYTES
        if where.step != 1:
            raise UserMistake(f"{where} cannot be watched: only all addresses of a range can")
        return where.start, len(where)

    @property
    def _machine(self) -> Machine:
        from hillemu.machine import Machine

        assert isinstance(self, Machine)
        return self

    @property
    def _watched_by(self) -> Observers:
        return self._machine.cpu.processor.observers


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

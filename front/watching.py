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

from typing import TYPE_CHECKING

from hillemu.emu.errors import UserMistake

# What is given to who watches is imported there: most runs are not watched.
if TYPE_CHECKING:
    from collections.abc import Callable

    from hillemu.emu.cpu.observers import Cr3Load, Observers, PageFault, Watch, WatchHit
    from hillemu.machine import Machine
    from hillemu.watched import Handle, Trace, Watchpoints
    from hillemu.watched_calls import Call

    Place = range | int | str
    """What to watch: a range of addresses, an address (of four bytes), or a symbol (all of it, or four bytes)."""

WORD_BYTES = 4


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
        from hillemu.watched import Handle

        self._watched_by.on_page_fault(call)
        return Handle(lambda: self._watched_by.remove_on_page_fault(call))

    def on_cr3(self, call: Callable[[Cr3Load], None]) -> Handle:
        """Call behind each instruction that loads CR3.  Raises `UserMistake` without the native core."""
        from hillemu.watched import Handle

        self._watched_by.on_cr3(call)
        return Handle(lambda: self._watched_by.remove_on_cr3(call))

    def on_call(
        self,
        function: int | str,
        call: Callable[[Call], None] | None = None,
        *,
        on_return: Callable[[Call], None] | None = None,
    ) -> Handle:
        """Call each time when the guest is about to execute the first instruction of `function`, a symbol or address.

        ``call.arg(0)`` is the first argument, ``call.arg(1, "struct task *")`` the second as a value of that type,
        ``call.caller`` where it was called.  `on_return` is called when the function has returned, with the same
        object, whose ``result`` is EAX then.

        Raises `UnknownSymbol`; `UserMistake` if there is nothing to call.
        """
        from hillemu.watched import Handle
        from hillemu.watched_calls import CallWatch

        if call is None and on_return is None:
            raise UserMistake("on_call() needs something to call: a callback, on_return, or both")
        machine = self._machine
        at = machine.symbols[function] if isinstance(function, str) else function & 0xFFFFFFFF
        return Handle(CallWatch(machine, at, call, on_return).remove)

    @property
    def watchpoints(self) -> Watchpoints:
        """Where a run stops when memory is accessed."""
        from hillemu.watched import Watchpoints

        return Watchpoints(self._machine)

    @property
    def trace(self) -> Trace:
        """What happened until now."""
        from hillemu.watched import Trace

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
        from hillemu.watched import Handle

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

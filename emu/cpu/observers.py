"""Who watches a run: memory accesses, loads of CR3, page faults, arrivals at addresses.

The native core notes what it sees and calls here between two instructions: behind the one that did it, or in front of
the one at an address.  There all state is exact.  Callbacks may look at everything, and call `Processor.stop`; to write
a register or memory is an error.  Whatever they raise ends the run there and is raised by it.  Being observed never
changes a run.

Not seen: what the host and devices write (DMA), instruction fetches, and the page walk's own reads and its writes of
accessed and dirty bits.  An access that faults has not happened; it is told when its instruction is executed again.

Pages without a watch stay as quick as they are.  In a watched page each access of that kind takes some 75 ns.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.errors import UserMistake

if TYPE_CHECKING:
    from hillemu.emu.cpu._core import Core

_ACCESS, _CR3, _PAGE_FAULT, _ARRIVAL = 1, 2, 4, 8  # the C core's EventKind


class Watch(IntFlag):
    """Kinds of memory access."""

    READ = 1
    WRITE = 2
    ACCESS = READ | WRITE


_KINDS = {1: Watch.READ, 2: Watch.WRITE}  # a look-up takes a tenth of the time of `Watch(1)`


class WatchHit(NamedTuple):
    """One access that a watch waited for."""

    watch: int
    """What `Observers.add_watch` returned."""
    kind: Watch
    """`READ` or `WRITE`; an instruction that does both gives two hits."""
    address: int
    """Linear address of its first byte; it may begin in front of what is watched."""
    physical: int
    size: int
    """1, 2, 4 or 8 bytes."""
    before: int | None
    """What was there, a little-endian number; `None` for a device's memory, which looking could change."""
    after: int
    """What was read or written."""
    eip: int
    """Offset in CS of the instruction, or of the one that an exception or interrupt interrupted."""
    at: int
    """Instructions retired, with that one."""


class Cr3Load(NamedTuple):
    """CR3 was loaded: by MOV or by a task switch."""

    before: int
    after: int
    eip: int
    at: int


class PageFault(NamedTuple):
    """A page fault, as it was before its delivery."""

    address: int
    """CR2."""
    error_code: int
    """As pushed; see `hillemu.emu.i386.errorcodes.PageFaultError`."""
    cs: int
    eip: int
    cr3: int
    at: int
    """Instructions retired before the one that faulted."""


class Observers:
    """All that watch one processor.

    `is_native` says whether the core can see memory and CR3; `when_stopped` carries an action out now, or at once
    behind the current instruction if the processor runs.
    """

    HAS_STATE = False
    """For snapshots: who watches is no part of the machine."""

    def __init__(self, core: Core, is_native: bool, when_stopped: Callable[[Callable[[], None]], None]) -> None:
        self._core = core
        self._is_native = is_native
        self._when_stopped = when_stopped
        self._last_watch = 0
        self._watches: set[int] = set()
        self._on_hit: dict[int, Callable[[WatchHit], None]] = {}
        self._on_cr3: list[Callable[[Cr3Load], None]] = []
        self._on_page_fault: list[Callable[[PageFault], None]] = []
        self._on_arrival: dict[int, list[Callable[[int], None]]] = {}
        self.hits: list[WatchHit] = []
        """What stopped the last run, if it ended with `CoreStop.WATCHPOINT`."""

    # ---- memory -------------------------------------------------------------------------------------------------

    def add_watch(
        self,
        at: int,
        length: int,
        kind: Watch,
        *,
        physical: bool = False,
        on_hit: Callable[[WatchHit], None] | None = None,
    ) -> int:
        """Watch `length` bytes from linear (or `physical`) address `at`; return a number for `remove_watch`.

        Each access of that `kind` that touches one of the bytes is told to `on_hit`.  Without it, the run ends behind
        the instruction (`CoreStop.WATCHPOINT`), and `hits` tells.

        Raises `UserMistake` for bytes that do not exist, and where the core is the portable one.
        """
        space_bits = 36 if physical else 32
        if length < 1 or at < 0 or at + length > 1 << space_bits:
            raise UserMistake(f"{length} bytes at {at:#x} cannot be watched: addresses have {space_bits} bits")
        self._need_native("watch memory")
        self._last_watch += 1
        self._core.add_watch(self._last_watch, at, at + length, int(kind), physical, on_hit is None)
        self._watches.add(self._last_watch)
        if on_hit is not None:
            self._on_hit[self._last_watch] = on_hit
        self._listen()
        return self._last_watch

    def remove_watch(self, watch: int) -> None:
        """Take back `add_watch`; raises `KeyError` if that was done before."""
        self._core.remove_watch(watch)
        self._watches.discard(watch)
        self._on_hit.pop(watch, None)

    # ---- events -------------------------------------------------------------------------------------------------

    def on_cr3(self, call: Callable[[Cr3Load], None]) -> None:
        """Call behind each instruction that loads CR3.  Raises `UserMistake` where the core is the portable one."""
        self._need_native("see loads of CR3")
        self._on_cr3.append(call)
        self._listen()

    def remove_on_cr3(self, call: Callable[[Cr3Load], None]) -> None:
        self._on_cr3.remove(call)
        self._listen()

    def on_page_fault(self, call: Callable[[PageFault], None]) -> None:
        """Call for each page fault, in front of its handler's first instruction."""
        self._on_page_fault.append(call)
        self._listen()

    def remove_on_page_fault(self, call: Callable[[PageFault], None]) -> None:
        self._on_page_fault.remove(call)
        self._listen()

    def on_arrival(self, at: int, call: Callable[[int], None]) -> None:
        """Call, with `at`, each time when the instruction at linear address `at` is about to be executed.

        One that faults and is executed again arrives twice.
        """
        calls = self._on_arrival.setdefault(at, [])
        calls.append(call)
        self._listen()
        if len(calls) == 1:
            self._when_stopped(lambda: self._core.add_call_point(at))

    def remove_on_arrival(self, at: int, call: Callable[[int], None]) -> None:
        calls = self._on_arrival[at]
        calls.remove(call)
        if not calls:
            del self._on_arrival[at]
            self._when_stopped(lambda: self._core.remove_call_point(at))

    def forget_all(self) -> None:
        """Have nobody watch any more, whoever it was."""
        for watch in tuple(self._watches):
            self.remove_watch(watch)
        for at, calls in tuple(self._on_arrival.items()):
            for call in tuple(calls):
                self.remove_on_arrival(at, call)
        self._on_cr3.clear()
        self._on_page_fault.clear()
        self.hits = []
        self._listen()

    @property
    def page_faults(self) -> list[PageFault]:
        """The last 65,536 page faults, oldest first; they are always noted."""
        return [PageFault(*row) for row in self._core.page_faults()[1]]

    @property
    def page_fault_count(self) -> int:
        """How many there were since power-on."""
        return self._core.page_faults()[0]

    # ---- the core's side ----------------------------------------------------------------------------------------

    def _need_native(self, what: str) -> None:
        if not self._is_native:
            raise UserMistake(f"the portable core cannot {what}; HILLEMU_CORE=native can, on Linux on x86-64")

    def _listen(self) -> None:
        wanted = (_CR3 if self._on_cr3 else 0) | (_PAGE_FAULT if self._on_page_fault else 0)
        self._core.set_observer(self._observed, wanted)

    def _observed(self, kind: int, fields: tuple[int, ...]) -> None:
        if kind == _ACCESS:
            hit = WatchHit(fields[0], _KINDS[fields[1]], *fields[2:])
            on_hit = self._on_hit.get(hit.watch)
            if on_hit is not None:
                on_hit(hit)
            else:
                self.hits.append(hit)
        elif kind == _ARRIVAL:
            for call in tuple(self._on_arrival.get(fields[0], ())):
                call(fields[0])
        elif kind == _PAGE_FAULT:
            fault = PageFault(*fields)
            for on_page_fault in tuple(self._on_page_fault):
                on_page_fault(fault)
        elif kind == _CR3:
            load = Cr3Load(*fields)
            for on_cr3 in tuple(self._on_cr3):
                on_cr3(load)

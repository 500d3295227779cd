"""Going backwards: a step, and to the last breakpoint or watchpoint before now.

The past is run again, piece by piece from the newest, with observers that note where it would have stopped; nothing
stops meanwhile.  The last place before now is gone to.  Pieces are small where people look most often, just before now,
and where a piece has many such places: what is noted there takes a hundred times as long as running.

A breakpoint stops where the program counter arrives at it, and a condition that it has is true there.  A watchpoint
stops **in front of** the instruction that made the access, so that its effect is undone: GDB then shows the value from
before, and ``x/i $pc`` who changed it.  A write watchpoint passes writes that change nothing, as GDB would, which
compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from hillemu.debugging.history import History, Kept, Moment, is_far
from hillemu.debugging.points import Points, Watchpoint
from hillemu.debugging.spent_rep import is_spent_rep
from hillemu.emu.gdb.target import HostSignal, StopCause, Stopped

if TYPE_CHECKING:
    from hillemu.emu.cpu.observers import WatchHit
    from hillemu.machine import Machine

MANY = 100_000
"""Hits that are noted in a tenth of a second or two: where there are more, what is nearer is looked at first."""
_HLT = b"\xf4"
HISTORY_BEGINS = Stopped(HostSignal.TRAP, StopCause.HISTORY_BEGINS)
_STEPPED = Stopped(HostSignal.TRAP)
_INTERRUPTED = Stopped(HostSignal.INT)
PARTED = Stopped(
    HostSignal.ABRT,
    message="hillemu: run again, the guest did not do what it did before; does it rely on stale TLB entries?",
)


def _undisturbed() -> bool:
    """Nobody ends what takes no longer than running from one snapshot to the next."""
    return False


class _Hit(NamedTuple):
    """Going back would stop where `instructions` have been executed and `at` is next, or in front of `access`."""

    stop: Stopped
    instructions: int = 0
    at: int = 0
    access: WatchHit | None = None


class _Search(NamedTuple):
    """What a piece of the past has: its last hit, or, not `is_over`, too many to look at all of them."""

    is_over: bool
    hit: _Hit | None = None


class _Notes:
    """The last hit of each breakpoint and watchpoint."""

    def __init__(self) -> None:
        self.count = 0
        self.are_complete = True
        self.arrivals: dict[int, tuple[int, Stopped]] = {}
        """By address: after how many instructions."""
        self.accesses: dict[Watchpoint, WatchHit] = {}
        """In order of time."""

    def newest(self) -> _Hit | None:
        """Arrivals come behind all that the instructions before did, and in front of what the next one does."""
        found = [(2 * count + 1, _Hit(stop, count, at)) for at, (count, stop) in self.arrivals.items()]
        found += ((2 * hit.at, _Hit(point.stop(hit), access=hit)) for point, hit in reversed(self.accesses.items()))
        return max(found, key=itemgetter(0), default=(0, None))[1]


class Backwards:
    """Takes `machine` back in `history`; `look` is asked often whether somebody wants that to end."""

    def __init__(self, machine: Machine, history: History, points: Points, look: Callable[[], bool]) -> None:
        self._machine = machine
        self._history = history
        self._points = points
        self._look = look

    def step(self) -> Stopped:
        """Undo one instruction, or the entry of a handler, or the wait of a halted processor."""
        history, now = self._history, self._history.now
        history.leave_present()
        self._points.take_out()
        count = now.instructions
        if not history.before(now):
            return HISTORY_BEGINS
        if now.deliveries and history.go_to(count, now, _undisturbed) and history.now < now:
            return self._watched_until(now)
        first = history.before(now)[0]
        if count <= first.moment.instructions:
            history.restore(first)
            return HISTORY_BEGINS
        if not history.go_to(count - 1, now, _undisturbed):
            return PARTED
        if self._is_at_spent_rep() and count - 1 > first.moment.instructions:
            at = self._machine.cpu.linear_eip
            history.go_to(count - 2, now, _undisturbed)
            if self._machine.cpu.linear_eip != at:  # its count was zero from the start
                history.run_again(count - 1, _undisturbed)
        if self._has_waited_since(now):
            history.run_again(count, _undisturbed)
            return _STEPPED
        return self._watched_until(now)

    def go_on(self) -> Stopped:
        """Go back to the last place where the run would have stopped."""
        history, now = self._history, self._history.now
        history.leave_present()
        self._points.take_out()
        newest = history.newest_before(now)
        if newest is None:
            return HISTORY_BEGINS
        behind, end = history.keep(), now
        if self._points.any and is_far(now.instructions - newest.moment.instructions):
            history.restore(newest)
            history.keep_nearby(now, self._look)
        divided: Moment | None = None
        while self._points.any and (kept := history.newest_before(end)) is not None:
            search = self._search(kept, end, most=None if end == divided else MANY)
            if not search.is_over:
                divided = end
                self._divide(end)
            if self._look():
                history.restore(behind)
                return _INTERRUPTED
            if search.hit is not None:
                return self._arrive(search.hit, now)
            if search.is_over:
                behind, end = kept, kept.moment
        history.restore(history.before(now)[0])
        return HISTORY_BEGINS

    def _divide(self, end: Moment) -> None:
        """Keep more of what is left of a piece in which a search was given up here, most of it towards its end."""
        history = self._history
        # One instruction on: at a moment that is kept here, nobody would be told of the arrival here a second time.
        history.run_again(self._machine.cpu.instructions + 1, self._look)
        history.keep()
        history.keep_nearby(end, self._look)

    # ---- looking for the place ----------------------------------------------------------------------------------

    def _search(self, kept: Kept, end: Moment, *, most: int | None) -> _Search:
        """Look for the last place from `kept` on and before `end`; leaves the machine anywhere.

        Behind `most` hits it is given up where it stands, if most of the way is still to go.
        """
        self._history.restore(kept)
        with self._noting(end, most) as noted:
            self._history.run_again(end.instructions, self._look)
            if not noted.are_complete:
                return _Search(is_over=False)
            # A run ends before a handler is entered: where `end` is in one, what was interrupted may be the place.
            at, now = self._machine.cpu.linear_eip, self._history.now
            is_interrupted = now.ticks == end.ticks and now < end
            stop = self._points.reached(at) if is_interrupted else None
            before_entry = noted.newest()
            self._enter_handler(end)
        newest = noted.newest()
        if stop is not None and newest == before_entry:
            newest = _Hit(stop, end.instructions, at)
        return _Search(is_over=True, hit=newest)

    def _enter_handler(self, end: Moment) -> None:
        """Go on into a handler, if `end` is in front of its first instruction; leaves the machine somewhere behind."""
        if self._points.watchpoints and end.deliveries and self._history.now < end:
            self._machine.run(max_insns=1)

    @contextmanager
    def _noting(self, end: Moment, most: int | None = None) -> Iterator[_Notes]:
        """Note what is hit before `end`; behind `most` hits, stop the machine if most of the way is still to go."""
        processor, points = self._machine.cpu.processor, self._points
        notes = _Notes()
        start = processor.instructions
        came: dict[int, int] = {}
        always = {at: points.unconditional_stop(at) for at in points.breakpoints}

        def note_count(count: int) -> None:
            notes.count += 1
            if notes.count == most and is_far(left := end.instructions - count) and left > count - start:
                notes.are_complete = False
                self._machine.stop()

        def arrived(at: int) -> None:
            # Quickly: a breakpoint in a loop is arrived at by the million.
            count = processor.instructions
            note_count(count)
            before = came.get(at)
            came[at] = count
            if count >= end.instructions or (before == count - 1 and self._is_at_spent_rep()):
                return
            if (stop := always[at] or points.reached(at)) is not None:
                notes.arrivals[at] = count, stop

        def accessed(point: Watchpoint, hit: WatchHit) -> None:
            note_count(hit.at)
            if hit.at <= end.instructions and point.is_undone_by(hit):
                notes.accesses.pop(point, None)
                notes.accesses[point] = hit

        with ExitStack() as taken_back, self._watching(accessed):
            for at in always:
                processor.observers.on_arrival(at, arrived)
                taken_back.callback(processor.observers.remove_on_arrival, at, arrived)
            yield notes

    @contextmanager
    def _watching(self, accessed: Callable[[Watchpoint, WatchHit], None]) -> Iterator[None]:
        """Call with each access that a watchpoint is for."""
        observers = self._machine.cpu.processor.observers
        with ExitStack() as taken_back:
            for point in self._points.watchpoints:
                number = observers.add_watch(point.at, point.length, point.access, on_hit=partial(accessed, point))
                taken_back.callback(observers.remove_watch, number)
            yield

    # ---- going there --------------------------------------------------------------------------------------------

    def _arrive(self, hit: _Hit, now: Moment) -> Stopped:
        if hit.access is not None:
            return hit.stop if self._go_in_front_of(hit.access, now) else PARTED
        if not self._history.go_to(hit.instructions, now, _undisturbed):
            return PARTED
        machine = self._machine
        if machine.cpu.linear_eip == hit.at:
            return hit.stop
        # It is a handler's first instruction: no other is executed before it.
        is_ours = hit.at not in machine.breakpoints
        machine.breakpoints.add(hit.at)
        machine.run(max_insns=1, over_breakpoint=False)
        if is_ours:
            machine.breakpoints.remove(hit.at)
        return hit.stop if machine.cpu.linear_eip == hit.at else PARTED

    def _go_in_front_of(self, access: WatchHit, now: Moment) -> bool:
        """Go to the instruction that made `access`, or to the one that was interrupted when a delivery pushed it."""
        history = self._history
        if not history.go_to(access.at - 1, now, _undisturbed):
            return history.go_to(access.at, now, _undisturbed)
        here = history.keep()
        seen: list[WatchHit] = []
        with self._watching(lambda _, hit: seen.append(hit)):
            history.run_again(access.at, _undisturbed)
        if any(hit[1:] == access[1:] for hit in seen):  # the number of the watch differs
            history.restore(here)
        # Otherwise the delivery comes next: all that the instruction before it did is done.
        return True

    def _has_waited_since(self, now: Moment) -> bool:
        """Whether the next instruction is HLT, and the wait for an interrupt has brought the time to `now`."""
        machine = self._machine
        return machine.clock.now + 1 < now.ticks and machine.read(machine.cpu.linear_eip, 1) == _HLT

    def _is_at_spent_rep(self) -> bool:
        return is_spent_rep(self._machine.cpu.processor, self._machine.memory)

    def _watched_until(self, now: Moment) -> Stopped:
        """The stop in front of what leads to `now`: whether that makes an access that is watched."""
        if not self._points.watchpoints:
            return _STEPPED
        here = self._history.keep()
        with self._noting(now) as noted:
            self._history.run_again(now.instructions, _undisturbed)
            self._enter_handler(now)
        self._history.restore(here)
        return next((point.stop(hit) for point, hit in noted.accesses.items()), _STEPPED)

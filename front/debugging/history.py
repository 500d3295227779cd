"""The past of a debugged run: how to go to any moment of it.

::

    oldest kept            kept      kept                newest kept      now
    |----------------------|---------|-------------------|-----------------|
                 a snapshot as often as it costs a hundredth; the older, the fewer

A run is deterministic, so a moment between two snapshots is reached by running again from the one before it.  What is
no consequence of the past is remembered: input that people typed is given again at its moment, and where registers or
memory were changed by hand, a snapshot behind the change stays as long as anything older does.

Memory is bounded: at most `MOST_KEPT` snapshots, and `MOST_BYTES` of pages in which they differ.  Then those go first
that are close together compared with their age; where that is not enough, the oldest, and history begins later.

Serial ports' and debug console's observers hear nothing twice; your own observers (`Machine.on_write` and the like)
are called again when the past is run again.

Not modelled: what the TLB held; see `hillemu.emu.snapshot`.  A guest that relies on stale translations may part from
its past; `go_to` tells by where it ends.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from hillemu.debugging.pace import Pace
from hillemu.emu.cpu.core import DeliveryKind
from hillemu.emu.stop import StopReason
from hillemu.input_record import Typed, type_now

if TYPE_CHECKING:
    from hillemu.emu.snapshot import Snapshot
    from hillemu.machine import Machine

INTERVAL = 1_000_000
"""Instructions between two snapshots at least, however slowly the guest runs, and however long it halts."""
FAR, NEAR = 1_000_000, 50_000
"""A moment that is `FAR` behind its snapshot gets another one, `NEAR` instructions before it: people go back in small
steps."""
FARTHER = 4
"""How many times as far back as the one before each snapshot is, where one is looked for something nearby."""
MOST_KEPT = 128
MOST_BYTES = 512 << 20
_PASSED = (StopReason.MAX_INSNS, StopReason.BREAKPOINT, StopReason.WATCHPOINT)
"""Stops of a replay that mean nothing: the user's own breakpoints among them."""

Look = Callable[[], bool]
"""Called while the past is run again, and often enough for people; `True` has it end early."""


class Moment(NamedTuple):
    """A place in a run, ordered in time.

    Where the processor halts, only ticks go on; where an exception or interrupt has entered its handler, and no
    instruction there is executed yet, only `deliveries`.
    """

    instructions: int
    ticks: int
    deliveries: int


class Kept(NamedTuple):
    """A snapshot, and what belongs to that moment on our side."""

    moment: Moment
    snapshot: Snapshot
    inputs_given: int
    record: tuple[Typed, ...]
    follows_change: bool
    """It cannot be reached from the snapshot before it."""


class _Input(NamedTuple):
    moment: Moment
    typed: Typed


def is_far(instructions: int) -> bool:
    """Whether people who often have so many run again would notice."""
    return instructions > FAR


class History:
    """The past of `machine`'s run, from `begin` on.

    `record` is the list to which whoever types into the run adds what was typed (`hillemu.input_record.type_now`);
    `pace` says how often a snapshot is worth its cost.
    """

    def __init__(self, machine: Machine, record: list[Typed], pace: Pace | None = None) -> None:
        self._machine = machine
        self._record = record
        self._pace = pace or Pace()
        self._kept: list[Kept] = []
        self._inputs: list[_Input] = []
        self._inputs_given = 0
        self._latest = Moment(0, 0, 0)
        self._keep_next_at = 0

    # ---- the present --------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Remember from now on, if that is not done already; raises `UserMistake` where no snapshot can be taken."""
        if not self._kept:
            self.keep(follows_change=True)

    def forget(self) -> None:
        """Let go of everything."""
        self._kept.clear()
        self._inputs.clear()
        self._inputs_given = self._keep_next_at = 0
        self._latest = Moment(0, 0, 0)
        self._machine.forget_repeats()

    @property
    def has_begun(self) -> bool:
        return bool(self._kept)

    @property
    def now(self) -> Moment:
        machine = self._machine
        count = machine.cpu.instructions
        entered = (one for one in machine.deliveries if one.kind is not DeliveryKind.SOFTWARE)  # INT is an instruction
        return Moment(count, machine.clock.now, sum(one.at == count for one in entered))

    @property
    def is_past(self) -> bool:
        """Whether the machine has been here before."""
        # Most often the count alone tells; the rest takes ten times as long.
        return (
            self._machine.cpu.instructions <= self._latest.instructions and self.has_begun and self.now < self._latest
        )

    def look(self) -> None:
        """Keep what is to be kept; between two instructions, often."""
        if not self._kept:
            return
        count = self._machine.cpu.instructions
        if count >= self._keep_next_at and self._pace.is_due:
            before = self._kept[max(self._place(self.now) - 1, 0)].moment.instructions
            if count - before >= INTERVAL:
                self.keep()
            else:
                self._keep_next_at = before + INTERVAL

    @property
    def has_input_to_give(self) -> bool:
        """Whether input of the past is still to come."""
        return self._inputs_given < len(self._inputs)

    def give_inputs(self) -> None:
        """Give the machine again what it was given at this moment; wherever a run in the past begins or pauses."""
        while self.has_input_to_give:
            due = self._inputs[self._inputs_given]
            if due.moment > self.now:
                return
            self._inputs_given += 1
            type_now(self._machine, due.typed.to, due.typed.text, self._record)

    def heard(self, typed: list[Typed]) -> None:
        """`typed` has just been given to the machine by people, in the present."""
        if self._kept:
            now = self.now
            self._inputs += (_Input(now, one) for one in typed)
            self._inputs_given = len(self._inputs)

    def changed(self) -> bool:
        """Registers or memory have just been changed by hand; returns whether that cut off a future."""
        if not self._kept:
            return False
        had_future = self.is_past
        if had_future:
            now = self.now
            del self._kept[self._place(now) :]
            del self._inputs[self._inputs_given :]
            self._latest = now
            self._machine.forget_repeats()
        self.keep(follows_change=True)
        return had_future

    def keep(self, *, follows_change: bool = False) -> Kept:
        """Take a snapshot now, or return the one that there is."""
        now = self.now
        at = self._place(now)
        if at and self._kept[at - 1].moment == now and not follows_change:
            return self._kept[at - 1]
        take = self._machine.snapshot
        snapshot = self._pace.timed(take) if self._kept else take()  # the first copies what no other will copy
        kept = Kept(now, snapshot, self._inputs_given, tuple(self._record), follows_change)
        self._kept.insert(at, kept)
        self._keep_next_at = now.instructions + INTERVAL
        while len(self._kept) > 2 and (len(self._kept) > MOST_KEPT or self._machine.snapshot_bytes > MOST_BYTES):
            self._thin_out(kept)
        return kept

    # ---- the past -----------------------------------------------------------------------------------------------

    def leave_present(self) -> None:
        """Remember how far the run has come, before going back."""
        self._latest = max(self._latest, self.now)
        self._machine.hush_repeats()

    def before(self, moment: Moment) -> list[Kept]:
        """What is kept of the time before `moment`, oldest first; the first is where history begins."""
        return [kept for kept in self._kept if kept.moment < moment]

    def newest_before(self, moment: Moment) -> Kept | None:
        """The last of these, for whoever goes back through all: what is held elsewhere gives no memory back."""
        before = self.before(moment)
        return before[-1] if before else None

    def restore(self, kept: Kept) -> None:
        """Go to a moment that was kept."""
        self._machine.restore(kept.snapshot)
        self._inputs_given = kept.inputs_given
        self._record[:] = kept.record
        self._keep_next_at = kept.moment.instructions + INTERVAL

    def go_to(self, instructions: int, before: Moment, look: Look) -> bool:
        """Go to where `instructions` have just been executed, a moment before `before`; whether it was reached."""
        for kept in reversed(self.before(before)):
            is_first = kept is self._kept[0] or kept.follows_change
            # A snapshot of a processor that had halted, or was entering a handler, is behind that moment.
            if kept.moment.instructions < instructions or (is_first and kept.moment.instructions == instructions):
                self.restore(kept)
                if is_far(instructions - kept.moment.instructions):
                    if not self.run_again(instructions - NEAR, look):
                        return False
                    self.keep()
                return self.run_again(instructions, look)
        return False

    def keep_nearby(self, end: Moment, look: Look) -> None:
        """Run on in the past towards `end`, and keep moments nearer and nearer to it.

        Whoever looks for the last of something before `end` has to run the last of these pieces again, and seldom more.
        """
        start, distance, places = self._machine.cpu.instructions, NEAR, []
        while end.instructions - distance > start:
            places.append(end.instructions - distance)
            distance *= FARTHER
        for place in reversed(places):
            # A guest that writes to much memory has no room for what only saves time.
            if self._machine.snapshot_bytes > MOST_BYTES // 4 or not self.run_again(place, look):
                return
            self.keep()

    def run_again(self, instructions: int, look: Look) -> bool:
        """Run on in the past until `instructions` have been executed; whether they were."""
        while (left := instructions - self._machine.cpu.instructions) > 0:
            stop = self._machine.run(max_insns=left, between=lambda: self._between(look))
            if stop.reason not in _PASSED:
                return self._machine.cpu.instructions >= instructions
        return True

    def _between(self, look: Look) -> bool:
        self.give_inputs()
        if look():
            self._machine.stop()
        # The run went on here, so it does again; input that is still to come may be what ends a halt.
        return self.has_input_to_give

    def _place(self, moment: Moment) -> int:
        return bisect_right(self._kept, moment, key=lambda kept: kept.moment)

    def _thin_out(self, newest: Kept) -> None:
        """Let go of one snapshot, but not of `newest`."""
        kept = self._kept
        end = max(self._latest, kept[-1].moment).instructions

        def worth(at: int) -> float:
            if at + 1 == len(kept):
                return inf
            gap = kept[at + 1].moment.instructions - kept[at - 1].moment.instructions
            return gap / (end - kept[at].moment.instructions + INTERVAL)

        # From the first all others can be reached, also the last: it goes when there is no other.
        can_go = [at for at in range(1, len(kept)) if not kept[at].follows_change and kept[at] is not newest]
        del kept[min(can_go, key=worth) if can_go else 0]

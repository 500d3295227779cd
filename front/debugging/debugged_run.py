"""A machine's run with a debugger that may come, go, and come again.

Nobody attached: the machine runs as always.  A debugger attaches: it stands still.  It detaches: the machine goes on.
It vanishes: the machine stands still until another comes.

Where the run would end, it stops for the debugger instead, with everything still there to look at; to continue from
there ends it, and a step stays there.  (A guest that halted or hangs goes on if something was changed.)

While a debugger is attached, the run's past is remembered (`hillemu.debugging.history`), so that it can go backwards.

Debugging does not change a run: stops are between two instructions, steps take the interrupts that are due, and no
virtual time passes meanwhile.  Only what is written to registers and memory does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from hillemu.commands.exit_status import exit_status
from hillemu.debugging.backwards import Backwards
from hillemu.debugging.forwards import Forwards
from hillemu.debugging.history import History
from hillemu.debugging.machine_target import MachineTarget
from hillemu.debugging.outcomes import RESUMABLE, as_stopped
from hillemu.debugging.server import Event, Server
from hillemu.emu.cpu.core import EVERYWHERE
from hillemu.emu.errors import UserMistake
from hillemu.emu.gdb.session import Session
from hillemu.emu.gdb.target import Ended, HostSignal, Motion, Resume, Stopped
from hillemu.emu.reports import Report, unheard
from hillemu.emu.stop import Stop, StopReason
from hillemu.running import Running
from hillemu.terminal.ctrl_c import DeferredCtrlC

if TYPE_CHECKING:
    from hillemu.input_record import Typed
    from hillemu.machine import Machine

_ON = Resume(Motion.CONTINUE)
_STEPPED = Stopped(HostSignal.TRAP)
LOOK_EVERY_TICKS = 100
"""Far less than a person notices, and so many that looking costs next to nothing."""
_BACKWARDS = (Motion.REVERSE_CONTINUE, Motion.REVERSE_STEP)


def _no_input() -> bool:
    """Nobody types."""
    return False


class DebuggedRun:
    """Runs `machine` while `server` listens; `until`, `max_insns` and `run`'s `between` are as for `Machine.run`.

    `tell` hears, in one line each, of debuggers that come and go; where there is only one, as the run
    `ends_with_debugger` that detaches, nobody has to be told.  What `between` lets people type must be noted in
    `record`, as `hillemu.input_record.type_now` does: when the past is run again, it is typed again.
    """

    def __init__(
        self,
        machine: Machine,
        server: Server,
        *,
        until: str | re.Pattern[str] | None = None,
        max_insns: int | None = None,
        record: list[Typed] | None = None,
        tell: Report = unheard,
        ends_with_debugger: bool = False,
    ) -> None:
        self._machine = machine
        self._server = server
        self._watch = None if until is None else machine.text_watch(until)
        self._end = None if max_insns is None else machine.cpu.instructions + max_insns
        self._between: Callable[[], bool] = _no_input
        self._tell = tell
        self._ends_with_debugger = ends_with_debugger
        self._input_may_come = False
        self._record = [] if record is None else record
        self._history = History(machine, self._record)
        self._target = MachineTarget(machine, self._history)
        self._backwards = Backwards(machine, self._history, self._target.points, self._is_interrupted)
        self._forwards = Forwards(machine, self._target.points, self._run, self._instructions_left)
        self._session: Session | None = None
        self._stopping = False
        self._held = False
        """The machine is to stand still though nobody asked it to: a debugger has come, or vanished."""
        self._look_at = 0
        """The tick at which to see again what the debugger wants."""
        self._looked_at = -1
        """The tick of the last look of this motion; a processor that waits for input may be there still."""
        self._slice = 0
        """The slice in which people were last let type."""
        self._final: Stop | None = None
        """Why the run would be over without the debugger."""
        self._matched: tuple[int, Stop] | None = None
        """After how many instructions `until` was seen: going there a second time, nobody hears the text."""

    def run(self, *, wait: bool = False, between: Callable[[], bool] | None = None) -> Stop:
        """Run to the end; with `wait`, the first instruction waits for a debugger."""
        self._between = between or _no_input
        ctrl_c = DeferredCtrlC(self.stop)
        try:
            how = self._stand_still() if wait else _ON
            while how is not None:
                if (over := self._over(how)) is not None:
                    if how.motion is not Motion.STEP:
                        break
                    # One step too many would end it, and with it all that there is to look at and to go back to.
                    self._show(over)
                    how = self._stand_still()
                    continue
                if how.motion in _BACKWARDS:
                    self._go_back(how)
                    how = self._stand_still()
                    continue
                stop = self._move(how)
                if self._stopping or (self._session is None and not self._held):
                    self._final = stop
                    break
                self._show(stop)
                how = self._stand_still()
        finally:
            if self._watch is not None:
                self._watch.close()
            self._target.points.clear()
            ctrl_c.close()
        stop = self._final or self._interrupted()
        if self._session is not None:
            self._server.send(self._session.stopped(Ended(exit_status(stop))))
        self._machine.last_stop = stop
        return stop

    def stop(self) -> None:
        """End the run, also while it stands still: from a signal handler or another thread."""
        self._stopping = True
        self._server.wake()
        self._machine.stop()

    # ---- in motion ----------------------------------------------------------------------------------------------

    def _move(self, how: Resume) -> Stop:
        """Set the machine in motion, and return why it stopped."""
        if self._target.was_changed and self._history.changed():
            self._say("hillemu: registers or memory were changed, so what came after this is forgotten")
        self._target.was_changed = self._held = False
        for note in self._target.notes:
            self._say(note)
        self._target.notes.clear()
        now = self._machine.clock.now
        self._look_at, self._looked_at, self._slice = now + 1, -1, now // self._machine.slice_ticks
        self._target.points.insert_watchpoints()
        forwards = self._forwards
        stop = forwards.step(*how.stay_in) if how.motion is Motion.STEP else forwards.go_on()
        if stop.reason is StopReason.MAX_INSNS and self._matched and self._machine.cpu.instructions == self._matched[0]:
            return self._matched[1]
        return stop

    def _run(self, max_insns: int | None, *, over_breakpoint: bool, stay_in: range) -> Stop:
        if max_insns == 1 and over_breakpoint and stay_in is EVERYWHERE and not self._has_to_look:
            return self._machine.step_once()
        return Running.run(  # not a test's, which is bounded: people take their time
            self._machine,
            until=self._watch,
            max_insns=max_insns,
            between=self._look,
            over_breakpoint=over_breakpoint,
            stay_in=stay_in,
        )

    @property
    def _has_to_look(self) -> bool:
        """Whether something is to be done in front of the first instruction already."""
        return self._target.interrupted or self._held or self._stopping or self._history.has_input_to_give

    def _instructions_left(self) -> int | None:
        if self._end is None and self._matched is None:
            return None
        ends = [] if self._end is None else [self._end]
        if self._matched is not None and self._history.is_past:
            ends.append(self._matched[0])
        return max(min(ends) - self._machine.cpu.instructions, 0) if ends else None

    def _go_back(self, how: Resume) -> None:
        """Take the machine backwards, and tell the debugger where it stands."""
        if self._target.was_changed:
            self._history.changed()
        self._target.was_changed = self._held = False
        going = self._backwards.step if how.motion is Motion.REVERSE_STEP else self._backwards.go_on
        outcome = going()
        self._final = None
        # GDB looks at what it cannot have us watch by steps without end: a Ctrl-C during one of them ends them all.
        if outcome == _STEPPED and self._is_interrupted() and self._target.interrupted:
            outcome = Stopped(HostSignal.INT)
        self._tell_stop(outcome)

    def _is_interrupted(self) -> bool:
        """See whether the debugger, or the user, wants the way back to end."""
        if (event := self._server.next(0)) is not None:
            self._handle(event)
        return self._target.interrupted or self._held or self._stopping

    def _say(self, text: str) -> None:
        if self._session is not None:
            self._server.send(self._session.say(text))

    def _look(self) -> bool:
        """See what the debugger wants while the machine runs; whether input may come from elsewhere."""
        self._history.give_inputs()
        now = self._machine.clock.now
        waits, self._looked_at = now == self._looked_at, now
        # Not before the first instruction, and seldom: steps and conditions are short runs, and GDB waits for them.
        if now >= self._look_at or waits:
            if (event := self._server.next(0)) is not None:
                self._handle(event)
            self._history.look()
            self._look_at = now + LOOK_EVERY_TICKS
        # At the ends of slices, and where time stands still: no other moments are the same when all this runs again.
        if now // self._machine.slice_ticks != self._slice or waits:
            self._slice = now // self._machine.slice_ticks
            if not self._history.is_past:
                self._let_people_type()
        if self._target.interrupted or self._held or self._stopping:
            self._machine.stop()
        return self._input_may_come

    def _let_people_type(self) -> None:
        """Give the machine what was typed, and note that it was; in the past there is only what was typed then."""
        typed_before = len(self._record)
        self._input_may_come = self._between()
        if len(self._record) > typed_before:
            self._history.heard(self._record[typed_before:])

    # ---- standing still -----------------------------------------------------------------------------------------

    def _stand_still(self) -> Resume | None:
        """Do what the debugger wants until it sets the machine in motion: how, or `None` at the end of the run."""
        # Here, not where the motion begins: a Ctrl-C may come in one piece with the command that begins it, or between
        # two steps of many.
        self._target.interrupted = False
        while not (self._stopping or self._target.killed):
            if self._session is not None and self._session.closed:
                self._tell_of_debugger("has detached; the machine goes on")
                self._hang_up()
                if self._ends_with_debugger:
                    return None
                self._history.forget()
                return _ON
            if self._session is not None and self._session.running:
                how, self._target.wanted = self._target.wanted, None
                return how
            event = self._server.next(None)
            if event is not None:
                self._handle(event)
            if self._target.moved:
                self._final, self._target.moved = None, False
                self._matched = None
                if self._history.has_begun:
                    self._history.forget()
                    self._begin_history()
        return None

    def _handle(self, event: bytes | Event) -> None:
        if event is Event.ATTACHED:
            self._tell_of_debugger("has attached; the machine stands still")
            self._session = Session(self._target)
            self._held = True
            self._begin_history()
        elif event is Event.GONE:
            self._tell_of_debugger("has vanished; the machine stands still until another attaches, or Ctrl-C")
            self._hang_up()
            self._held = True
        elif isinstance(event, bytes) and self._session is not None:
            self._server.send(self._session.receive(event))

    def _tell_of_debugger(self, what: str) -> None:
        if not self._ends_with_debugger:
            self._tell(f"the debugger {what}")

    def _begin_history(self) -> None:
        try:
            self._history.begin()
        except UserMistake as error:
            self._tell(f"this run cannot go backwards: {error}")

    def _hang_up(self) -> None:
        self._server.hang_up()
        self._session = None
        self._target.interrupted = False
        self._target.points.clear()

    def _show(self, stop: Stop) -> None:
        """Tell the debugger, or keep for the next one, why the machine stands still."""
        self._tell_stop(self._outcome(stop))

    def _tell_stop(self, outcome: Stopped) -> None:
        self._target.outcome = outcome
        if self._session is not None:
            self._server.send(self._session.stopped(outcome))

    def _outcome(self, stop: Stop) -> Stopped:
        match stop.reason:
            case StopReason.BREAKPOINT:
                return self._target.points.reached(self._target.pc) or Stopped(HostSignal.TRAP)
            case StopReason.WATCHPOINT:
                return self._target.points.watchpoint_stop()
            case StopReason.MAX_INSNS if self._instructions_left() != 0:
                return _STEPPED
            case StopReason.INTERRUPTED:
                return Stopped(HostSignal.TRAP if self._held else HostSignal.INT)
        self._final = stop
        if stop.reason is StopReason.UNTIL:
            self._matched = self._machine.cpu.instructions, stop
        return as_stopped(stop)

    def _over(self, how: Resume) -> Stop | None:
        """Why the run has ended before, unless something has been done to a guest that might go on."""
        if how.motion in _BACKWARDS:
            return None
        if self._final is not None and self._final.reason in RESUMABLE and self._target.was_changed:
            self._final = None
        return self._final

    def _interrupted(self) -> Stop:
        ended = self._target.killed or self._ends_with_debugger
        return Stop(StopReason.INTERRUPTED, "the debugger ended the run" if ended else "")

"""The part of `hillemu.Machine` that sets it in motion, and says why it stopped.

::

    run      |---- slice ----|---- slice ----|-- slice --|        until something ends it
             ^ between()     ^ between()     ^ between()

A slice ends where we have to look, at the latest at the next multiple of `slice_ticks` of virtual time: where that is
does not depend on where a run began, and the guest cannot notice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from hillemu.agenda import Agenda
from hillemu.emu.clock import DEFAULT_FREQUENCY_HZ
from hillemu.emu.cpu.core import EVERYWHERE, CoreStop
from hillemu.emu.devices.input.keys import keys_from_text
from hillemu.emu.errors import MediumError, UserMistake
from hillemu.emu.stop import Stop, StopReason
from hillemu.terminal.ctrl_c import DeferredCtrlC
from hillemu.watch import TextWatch

if TYPE_CHECKING:
    from hillemu.boot.image import Loaded
    from hillemu.console import CpuView
    from hillemu.emu.clock import Clock
    from hillemu.emu.devices.video.text_screen import TextScreen
    from hillemu.emu.memory import PhysicalMemory
    from hillemu.emu.pc import Pc
    from hillemu.symbols import SymbolTable
    from hillemu.watched import Watchpoints

LONGEST_SLEEP_TICKS = 3600 * DEFAULT_FREQUENCY_HZ
_STEPPED = Stop(StopReason.MAX_INSNS)


class Running:
    """What `Machine` does with its processor."""

    _pc: Pc
    _boot: Callable[[], Loaded] | None
    _agenda: Agenda
    _report_once: Callable[[str], None]
    cpu: CpuView
    clock: Clock
    memory: PhysicalMemory
    screen: TextScreen
    symbols: SymbolTable
    watchpoints: Watchpoints
    reboot: bool
    last_stop: Stop | None = None
    slice_ticks: int
    _ending: Stop | None = None
    _reset_wanted = False
    _awake_count, _awake_at = -1, 0
    """Instructions at the last slice's start, and the tick when that number was new."""

    def run(
        self,
        *,
        until: str | re.Pattern[str] | TextWatch | None = None,
        max_insns: int | None = None,
        between: Callable[[], bool] | None = None,
        over_breakpoint: bool = True,
        stay_in: range = EVERYWHERE,
    ) -> Stop:
        """Run until the guest stops, a breakpoint is reached, or:

        `until`      the serial text or the screen matches this regular expression (text that is there already counts
                     only on the screen; a `text_watch` remembers the text of the runs before)
        `max_insns`  exactly this many instructions have been executed

        `between` is called before the first instruction and then after every 10 ms of virtual time at the latest,
        always between two instructions, where the guest cannot notice.  It may look, take its time, type
        (`keyboard`, `serial`) or call `stop`.  It returns whether input may come from it: while it may, a halt that
        only input can end does not end the run; virtual time stands still there until `between` gives some.
        Every linear address outside `stay_in` is as a breakpoint; one at the first instruction of all is passed
        `over_breakpoint`, or stops the run at once.

        Raises `UserMistake` when no image is loaded.  A disk image that fails is a way to end (`DISK_FAILURE`); any
        other exception in a device or an observer ends the run and is raised here.
        """
        if self._boot is None:
            raise UserMistake("no image is loaded; call load() or load_demo() first")
        watch = self.text_watch(until) if isinstance(until, str | re.Pattern) else until
        end = None if max_insns is None else self.cpu.instructions + max_insns
        self._ending = None
        ctrl_c = DeferredCtrlC(self.stop)
        try:
            while True:
                input_may_come = between is not None and between()
                try:
                    stop = self._run_slice(end, over_breakpoint, stay_in, input_may_come)
                except MediumError as error:
                    stop = _disk_failure(error)
                over_breakpoint = False
                if watch is not None and stop is None and watch.screen_matches():
                    stop = Stop(StopReason.UNTIL, f"{watch.pattern.pattern!r} is on the screen")
                if stop is not None:
                    self.last_stop = stop
                    return stop
        finally:
            if watch is not None and watch is not until:
                watch.close()
            ctrl_c.close()

    def step(self, count: int = 1) -> Stop:
        """Execute exactly `count` instructions; interrupts and exceptions are taken as in a run."""
        return self.run(max_insns=count)

    def step_once(self) -> Stop:
        """As `step()`, in a third of the time: for a debugger, which steps by the ten thousand.

        Where nothing but an instruction happened, the stop has no `detail`.  Ctrl-C is the caller's care.
        """
        if self._boot is None or not self._agenda.is_empty:
            return self.step()
        self._ending = None
        processor = self._pc.processor
        now = processor.instructions
        try:
            core_stop = processor.run(instructions=1, ticks=self.slice_ticks - self.clock.now % self.slice_ticks)
        except MediumError as error:
            self.last_stop = _disk_failure(error)
            return self.last_stop
        executed = processor.instructions - now
        if executed and core_stop is CoreStop.LIMIT and self._ending is None and not self._reset_wanted:
            stop: Stop | None = _STEPPED
        else:
            stop = self._stop_behind(core_stop, now, now + 1, input_may_come=False)
        if stop is None:
            return self.run(max_insns=1 - executed)
        self.last_stop = stop
        return stop

    def stop(self) -> None:
        """End the run that is going on: from an observer, a device, another thread or a signal handler."""
        self._end(Stop(StopReason.INTERRUPTED))

    def boot_again(self) -> None:
        """Reset the machine and load its image anew, as a reboot does; raises `UserMistake` if there is none."""
        if self._boot is None:
            raise UserMistake("no image is loaded; call load() or load_demo() first")
        self._reset_wanted = False
        self._boot()

    def text_watch(self, pattern: str | re.Pattern[str]) -> TextWatch:
        """What several runs can be given as `until`, to end when the text of all of them matches; close it then."""
        return TextWatch(pattern, self._pc.serial_log, self._pc.screen, self._text_found)

    def schedule_keys(self, text: str, at_insns: int = 0) -> None:
        """Type `text` (as ``--keys`` takes it) when `at_insns` instructions have been executed."""
        self._agenda.add_keys(at_insns, keys_from_text(text))

    def schedule_call(self, at_ns: int, action: Callable[[], None]) -> None:
        """Call `action` between two instructions, as soon as `at_ns` of virtual time have passed since power-on.

        Input that `action` gives is repeatable to the bit, even where the processor halts: instructions stand still
        there, time does not.
        """
        self._agenda.add_call(self.clock.ticks_from_ns(at_ns), action)

    # ---- a slice ------------------------------------------------------------------------------------------------

    def _run_slice(self, end: int | None, over_breakpoint: bool, stay_in: range, input_may_come: bool) -> Stop | None:
        """Run to the next thing that we look at; return why it was the last slice, or `None`."""
        processor, agenda = self._pc.processor, self._agenda
        now, tick = processor.instructions, self.clock.now
        if now != self._awake_count:
            self._awake_count, self._awake_at = now, tick
        if not agenda.is_empty:
            agenda.do_due(instructions=now, tick=tick)
        goals = [at for at in (end, agenda.next_instruction) if at is not None]
        instructions = max(min(goals) - now, 0) if goals else None
        # To the next multiple: where we look must not depend on where this run, perhaps a debugger's step, began.
        ticks = self.slice_ticks - tick % self.slice_ticks
        if agenda.next_tick is not None:
            ticks = min(ticks, agenda.next_tick - tick)
        core_stop = processor.run(
            instructions=instructions, ticks=ticks, over_breakpoint=over_breakpoint, stay_in=stay_in
        )
        return self._stop_behind(core_stop, now, end, input_may_come)

    def _stop_behind(self, core_stop: CoreStop, started: int, end: int | None, input_may_come: bool) -> Stop | None:
        """Why the slice that began after `started` instructions was the last one; `None` if the run goes on."""
        if self._reset_wanted:
            return self._restart()
        if self._ending is not None:
            stop, self._ending = self._ending, None
            # Only now does the processor stand still, at the place that is to be told.
            return stop if stop.detail else stop._replace(detail=self._place())
        match core_stop:
            case CoreStop.LIMIT:
                now = self._pc.processor.instructions
                if end is not None and now >= end:
                    return Stop(StopReason.MAX_INSNS, self._place())
                return self._sleep(input_may_come) if now == started else self._hang()
            case CoreStop.HALT:
                return self._halt(input_may_come)
            case CoreStop.BREAKPOINT:
                return Stop(StopReason.BREAKPOINT, self._place())
            case CoreStop.WATCHPOINT:
                return Stop(StopReason.WATCHPOINT, self.watchpoints.told)
            case CoreStop.TRIPLE_FAULT:
                if self._pc.is_resumed_by_firmware:
                    self._pc.processor.reset()
                    return None
                if self.reboot:
                    self._report_once("triple fault: the guest reboots")
                    return self._restart()
                return Stop(StopReason.TRIPLE_FAULT, self._place())
            case CoreStop.ERROR:
                return Stop(StopReason.CPU_ERROR, f"{self._pc.processor.error_text}, {self._place()}")
        return None

    def _halt(self, input_may_come: bool) -> Stop | None:
        """The processor halted, and nothing in the machine will ever wake it; perhaps somebody outside will."""
        if not self.cpu.eflags & 0x200:
            return Stop(StopReason.HALT, f"cli; hlt, {self._place()}")
        if (due := self._agenda.next_tick) is not None:
            self._agenda.do_due(instructions=self.cpu.instructions, tick=due)
            return None
        if input_may_come:
            return None
        return Stop(StopReason.HALT, f"interrupts are enabled, but nothing can ever interrupt, {self._place()}")

    def _sleep(self, input_may_come: bool) -> Stop | None:
        """The processor was halted all the time, while chips tick whose interrupts are masked; that may never end."""
        if (
            self.clock.now - self._awake_at < LONGEST_SLEEP_TICKS
            or self._agenda.next_tick is not None
            or input_may_come
        ):
            return None
        return Stop(StopReason.HALT, f"interrupts are enabled, but none has come for an hour, {self._place()}")

    def _hang(self) -> Stop | None:
        """A jump to itself with interrupts disabled never ends."""
        if self.cpu.eflags & 0x200 or not self.cpu.jumps_to_itself(self.memory):
            return None
        return Stop(StopReason.HANG, f"a jump to itself with interrupts disabled, {self._place()}")

    def _place(self) -> str:
        return f"at {self.symbols.describe(self.cpu.linear_eip)}"

    def _end(self, stop: Stop) -> None:
        if self._ending is None:
            self._ending = stop
        self._pc.processor.stop()

    def _text_found(self, pattern: str) -> None:
        self._end(Stop(StopReason.UNTIL, f"{pattern!r} came over the serial port"))

    def _restart(self) -> Stop | None:
        self._reset_wanted = False
        if not self.reboot:
            return Stop(StopReason.RESET, f"the guest asked for a reset, {self._place()}")
        self.boot_again()
        return None


def _disk_failure(error: MediumError) -> Stop:
    return Stop(StopReason.DISK_FAILURE, str(error))

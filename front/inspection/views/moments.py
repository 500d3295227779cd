"""``--at``: running a machine to a symbol, an address, a number of instructions, or the end of the run.

=================  ===================================================================================
``kmain``          the first time that the instruction at the symbol is next
``0xC0100000``     the same for a linear address
``1_000_000``      when exactly so many instructions have been executed since power-on
``end``            the end of the run, whatever ends it (a symbol of that name is ``end+0``)
=================  ===================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from hillemu.counts import parse_count
from hillemu.emu.errors import UserMistake
from hillemu.emu.stop import Stop, StopReason
from hillemu.inspection.views.addresses import Address

if TYPE_CHECKING:
    from hillemu.machine import Machine
    from hillemu.symbols import SymbolTable

END_WORD = "end"


class NotReached(UserMistake):
    """The run ended, and the moment had not come."""


class Moment(NamedTuple):
    """A point of a run, by `address` or by `instructions`; the end of the run has neither."""

    text: str
    address: int | None = None
    instructions: int | None = None

    @property
    def is_end(self) -> bool:
        return self.address is None and self.instructions is None

    def is_now(self, machine: Machine) -> bool:
        """Whether the machine stands there; never so for the end, which only a run finds."""
        if self.address is not None:
            return machine.cpu.linear_eip == self.address
        return self.instructions is not None and machine.cpu.instructions == self.instructions

    def __str__(self) -> str:
        if self.address is not None and not self.text.lower().startswith("0x"):
            return f"{self.text} (0x{self.address:08X})"
        return self.text


def parse_moment(text: str, symbols: SymbolTable) -> Moment:
    """The moment that `text` names; raises `UserMistake`, `UnknownSymbol`."""
    if text == END_WORD:
        return Moment(text)
    if (count := parse_count(text)) is not None:
        return Moment(text, instructions=count)
    address = Address(text)
    if address.register is not None:
        raise UserMistake(f"--at {text}: a register's value changes as the guest runs; name a symbol or an address")
    return Moment(text, address=address.virtual_value(symbols, lambda name: 0))


def visit(
    machine: Machine,
    moments: Iterable[Moment],
    arrive: Callable[[Moment, Stop | None], None],
    *,
    until: str | re.Pattern[str] | None = None,
    max_insns: int | None = None,
) -> None:
    """Run `machine` from where it stands and call `arrive` once at each of `moments`, in the order they come.

    The machine stands still there; `arrive` gets the stop for the end of the run only.  The run goes no further than
    the last moment; `until` and `max_insns` end it as for `Machine.run`.  Raises `NotReached`.
    """
    waiting = dict.fromkeys(moments)
    last = None if max_insns is None else machine.cpu.instructions + max_insns
    watch = machine.text_watch(until) if until is not None else None
    try:
        while True:
            for moment in [one for one in waiting if one.is_now(machine)]:
                del waiting[moment]
                arrive(moment, None)
            if not waiting:
                return
            now = machine.cpu.instructions
            goals = [one.instructions for one in waiting if one.instructions is not None and one.instructions > now]
            limit = min((goal for goal in (*goals, last) if goal is not None), default=None)
            stop = _run_to_address(machine, waiting, watch, None if limit is None else limit - now)
            reached_goal = stop.reason is StopReason.MAX_INSNS and machine.cpu.instructions != last
            if stop.reason is not StopReason.BREAKPOINT and not reached_goal:
                _end(machine, waiting, arrive, stop)
                return
    finally:
        if watch is not None:
            watch.close()


def _run_to_address(machine: Machine, waiting: Iterable[Moment], watch: object, max_insns: int | None) -> Stop:
    addresses = {one.address for one in waiting if one.address is not None}
    for address in addresses:
        machine.breakpoints.add(address)
    try:
        return machine.run(until=watch, max_insns=max_insns, over_breakpoint=False)  # type: ignore[arg-type]
    finally:
        for address in addresses:
            machine.breakpoints.remove(address)


def _end(
    machine: Machine, waiting: Iterable[Moment], arrive: Callable[[Moment, Stop | None], None], stop: Stop
) -> None:
    """The run is over: only its end itself can still be waited for, or the instruction that the limit allowed."""
    missed = []
    for moment in waiting:
        if moment.is_end:
            arrive(moment, stop)
        elif moment.is_now(machine) and (moment.address is None or stop.reason is StopReason.MAX_INSNS):
            arrive(moment, None)  # a processor that has halted never comes to the instruction at EIP
        else:
            missed.append(str(moment))
    if missed:
        raise NotReached(
            f"--at {', '.join(missed)}: not reached; the run ended after {machine.cpu.instructions:,} instructions: "
            f"{stop.reason}: {stop.detail}"
        )

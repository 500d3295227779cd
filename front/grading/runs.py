"""Runs a kernel once for all checks that want the same boot, and judges their claims.

::

    boot ----- at = "page_init" ----- at = "sched" ----- until "\\$ " (or another end)
               judge page tables      judge ...          judge all the rest
                                                         snapshot ---- send "ls\\n" ---- reply: judge
                                                             +-------- send "ps\\n" ---- reply: judge

A check with input starts from the snapshot, so checks cannot disturb each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.errors import ImageError, UserMistake
from hillemu.emu.stop import Stop, StopReason
from hillemu.grading.claims import Claim, Route, Seen
from hillemu.grading.limits import HOST_SECONDS, HostLimit, Limits, host_limit

if TYPE_CHECKING:
    import re

    from hillemu.grading.spec import Boot, Check
    from hillemu.machine import Machine


class Fact(NamedTuple):
    """One fact of a claim, judged; `why` is empty if it holds."""

    text: str
    why: str


@dataclass
class Judged:
    """A check, judged."""

    facts: list[Fact]
    stop: Stop | None = None
    """How the run ended, if there was one."""
    instructions: int = 0
    virtual_ns: int = 0
    serial: str = ""
    """What the kernel had sent."""


def run_boot(kernel: str, boot: Boot, checks: Sequence[Check], host_seconds: float = HOST_SECONDS) -> dict[str, Judged]:
    """Boot `kernel` as `boot` says, and judge `checks`, which all want that; by the checks' names.

    Raises `ImageError` and `OptionError` for files and options that are not the kernel's fault.  A kernel that cannot
    be loaded, or ends every limit, fails its checks.
    """
    run = _Run(kernel, boot, checks)
    try:
        with host_limit(host_seconds):
            run.go()
    except HostLimit as limit:
        run.fail_the_rest(str(limit))
    finally:
        run.close()
    return run.judged


class _Run:
    def __init__(self, kernel: str, boot: Boot, checks: Sequence[Check]) -> None:
        self.judged: dict[str, Judged] = {}
        self._kernel = kernel
        self._boot = boot
        self._checks = checks
        self._routes = {check.name: Route(check.wanted, check.forbidden) for check in checks}
        self._open_routes: list[Route] = list(self._routes.values())
        self._moments: dict[str, list[Fact]] = {}
        """What was judged on the way, by the check's name."""
        self._machine: Machine | None = None

    def go(self) -> None:
        try:
            self._machine = machine = _power_on(self._kernel, self._boot)
        except ImageError as error:
            if error.path != self._kernel or not Path(self._kernel).is_file():
                raise
            self.fail_the_rest(f"it cannot be loaded: {error.fault}")
            return
        self._watch(machine)
        stop = self._let_it_run(machine, self._boot.until)
        with_input = [check for check in self._checks if check.has_input]
        for check in self._checks:
            if not check.has_input:
                self._judge(check, self._seen(check, machine, stop))
        if with_input and self._boot.until is not None and stop.reason is not StopReason.UNTIL:
            self.fail_the_rest(f"it never came so far that it could be given input; it stopped: {told_stop(stop)}")
        elif with_input:
            self._branch(machine, with_input)

    def fail_the_rest(self, why: str) -> None:
        """Have no fact of a check hold that is not judged yet."""
        for check in self._checks:
            if check.name not in self.judged:
                facts = [Fact(text, why) for claim in check.claims for text in claim.texts]
                self.judged[check.name] = Judged(facts)

    def close(self) -> None:
        if self._machine is not None:
            self._machine.close()

    # ---- on the way ---------------------------------------------------------------------------------------------

    def _watch(self, machine: Machine) -> None:
        """Note where the kernel arrives, and judge what is to be judged there."""
        for name in sorted({name for route in self._open_routes for name in (*route.wanted, *route.forbidden)}):
            if name in machine.symbols:
                machine.on_call(name, partial(self._arrived, name))
        for check in self._checks:
            if check.at is not None:
                try:
                    at = check.at.at(machine.symbols)
                except UserMistake as unknown:
                    self._moments[check.name] = self._at_no_moment(check, str(unknown))
                else:
                    machine.on_call(at, partial(self._moment, check, machine))

    def _arrived(self, name: str, _call: object) -> None:
        for route in self._open_routes:
            route.arrive(name)

    def _moment(self, check: Check, machine: Machine, _call: object) -> None:
        if check.name not in self._moments:
            seen = self._seen(check, machine, None)
            self._moments[check.name] = _facts(check.claims, seen, lambda claim: not claim.of_the_run)

    def _seen(self, check: Check, machine: Machine, stop: Stop | None) -> Seen:
        return Seen(machine, self._routes[check.name], machine.serial.text, stop, machine.cpu.instructions)

    @staticmethod
    def _at_no_moment(check: Check, why: str) -> list[Fact]:
        return [Fact(text, why) for claim in check.claims if not claim.of_the_run for text in claim.texts]

    # ---- at the end ---------------------------------------------------------------------------------------------

    def _let_it_run(self, machine: Machine, until: re.Pattern[str] | None) -> Stop:
        limits = Limits(machine, self._boot)
        return limits.stop(machine.run(until=until, max_insns=self._boot.budget, between=limits.between))

    def _branch(self, machine: Machine, checks: Sequence[Check]) -> None:
        start = machine.snapshot()
        sent = len(machine.serial.text)
        for check in checks:
            machine.restore(start)
            # What other checks' input makes the kernel do is none of this one's.
            route = replace(self._routes[check.name], seen=list(self._routes[check.name].seen))
            self._open_routes = [route]
            machine.serial.send(check.send.encode())
            machine.keyboard.type(check.keys)
            stop = self._let_it_run(machine, check.reply)
            instructions = machine.cpu.instructions - start.instructions
            self._judge(check, Seen(machine, route, machine.serial.text[sent:], stop, instructions))

    def _judge(self, check: Check, seen: Seen) -> None:
        assert seen.stop is not None
        if check.at is None:
            facts = _facts(check.claims, seen, lambda _: True)
        else:
            never = f"the kernel never arrived at {check.at.text}; it stopped: {told_stop(seen.stop)}"
            facts = self._moments.get(check.name) or self._at_no_moment(check, never)
            facts = facts + _facts(check.claims, seen, lambda claim: claim.of_the_run)
        self.judged[check.name] = Judged(
            facts, seen.stop, seen.machine.cpu.instructions, seen.machine.clock.now_ns, seen.serial
        )


def _facts(claims: Sequence[Claim], seen: Seen, which: Callable[[Claim], bool]) -> list[Fact]:
    return [
        Fact(text, why)
        for claim in claims
        if which(claim)
        for text, why in zip(claim.texts, claim.judge(seen), strict=True)
    ]


def _power_on(kernel: str, boot: Boot) -> Machine:
    from hillemu.booting import DriveOptions
    from hillemu.machine import Machine

    machine = Machine(boot.mem, cpu=boot.cpu, drives=DriveOptions(disks=boot.disks), devices=boot.devices)
    machine.load(kernel, format=boot.format, modules=boot.modules, append=boot.append)
    return machine


def told_stop(stop: Stop) -> str:
    """How a run ended, in one clause."""
    return f"{stop.reason.value} ({stop.detail})" if stop.detail else stop.reason.value

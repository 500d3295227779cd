"""How far a run may go, in the guest's own measures: a test that loops ends at the same instruction on every host.

>>> Budget.parse("50M")
Budget(instructions=50000000, virtual_ns=20000000000, cycles=None)
>>> Budget.parse("200M 1.5s")
Budget(instructions=200000000, virtual_ns=1500000000, cycles=None)
>>> print(Budget.parse("5s"))
1,000,000,000 instructions or 5 s of virtual time
>>> print(Budget.parse("20k cycles"))
20,000 cycles, 1,000,000,000 instructions or 20 s of virtual time

Instructions bound a guest that is busy, virtual time one that sleeps: an idle kernel executes a hundred instructions
at each tick of its timer, and would take hours to use up millions.  One that polls a device lets a microsecond pass at
each look.  A busy guest uses ten nanoseconds for an instruction.  Cycles are those of the processor that ``timing``
names, and bound what a piece of code costs: a run that reaches its goal with more of them has failed, too.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hillemu.counts import SCALES
from hillemu.emu.errors import OptionError

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|[kmg]?)(cycles)?", re.IGNORECASE)
_CYCLES = re.compile(r"\s+cycles\b", re.IGNORECASE)
_NANOSECONDS = {"ms": 10**6, "s": 10**9, "min": 60 * 10**9}


class Budget(NamedTuple):
    """A number of instructions, of nanoseconds of virtual time, and of cycles; what is used up first ends the run."""

    instructions: int = 10**9
    virtual_ns: int = 20 * 10**9
    cycles: int | None = None
    """Only with a timing model; None: as many as it takes."""

    @classmethod
    def parse(cls, value: str | int | Budget, default: Budget | None = None, *, option: str = "budget") -> Budget:
        """Read ``"50M"``, ``"1.5G"`` (instructions), ``"10s"``, ``"500ms"``, ``"2min"`` (virtual time),
        ``"20k cycles"``, or one of each.

        A number is one of instructions.  What `value` does not say is as in `default`; who asks for more instructions
        than that gets virtual time in proportion.  Raises `OptionError`, naming `option`, for anything else.
        """
        budget = cls() if default is None else default
        if isinstance(value, Budget):
            return value
        parts = _CYCLES.sub("cycles", str(value).replace(",", " ").replace("_", "")).split()
        said = set()
        for part in parts:
            match = _PART.fullmatch(part)
            if match is None:
                break
            number, unit = match[1], match[2].lower()
            if match[3] and unit in _NANOSECONDS:
                break
            field, scale = (
                ("virtual_ns", _NANOSECONDS[unit])
                if unit in _NANOSECONDS
                else ("cycles" if match[3] else "instructions", SCALES[unit])
            )
            whole, _, fraction = number.partition(".")
            amount = int(whole + fraction) * scale // 10 ** len(fraction)
            if not amount or field in said:
                break
            said.add(field)
            budget = budget._replace(**{field: amount})
        else:
            if "virtual_ns" not in said and budget.instructions > (usual := (default or cls()).instructions):
                budget = budget._replace(virtual_ns=budget.virtual_ns * budget.instructions // usual)
            if said:
                return budget
        raise OptionError(
            option,
            f"{value!r} is no budget; write instructions (50M, 1.5G), virtual time (500ms, 10s), cycles (20k cycles), "
            "or one of each",
        )

    def __str__(self) -> str:
        seconds = f"{self.virtual_ns / 10**9:.9f}".rstrip("0").rstrip(".")
        cycles = f"{self.cycles:,} cycles, " if self.cycles is not None else ""
        return f"{cycles}{self.instructions:,} instructions or {seconds} s of virtual time"

"""Claims about how the kernel ran, and about the numbers that it left in memory."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hillemu.emu.errors import UserMistake
from hillemu.grading.claims import HOLDS, Claim, Place, Seen

COMPARE: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_VALUE = re.compile(r"\s*(?:([ui])(8|16|32)\s+)?(.+?)\s*(==|!=|<=|>=|<|(?<!-)>)\s*(-?)\s*(.+?)\s*")


@dataclass(frozen=True)
class Reaches(Claim):
    """The kernel arrives at each of `names`, in this order."""

    names: tuple[str, ...]
    of_the_run = True

    @property
    def texts(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(f"reaches {name}" for name in self.names)

    def judge(self, seen: Seen) -> Sequence[str]:
        return [self._reason(place, name, seen) for place, name in enumerate(self.names)]

    def _reason(self, place: int, name: str, seen: Seen) -> str:
        if place < seen.route.reached:
            return HOLDS
        try:
            seen.machine.symbols.symbol(name)
        except UserMistake as unknown:
            return str(unknown)
        if name in seen.route.seen:
            return f"the kernel was there, but not after {self.names[place - 1]}" if place else HOLDS
        return "the kernel was never there"


@dataclass(frozen=True)
class NeverReaches(Claim):
    """The kernel arrives at none of `names`."""

    names: tuple[str, ...]
    of_the_run = True

    @property
    def texts(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(f"never_reaches {name}" for name in self.names)

    def judge(self, seen: Seen) -> Sequence[str]:
        return ["the kernel was there" if name in seen.route.seen else HOLDS for name in self.names]


@dataclass(frozen=True)
class Ends(Claim):
    """The run ends for one of `reasons` (values of `StopReason`), if there are any, and with `exit_code`, if given."""

    reasons: tuple[str, ...]
    exit_code: int | None
    of_the_run = True

    @property
    def texts(self) -> tuple[str, ...]:  # type: ignore[override]
        stop = (f"stop {' or '.join(self.reasons)}",) if self.reasons else ()
        return stop if self.exit_code is None else (*stop, f"exit_code {self.exit_code}")

    def judge(self, seen: Seen) -> Sequence[str]:
        stop = seen.stop
        assert stop is not None, "judged at the end"
        told = f"it stopped otherwise: {stop.reason.value}" + (f" ({stop.detail})" if stop.detail else "")
        found = []
        if self.reasons:
            found.append(HOLDS if stop.reason.value in self.reasons else told)
        if self.exit_code is not None and stop.exit_code != self.exit_code:
            found.append(told if stop.exit_code is None else f"the exit code is {stop.exit_code}")
        elif self.exit_code is not None:
            found.append(HOLDS)
        return found


@dataclass(frozen=True)
class Within(Claim):
    """It took at most so many `instructions`."""

    instructions: int

    @property
    def texts(self) -> tuple[str, ...]:  # type: ignore[override]
        return (f"within {self.instructions:,} instructions",)

    def judge(self, seen: Seen) -> Sequence[str]:
        return [HOLDS if seen.instructions <= self.instructions else f"it took {seen.instructions:,}"]


class Value(NamedTuple):
    """``u16 ticks >= 100``: `size_bytes` at a virtual address, compared."""

    text: str
    place: Place
    size_bytes: int
    signed: bool
    compare: str
    number: Place

    @classmethod
    def parse(cls, text: str) -> Value:
        """Raises `ValueError`."""
        match = _VALUE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} compares nothing; write like 'u32 free_pages >= 100' (u8 to u32, i8 to i32)")
        number = Place.parse(match[6])
        if match[5]:
            if number.symbol is not None:
                raise ValueError(f"{text!r}: an address has no sign")
            number = number._replace(offset=-number.offset)
        return cls(text, Place.parse(match[3]), int(match[2] or 32) // 8, match[1] == "i", match[4], number)

    def reason(self, seen: Seen) -> str:
        symbols = seen.machine.symbols
        try:
            at = self.place.at(symbols)
            wanted = self.number.offset if self.number.symbol is None else self.number.at(symbols)
        except UserMistake as unknown:
            return str(unknown)
        data = seen.machine.read(at, self.size_bytes)
        if len(data) < self.size_bytes:
            return f"{at:#010x} is not mapped"
        found = int.from_bytes(data, "little", signed=self.signed)
        return HOLDS if COMPARE[self.compare](found, wanted) else f"it is {found} ({found & 0xFFFFFFFF:#x})"


@dataclass(frozen=True)
class Values(Claim):
    """Numbers in the kernel's memory are as `values` says."""

    values: tuple[Value, ...]

    @property
    def texts(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(f"value {one.text}" for one in self.values)

    def judge(self, seen: Seen) -> Sequence[str]:
        return [one.reason(seen) for one in self.values]

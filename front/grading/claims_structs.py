"""Claims about the kernel's structures: ``current->pid == 1``, ``tasks[0].name == "init"``, ``idle.state == SLEEPING``.

The types are those of the specification (``structs``, C text that declares the variables, too), or the kernel's own,
from its debugging information.  Only the first are the grader's: a kernel may describe itself as it likes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from hillemu.emu.errors import UserMistake
from hillemu.grading.claims import HOLDS, Claim, Seen, parse_number
from hillemu.grading.claims_run import COMPARE
from hillemu.grading.course_text import printable, shortened

if TYPE_CHECKING:
    from hillemu.inspection.structs.type_library import Structs

_PATH = re.compile(r"([A-Za-z_]\w*)((?:\s*(?:->|\.)\s*[A-Za-z_]\w*|\s*\[\s*\w+\s*\])+)")
_STEP = re.compile(r"(?:->|\.)\s*([A-Za-z_]\w*)|\[\s*(\w+)\s*\]")
_CLAIM = re.compile(r'\s*(.+?)\s*(==|!=|<=|>=|<|(?<!-)>)\s*(?:"([^"]*)"|(-?\w+))\s*')
LONGEST_TEXT_BYTES = 4096


class Member(NamedTuple):
    """One member of a structure, or element of an array, compared."""

    text: str
    variable: str
    steps: tuple[str | int, ...]
    compare: str
    wanted: str | int
    is_text: bool
    """Whether `wanted` is a text; otherwise it is a number, or an enumerator's name."""

    @classmethod
    def is_meant(cls, text: str) -> bool:
        """Whether `text` speaks of a member, and not of a place in memory."""
        match = _CLAIM.fullmatch(text)
        return match is not None and _PATH.fullmatch(match[1]) is not None

    @classmethod
    def parse(cls, text: str) -> Member:
        """Raises `ValueError`."""
        match = _CLAIM.fullmatch(text)
        path = match and _PATH.fullmatch(match[1])
        if match is None or path is None:
            raise ValueError(f"{text!r} compares no member of a structure; write like 'current->pid == 1'")
        steps = []
        for name, index in _STEP.findall(path[2]):
            number = parse_number(index) if index else None
            if index and number is None:
                raise ValueError(f"{text!r}: {index!r} is no index")
            steps.append(name if number is None else number)
        wanted: str | int = match[3] if match[3] is not None else match[4]
        if match[3] is None:
            number = parse_number(match[4].removeprefix("-"))
            if number is not None:
                wanted = -number if match[4].startswith("-") else number
        if isinstance(wanted, str) and match[2] not in ("==", "!="):
            raise ValueError(f"{text!r}: {wanted!r} can only be compared by == and !=")
        return cls(text, path[1], tuple(steps), match[2], wanted, match[3] is not None)

    def reason(self, seen: Seen, structs: Structs) -> str:
        """Why it does not hold; raises `UserMistake` where there is no such value."""
        machine = seen.machine
        value: Any = machine.read(structs.variable(self.variable), machine.symbols[self.variable])
        walked = self.variable
        for step in self.steps:
            value = _step(value, step, walked)
            walked += f"[{step}]" if isinstance(step, int) else f".{step}"
        found = _as_wanted(value, self.wanted, is_text=self.is_text)
        compare: Callable[[Any, Any], bool] = COMPARE[self.compare]
        shown = f'"{found}"' if self.is_text else str(value)
        return HOLDS if compare(found, self.wanted) else f"it is {shortened(printable(shown))}"


@dataclass(frozen=True)
class Members(Claim):
    """The kernel's structures are as `members` says; `types` is C text."""

    members: tuple[Member, ...]
    types: str

    @property
    def texts(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(f"value {one.text}" for one in self.members)

    def judge(self, seen: Seen) -> Sequence[str]:
        structs = seen.machine.structs
        if self.types:
            structs.define(self.types)
        return [self._reason(one, seen, structs) for one in self.members]

    @staticmethod
    def _reason(member: Member, seen: Seen, structs: Structs) -> str:
        try:
            return member.reason(seen, structs)
        except (UserMistake, IndexError) as mistake:
            return str(mistake).partition("\n")[0]


def check_types(text: str) -> str:
    """`text`, if it is C that can be understood; `ValueError` otherwise."""
    from hillemu.inspection.structs.type_library import Structs

    try:
        Structs().define(text)
    except UserMistake as mistake:
        raise ValueError(str(mistake)) from None
    return text


def _step(value: Any, step: str | int, walked: str) -> Any:
    from hillemu.inspection.structs.values import ArrayValue, PointerValue, StructValue

    if isinstance(value, PointerValue):
        return value[step]
    if isinstance(step, int) and isinstance(value, ArrayValue):
        return value[step]
    if isinstance(step, str) and isinstance(value, StructValue):
        return value[step]
    raise UserMistake(f"{walked} is no {'array' if isinstance(step, int) else 'structure'}")


def _as_wanted(value: Any, wanted: str | int, *, is_text: bool) -> Any:
    """`value` as what it is compared with: a number, a text, or an enumerator's name."""
    from hillemu.inspection.structs.values import ArrayValue, EnumValue, PointerValue

    if is_text and isinstance(value, PointerValue):
        return value.string(LONGEST_TEXT_BYTES)
    if is_text and isinstance(value, ArrayValue):
        return value.text
    if isinstance(wanted, str) and not is_text and isinstance(value, EnumValue):
        return value.name or int(value)
    if isinstance(wanted, int) and isinstance(value, int | float):
        return value
    raise UserMistake(f"it is {shortened(printable(str(value)))}, which cannot be compared with {wanted!r}")

"""Why a comparison failed, in lines for pytest: page walks side by side, entry by entry.

::

    0xC0101123 -> 0x00101123 -r-x == maps_to(0x101123, 'urw')
    expected a user's page; expected a writable page
      found: CR3 0x00106000                     | expected
      PDE[0x300]=0x00107023 -> 0x00107000 -rwx a | u w                     <-- no u
      PTE[0x101]=0x00101021 -> 0x00101000 -r-x a | -> 0x00101000 u w       <-- no u, no w

An entry is shown with its value, where it leads, its own rights, and the flags that are set: ``a``, ``d``, ``g``, ``c``
as in `hillemu.testing.flags`.  It all stays within the 8 lines and 640 characters that pytest shows without ``-vv``.
"""

from __future__ import annotations

from typing import NamedTuple

from hillemu.emu.i386.address import PAGE_SIZE
from hillemu.emu.i386.control import ControlState, PagingMode
from hillemu.emu.i386.entries import LeafEntry, PagingEntry, RightsEntry
from hillemu.emu.i386.outcomes import Mapped, NotPresent, Outcome, OutsideRam, ReservedBit, Step
from hillemu.emu.i386.spaces import Region, letters_of
from hillemu.inspection.spaces import AddressSpace, Capture
from hillemu.testing.flags import Flags
from hillemu.testing.spaces import SpaceMatcher
from hillemu.testing.texts import prints
from hillemu.testing.translations import TranslationMatcher, faults, maps_to
from hillemu.tlb_lint import StaleUses

MOST_PROBLEMS, MOST_STALE, MOST_CALLERS = 5, 1, 2
_LEVELS = {
    PagingMode.LEGACY: (("PDE", 22, 0x3FF), ("PTE", 12, 0x3FF)),
    PagingMode.PAE: (("PDPTE", 30, 0x3), ("PDE", 21, 0x1FF), ("PTE", 12, 0x1FF)),
}
_FLAG_LETTERS = (("a", "accessed"), ("d", "dirty"), ("g", "global_page"), ("c", "cache_disabled"))


def explain(op: str, left: object, right: object) -> list[str] | None:
    """Lines for ``left op right``, the first of which says it in short; `None` if it is not about us."""
    if isinstance(left, TranslationMatcher | SpaceMatcher | prints):
        left, right = right, left
    match left, right:
        case Outcome(), TranslationMatcher():
            return [f"{_in_short(left)} {op} {right!r}", *_walk_against(op, left, right)]
        case Outcome(), Outcome():
            return [f"{_in_short(left)} {op} {_in_short(right)}", *_two_walks(left, right)]
        case Region(), maps_to():
            return [f"{left} {op} {right!r}", *right.region_complaints(left)]
        case AddressSpace(), SpaceMatcher():
            return [f"{left!r} {op} {right!r}", *_problems(left, right)]
        case Capture(), Capture():
            return [f"{left!r} {op} {right!r}", *_changes(left, right)]
        case StaleUses(), _:
            return [f"{left!r} {op} {right!r}", *left.lines(MOST_STALE, MOST_CALLERS)]
        case str(), prints():
            return [f"a text of {len(left.splitlines()):,} lines {op} {right!r}", *right.explain(left)]
    return None


def _in_short(outcome: Outcome) -> str:
    """An outcome in half a line."""
    match outcome:
        case Mapped():
            return f"0x{outcome.at:08X} -> 0x{outcome.phys:08X} {letters_of(outcome.rights)}"
        case NotPresent():
            return f"0x{outcome.at:08X}: {outcome.steps[-1].place} not present"
        case ReservedBit():
            return f"0x{outcome.at:08X}: reserved bits in {outcome.steps[-1].place}"
        case OutsideRam():
            return f"0x{outcome.at:08X}: {outcome.level} outside RAM"
    return f"0x{outcome.at:08X}: a {outcome.access} is denied"


# ---- a walk and what it should have been ---------------------------------------------------------------------------


class _Row(NamedTuple):
    left: str
    right: str
    mark: str = ""


def _walk_against(op: str, outcome: Outcome, matcher: TranslationMatcher) -> list[str]:
    complaints = matcher.complaints(outcome)  # type: ignore[arg-type]
    lines = ["; ".join(complaints)] if complaints else []
    if outcome.control.mode is PagingMode.OFF:
        return [*lines, "paging is off"]
    if isinstance(matcher, maps_to) and op == "==":
        rows = _expected_rows(outcome, matcher)
    else:
        wanted = f"{'not ' if op == '!=' else ''}{matcher!r}"
        rows = [_Row(_drawn(step, outcome.control), "") for step in outcome.steps]
        rows[-1:] = [rows[-1]._replace(right=wanted, mark="<--")] if rows else []
        if isinstance(matcher, faults) and op == "!=":
            lines.append(matcher.outcome_of(outcome).verdict)  # type: ignore[arg-type]
    return [*lines, *_table(f"found: CR3 0x{outcome.control.cr3:08X}", "expected", rows)]


def _expected_rows(outcome: Outcome, matcher: maps_to) -> list[_Row]:
    """Each level's entry, found and expected; also the levels that the walk did not come to."""
    wanted = {} if matcher.flags is None else _wanted(matcher.flags, outcome.control)
    granted = [letter for letter in "uwx" if wanted.get(letter)]
    steps = {step.level: step for step in outcome.steps}
    ends_early = not isinstance(outcome, Mapped)
    last = "PTE" if ends_early else outcome.steps[-1].level
    rows = []
    for level, shift, mask in _LEVELS[outcome.control.mode]:
        step = steps.get(level)
        if step is None and not ends_early:
            break  # a large page
        place = f"{level}[{outcome.at >> shift & mask:#05x}]"
        found = f"{place} was not reached" if step is None else _drawn(step, outcome.control)
        if level == last:
            rows.append(_leaf_row(found, step, outcome, matcher, wanted))
        else:
            ours = [] if level == "PDPTE" else granted
            rows.append(_Row(found, " ".join(ours), _mark(step, outcome, _lacking(step, ours, outcome.control))))
    return rows


def _leaf_row(found: str, step: Step | None, outcome: Outcome, matcher: maps_to, wanted: dict[str, bool]) -> _Row:
    size = outcome.page_size_bytes if isinstance(outcome, Mapped) else PAGE_SIZE
    expected = [] if matcher.phys is None else [f"-> 0x{matcher.phys & -size:08X}"]
    expected += [letter if value else f"!{letter}" for letter, value in wanted.items()]
    wrong = _lacking(step, [letter for letter, value in wanted.items() if value], outcome.control)
    if isinstance(outcome, Mapped):
        if matcher.phys is not None and outcome.phys != matcher.phys:
            wrong.insert(0, "address" if outcome.phys & -size != matcher.phys & -size else "offset")
        has = _entry_letters(outcome.steps[-1].entry, outcome.control)
        effective = letters_of(outcome.rights)
        wrong += [
            f"has {letter}"
            for letter, value in wanted.items()
            if not value and letter in (effective if letter in "uwx" else has)
        ]
    return _Row(found, " ".join(expected), _mark(step, outcome, wrong))


def _wanted(flags: Flags, control: ControlState) -> dict[str, bool]:
    return flags.complete(no_execute=control.no_execute)


def _lacking(step: Step | None, letters: list[str], control: ControlState) -> list[str]:
    if step is None or not step.entry.present:
        return []
    has = _entry_letters(step.entry, control)
    return [f"no {letter}" for letter in letters if letter not in has]


def _mark(step: Step | None, outcome: Outcome, wrong: list[str]) -> str:
    if step is None:
        return ""
    if not step.entry.present:
        wrong = ["not present"]
    elif isinstance(outcome, ReservedBit) and step == outcome.steps[-1]:
        wrong = ["reserved bits"]
    return f"<-- {', '.join(wrong)}" if wrong else ""


def _entry_letters(entry: PagingEntry, control: ControlState) -> str:
    """The letters of `flags` that are true of one entry."""
    if not isinstance(entry, RightsEntry):
        return ""
    no_execute = control.no_execute and getattr(entry, "no_execute", False)
    letters = ("u" if entry.user else "") + ("w" if entry.writable else "") + ("" if no_execute else "x")
    return letters + "".join(letter for letter, name in _FLAG_LETTERS if getattr(entry, name, False))


def _drawn(step: Step, control: ControlState) -> str:
    """An entry: ``PTE[0x101]=0x00101021 -> 0x00101000 -r-x a``."""
    entry = step.entry
    text = f"{step.place}=0x{int(entry):0{entry.BITS // 4}X}"
    if not entry.present:
        return text
    letters = _entry_letters(entry, control)
    rights = "".join(letter if letter in letters else "-" for letter in "uwx")
    picture = f" {rights[0]}r{rights[1:]}" if isinstance(entry, RightsEntry) else ""
    flags = "".join(letter for letter, _ in _FLAG_LETTERS if letter in letters)
    leaf = " page" if isinstance(entry, LeafEntry) and step.level != "PTE" else ""
    return f"{text} -> 0x{entry.base:08X}{leaf}{picture}{f' {flags}' if flags else ''}"


# ---- two of a kind --------------------------------------------------------------------------------------------------


def _two_walks(left: Outcome, right: Outcome) -> list[str]:
    rows = []
    for index in range(max(len(left.steps), len(right.steps))):
        ours, theirs = (one.steps[index] if index < len(one.steps) else None for one in (left, right))
        differ = ours is None or theirs is None or (ours.level, ours.entry) != (theirs.level, theirs.entry)
        found = "" if ours is None else _drawn(ours, left.control)
        other = "" if theirs is None else _drawn(theirs, right.control)
        rows.append(_Row(found, other, "<--" if differ else ""))
    return _table(f"CR3 0x{left.control.cr3:08X}", f"CR3 0x{right.control.cr3:08X}", rows)


def _problems(space: AddressSpace, matcher: SpaceMatcher) -> list[str]:
    problems = matcher.problems(space)
    lines = [str(problem) for problem in problems[:MOST_PROBLEMS]]
    if len(problems) > MOST_PROBLEMS:
        lines.append(f"and {len(problems) - MOST_PROBLEMS:,} more places")
    return lines or ["every page of the range is so"]


def _changes(left: Capture, right: Capture) -> list[str]:
    changes = left.diff(right, flags=True)
    lines = [f"left, from right: {change}" for change in changes[:MOST_PROBLEMS]]
    if len(changes) > MOST_PROBLEMS:
        lines.append(f"and {len(changes) - MOST_PROBLEMS:,} more changes")
    return lines or ["the registers or entries that map nothing differ"]


def _table(left: str, right: str, rows: list[_Row]) -> list[str]:
    widths = [
        max(len(cell) for cell in column) for column in zip((left, right), *(row[:2] for row in rows), strict=True)
    ]
    lines = [f"  {left.ljust(widths[0])} | {right}"]
    lines += [f"  {row.left.ljust(widths[0])} | {row.right.ljust(widths[1])} {row.mark}".rstrip() for row in rows]
    return lines

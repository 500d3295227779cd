"""A profile as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.inspection.views.shown import Row, Shown, Table, Text, Tone

if TYPE_CHECKING:
    from hillemu.emu.cpu.profile import Costs
    from hillemu.profiling.run_profile import FunctionCosts, RunProfile


def summary(profile: RunProfile) -> Shown:
    """The totals in one or two lines."""
    total = profile.total
    unit = "cycles" if profile.has_cycles else "ticks"
    text = f"{total.ticks:,} {unit} ({total.idle:,} idle), {total.instructions:,} instructions"
    if profile.has_cycles:
        text += f", {_cpi(total)} cycles an instruction on the {profile.timing}"
    if profile.has_memory:
        text += (
            f"\n{total.stall:,} cycles for memory: {total.tlb_misses:,} TLB misses, "
            f"{total.walk:,} cycles of page walks, {total.cache_misses:,} cache misses"
        )
    if profile.has_branches:
        text += f"\n{total.branches:,} branches, {total.mispredicted:,} mispredicted"
    lost = profile.measured.lost_calls
    if lost:
        text += f"\n{lost:,} calls are counted as their callers': there are too many different chains of calls"
    return Shown({}, (Text(text),))


def by_function(profile: RunProfile, top: int) -> Shown:
    """The `top` functions with the highest costs of their own."""
    all_rows, total = profile.by_function(), profile.total
    names = _columns(profile)
    rows = [
        Row(
            (
                _share(row.own.ticks, total.ticks),
                _share(row.total.ticks, total.ticks),
                *_cells(profile, row.own),
                f"{row.calls:,}",
                row.function + (f" ({row.image})" if _is_ambiguous(all_rows, row.function) and row.image else ""),
            ),
            _tone(row.own.ticks, total.ticks),
        )
        for row in all_rows[:top]
    ]
    columns = ("own", "total", *names, "calls", "function")
    table = Table(columns, tuple(rows), frozenset({"own", "total", *names, "calls"}))
    return Shown({}, (table, *_more(len(all_rows) - top, "functions")))


def by_line(profile: RunProfile, top: int) -> Shown:
    """The `top` lines with the highest costs."""
    all_rows, total = profile.by_line(), profile.total
    names = _columns(profile)
    rows = [
        Row(
            (_share(row.own.ticks, total.ticks), *_cells(profile, row.own), row.line, row.function),
            _tone(row.own.ticks, total.ticks),
        )
        for row in all_rows[:top]
    ]
    table = Table(("own", *names, "line", "function"), tuple(rows), frozenset({"own", *names}))
    return Shown({}, (table, *_more(len(all_rows) - top, "lines")))


def _is_ambiguous(rows: list[FunctionCosts], name: str) -> bool:
    return sum(row.function == name for row in rows) > 1


def _columns(profile: RunProfile) -> tuple[str, ...]:
    """The names of the columns of costs, all of which are numbers."""
    names = ["cycles" if profile.has_cycles else "ticks", "instructions"]
    if profile.has_cycles:
        names.append("CPI")
    names.append("idle")
    if profile.has_memory:
        names += ["memory", "TLB misses", "walks", "cache misses"]
    if profile.has_branches:
        names += ["branches", "mispredicted"]
    return tuple(names)


def _cells(profile: RunProfile, costs: Costs) -> list[str]:
    cells = [f"{costs.ticks:,}", f"{costs.instructions:,}"]
    if profile.has_cycles:
        cells.append(_cpi(costs))
    cells.append(f"{costs.idle:,}")
    if profile.has_memory:
        cells += [f"{number:,}" for number in (costs.stall, costs.tlb_misses, costs.walk, costs.cache_misses)]
    if profile.has_branches:
        cells += [f"{costs.branches:,}", f"{costs.mispredicted:,}"]
    return cells


def _cpi(costs: Costs) -> str:
    return f"{(costs.ticks - costs.idle) / costs.instructions:.2f}" if costs.instructions else "-"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "-"


def _tone(part: int, whole: int) -> Tone:
    return Tone.ERROR if part * 5 > whole else Tone.WARNING if part * 20 > whole else Tone.PLAIN


def _more(count: int, what: str) -> tuple[Text, ...]:
    return (Text(f"... and {count:,} more {what}", Tone.FAINT),) if count > 0 else ()

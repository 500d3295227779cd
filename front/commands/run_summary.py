"""What a run has to say for itself: a few lines for people, a dictionary for programs (`--json`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hillemu.commands.absent_devices import absent_devices
from hillemu.emu.stop import Stop, StopReason
from hillemu.input_record import RECORD_KEY, Typed, as_json

if TYPE_CHECKING:
    from hillemu.machine import Machine

_SHOWN_ADDRESSES = 4


def summary_lines(
    machine: Machine, stop: Stop, wall_s: float | None, until: str | None = None, live_note: str | None = None
) -> list[str]:
    """The end of a run in a few lines: why it stopped, how far it came, what nobody answered.

    `wall_s` is how long it took, unless that was a debugger's user.  `until` is the text that the caller waited for, if
    any; `live_note` is `typed_live`, if somebody typed.
    """
    lines = [ending_line(stop), _pace(machine, wall_s)]
    if until is not None and stop.reason is not StopReason.UNTIL:
        lines.append(f"--until {until!r} never matched")
    if live_note is not None:
        lines.append(live_note)
    return lines + _modelled(machine) + _stale_uses(machine) + _unanswered(machine.unhandled)


def ending_line(stop: Stop) -> str:
    """Why a run stopped."""
    code = "" if stop.exit_code is None else f", exit code {stop.exit_code}"
    return f"stopped: {stop.reason.value}{code}" + (f" ({stop.detail})" if stop.detail else "")


def typed_live(json_name: str | None) -> str:
    """What to know about a run that somebody typed into, and whose `--json` file is `json_name`."""
    how = f"add --replay {json_name} to repeat it" if json_name else "--json FILE would let --replay FILE repeat it"
    return f"you typed while the guest ran, so the same command will not make the same run; {how}"


def run_record(machine: Machine, stop: Stop, wall_s: float, typed: Sequence[Typed] = ()) -> dict[str, Any]:
    """Everything about a run that received `typed`, ready for `json.dump`; docs/guide.md explains the keys.

    Of these, only `wall_s`, `mips` and `core` may differ between two runs of the same image with the same arguments.
    """
    instructions = machine.cpu.instructions
    return {
        **_timing_record(machine),
        **_lint_record(machine),
        "stop": stop.reason.value,
        "detail": stop.detail,
        "exit_code": stop.exit_code,
        "instructions": instructions,
        "virtual_ns": machine.clock.now_ns,
        "wall_s": round(wall_s, 6),
        "mips": round(_mips(instructions, wall_s), 3),
        "core": machine.cpu.core,
        "registers": machine.registers(),
        "ram_sha256": machine.memory.sha256(),
        "serial": machine.serial.text,
        "screen": machine.screen.text,
        "debug_console": machine.debug_console.text,
        RECORD_KEY: as_json(typed),
        "unhandled": {
            kind: {f"{address:#x}": count for address, count in sorted(counts.items())}
            for kind, counts in machine.unhandled.items()
        },
    }


def _timing_record(machine: Machine) -> dict[str, Any]:
    """The keys that a run with a timing model has beside the others."""
    if machine.timing is None:
        return {}
    has_memory = machine.modelled_memory is not None
    memory = {"tlb": machine.tlb.as_dict(), "cache": machine.cache.as_dict()} if has_memory else {}
    branches = {"branches": machine.branches._asdict()} if machine.branches else {}
    return {
        "timing": machine.timing.name,
        "cycles": machine.cycles,
        "idle_cycles": machine.idle_cycles,
        "cpi": round(machine.cpi, 6),
        "untimed": machine.untimed,
        **memory,
        **branches,
    }


def _lint_record(machine: Machine) -> dict[str, Any]:
    if machine.tlb_lint is None:
        return {}
    return {"tlb_lint": machine.stale_uses.as_dict()}


def _stale_uses(machine: Machine) -> list[str]:
    return [] if machine.tlb_lint is None else machine.stale_uses.lines()


def _modelled(machine: Machine) -> list[str]:
    """What the timing model made of the run, and what it has no figures for."""
    model = machine.timing
    if model is None:
        return []
    lines = [
        f"{model.name}: {machine.cycles:,} cycles ({machine.idle_cycles:,} idle), {machine.cpi:.2f} an instruction"
    ]
    if machine.modelled_memory is not None:
        tlb, cache = machine.tlb, machine.cache
        has_cache = model.geometry.data_cache is not None
        cached = f"cache: {cache.hits:,} hits, {cache.misses:,} misses" if has_cache else "no cache"
        lines.append(
            f"TLB: {tlb.hits:,} hits, {tlb.misses:,} misses, {tlb.walk_cycles:,} cycles of walks; {cached}; "
            f"{cache.wait_cycles:,} cycles for memory in all"
        )
    if branches := machine.branches:
        lines.append(f"branches: {branches.executed:,}, {branches.mispredicted:,} mispredicted")
    return lines + not_in_the_model(machine)


def not_in_the_model(machine: Machine) -> list[str]:
    """What the guest did and the timing model has no figures for, by name; nothing without a model."""
    lines = []
    if machine.modelled_memory is not None and (under_pae := machine.tlb.accesses_under_pae):
        lines.append(f"{under_pae:,} accesses under PAE cost no walks: none of the modelled processors has PAE")
    if machine.untimed:
        counts = sorted(machine.untimed.items(), key=lambda item: (-item[1], item[0]))
        named = ", ".join(f"{name} ({count}x)" for name, count in counts)
        lines.append(f"no documented timing, 1 cycle each: {named}")
    return lines


def _pace(machine: Machine, wall_s: float | None) -> str:
    instructions = machine.cpu.instructions
    pace = "" if wall_s is None else f", {wall_s:.3f} s wall, {_mips(instructions, wall_s):.1f} MIPS"
    return f"{instructions:,} instructions, {machine.clock.now_ns / 1e6:.3f} ms virtual{pace} ({machine.cpu.core} core)"


def _mips(instructions: int, wall_s: float) -> float:
    return instructions / wall_s / 1e6 if wall_s > 0 else 0.0


def _unanswered(unhandled: Mapping[str, Mapping[int, int]]) -> list[str]:
    """One line for each kind of access that no device answered, the busiest addresses first; then whose they are."""
    lines = []
    for kind, counts in unhandled.items():
        if counts:
            busiest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            shown = ", ".join(f"{address:#x} ({count}x)" for address, count in busiest[:_SHOWN_ADDRESSES])
            more = f" and {len(busiest) - _SHOWN_ADDRESSES} more" if len(busiest) > _SHOWN_ADDRESSES else ""
            lines.append(f"no device answered {kind.replace('_', ' ')}: {shown}{more}")
    absent = absent_devices(unhandled)
    if absent:
        lines.append(f"this machine has no {', no '.join(absent)}")
    return lines

"""A profile in the format of callgrind, which KCachegrind and callgrind_annotate read.

Positions are instructions and lines.  A function is one of an image; code without symbols is one by its page.  A
device's interrupt and a new thread have no caller.  Conditional branches have the names of Valgrind's own tools, Bc and
Bcm, for which KCachegrind has words.  Source: Valgrind manual, "Callgrind Format Specification".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from hillemu.emu.cpu.profile import Costs, Node, Profile
from hillemu.profiling.run_profile import DELIVERY, subtree_totals

if TYPE_CHECKING:
    from hillemu.profiling.functions import Function
    from hillemu.profiling.run_profile import RunProfile

UNKNOWN = "???"
"""The format's word for a file that is not known."""
_VALGRINDS = {"conditional_branches": "Bc", "conditional_mispredicted": "Bcm"}


def write_callgrind(out: TextIO, profile: RunProfile, *, command: str) -> None:
    """Write `profile` of a run of `command`; raises `OSError`."""
    measured = profile.measured
    names = profile.costs_dict(Costs())
    total = profile.costs_dict(measured.total)
    out.write("# callgrind format\nversion: 1\ncreator: hillemu\n")
    out.write(f"cmd: {_one_line(command)}\npositions: instr line\nevents: {' '.join(map(_event, names))}\n")
    out.write(f"summary: {_numbers(total)}\n")
    calls = _calls_by_function(profile, measured)
    for function, sites in _sites_by_function(profile, measured).items():
        file = _file_and_line(profile, function.start)[0]
        out.write(f"\nob={_one_line(function.image) or UNKNOWN}\nfl={file}\nfn={function.name}\n")
        for number in sites:
            site = measured.sites[number]
            file = _enter_file(out, profile, site.pc, file)
            if any(site.costs):
                out.write(f"{_position(profile, site.pc)} {_numbers(profile.costs_dict(site.costs))}\n")
            for node, inclusive in calls.get(number, ()):
                _write_call(out, profile, measured, node, inclusive, site.pc)
    if any(measured.deliveries):
        out.write(f"\nob={UNKNOWN}\nfl={UNKNOWN}\nfn={DELIVERY}\n")
        out.write(f"0x0 0 {_numbers(profile.costs_dict(measured.deliveries))}\n")
    out.write(f"\ntotals: {_numbers(total)}\n")


def _enter_file(out: TextIO, profile: RunProfile, pc: int, now: str) -> str:
    """Say that the next position is in another file than `now`, as inlined code is."""
    file = _file_and_line(profile, pc)[0]
    if file != now:
        out.write(f"fi={file}\n")
    return file


def _write_call(out: TextIO, profile: RunProfile, measured: Profile, node: Node, inclusive: Costs, caller: int) -> None:
    assert node.entry is not None
    entry = measured.sites[node.entry].pc
    function = profile.functions.at(entry)
    out.write(f"cob={_one_line(function.image) or UNKNOWN}\ncfi={_file_and_line(profile, entry)[0]}\n")
    out.write(f"cfn={function.name}\ncalls={node.calls} {_position(profile, entry)}\n")
    out.write(f"{_position(profile, caller)} {_numbers(profile.costs_dict(inclusive))}\n")


def _sites_by_function(profile: RunProfile, measured: Profile) -> dict[Function, list[int]]:
    found: dict[Function, list[int]] = {}
    for number in sorted(range(len(measured.sites)), key=lambda number: measured.sites[number].pc):
        found.setdefault(profile.functions.at(measured.sites[number].pc), []).append(number)
    return found


def _calls_by_function(profile: RunProfile, measured: Profile) -> dict[int, list[tuple[Node, Costs]]]:
    """Of each calling instruction, what it has called, with all costs; one row for each function that was called."""
    totals = subtree_totals(measured.nodes)
    found: dict[int, dict[Function, tuple[Node, Costs]]] = {}
    for node, total in zip(measured.nodes, totals, strict=True):
        if node.caller is None or node.entry is None:
            continue
        of_caller = found.setdefault(node.caller, {})
        function = profile.functions.at(measured.sites[node.entry].pc)
        known = of_caller.get(function)
        if known is not None:
            node, total = node._replace(calls=node.calls + known[0].calls), total.plus(known[1])
        of_caller[function] = node, total
    return {caller: list(rows.values()) for caller, rows in found.items()}


def _position(profile: RunProfile, pc: int) -> str:
    return f"{pc:#x} {_file_and_line(profile, pc)[1]}"


def _file_and_line(profile: RunProfile, pc: int) -> tuple[str, int]:
    from hillemu.emu.i386.address import VirtAddr

    file, _, line = profile.functions.line(VirtAddr(pc)).rpartition(":")
    return (_one_line(file), int(line)) if file else (UNKNOWN, 0)


def _event(name: str) -> str:
    """An event's name, as the format has it: without underscores.

    >>> _event("tlb_misses"), _event("conditional_branches")
    ('TlbMisses', 'Bc')
    """
    return _VALGRINDS.get(name) or "".join(part.capitalize() for part in name.split("_"))


def _numbers(costs: dict[str, int]) -> str:
    return " ".join(map(str, costs.values()))


def _one_line(text: str) -> str:
    # A file's name may have bytes that are no text, which this file, as UTF-8, could not have.
    return " ".join(text.encode("utf-8", "backslashreplace").decode().split())

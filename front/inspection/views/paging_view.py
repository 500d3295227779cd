"""The views of page tables: ``mem``, ``tlb``, ``pt``, ``regions``, ``lint``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hillemu.emu.i386.address import VirtAddr
from hillemu.emu.i386.control import PAE, PagingMode
from hillemu.emu.i386.outcomes import Mapped, NotPresent, OutsideRam, PageFault, Step, Translation
from hillemu.inspection.lint.findings import Severity
from hillemu.inspection.pictures import cells, headline
from hillemu.inspection.views.addresses import Address
from hillemu.inspection.views.shown import Row, Shown, Table, Text, Tone

if TYPE_CHECKING:
    from hillemu.emu.i386.control import ControlState
    from hillemu.emu.i386.spaces import Region
    from hillemu.inspection.lint.findings import Finding
    from hillemu.inspection.views.scene import Scene
    from hillemu.machine import Machine

_SEVERITY_TONES = {Severity.ERROR: Tone.ERROR, Severity.WARNING: Tone.WARNING, Severity.INFO: Tone.FAINT}
MOST_ROWS = 4096
"""More runs than that are counted for people, not listed; JSON has them all."""


class Simple:
    """A view without arguments."""

    moments: tuple[str, ...] = ()

    def check(self, machine: Machine) -> None:
        """Nothing can be wrong."""


class Mem(Simple):
    """QEMU's ``info mem``."""

    def show(self, scene: Scene) -> Shown:
        text = scene.machine.paging.info_mem()
        return Shown({"text": text}, (Text(text),))


class Tlb(Simple):
    """QEMU's ``info tlb``."""

    def show(self, scene: Scene) -> Shown:
        text = scene.machine.paging.info_tlb()
        return Shown({"text": text}, (Text(text),))


class Walk:
    """The page walk for `address`, by supervisor mode."""

    moments: tuple[str, ...] = ()

    def __init__(self, address: str) -> None:
        self.address = Address(address)

    def check(self, machine: Machine) -> None:
        self.address.check(machine)

    def show(self, scene: Scene) -> Shown:
        at = scene.virtual(self.address)
        outcome = scene.machine.paging.walk(at)
        text = draw_walk(outcome, scene.named(at))
        tone = Tone.PLAIN if isinstance(outcome, Mapped) else Tone.ERROR
        return Shown(walk_data(outcome), (Text(text, tone),))


class RegionList(Simple):
    """All that is mapped."""

    def show(self, scene: Scene) -> Shown:
        regions = scene.space.regions()
        control = scene.space.control
        rows = tuple(_region_row(region, scene) for region in regions[:MOST_ROWS])
        columns = ("virtual", "physical", "size", "pages", "rights", "flags", "symbol")
        blocks: list[Text | Table] = [Text(headline(control))]
        if rows:
            blocks.append(Table(columns, rows, frozenset({"size", "pages"})))
        else:
            blocks.append(Text("nothing is mapped", Tone.FAINT))
        if len(regions) > MOST_ROWS:
            blocks.append(Text(f"... and {len(regions) - MOST_ROWS:,} more runs; --json has them all", Tone.FAINT))
        return Shown(
            lambda: {"paging": paging_data(control), "regions": [region_data(region) for region in regions]},
            tuple(blocks),
        )


class Lint(Simple):
    """What looks wrong."""

    def show(self, scene: Scene) -> Shown:
        findings = scene.space.lint()
        blocks = tuple(Text(str(one), _SEVERITY_TONES[one.severity]) for one in findings)
        return Shown(
            {"findings": [finding_data(one) for one in findings]},
            blocks or (Text("no findings", Tone.GOOD),),
            has_errors=bool(findings.at_least("error")),
        )


def draw_walk(outcome: Translation, name: str = "") -> str:
    """The walk as a tree, an entry below the one that leads to it, under the address cut into its indices."""
    control = outcome.control
    lines = [f"0x{outcome.at:08X} {name}".rstrip() + f" = {_split(outcome.at, control)}"]
    if control.mode is not PagingMode.OFF:
        lines.append(f"CR3 0x{control.cr3:08X}")
    lines += [f"{'   ' * depth}└─ {step}" for depth, step in enumerate(outcome.steps)]
    lines.append(f"{'   ' * len(outcome.steps)}=> {outcome.verdict}")
    return "\n".join(lines)


def _split(at: int, control: ControlState) -> str:
    if control.mode is PagingMode.OFF:
        return "physical address: paging is off"
    parts = f"table 0x{at >> 12 & 0x3FF:03X} : offset 0x{at & 0xFFF:03X}"
    if control.cr4 & PAE:
        parts = f"table 0x{at >> 12 & 0x1FF:03X} : offset 0x{at & 0xFFF:03X}"
        return f"pointer {at >> 30} : directory 0x{at >> 21 & 0x1FF:03X} : {parts}"
    return f"directory 0x{at >> 22:03X} : {parts}"


# ---- data -----------------------------------------------------------------------------------------------------------


def walk_data(outcome: Translation) -> dict[str, Any]:
    """A walk for JSON; `entry` is text because JSON's numbers need not hold 64 bits."""
    data: dict[str, Any] = {
        "virtual": outcome.at,
        "physical": outcome.phys,
        "outcome": _OUTCOME_NAMES.get(type(outcome), "reserved-bit"),
        "verdict": outcome.verdict,
        "steps": [_step_data(step) for step in outcome.steps],
    }
    if isinstance(outcome, Mapped):
        rights = outcome.rights
        data |= {"page_size": outcome.page_size_bytes, "user": rights.user, "writable": rights.writable}
        data |= {"executable": rights.executable, "accessed": outcome.accessed, "dirty": outcome.dirty}
        data["global"] = outcome.global_page
    if isinstance(outcome, PageFault):
        data["error_code"] = int(outcome.error_code)
    return data


_OUTCOME_NAMES: dict[type, str] = {Mapped: "mapped", NotPresent: "not-present", OutsideRam: "outside-ram"}


def _step_data(step: Step) -> dict[str, Any]:
    digits = step.entry.BITS // 4
    return {
        "level": step.level,
        "index": step.index,
        "at": step.at,
        "entry": f"0x{int(step.entry):0{digits}X}",
        "present": bool(step.entry.present),
    }


def paging_data(control: ControlState) -> dict[str, Any]:
    """The paging mode for JSON."""
    registers = {"cr0": control.cr0, "cr3": control.cr3, "cr4": control.cr4, "efer": control.efer}
    return {"mode": str(control.mode), **registers}


def region_data(region: Region) -> dict[str, Any]:
    """A run for JSON; sizes in bytes."""
    return {
        "virtual": region.start,
        "physical": region.phys,
        "size": region.size_bytes,
        "page_size": region.page_size_bytes,
        "user": region.rights.user,
        "writable": region.rights.writable,
        "executable": region.rights.executable,
        "accessed_pages": region.accessed_pages,
        "dirty_pages": region.dirty_pages,
        "global_pages": region.global_pages,
        "cache_disabled_pages": region.cache_disabled_pages,
    }


def finding_data(finding: Finding) -> dict[str, Any]:
    """A finding for JSON."""
    return {
        "rule": finding.rule,
        "severity": str(finding.severity),
        "virtual": finding.start,
        "size": finding.size_bytes,
        "what": finding.what,
        "why": finding.why,
        "advice": finding.advice,
    }


def _region_row(region: Region, scene: Scene) -> Row:
    flags = " ".join(name if count == region.pages else f"{name}:{count}" for name, count in region.flags.items())
    risky = region.rights.user and region.rights.writable and region.rights.executable
    columns = (*cells(region), flags, scene.named(VirtAddr(region.start)))
    return Row(columns, Tone.WARNING if risky else Tone.USER if region.rights.user else Tone.PLAIN)

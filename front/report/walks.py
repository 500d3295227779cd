"""The page walks that matter: of the addresses that faulted, and of EIP when there is no code to be seen."""

from __future__ import annotations

from hillemu.emu.i386.address import PAGE_SHIFT
from hillemu.emu.i386.control import Access, PagingMode
from hillemu.emu.i386.outcomes import Mapped
from hillemu.report.view import Delivery, Scene, is_page_fault

_SHOWN = 3


def walk_sections(scene: Scene) -> list[tuple[str, list[str]]]:
    """Titles and lines of up to three walks, at most one for each page."""
    if scene.control.mode is PagingMode.OFF:
        return []
    sections: dict[int, tuple[str, list[str]]] = {}
    for fault in _page_faults(scene):
        title = f"page walk of 0x{fault.cr2:08X}, the #PF at instruction {fault.at}"
        sections.setdefault(fault.cr2 >> PAGE_SHIFT, (title, _lines(scene, fault.cr2, scene.tried(fault), True)))
    if not scene.read(scene.eip, 1):
        fetch = Access(fetch=True, user=scene.ring == 3)
        title = f"page walk of EIP, 0x{scene.eip:08X}"
        sections.setdefault(scene.eip >> PAGE_SHIFT, (title, _lines(scene, scene.eip, fetch, False)))
    return list(sections.values())[:_SHOWN]


def _page_faults(scene: Scene) -> list[Delivery]:
    """Those of the cascade that ended the run; if it had none, the last one before."""
    if faults := [delivery for delivery in scene.cascade if is_page_fault(delivery)]:
        return faults
    return [delivery for delivery in scene.deliveries if is_page_fault(delivery)][-1:]


def _lines(scene: Scene, at: int, access: Access, faulted: bool) -> list[str]:
    outcome = scene.walk(at, access)
    lines = outcome.explain().splitlines()
    if faulted and isinstance(outcome, Mapped):
        lines.append("The tables allow this access now: they changed after the fault, or the processor had an old")
        lines.append("translation in its TLB (no INVLPG, no load of CR3 after the change).")
    return lines

"""Rules about what a page lets whom do."""

from __future__ import annotations

from collections.abc import Iterator

from hillemu.emu.i386.address import VirtAddr
from hillemu.emu.i386.control import WP
from hillemu.emu.i386.spaces import EXECUTABLE, USER, WRITABLE, Region, size_text
from hillemu.inspection.lint.findings import Severity
from hillemu.inspection.lint.subject import Spot, Subject

_MOST_NAMES = 3


def user_kernel_pages(subject: Subject) -> Iterator[Spot]:
    """Pages with the user right where the kernel's own parts lie, or in the kernel's range."""
    for region in subject.regions.with_rights(USER, USER):
        verb = "write" if region.rights.writable else "read"
        names = [place.name for place in subject.places if place.start < region.end and region.start < place.end]
        if names:
            text = f"user mode can {verb} what holds the kernel's {_listed(names)}"
            yield Spot(Severity.ERROR, region.start, region.size_bytes, text)
        elif subject.kernel is not None:
            start, end = max(region.start, subject.kernel[0]), min(region.end, subject.kernel[1])
            if start < end:
                severity = Severity.ERROR if subject.kernel_is_said else Severity.WARNING
                text = f"user mode can {verb} this part of the kernel's range, {_range_text(subject.kernel)}"
                yield Spot(severity, VirtAddr(start), end - start, text)


def writable_executable(subject: Subject) -> Iterator[Spot]:
    """Pages that can be written and executed; one spot for all of them where nothing can be made no-execute."""
    if not subject.control.no_execute:
        yield from _as_one(
            subject,
            WRITABLE | EXECUTABLE,
            WRITABLE | EXECUTABLE,
            "no-execute is not in use, so all {size} of writable pages can be executed",
        )
        return
    for region in subject.regions.with_rights(WRITABLE | EXECUTABLE, WRITABLE | EXECUTABLE):
        who = "user mode" if region.rights.user else "the kernel"
        text = f"{who} can write and execute {_pages(region)}"
        yield Spot(Severity.WARNING, region.start, region.size_bytes, text)


def write_protect_off(subject: Subject) -> Iterator[Spot]:
    """Read-only pages that do not stop the kernel."""
    if not subject.control.cr0 & WP:
        yield from _as_one(subject, WRITABLE, 0, "CR0.WP is 0: the kernel can write {size} of read-only pages")


def _as_one(subject: Subject, mask: int, rights: int, text: str) -> Iterator[Spot]:
    """One spot from the first to the last run that has just `rights` of those in `mask`."""
    columns = subject.regions.columns
    chosen = [number for number, granted in enumerate(columns.rights) if granted & mask == rights]
    if chosen:
        total = sum(columns.size_bytes[number] for number in chosen)
        start, last = columns.start[chosen[0]], chosen[-1]
        end = columns.start[last] + columns.size_bytes[last]
        yield Spot(Severity.INFO, VirtAddr(start), end - start, text.format(size=size_text(total)))


def global_user(subject: Subject) -> Iterator[Spot]:
    """User pages that survive a load of CR3."""
    columns = subject.regions.columns
    for number, (granted, global_pages) in enumerate(zip(columns.rights, columns.global_, strict=True)):
        if global_pages and granted & USER:
            region = subject.regions[number]
            text = f"{global_pages} of {_pages(region)} are for users and global"
            yield Spot(Severity.WARNING, region.start, region.size_bytes, text)


def _pages(region: Region) -> str:
    return f"{region.pages} page{'s' * (region.pages != 1)} of {size_text(region.page_size_bytes)}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    return f"{shown} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else shown


def _range_text(kernel: tuple[int, int]) -> str:
    return f"0x{kernel[0]:08X}-0x{kernel[1] - 1:08X}"

"""Rules about what a page lets whom do."""

from __future__ import annotations

from collections.abc import Iterator

from hillemu.emu.i386.address import VirtAddr
from hillemu.emu.i386.control import WP
from hillemu.emu.i386.spaces import Region, size_text
from hillemu.inspection.findings import Severity
from hillemu.inspection.subject import Spot, Subject

_MOST_NAMES = 3


def user_kernel_pages(subject: Subject) -> Iterator[Spot]:
    """Pages with the user right where the kernel's own parts lie, or in the kernel's range."""
    for region in subject.regions:
        if not region.rights.user:
            continue
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
    both = [region for region in subject.regions if region.rights.writable and region.rights.executable]
    if not both:
        return
    if not subject.control.no_execute:
        total = sum(region.size_bytes for region in both)
        text = f"no-execute is not in use, so all {size_text(total)} of writable pages can be executed"
        yield Spot(Severity.INFO, both[0].start, both[-1].end - both[0].start, text)
        return
    for region in both:
        who = "user mode" if region.rights.user else "the kernel"
        yield Spot(Severity.WARNING, region.start, region.size_bytes, f"{who} can write and execute {_pages(region)}")


def write_protect_off(subject: Subject) -> Iterator[Spot]:
    """Read-only pages that do not stop the kernel."""
    if subject.control.cr0 & WP:
        return
    read_only = [region for region in subject.regions if not region.rights.writable]
    if read_only:
        total = sum(region.size_bytes for region in read_only)
        text = f"CR0.WP is 0: the kernel can write {size_text(total)} of read-only pages"
        yield Spot(Severity.INFO, read_only[0].start, read_only[-1].end - read_only[0].start, text)


def global_user(subject: Subject) -> Iterator[Spot]:
    """User pages that survive a load of CR3."""
    for region in subject.regions:
        if region.rights.user and region.global_pages:
            text = f"{region.global_pages} of {_pages(region)} are for users and global"
            yield Spot(Severity.WARNING, region.start, region.size_bytes, text)


def _pages(region: Region) -> str:
    return f"{region.pages} page{'s' * (region.pages != 1)} of {size_text(region.page_size_bytes)}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    return f"{shown} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else shown


def _range_text(kernel: tuple[int, int]) -> str:
    return f"0x{kernel[0]:08X}-0x{kernel[1] - 1:08X}"

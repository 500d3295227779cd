"""Rules about the tables themselves, as pages and as parts of the tree."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from hillemu.emu.i386.address import PAGE_SHIFT, Frame, base_of
from hillemu.emu.i386.control import PagingMode
from hillemu.emu.i386.entries import RightsEntry
from hillemu.emu.i386.spaces import Region
from hillemu.emu.i386.spaces_tables import Link
from hillemu.inspection.lint.findings import Severity
from hillemu.inspection.lint.subject import Spot, Subject


def tables_for_user(subject: Subject) -> Iterator[Spot]:
    """Tables that user mode can write, or read."""
    for region, text in _tables_in_pages(subject):
        if region.rights.user:
            severity = Severity.ERROR if region.rights.writable else Severity.WARNING
            verb = "write" if region.rights.writable else "read"
            yield Spot(severity, region.start, region.size_bytes, f"user mode can {verb} {text}")


def tables_writable(subject: Subject) -> Iterator[Spot]:
    """Tables that the supervisor alone can write."""
    for region, text in _tables_in_pages(subject):
        if not region.rights.user and region.rights.writable:
            yield Spot(Severity.INFO, region.start, region.size_bytes, f"the kernel can write {text}")


def shared_tables(subject: Subject) -> Iterator[Spot]:
    """Page tables behind more than one directory entry; once for each, at the second entry."""
    by_table: dict[Frame, list[Link]] = {}
    for link in subject.page_table_links:
        by_table.setdefault(link.table, []).append(link)
    for table, links in by_table.items():
        if len(links) > 1:
            text = (
                f"{links[1].step.place} leads to the page table at physical 0x{base_of(table):08X}, "
                f"as {links[0].step.place} does" + (f", {len(links)} entries in all" if len(links) > 2 else "")
            )
            yield Spot(Severity.INFO, links[1].start, links[1].span, text)


def unreachable_tables(subject: Subject) -> Iterator[Spot]:
    """What looks like a page table behind an entry with P=0."""
    for dormant in subject.dormant:
        text = (
            f"the directory entry at physical 0x{dormant.entry_at:08X} has P=0, but leads to a frame "
            f"(0x{base_of(dormant.table):08X}) that looks like a page table with {dormant.present_entries} pages"
        )
        yield Spot(Severity.WARNING, dormant.start, dormant.span, text)


def recursive_maps(subject: Subject) -> Iterator[Spot]:
    """Entries that use a page directory as a page table, with what is where in the window."""
    pae = subject.control.mode is PagingMode.PAE
    for link in subject.self_maps:
        # PAE: each directory has its own window, whose pages are the page tables of that directory's gigabyte.
        gigabyte = next(first for first, directory, _ in subject.tables.directories if directory == link.table)
        first_pte = link.start - (gigabyte >> 9) if pae else link.start
        formula = f"0x{first_pte:08X} + (A >> 12) * {8 if pae else 4}"
        scope = f"for A from 0x{gigabyte:08X} to 0x{gigabyte + 0x3FFFFFFF:08X} " if pae else ""
        text = (
            f"{link.step.place} leads to the page directory at physical 0x{base_of(link.table):08X}: "
            f"{scope}the PTE of address A is at {formula}"
        )
        if isinstance(link.step.entry, RightsEntry) and link.step.entry.user:
            text += "; its user bit opens the window wherever a table's own directory entry has that bit, too"
            yield Spot(Severity.WARNING, link.start, link.span, text)
        else:
            yield Spot(Severity.INFO, link.start, link.span, text)


def _tables_in_pages(subject: Subject) -> Iterator[tuple[Region, str]]:
    """Every run that maps tables, and how many, in words."""
    frames = subject.table_frames
    columns = subject.regions.columns
    last = frames[-1] << PAGE_SHIFT if frames else -1
    for number, (phys, size_bytes) in enumerate(zip(columns.phys, columns.size_bytes, strict=True)):
        if phys > last:
            continue
        first = bisect_left(frames, phys >> PAGE_SHIFT)
        if frames[first] << PAGE_SHIFT < phys + size_bytes:
            behind = bisect_left(frames, phys + size_bytes >> PAGE_SHIFT)
            region = subject.regions[number]
            at = region.start + base_of(frames[first]) - region.phys
            count = behind - first
            what = "a page table or directory" if count == 1 else f"{count} page tables or directories, the first"
            yield region, f"{what} at 0x{at:08X} (physical 0x{base_of(frames[first]):08X})"

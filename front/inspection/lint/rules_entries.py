"""Rules about single entries: bits that must not be set, and entries that do not go together."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge

from hillemu.emu.i386.address import VirtAddr, base_of, frame_of
from hillemu.emu.i386.control import PSE, PagingMode
from hillemu.emu.i386.entries import LargePageEntry, PaeLargePageEntry, RightsEntry
from hillemu.emu.i386.paging import reserved_bits
from hillemu.emu.i386.spaces_plain import NO_EXECUTE, table_entry_reserved
from hillemu.emu.i386.spaces_tables import LARGE, LEGACY_SPAN, PAE_SPAN, POINTER_SPAN, PRESENT, Link, is_large
from hillemu.inspection.lint.findings import Severity
from hillemu.inspection.lint.subject import FOUR_GIB, Spot, Subject

_WRITABLE, _USER = 2, 4


def reserved_bits_set(subject: Subject) -> Iterator[Spot]:
    """Present entries with bits that must be zero; one spot a page table, however many of its entries have them."""
    yield from merge(
        _in_links(subject), _in_large_pages(subject), _in_page_tables(subject), key=lambda spot: spot.start
    )


def table_outside_ram(subject: Subject) -> Iterator[Spot]:
    """CR3 and entries that lead to tables where neither RAM nor ROM answers."""
    root = subject.control.root
    if frame_of(root) not in subject.tables.frames:
        text = f"CR3 leads to physical 0x{root:08X}, where there is no memory: nothing is mapped"
        yield Spot(Severity.ERROR, VirtAddr(0), FOUR_GIB, text)
    for link in subject.tables.links:
        if link.outside_ram and not link.reserved:
            text = f"{link.step} leads to physical 0x{base_of(link.table):09X}, where there is no memory"
            yield Spot(Severity.ERROR, link.start, link.span, text)


def large_without_pse(subject: Subject) -> Iterator[Spot]:
    """Directory entries that mean a 4 MiB page and do not get one."""
    if subject.control.mode is not PagingMode.LEGACY or subject.control.cr4 & PSE:
        return
    for link in subject.tables.links:
        if link.step.entry & LARGE:
            text = f"{link.step.place} has PS set, but CR4.PSE is off: its page table is at 0x{base_of(link.table):08X}"
            yield Spot(Severity.WARNING, link.start, link.span, text)


def rights_conflicts(subject: Subject) -> Iterator[Spot]:
    """Directory entries without a right that present entries of their table grant."""
    for link in subject.page_table_links:
        entry = link.step.entry
        if not isinstance(entry, RightsEntry):
            continue
        withheld = [
            (bit, name)
            for bit, name, granted in ((_USER, "user", entry.user), (_WRITABLE, "write", entry.writable))
            if not granted
        ]
        no_execute = bool(entry & NO_EXECUTE)
        if not withheld and not no_execute:
            continue
        present = [raw for raw in subject.tables.entries(link.table) if raw & PRESENT]
        counts = [(sum(bool(raw & bit) for raw in present), name) for bit, name in withheld]
        if no_execute:
            counts.append((sum(not raw & NO_EXECUTE for raw in present), "execute"))
        told = [f"{name} (granted by {count} of {len(present)} entries)" for count, name in counts if count]
        if told:
            text = f"{link.step.place} withholds {', '.join(told)}"
            yield Spot(Severity.WARNING, link.start, link.span, text)


def _in_links(subject: Subject) -> Iterator[Spot]:
    for link in subject.tables.links:
        above = link.parent is not None and link.parent.leads_nowhere
        if link.reserved and not above:
            yield Spot(Severity.ERROR, link.start, link.span, f"{link.step} has {bits_text(link.reserved)}")


def _in_large_pages(subject: Subject) -> Iterator[Spot]:
    control = subject.control
    pae = control.mode is PagingMode.PAE
    kind, span = (PaeLargePageEntry, PAE_SPAN) if pae else (LargePageEntry, LEGACY_SPAN)
    for first, directory, _ in subject.tables.directories:
        for index, raw in enumerate(subject.tables.entries(directory)):
            if raw & PRESENT and is_large(raw, control) and (reserved := reserved_bits(kind(raw), control)):
                text = f"PDE[{index:#05x}] = {kind(raw)} has {bits_text(reserved)}"
                yield Spot(Severity.ERROR, VirtAddr(first + index * span), span, text)


def _in_page_tables(subject: Subject) -> Iterator[Spot]:
    reserved = table_entry_reserved(subject.tables)
    if not reserved:
        return
    for link in subject.tables.links:
        if link.span != POINTER_SPAN and not link.leads_nowhere:
            yield from _in_page_table(subject, link, reserved)


def _in_page_table(subject: Subject, link: Link, reserved: int) -> Iterator[Spot]:
    entries = subject.tables.entries(link.table)
    bad = [index for index, raw in enumerate(entries) if raw & PRESENT and raw & reserved]
    if bad:
        first = bad[0]
        text = f"PTE[{first:#05x}] = 0x{entries[first]:016X} has {bits_text(entries[first] & reserved)}"
        if len(bad) > 1:
            text += f"; {len(bad)} entries of this table have such bits"
        yield Spot(Severity.ERROR, VirtAddr(link.start + (first << 12)), (bad[-1] - first + 1) << 12, text)


def bits_text(bits: int) -> str:
    """``reserved bits 13, 21 set``."""
    numbers = [str(number) for number in range(64) if bits >> number & 1]
    return f"reserved bit{'s' * (len(numbers) > 1)} {', '.join(numbers)} set"

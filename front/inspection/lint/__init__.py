"""Search an address space for what is probably a mistake.

=====================  =========  ============================================================================
rule                   severity   what it looks for
=====================  =========  ============================================================================
reserved-bits          error      entries that the processor refuses
table-outside-ram      error      entries, or CR3, that lead to tables where there is no memory
user-kernel-page       error      the kernel's addresses with the user bit; a warning where nothing vital is known
table-for-user         error      page tables that user mode can write; a warning where it can read them
large-without-pse      warning    PS set in a directory entry while CR4.PSE is off: it is read as a table
writable-executable    warning    pages that are both; only told of as a whole where no-execute is not in use
alias                  warning    one frame, writable here and read-only there; other differences are information
rights-conflict        warning    a directory entry that withholds what its table's entries grant
outside-ram            warning    pages whose frames are neither memory nor a device
global-user            warning    user pages with G, which outlive a load of CR3
unreachable-table      warning    what looks like a page table behind a directory entry with P=0
write-protect-off      info       read-only pages that the kernel can write, as CR0.WP is 0
table-writable         info       page tables that the kernel has mapped writable, so that a wild store finds them
shared-table           info       one page table behind several directory entries
recursive-map          info       a directory that serves as its own page table; explained
=====================  =========  ============================================================================

Whose a page is, the hardware does not say.  `kernel_range` guesses it from where the code at ring 0 and the handlers of
the IDT lie; the GDT, IDT, LDT, TSS and ring 0 stacks count wherever they are.  Say `kernel=` where the guess is wrong.

Not found: page tables that no entry names any more (they look like any data: `unreachable-table` sees only those whose
entry lost its P bit), mistakes in other spaces than this one (look at each CR3), and stale TLB entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from hillemu.emu.errors import UserMistake
from hillemu.emu.i386.control import PagingMode
from hillemu.emu.i386.spaces import Tables
from hillemu.inspection.lint.findings import Finding, Findings, Severity
from hillemu.inspection.lint.rules_entries import (
    large_without_pse,
    reserved_bits_set,
    rights_conflicts,
    table_outside_ram,
)
from hillemu.inspection.lint.rules_frames import aliases, outside_ram
from hillemu.inspection.lint.rules_rights import global_user, user_kernel_pages, writable_executable, write_protect_off
from hillemu.inspection.lint.rules_tables import (
    recursive_maps,
    shared_tables,
    tables_for_user,
    tables_writable,
    unreachable_tables,
)
from hillemu.inspection.lint.subject import Spot, Subject, kernel_range
from hillemu.inspection.surroundings import Surroundings

__all__ = ["MOST_PER_RULE", "RULES", "Finding", "Findings", "Rule", "Severity", "lint"]

MOST_PER_RULE = 100
"""A space of garbage has a million mistakes; nobody reads more of one kind."""


class Rule(NamedTuple):
    """A rule: what it looks for in `check`, why that matters, and what to do about it."""

    name: str
    check: Callable[[Subject], Iterator[Spot]]
    why: str
    advice: str


RULES = (
    Rule(
        "reserved-bits",
        reserved_bits_set,
        "the processor raises #PF with RSVD in the error code at every access (a PDPTE: #GP when CR3 is loaded)",
        "build entries from a frame address and named flags; write 0 to bits the manual reserves",
    ),
    Rule(
        "table-outside-ram",
        table_outside_ram,
        "what the processor reads there is not a table; the access goes anywhere or faults",
        "check the address that was stored: virtual instead of physical, or a frame beyond the end of RAM",
    ),
    Rule(
        "user-kernel-page",
        user_kernel_pages,
        "programs can read, perhaps change, what the kernel trusts",
        "clear U/S in the page-table entry, or in the directory entry if nothing there is for programs",
    ),
    Rule(
        "table-for-user",
        tables_for_user,
        "whoever writes a page table owns all of memory; whoever reads it knows where everything is",
        "map page tables for the supervisor only",
    ),
    Rule(
        "large-without-pse",
        large_without_pse,
        "without CR4.PSE the processor ignores PS and takes the address for a page table's",
        "set CR4.PSE before CR0.PG, or use 4 KiB pages",
    ),
    Rule(
        "writable-executable",
        writable_executable,
        "what is written there, by mistake or by an attacker, can be executed",
        "map code read-only and data no-execute (PAE paging with EFER.NXE)",
    ),
    Rule(
        "alias",
        aliases,
        "the stricter mapping protects nothing: the frame can be reached by the other one",
        "give all mappings of a frame the same rights, or remove the one that is not needed",
    ),
    Rule(
        "rights-conflict",
        rights_conflicts,
        "all levels must grant a right: the page-table entries promise what the directory entry takes away",
        "set the right in the directory entry and decide page by page, or clear it in both",
    ),
    Rule(
        "outside-ram",
        outside_ram,
        "reads give all ones and writes vanish, without any fault",
        "map only what the memory map of the firmware or a device's base address names",
    ),
    Rule(
        "global-user",
        global_user,
        "a load of CR3 does not flush global pages: the next process may see them through the TLB",
        "set G for pages that are the same in all spaces only",
    ),
    Rule(
        "unreachable-table",
        unreachable_tables,
        "the pages look mapped in the table and are not; the frame is lost unless the entry is used again",
        "set P in the directory entry, or free the table and clear the whole entry",
    ),
    Rule(
        "write-protect-off",
        write_protect_off,
        "a wild store by the kernel changes read-only pages silently; copy-on-write fails in system calls",
        "set CR0.WP together with CR0.PG",
    ),
    Rule(
        "table-writable",
        tables_writable,
        "usual, for the kernel must change its tables; a wild store can change them, too",
        "nothing, or map them only while they are changed",
    ),
    Rule(
        "shared-table",
        shared_tables,
        "a change of the table changes all of these ranges; freeing it for one breaks the others",
        "nothing if it is meant",
    ),
    Rule(
        "recursive-map",
        recursive_maps,
        "a usual trick: all page tables of the space appear in this window, each as one page",
        "nothing, as long as the window is for the supervisor only",
    ),
)


def lint(
    tables: Tables,
    surroundings: Surroundings,
    *,
    severity: Severity | str = Severity.INFO,
    kernel: int | tuple[int, int] | None = None,
) -> Findings:
    """Apply all rules to `tables`; at most `MOST_PER_RULE` findings a rule, the last of which says that there are more.

    `severity` and `kernel` are as in `AddressSpace.lint`, and so is what is raised.
    """
    least = Severity.named(severity).rank
    own = kernel_range(surroundings.places) if kernel is None else _checked_range(kernel)
    if tables.control.mode is PagingMode.OFF:
        return Findings([])
    subject = Subject(tables, surroundings, own, kernel is not None)
    found = [
        (-finding.severity.rank, order, finding.start, finding)
        for order, rule in enumerate(RULES)
        for finding in _apply(rule, subject)
        if finding.severity.rank >= least
    ]
    return Findings([row[-1] for row in sorted(found, key=lambda row: row[:3])])


def _apply(rule: Rule, subject: Subject) -> Iterator[Finding]:
    spots = list(islice(rule.check(subject), MOST_PER_RULE + 1))
    for number, spot in enumerate(spots[:MOST_PER_RULE], 1):
        more = " (there are more of this kind)" if number == MOST_PER_RULE < len(spots) else ""
        yield Finding(rule.name, spot.severity, spot.start, spot.size_bytes, spot.what + more, rule.why, rule.advice)


def _checked_range(kernel: int | tuple[int, int]) -> tuple[int, int]:
    start, end = kernel if isinstance(kernel, tuple) else (kernel, 1 << 32)
    if not 0 <= start < end <= 1 << 32:
        raise UserMistake(f"kernel={start:#x}, {end:#x}: the kernel's addresses are from a start up to a higher end")
    return start, end

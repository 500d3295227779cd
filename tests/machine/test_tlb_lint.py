"""A missing INVLPG is found, with who changed the entry and who used the old translation; a right kernel is silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from paged_lab import PAGED

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.cpu.tlb_lint import Access, StaleUse
from hillemu.emu.errors import OptionError
from hillemu.emu.i386.address import PhysAddr

ENTRY, OLD = 0x11800, 0x200027
"""The entry of the page at 2 MiB, and its value when it has been read."""
AGAIN = "mov eax, cr3; mov cr3, eax;"
SKIP = "; vector_14: add dword ptr [esp + 4], 6; add esp, 4; iretd"
"""A page fault skips the instruction, of 6 bytes."""
GLOBAL = "mov eax, cr4; or eax, 0x80; mov cr4, eax; mov dword ptr [ENTRY], 0x200107;"

STALE = {
    "the frame changes": (
        "mov ebx, [PAGE]; changer: mov dword ptr [ENTRY], 0x201003; user: mov ecx, [PAGE + 4]; hlt", 0x201003),
    "the page goes away": (
        "mov ebx, [PAGE]; changer: and dword ptr [ENTRY], ~1; user: mov ecx, [PAGE + 4]; hlt" + SKIP, 0x200026),
    "a page that was written becomes read-only": (
        "mov [PAGE], ebx; changer: mov dword ptr [ENTRY], 0x200065; mov ecx, [PAGE]; user: mov [PAGE], ecx; hlt" + SKIP,
        0x200065),
    "an entry that is written by its middle byte": (
        "mov ebx, [PAGE]; changer: mov byte ptr [ENTRY + 2], 0x30; user: mov ecx, [PAGE]; hlt", 0x300027),
    "an entry that a string instruction writes": (
        "mov ebx, [PAGE]; mov edi, 0x11000 + 0x7F0; mov ecx, 8; mov eax, 0x100003; changer: rep stosd;"
        "user: mov ecx, [PAGE]; hlt", 0x100003),
    "an entry that is written through another address": (
        "mov dword ptr [TABLE + 0xC00], TABLE + 7; mov ebx, [PAGE]; changer: mov dword ptr [0x300800], 0x201003;"
        "user: mov ecx, [PAGE]; hlt", 0x201003),
    "an entry that the stack is pushed into": (
        "mov ebx, [PAGE]; mov edx, esp; mov esp, ENTRY + 4; changer: push 0x201003; mov esp, edx;"
        "user: mov ecx, [PAGE]; hlt", 0x201003),
    "the page is executed": (
        "mov byte ptr [PAGE], 0xC3; mov byte ptr [0x201000], 0xC3; mov eax, PAGE; call eax;"
        "changer: mov dword ptr [ENTRY], 0x201003; call eax; hlt", 0x201003),
    "a global page outlives CR3": (
        GLOBAL + AGAIN + "mov ebx, [PAGE]; changer: mov dword ptr [ENTRY], 0x201103;" + AGAIN
        + "user: mov ecx, [PAGE]; hlt", 0x201103),
    "INVLPG of another page": (
        "mov ebx, [PAGE]; changer: mov dword ptr [ENTRY], 0x201003; invlpg [PAGE + 0x1000];"
        "user: mov ecx, [PAGE]; hlt", 0x201003),
}  # fmt: skip

SILENT = {
    "INVLPG": "mov ebx, [PAGE]; mov dword ptr [ENTRY], 0x201003; invlpg [PAGE + 0xFFF]; mov ecx, [PAGE]; hlt",
    "CR3": "mov ebx, [PAGE]; mov dword ptr [ENTRY], 0x201003;" + AGAIN + "mov ecx, [PAGE]; hlt",
    "CR0.PG": "mov ebx, [PAGE]; mov dword ptr [ENTRY], 0x201003; mov eax, cr0; btr eax, 31; mov cr0, eax;"
    "bts eax, 31; mov cr0, eax; mov ecx, [PAGE]; hlt",
    "CR4.PGE, for a global page": GLOBAL + "mov ebx, [PAGE]; mov dword ptr [ENTRY], 0x201103; mov eax, cr4;"
    "btr eax, 7; mov cr4, eax; bts eax, 7; mov cr4, eax; mov ecx, [PAGE]; hlt",
    "INVLPG, for a global page": GLOBAL + "mov ebx, [PAGE]; mov dword ptr [ENTRY], 0x201103; invlpg [PAGE];"
    "mov ecx, [PAGE]; hlt",
    "never used before": "mov dword ptr [ENTRY], 0x201003; mov ecx, [PAGE]; hlt",
    "never used afterwards": "mov ebx, [PAGE]; mov dword ptr [ENTRY], 0x201003; mov ecx, [PAGE + 0x1000]; hlt",
    "changed back in time": "mov ebx, [PAGE]; mov dword ptr [ENTRY], 0; mov dword ptr [ENTRY], 0x200007;"
    "mov ecx, [PAGE]; hlt",
    "A and D by the processor": "mov ebx, [PAGE]; mov [PAGE], ebx; mov ebx, [PAGE]; mov ecx, [ENTRY]; hlt",
    "A and D cleared, and the bits for the system": "mov [PAGE], ebx; mov dword ptr [ENTRY], 0x200E07; mov ecx, [PAGE];"
    "hlt",
    "more rights": "mov dword ptr [ENTRY], 0x200001; mov ebx, [PAGE]; mov dword ptr [ENTRY], 0x200007;"
    "mov [PAGE], ebx; hlt",
    "read-only, and read": "mov [PAGE], ebx; mov dword ptr [ENTRY], 0x200065; mov ecx, [PAGE]; hlt",
    "read-only, and written without WP": "mov eax, cr0; btr eax, 16; mov cr0, eax; mov [PAGE], ebx;"
    "mov dword ptr [ENTRY], 0x200065; mov [PAGE], ecx; hlt",
    "a page fault in between": "mov dword ptr [ENTRY], 0; mov ecx, [PAGE]; hlt;"
    "vector_14: mov dword ptr [ENTRY], 0x200007; add esp, 4; iretd",
    "a neighbour's entry": "mov ebx, [PAGE]; mov dword ptr [ENTRY + 4], 0; mov ecx, [PAGE]; hlt",
    "a former page table as data": "mov ebx, [PAGE]; mov esi, TABLE; mov edi, 0x12000; mov ecx, 1024;"
    "rep movsd; mov dword ptr [DIRECTORY], 0x12007;" + AGAIN + "mov edi, TABLE; mov ecx, 1024; xor eax, eax; rep stosd;"
    "mov ebx, [PAGE]; hlt",
}  # fmt: skip


def run(lab_of: Callable[..., Any], body: str, *, steps: bool = False, **options: Any) -> tuple[Any, list[StaleUse]]:
    lab = lab_of("native", PAGED + body, **options)
    lint = lab.processor.lint_tlb()
    if steps:
        lab.step_to_end()
    else:
        assert lab.run() is CoreStop.HALT
    return lab, lint.findings


@pytest.mark.parametrize("name", STALE)
def test_a_stale_translation_that_is_used_is_found(name: str, lab_of: Callable[..., Any]) -> None:
    body, new = STALE[name]
    lab, findings = run(lab_of, body)
    assert len(findings) == 1
    (found,) = findings
    assert found.entry == ENTRY
    assert found.old & ~0x166 == OLD & ~0x66
    assert found.new == new
    assert found.changed_by == lab["changer"]
    assert found.address & ~0xFFF == 0x200000
    assert found.used_by == (lab["user"] if "user" in lab.symbols else 0x200000)
    assert (found.times, found.by_host, found.is_directory) == (1, False, False)
    _, stepped = run(lab_of, body, steps=True)
    assert stepped == findings


@pytest.mark.parametrize("name", SILENT)
def test_a_kernel_that_does_it_right_hears_nothing(name: str, lab_of: Callable[..., Any]) -> None:
    _, findings = run(lab_of, SILENT[name])
    assert findings == []


def test_a_directory_entry_that_changes_makes_all_its_pages_stale(lab_of: Callable[..., Any]) -> None:
    copy = "mov esi, TABLE; mov edi, 0x12000; mov ecx, 1024; rep movsd; mov dword ptr [0x12800], 0x201007;"
    lab, findings = run(
        lab_of, copy + "mov ebx, [PAGE]; changer: mov dword ptr [DIRECTORY], 0x12007; user: mov ecx, [PAGE]; hlt"
    )
    assert [(use.changed_by, use.used_by) for use in findings if use.address >> 12 == 0x200] == [
        (lab["changer"], lab["user"])
    ]
    assert all(use.is_directory and use.entry == 0x10000 for use in findings)


def test_large_pages_are_invalidated_as_a_whole(lab_of: Callable[..., Any]) -> None:
    large = "mov eax, cr4; or eax, 0x10; mov cr4, eax; mov dword ptr [DIRECTORY + 4], 0x83;" + AGAIN
    use = "mov ebx, [0x600000]; changer: mov dword ptr [DIRECTORY + 4], 0x800083; {} user: mov ecx, [0x600000]; hlt"
    lab, findings = run(lab_of, large + use.format(""))
    assert [(found.changed_by, found.used_by) for found in findings] == [(lab["changer"], lab["user"])]
    _, findings = run(lab_of, large + use.format("invlpg [0x400000];"))
    assert findings == []


def test_entries_of_8_bytes_are_known(lab_of: Callable[..., Any]) -> None:
    pae = """
        .equ POINTERS, 0x20000
        mov dword ptr [POINTERS], 0x21001; mov dword ptr [0x21000], 0x22003; mov dword ptr [0x21008], 0x23003
        mov edi, 0x22000; mov eax, 3; mov ecx, 1024
    1:  mov [edi], eax; add edi, 8; add eax, 0x1000; loop 1b
        mov eax, cr0; btr eax, 31; mov cr0, eax; mov eax, cr4; or eax, 0x20; mov cr4, eax
        mov eax, POINTERS; mov cr3, eax; mov eax, cr0; bts eax, 31; mov cr0, eax
    """
    use = "mov ebx, [PAGE]; changer: mov dword ptr [0x23000], 0x201003; {} user: mov ecx, [PAGE]; hlt"
    lab, findings = run(lab_of, pae + use.format(""))
    assert [(found.changed_by, found.used_by, found.entry) for found in findings] == [
        (lab["changer"], lab["user"], 0x23000)
    ]
    assert run(lab_of, pae + use.format("invlpg [PAGE];"))[1] == []


def test_what_the_host_changes_is_told_as_the_hosts(lab_of: Callable[..., Any]) -> None:
    lab = lab_of("native", PAGED + "mov ebx, [PAGE]; nop; user: mov ecx, [PAGE]; hlt")
    lint = lab.processor.lint_tlb()
    while lab.get("eip") != lab["user"]:
        lab.processor.run(instructions=1)
    lab.memory.set_u32(PhysAddr(ENTRY), 0x201007)
    lab.run()
    assert [(use.by_host, use.used_by, use.access) for use in lint.findings] == [(True, lab["user"], Access.READ)]


def test_repeated_uses_are_one_finding(lab_of: Callable[..., Any]) -> None:
    _, findings = run(
        lab_of,
        "mov ecx, 9; mov ebx, [PAGE]; 1: xor dword ptr [ENTRY], 0x1000; mov eax, [PAGE]; loop 1b; hlt",
    )
    assert [use.times for use in findings] == [9]


@pytest.mark.parametrize(("pages", "held"), [(0, True), (64, False)])
def test_it_tells_whether_the_modelled_tlb_had_the_page_still(
    pages: int, held: bool, lab_of: Callable[..., Any]
) -> None:
    """A page in the set of the code's would stay: what is used in turn with others is the last of its pair."""
    others = f"mov ecx, {pages}; jecxz 2f; mov edi, 0x300000; 1: mov eax, [edi]; add edi, 4096; loop 1b; 2:"
    _, findings = run(
        lab_of,
        f"mov ebx, [PAGE + 0x1000]; mov dword ptr [ENTRY + 4], 0x202003; {others} mov ecx, [PAGE + 0x1000]; hlt",
        timing="i486",
    )
    assert [use.in_model for use in findings] == [held]


def test_the_portable_core_is_refused_in_one_line(lab_of: Callable[..., Any]) -> None:
    with pytest.raises(OptionError, match="--lint: tlb needs the native core"):
        lab_of("portable", "hlt").processor.lint_tlb()

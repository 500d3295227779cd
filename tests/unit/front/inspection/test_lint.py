"""Every rule of lint speaks where its mistake is, and only there."""

from __future__ import annotations

import struct

import pytest
from faulty_spaces import CLEAN, FAULTS, GDT, IDT, NOBODY, SPARE, Fault, P, U, W, guest_with
from hypothesis import given, settings
from hypothesis import strategies as st

from hillemu.emu.errors import UserMistake
from hillemu.emu.guest import FakeGuest, Segment
from hillemu.emu.i386.address import PhysAddr
from hillemu.inspection.lint import MOST_PER_RULE, RULES
from hillemu.inspection.lint.findings import Findings, Severity
from hillemu.inspection.spaces import Paging


def paging_of(guest: FakeGuest) -> Paging:
    return Paging(guest.memory, guest.registers)


def lint(*faults: Fault) -> Findings:
    return paging_of(guest_with(faults)).lint()


def rows(findings: Findings) -> set[tuple[str, str, int]]:
    return {(finding.rule, finding.severity, finding.start) for finding in findings}


def test_a_clean_space_has_nothing_to_reproach() -> None:
    assert rows(lint()) == {("table-writable", "info", 0x200000)}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.rule)
def test_a_mistake_is_found_by_its_rule_at_its_address(fault: Fault) -> None:
    found = rows(lint(fault)) - rows(lint())
    assert (fault.rule, fault.severity, fault.start) in found
    assert {rule for rule, severity, _ in found if severity != "info"} <= {fault.rule}


def test_every_rule_has_a_mistake_that_shows_it() -> None:
    assert {rule.name for rule in RULES} == {fault.rule for fault in FAULTS} | {"large-without-pse"}


def test_all_mistakes_together_are_all_found_and_the_worst_come_first() -> None:
    findings = lint(*FAULTS)
    assert {(fault.rule, fault.severity, fault.start) for fault in FAULTS} <= rows(findings)
    ranks = [finding.severity.rank for finding in findings]
    assert ranks == sorted(ranks, reverse=True)
    assert list(findings) == list(lint(*FAULTS))


def test_severity_hides_what_is_milder() -> None:
    paging = paging_of(guest_with(FAULTS))
    everything = paging.lint()
    assert {finding.severity for finding in everything} == set(Severity)
    for level in Severity:
        chosen = paging.lint(severity=level)
        assert list(chosen) == [finding for finding in everything if finding.severity.rank >= level.rank]
        assert list(everything.at_least(level)) == list(chosen)


def test_a_capture_is_judged_as_the_machine_was() -> None:
    guest = guest_with(FAULTS)
    capture, before = paging_of(guest).capture(), list(paging_of(guest).lint())
    for at in CLEAN:
        guest.memory.set_u32(PhysAddr(at), 0)
    guest.registers.set("eip", 0)
    assert list(capture.lint()) == before


def test_paging_that_is_off_has_no_findings() -> None:
    guest = guest_with(FAULTS)
    guest.registers.set("cr0", 1)
    assert not paging_of(guest).lint()


@pytest.mark.parametrize("kernel", [0x40000000, (0x40000000, 0x40001000)])
def test_the_kernel_s_range_can_be_said(kernel: int | tuple[int, int]) -> None:
    (finding,) = paging_of(guest_with([])).lint(kernel=kernel).of_rule("user-kernel-page")
    assert (finding.severity, finding.start, finding.size_bytes) == (Severity.ERROR, 0x40000000, 0x1000)


def test_a_user_page_in_the_guessed_range_is_a_warning_only() -> None:
    guest = guest_with([])
    guest.memory.set_u32(PhysAddr(0x201000 + 8 * 0x50), 0x50000 | P | U)
    (finding,) = paging_of(guest).lint().of_rule("user-kernel-page")
    assert (finding.severity, finding.start) == (Severity.WARNING, 0x50000)


@pytest.mark.parametrize("kernel", [-1, 1 << 32, (5, 5), (0x1000, 0x1_0000_1000)])
def test_a_range_that_makes_no_sense_is_refused(kernel: int | tuple[int, int]) -> None:
    with pytest.raises(UserMistake, match="kernel"):
        paging_of(guest_with([])).lint(kernel=kernel)


def test_an_unknown_severity_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserMistake, match="info, warning, error"):
        paging_of(guest_with([])).lint(severity="bad")


def test_the_handlers_of_the_idt_say_where_the_kernel_is_while_a_program_runs() -> None:
    guest = guest_with([])
    gdt = [0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF]
    guest.memory.write(PhysAddr(GDT), struct.pack("<3Q", *gdt))
    guest.memory.write(PhysAddr(IDT), struct.pack("<Q", 0x40008E0000080000))
    guest.registers.segments["cs"] = Segment(0x1B, 0, 0xFFFFFFFF, 0xC0FB00)
    guest.registers.set("eip", 0x40000000)
    (finding,) = paging_of(guest).lint().of_rule("user-kernel-page")
    assert "handler of vector 0" in finding.what
    assert (finding.severity, finding.start) == (Severity.ERROR, 0x40000000)


@pytest.mark.parametrize(
    ("here", "there", "severities"),
    [
        (U, W | U, ["warning"]),
        (0, W, ["warning"]),
        (0, W | U, ["warning"]),
        (U, W, ["info"]),
        (W | U, W, ["info"]),
        (W, W, []),
    ],
    ids=["user r/rw", "kernel r/rw", "kernel r, user rw", "user r, kernel rw", "user rw, kernel rw", "the same"],
)
def test_an_alias_is_bad_where_it_defeats_the_stricter_mapping(here: int, there: int, severities: list[str]) -> None:
    findings = legacy(0, {0x1000: 0x2007, 0x2004: 0x5001 | here, 0x2010: 0x5001 | there})
    assert [finding.severity for finding in findings.of_rule("alias")] == severities


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.integers(0, 40), st.tuples(st.integers(0, 9), st.sampled_from([0, U, W, W | U])), max_size=30)
)
def test_aliases_are_the_frames_that_are_mapped_with_different_rights(pages: dict[int, tuple[int, int]]) -> None:
    entries = {0x2000 + 4 * number: 0x5001 + (frame << 12) | rights for number, (frame, rights) in pages.items()}
    findings = legacy(0, {0x1000: 0x2007, **entries}).of_rule("alias")
    told = {page for finding in findings for page in range(finding.start >> 12, finding.end >> 12)}
    by_frame: dict[int, dict[int, int]] = {}
    for number, (frame, rights) in sorted(pages.items(), reverse=True):
        by_frame.setdefault(frame, {})[rights] = number
    shared = {frame for frame, sharers in by_frame.items() if len(sharers) > 1}
    assert {pages[page][0] for page in told} == shared
    assert len(told) == len(shared)


@pytest.mark.parametrize("word", [NOBODY | P, 0])
def test_what_is_no_page_table_is_not_taken_for_one(word: int) -> None:
    lost = next(fault for fault in FAULTS if fault.rule == "unreachable-table")
    guest = guest_with([lost])
    guest.memory.write(PhysAddr(SPARE), struct.pack("<Q", word))
    assert not paging_of(guest).lint().of_rule("unreachable-table")


def legacy(cr4: int, entries: dict[int, int]) -> Findings:
    guest = FakeGuest(1 << 20)
    for at, entry in entries.items():
        guest.memory.write(PhysAddr(at), struct.pack("<I", entry))
    guest.registers.values.update(cr0=0x80010001, cr3=0x1000, cr4=cr4)
    return paging_of(guest).lint()


def test_a_large_page_without_pse_is_read_as_a_table() -> None:
    (finding,) = legacy(0, {0x1004: 0x2083}).of_rule("large-without-pse")
    assert (finding.start, finding.size_bytes) == (0x400000, 0x400000)
    assert not legacy(0x10, {0x1004: 0x2083}).of_rule("large-without-pse")


def test_reserved_bits_of_a_large_page_are_named() -> None:
    (finding,) = legacy(0x10, {0x1008: 1 << 21 | 0x83}).of_rule("reserved-bits")
    assert (finding.start, finding.size_bytes) == (0x800000, 0x400000)
    assert "reserved bit 21 set" in finding.what


def test_a_recursive_map_is_explained_by_where_the_entries_are() -> None:
    (finding,) = legacy(0, {0x1FFC: 0x1003}).of_rule("recursive-map")
    assert finding.start == 0xFFC00000
    assert "the PTE of address A is at 0xFFC00000 + (A >> 12) * 4" in finding.what


def test_a_recursive_map_for_users_is_worse() -> None:
    findings = legacy(0, {0x1FFC: 0x1007})
    assert [one.severity for one in findings.of_rule("recursive-map")] == [Severity.WARNING]
    assert [one.start for one in findings.of_rule("table-for-user")] == [0xFFFFF000]


def test_a_cr3_outside_memory_is_the_one_mistake() -> None:
    guest = FakeGuest(1 << 20)
    guest.registers.values.update(cr0=0x80010001, cr3=0x7F000000)
    (finding,) = paging_of(guest).lint()
    assert (finding.rule, finding.size_bytes) == ("table-outside-ram", 1 << 32)


def test_a_million_mistakes_are_cut_short_and_it_is_said() -> None:
    guest = FakeGuest(1 << 20)
    guest.memory.write(PhysAddr(0x1000), struct.pack("<1024I", *[0x2007] * 1024))
    guest.memory.write(PhysAddr(0x2000), struct.pack("<1024I", *[number % 2 << 31 | 0x107 for number in range(1024)]))
    guest.registers.values.update(cr0=0x80010001, cr3=0x1000, cr4=0x80)
    findings = paging_of(guest).lint(severity="warning").of_rule("global-user")
    assert len(findings) == MOST_PER_RULE
    assert findings[-1].what.endswith("(there are more of this kind)")


def test_findings_print_the_range_the_reason_and_the_way_out() -> None:
    (finding,) = lint(FAULTS[2]).of_rule("user-kernel-page")
    assert str(finding).splitlines() == [
        "error: user-kernel-page: 0x00001000-0x00001FFF: user mode can write what holds the kernel's GDT, IDT",
        "    why: programs can read, perhaps change, what the kernel trusts",
        "    do:  clear U/S in the page-table entry, or in the directory entry if nothing there is for programs",
    ]
    assert finding.as_dict()["severity"] == "error"


def test_what_a_failed_assertion_shows_names_the_worst() -> None:
    assert repr(lint()) == "<Findings: 0 error, 0 warning, 1 info>"
    for fault in FAULTS:
        if fault.severity != "info":
            assert f"; {fault.rule} at 0x{fault.start:08X}" in repr(lint(fault))
    everything = lint(*FAULTS)
    told = repr(everything).split("; ")
    assert told[1].startswith(f"{everything[0].rule} at ")
    assert told[-1] == f"{len(everything.at_least('warning')) - 4} more>"

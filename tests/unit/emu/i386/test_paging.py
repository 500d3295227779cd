"""The page walk, case by case from the manual; the random cases are in tests/property."""

from __future__ import annotations

import pytest

from hillemu.emu.guest import FakeMemory, FakeRegisters
from hillemu.emu.i386.address import PhysAddr, VirtAddr
from hillemu.emu.i386.control import (
    FETCH,
    PEEK,
    READ,
    USER_FETCH,
    USER_READ,
    USER_WRITE,
    WRITE,
    Access,
    ControlState,
    PagingMode,
)
from hillemu.emu.i386.entries import (
    LargePageEntry,
    PaeDirectoryEntry,
    PaeLargePageEntry,
    PaeTableEntry,
    PageDirectoryEntry,
    PageDirectoryPointerEntry,
    PageTableEntry,
)
from hillemu.emu.i386.outcomes import Denied, Mapped, NotPresent, OutsideRam, ReservedBit
from hillemu.emu.i386.paging import read_virtual, translate
from hillemu.emu.i386.registers import Cr0, Cr4, Efer

PAGING = Cr0.of(PG=1, PE=1)
LEGACY = ControlState(cr0=PAGING, cr3=0x1000)
PROTECTING = ControlState(cr0=PAGING | Cr0.WP.mask, cr3=0x1000)
LARGE = ControlState(cr0=PAGING, cr3=0x1000, cr4=Cr4.PSE.mask)
PAE = ControlState(cr0=PAGING, cr3=0x1000, cr4=Cr4.PAE.mask)
PAE_NX = ControlState(cr0=PAGING, cr3=0x1000, cr4=Cr4.PAE.mask, efer=Efer.NXE.mask)
AT = VirtAddr(0xC0001234)


@pytest.fixture
def memory() -> FakeMemory:
    return FakeMemory(0x10000)


def legacy(memory: FakeMemory, pte: int, pde: int = 0x2007) -> None:
    memory.set_u32(PhysAddr(0x1000 + 4 * 0x300), pde)
    memory.set_u32(PhysAddr(0x2000 + 4 * 1), pte)


def pae(memory: FakeMemory, pte: int, pde: int = 0x3007, pdpte: int = 0x2001) -> None:
    for at, entry in ((0x1018, pdpte), (0x2000, pde), (0x3008, pte)):
        memory.write(PhysAddr(at), entry.to_bytes(8, "little"))


def mapped(memory: FakeMemory, control: ControlState, access: Access = READ, at: VirtAddr = AT) -> Mapped:
    outcome = translate(memory, at, control, access)
    assert isinstance(outcome, Mapped), outcome.explain()
    return outcome


def test_without_paging_every_address_is_its_own() -> None:
    outcome = translate(FakeMemory(0), AT, ControlState(cr0=1, cr3=0))
    assert isinstance(outcome, Mapped)
    assert (outcome.phys, outcome.steps, outcome.page_size_bytes) == (AT, (), 1 << 32)
    assert outcome.explain() == "=> 0xC0001234: physical 0xC0001234 (paging is off)"


def test_pae_counts_only_while_paging_is_on() -> None:
    assert ControlState(cr0=1, cr3=0, cr4=Cr4.PAE.mask).mode is PagingMode.OFF
    assert (LEGACY.mode, PAE.mode) == (PagingMode.LEGACY, PagingMode.PAE)


def test_the_state_is_taken_out_of_a_register_file() -> None:
    registers = FakeRegisters()
    for name, value in (("cr0", PAGING), ("cr3", 0x5008), ("cr4", 0x10), ("efer", 0x800)):
        registers.set(name, value)
    assert ControlState.read(registers) == ControlState(PAGING, 0x5008, 0x10, 0x800)
    assert ControlState.read(registers).root == 0x5000


def test_a_4_kib_page_is_found_through_both_levels(memory: FakeMemory) -> None:
    legacy(memory, 0xABCDE067)
    outcome = mapped(memory, LEGACY)
    assert outcome.phys == 0xABCDE234
    assert outcome.page_size_bytes == 0x1000
    assert [(step.level, step.index, step.at) for step in outcome.steps] == [("PDE", 0x300, 0x1C00), ("PTE", 1, 0x2004)]
    assert [type(step.entry) for step in outcome.steps] == [PageDirectoryEntry, PageTableEntry]
    assert (outcome.accessed, outcome.dirty) == (True, True)


def test_the_walk_changes_no_memory(memory: FakeMemory) -> None:
    legacy(memory, 0x5007)
    before = bytes(memory.data)
    mapped(memory, LEGACY, WRITE)
    assert memory.data == before


@pytest.mark.parametrize("access", [READ, WRITE, FETCH, USER_READ, USER_WRITE, USER_FETCH])
def test_an_absent_page_tells_what_was_tried_but_not_p(memory: FakeMemory, access: Access) -> None:
    legacy(memory, 0)
    outcome = translate(memory, AT, LEGACY, access)
    assert isinstance(outcome, NotPresent)
    assert outcome.error_code == access.write << 1 | access.user << 2


def test_an_absent_table_ends_the_walk_at_the_directory(memory: FakeMemory) -> None:
    legacy(memory, 0x5007, pde=0x2006)
    outcome = translate(memory, AT, LEGACY)
    assert isinstance(outcome, NotPresent)
    assert [step.level for step in outcome.steps] == ["PDE"]
    assert "PDE[0x300] @0x00001C00 = not present (0x00002006)" in outcome.explain()


@pytest.mark.parametrize(("pde", "pte"), [(0x2003, 0x5007), (0x2007, 0x5003)])
def test_user_mode_needs_the_user_bit_in_both_levels(memory: FakeMemory, pde: int, pte: int) -> None:
    legacy(memory, pte, pde)
    outcome = translate(memory, AT, LEGACY, USER_READ)
    assert isinstance(outcome, Denied)
    assert outcome.error_code == 0b101
    assert not mapped(memory, LEGACY).user


@pytest.mark.parametrize(("pde", "pte"), [(0x2005, 0x5007), (0x2007, 0x5005)])
def test_read_only_in_either_level_stops_user_writes(memory: FakeMemory, pde: int, pte: int) -> None:
    legacy(memory, pte, pde)
    outcome = translate(memory, AT, LEGACY, USER_WRITE)
    assert isinstance(outcome, Denied)
    assert outcome.error_code == 0b111
    assert not mapped(memory, LEGACY, USER_READ).writable


def test_the_supervisor_writes_to_read_only_pages_unless_wp_forbids_it(memory: FakeMemory) -> None:
    legacy(memory, 0x5005)
    unprotected = mapped(memory, LEGACY, WRITE)
    assert unprotected.writable
    assert not unprotected.rights.writable
    assert "read-only, but CR0.WP=0" in unprotected.verdict
    refused = translate(memory, AT, PROTECTING, WRITE)
    assert isinstance(refused, Denied)
    assert refused.error_code == 0b011
    assert "CR0.WP=1" in refused.verdict
    assert not mapped(memory, PROTECTING).writable


def test_without_nx_a_fetch_is_not_told_from_a_read(memory: FakeMemory) -> None:
    legacy(memory, 0)
    outcome = translate(memory, AT, LEGACY, FETCH)
    assert isinstance(outcome, NotPresent)
    assert not outcome.error_code.fetch


def test_smep_keeps_the_supervisor_from_executing_user_pages(memory: FakeMemory) -> None:
    legacy(memory, 0x5007)
    control = ControlState(cr0=PAGING, cr3=0x1000, cr4=Cr4.SMEP.mask)
    outcome = translate(memory, AT, control, FETCH)
    assert isinstance(outcome, Denied)
    assert outcome.error_code == 0b10001
    assert "SMEP" in outcome.reason
    assert mapped(memory, control, USER_FETCH).executable
    assert not mapped(memory, control, READ).executable


def test_smap_keeps_the_supervisor_from_touching_user_pages_unless_ac_is_set(memory: FakeMemory) -> None:
    legacy(memory, 0x5007)
    control = ControlState(cr0=PAGING, cr3=0x1000, cr4=Cr4.SMAP.mask)
    for access in (READ, WRITE):
        outcome = translate(memory, AT, control, access)
        assert isinstance(outcome, Denied)
        assert outcome.error_code.protection
        assert "SMAP" in outcome.reason
    assert mapped(memory, control, PEEK).phys == 0x5234
    assert mapped(memory, control, USER_READ).phys == 0x5234
    assert mapped(memory, control, FETCH).phys == 0x5234


def test_a_4_mib_page_ends_the_walk_at_the_directory(memory: FakeMemory) -> None:
    memory.set_u32(PhysAddr(0x1C00), LargePageEntry.at(PhysAddr(0x00800000), writable=1, present=1, global_page=1))
    outcome = mapped(memory, LARGE)
    assert outcome.phys == 0x00801234
    assert outcome.page_size_bytes == 4 << 20
    assert not outcome.global_page
    assert mapped(memory, ControlState(PAGING, 0x1000, Cr4.of(PSE=1, PGE=1))).global_page


def test_pse_36_reaches_beyond_4_gib(memory: FakeMemory) -> None:
    memory.set_u32(PhysAddr(0x1C00), LargePageEntry.at(PhysAddr(0xF_0040_0000), present=1))
    assert mapped(memory, LARGE).phys == 0xF_0040_1234


@pytest.mark.parametrize(
    ("physical_bits", "reserved_from"), [(32, 13), (36, 17), (40, 21), (52, 21)], ids=lambda value: str(value)
)
def test_a_4_mib_page_reserves_the_bits_its_processor_has_no_address_lines_for(
    memory: FakeMemory, physical_bits: int, reserved_from: int
) -> None:
    control = ControlState(PAGING, 0x1000, Cr4.PSE.mask, physical_bits=physical_bits)
    for number in range(13, 22):
        memory.set_u32(PhysAddr(0x1C00), 0x81 | 1 << number)
        outcome = translate(memory, AT, control)
        if number < reserved_from:
            assert isinstance(outcome, Mapped)
        else:
            assert isinstance(outcome, ReservedBit)
            assert outcome.reserved == 1 << number
            assert outcome.error_code == 0b1001


def test_without_pse_the_size_bit_means_nothing(memory: FakeMemory) -> None:
    legacy(memory, 0x5007, pde=0x2087)
    assert mapped(memory, LEGACY).phys == 0x5234


def test_pae_has_three_levels(memory: FakeMemory) -> None:
    pae(memory, 0x8_7654_3003)
    outcome = mapped(memory, PAE)
    assert outcome.phys == 0x8_7654_3234
    assert [(step.level, step.index, step.at) for step in outcome.steps] == [
        ("PDPTE", 3, 0x1018),
        ("PDE", 0, 0x2000),
        ("PTE", 1, 0x3008),
    ]
    assert [type(step.entry) for step in outcome.steps] == [
        PageDirectoryPointerEntry,
        PaeDirectoryEntry,
        PaeTableEntry,
    ]


def test_pae_pointers_need_only_32_byte_alignment(memory: FakeMemory) -> None:
    pae(memory, 0x5003)
    memory.write(PhysAddr(0x1078), (0x2001).to_bytes(8, "little"))
    assert mapped(memory, ControlState(PAGING, 0x1060, Cr4.PAE.mask)).phys == 0x5234


def test_a_2_mib_page_ends_the_walk_at_the_directory(memory: FakeMemory) -> None:
    pae(memory, 0, pde=PaeLargePageEntry.at(PhysAddr(0x1_0020_0000), present=1))
    outcome = mapped(memory, PAE)
    assert (outcome.phys, outcome.page_size_bytes) == (0x1_0020_1234, 2 << 20)


@pytest.mark.parametrize("level", ["pde", "pte"])
def test_nx_at_any_level_forbids_execution(memory: FakeMemory, level: str) -> None:
    entries = {"pde": 0x3003, "pte": 0x5003}
    entries[level] |= 1 << 63
    pae(memory, **entries)
    outcome = translate(memory, AT, PAE_NX, FETCH)
    assert isinstance(outcome, Denied)
    assert outcome.error_code == 0b10001
    reading = mapped(memory, PAE_NX)
    assert not reading.executable
    assert "no-execute" in reading.verdict


def test_nx_is_a_reserved_bit_until_efer_switches_it_on(memory: FakeMemory) -> None:
    pae(memory, 0x5003 | 1 << 63)
    outcome = translate(memory, AT, PAE)
    assert isinstance(outcome, ReservedBit)
    assert "PTE[0x001] has reserved bit 63 set" in outcome.verdict


@pytest.mark.parametrize("number", [1, 2, 5, 6, 7, 8, 40, 51, 62, 63])
def test_pdptes_have_more_reserved_bits_and_say_that_cr3_would_refuse_them(memory: FakeMemory, number: int) -> None:
    pae(memory, 0x5003, pdpte=0x2001 | 1 << number)
    outcome = translate(memory, AT, PAE_NX)
    assert isinstance(outcome, ReservedBit)
    assert outcome.reserved == 1 << number
    assert "#GP" in outcome.verdict


@pytest.mark.parametrize("number", [13, 20, 36, 51, 62])
def test_a_2_mib_page_reserves_bits_20_to_13_and_those_beyond_the_address(memory: FakeMemory, number: int) -> None:
    pae(memory, 0, pde=0x81 | 1 << number)
    control = ControlState(PAGING, 0x1000, Cr4.PAE.mask, physical_bits=36)
    assert isinstance(translate(memory, AT, control), ReservedBit)


def test_a_table_outside_ram_is_an_outcome_of_its_own(memory: FakeMemory) -> None:
    legacy(memory, 0, pde=0xFFFFF007)
    outcome = translate(memory, AT, LEGACY)
    assert isinstance(outcome, OutsideRam)
    assert outcome.entry_at == 0xFFFFF004
    assert outcome.verdict == "PDE[0x300] leads outside RAM: PTE[0x001] would be at physical 0xFFFFF004"


def test_a_root_outside_ram_blames_cr3() -> None:
    outcome = translate(FakeMemory(0x1000), AT, LEGACY)
    assert isinstance(outcome, OutsideRam)
    assert outcome.steps == ()
    assert outcome.verdict.startswith("CR3 leads outside RAM")


def test_explain_draws_the_walk_entry_by_entry(memory: FakeMemory) -> None:
    legacy(memory, 0x5067)
    assert translate(memory, AT, PROTECTING, USER_WRITE).explain().splitlines() == [
        "CR3 0x00001000",
        "PDE[0x300] @0x00001C00 = PageDirectoryEntry(0x00002007 table=0x2 user writable present)",
        "PTE[0x001] @0x00002004 = PageTableEntry(0x00005067 frame=0x5 dirty accessed user writable present)",
        "=> 0xC0001234: physical 0x00005234 (4 KiB page, user, writable)",
    ]


def test_large_entries_refuse_bases_that_they_cannot_hold() -> None:
    for bad in (0x1000, 0x200000):
        with pytest.raises(ValueError, match="4 MiB page cannot start at"):
            LargePageEntry.at(PhysAddr(bad))
    with pytest.raises(ValueError, match="2 MiB page cannot start at"):
        PaeLargePageEntry.at(PhysAddr(0x100000))
    with pytest.raises(ValueError, match="does not fit"):
        LargePageEntry.at(PhysAddr(1 << 40))


def test_reading_follows_scattered_frames_and_stops_at_the_first_hole(memory: FakeMemory) -> None:
    memory.set_u32(PhysAddr(0x1C00), 0x2003)
    memory.set_u32(PhysAddr(0x2004), 0x5003)
    memory.set_u32(PhysAddr(0x2008), 0x4003)
    memory.write(PhysAddr(0x5FFE), b"ab")
    memory.write(PhysAddr(0x4000), b"cd")
    assert read_virtual(memory, VirtAddr(0xC0001FFE), 4, LEGACY) == b"abcd"
    assert len(read_virtual(memory, VirtAddr(0xC0001FFE), 0x2000, LEGACY)) == 0x1002
    assert read_virtual(memory, VirtAddr(0xC0003000), 4, LEGACY) == b""


def test_reading_stops_where_a_page_is_not_ram(memory: FakeMemory) -> None:
    legacy(memory, 0xF0000007)
    assert read_virtual(memory, AT, 4, LEGACY) == b""


def test_reading_wraps_at_4_gib() -> None:
    memory = FakeMemory(0x6000)
    memory.set_u32(PhysAddr(0x1FFC), 0x2003)
    memory.set_u32(PhysAddr(0x1000), 0x3003)
    memory.set_u32(PhysAddr(0x2FFC), 0x4003)
    memory.set_u32(PhysAddr(0x3000), 0x5003)
    memory.write(PhysAddr(0x4FFF), b"x")
    memory.write(PhysAddr(0x5000), b"y")
    assert read_virtual(memory, VirtAddr(0xFFFFFFFF), 2, LEGACY) == b"xy"

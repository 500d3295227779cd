"""Matchers for page walks and address spaces, against plain models of what tables say."""

from __future__ import annotations

import random

import pytest

from hillemu.emu.errors import OptionError
from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.control import USER_WRITE, ControlState
from hillemu.emu.i386.spaces import capture_tables
from hillemu.inspection.physical_map import PhysicalMap
from hillemu.inspection.spaces import Capture
from hillemu.inspection.surroundings import Surroundings
from hillemu.testing import faults, maps, maps_nothing, maps_to, not_present, unmapped
from hillemu.testing.explanations import explain
from hillemu.testing.flags import Flags

PG_WP, PAE, NXE, PGE = 0x80010001, 1 << 5, 1 << 11, 1 << 7
DIRECTORY, TABLE, POINTERS = 0x1000, 0x2000, 0x3000
P, W, U, PCD, A, D, G, XD = 1, 2, 4, 0x10, 0x20, 0x40, 0x100, 1 << 63


def space(entries: dict[int, int], *, directory: int = P | W | U, pae: bool = False, cr4: int = PGE) -> Capture:
    """The first pages of a space: page number to entry, below a directory entry with the flags `directory`."""
    memory = FakeMemory(0x8000)
    width = 8 if pae else 4

    def put(at: int, value: int) -> None:
        memory.set_u32(PhysAddr(at), value & 0xFFFFFFFF)
        if pae:
            memory.set_u32(PhysAddr(at + 4), value >> 32)

    put(DIRECTORY, TABLE | directory)
    if pae:
        put(POINTERS, DIRECTORY | P)
    for page, entry in entries.items():
        put(TABLE + width * page, entry)
    control = ControlState(PG_WP, POINTERS if pae else DIRECTORY, cr4 | (PAE if pae else 0), NXE if pae else 0)
    return Capture(capture_tables(memory, control), Surroundings(PhysicalMap.of_ram(memory), (), ()))


# ---- one walk -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("directory", [P, P | W, P | U, P | W | U])
@pytest.mark.parametrize("entry", [P, P | W, P | U, P | W | U, P | A | D, P | G | PCD])
def test_letters_say_what_the_levels_together_grant(directory: int, entry: int) -> None:
    walk = space({1: 0x5000 | entry}, directory=directory)[0x1234]
    both = directory & entry
    right = ("u" if both & U else "") + ("w" if both & W else "")
    for flags in ("", "u", "w", "uw"):
        assert (walk == maps_to(0x5234, flags + "r")) == (flags == right)
        assert (walk == maps_to(0x5235, flags + "r")) is False
    for letter, bit in (("a", A), ("d", D), ("g", G), ("c", PCD)):
        assert (walk == maps_to(0x5234, right + letter)) == bool(entry & bit)
        assert (walk == maps_to(0x5234, f"{right} !{letter}")) == (not entry & bit)
    assert walk == maps_to(0x5234)
    assert walk == maps_to(None, right)
    assert walk == maps_to(0x5234, page_size="4K")
    assert walk != maps_to(0x5234, page_size="4M")


@pytest.mark.parametrize(
    ("no_execute", "matching"), [(False, ["rx", "-r-x", "r", "r x"]), (True, ["r", "r!x", "-r--", "s !x"])]
)
def test_x_counts_where_execution_can_be_denied(no_execute: bool, matching: list[str]) -> None:
    walk = space({1: 0x5000 | P | (XD if no_execute else 0)}, pae=True)[0x1000]
    for flags in ("rx", "-r-x", "r x", "r!x", "-r--", "s !x"):
        expected = flags in matching
        assert (walk == maps_to(0x5000, flags)) == expected, flags
    # An executable page does not pass for one whose flags do not name x, where XD works.
    assert (walk == maps_to(0x5000, "r")) == no_execute
    assert space({1: 0x5000 | P})[0x1000] == maps_to(0x5000, "r")  # nothing can deny it there


def test_the_ways_not_to_be_mapped_are_told_apart() -> None:
    tables = space({1: 0x5000 | P, 2: 0x5000})
    walks = {"page": tables[0x1000], "PTE": tables[0x2000], "PDE": tables[0x400000]}
    assert [name for name, walk in walks.items() if walk == unmapped] == ["PTE", "PDE"]
    assert [name for name, walk in walks.items() if walk == not_present()] == ["PTE", "PDE"]
    assert [name for name, walk in walks.items() if walk == not_present("PDE")] == ["PDE"]
    assert [name for name, walk in walks.items() if walk == maps_to(None)] == ["page"]
    reserved = space({1: 0x5000 | P | 1 << 51}, pae=True)[0x1000]
    assert reserved == unmapped
    assert reserved != not_present()
    assert reserved == faults(error_code=0x9)


@pytest.mark.parametrize("wp", [True, False])
@pytest.mark.parametrize("bits", [P, P | W, P | U, P | W | U, 0])
def test_faults_is_the_manuals_table(bits: int, wp: bool) -> None:
    tables = space({1: 0x5000 | bits})
    walk = tables.walk(0x1000)
    if not wp:
        object.__setattr__(walk, "control", ControlState(PG_WP & ~0x10000, DIRECTORY))
    for write in (False, True):
        for user in (False, True):
            # Intel SDM Vol. 3A, "Determination of Access Rights".
            allowed = (
                bool(bits & P)
                and (not user or bool(bits & U))
                and (not write or bool(bits & W) or (not user and not wp))
            )
            assert (walk == faults(write=write, user=user)) == (not allowed)
            code = (1 if bits & P else 0) | (2 if write else 0) | (4 if user else 0)
            assert (walk == faults(write=write, user=user, error_code=code)) == (not allowed)
            assert walk != faults(write=write, user=user, error_code=code ^ 1)


def test_a_walk_for_one_access_can_be_matched_for_another() -> None:
    denied = space({1: 0x5000 | P | U}).walk(0x1000, USER_WRITE)
    assert denied == faults(write=True, user=True)
    assert denied != faults(user=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("uq", "there is no 'q'"),
        ("u!u", "contradicts itself about u"),
        ("us", "contradicts itself"),
        ("!p", "always p"),
    ],
)
def test_flags_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Flags.parse(text)


# ---- ranges ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_a_range_matches_exactly_if_each_of_its_pages_does(seed: int) -> None:
    dice = random.Random(seed)
    entries = {
        page: (0x5000 + 0x1000 * (page if dice.random() < 0.9 else 7)) | dice.choice([P | W] * 6 + [P, P | W | U, 0])
        for page in range(64)
    }
    tables = space(entries)
    agreed = set()
    for _ in range(300):
        first = dice.randrange(64)
        pages = range(first, min(first + dice.choice([1, 1, 2, 3, 8]), 64))
        where = range(pages.start << 12, pages.stop << 12)
        to = 0x5000 + where.start
        each = [entries[page] == (to + (page - first << 12) | P | W) for page in pages]
        assert (tables == maps(where, to=to, flags="rw")) == all(each)
        assert (tables == maps(where)) == all(entries[page] & P for page in pages)
        assert (tables == maps_nothing(where)) == (not any(entries[page] & P for page in pages))
        agreed.add(all(each))
    assert agreed == {True, False}


def test_a_region_is_matched_by_where_it_leads_and_what_all_its_pages_are() -> None:
    (region,) = space({page: 0x5000 + 0x1000 * page | P | W | (A if page else 0) for page in range(3)}).regions()
    assert region == maps_to(0x5000, "rw")
    assert region == maps_to(0x5000, "rwx", page_size="4K")
    assert region != maps_to(0x6000, "rw")
    assert region != maps_to(0x5000, "r")
    assert region != maps_to(0x5000, "rwa")
    assert "expected an accessed page on 1 of 3 pages" in explained(region, maps_to(0x5000, "rwa"))
    assert "expected A=0 on 2 of 3 pages" in explained(region, maps_to(0x5000, "rw!a"))


def test_flags_of_single_pages_count_in_a_range() -> None:
    tables = space({0: 0x5000 | P | A, 1: 0x6000 | P})
    assert tables == maps(range(0x2000), to=0x5000, flags="r")
    assert tables != maps(range(0x2000), flags="ra")
    assert tables == maps(range(0x1000), flags="ra")
    assert tables == maps(range(0x1000, 0x2000), flags="r!a")


@pytest.mark.parametrize("where", [range(0), range(5, 1), range(1 << 33), range(0, 10, 2), "text"])
def test_what_is_no_range_of_addresses_is_refused(where: range) -> None:
    with pytest.raises(OptionError, match=r"^where: "):
        maps(where)


# ---- explanations ---------------------------------------------------------------------------------------------------

PYTESTS_LINES, PYTESTS_CHARACTERS = 8, 640


def explained(left: object, right: object, op: str = "==") -> str:
    lines = explain(op, left, right)
    assert lines is not None
    assert len(lines) <= PYTESTS_LINES
    assert sum(map(len, lines)) <= PYTESTS_CHARACTERS, "pytest would cut that off"
    return "\n".join(lines)


def test_both_walks_are_drawn_side_by_side_and_the_guilty_entry_is_marked() -> None:
    walk = space({1: 0x5000 | P | A | W}, directory=P | U)[0x1234]
    assert explained(walk, maps_to(0x7234, "urw")) == (
        "0x00001234 -> 0x00005234 -r-x == maps_to(0x7234, 'urw')\n"
        "expected physical 0x00007234, not 0x00005234; expected a user's page; expected a writable page\n"
        "  found: CR3 0x00001000                      | expected\n"
        "  PDE[0x000]=0x00002005 -> 0x00002000 ur-x   | u w               <-- no w\n"
        "  PTE[0x001]=0x00005023 -> 0x00005000 -rwx a | -> 0x00007000 u w <-- address, no u"
    )


def test_levels_that_were_not_reached_are_expected_too() -> None:
    told = explained(space({})[0x400000], maps_to(0x5000, "rw"))
    assert "PDE[0x001]=0x00000000      | w                  <-- not present" in told
    assert "PTE[0x000] was not reached | -> 0x00005000 !u w" in told


@pytest.mark.parametrize(
    "entry", [0, 0x5000 | P, 0x5000 | P | W | U | XD, 0xFFFFF000 | P | A | D | G | PCD, P | 1 << 51]
)
@pytest.mark.parametrize("pae", [False, True])
def test_every_explanation_fits_into_what_pytest_shows(entry: int, pae: bool) -> None:
    tables = space({1: entry & (-1 if pae else 0xFFFFFFFF)}, pae=pae)
    walk = tables[0x1FFF]
    matchers = (
        maps_to(0xABCD1FFF, "u !w !x g a d c", page_size="4M"),
        maps_to(None, "s"),
        unmapped,
        not_present("PDE"),
    )
    for matcher in (*matchers, faults(write=True, user=True, error_code=7)):
        for op in ("==", "!="):
            assert repr(matcher) in explained(walk, matcher, op)
            assert repr(matcher) in explained(matcher, walk, op)
    assert "<--" in explained(walk, tables[0x400000])
    assert "0x00000000" in explained(tables, maps(range(0x100000), to=0, flags="urwx"))


def test_many_wrong_places_are_counted() -> None:
    tables = space(dict.fromkeys(range(0, 64, 2), 0x5000 | P))
    told = explained(tables, maps_nothing(range(64 << 12)))
    assert "0x00000000-0x00000FFF: expected nothing, -> 0x00005000 -r-x" in told
    assert told.endswith("and 27 more places")


def test_captures_are_told_apart_by_what_changed() -> None:
    told = explained(space({1: 0x5000 | P}), space({1: 0x5000 | P | W}))
    assert "left, from right: rights    0x00001000-0x00001FFF" in told


def test_what_is_not_ours_is_left_to_pytest() -> None:
    assert explain("==", "text", 5) is None

"""The words of `hillemu inspect`, and what its views make of them."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.errors import UserMistake
from hillemu.inspection.frame_uses import FrameRun, Use, frame_uses
from hillemu.inspection.views.addresses import Address
from hillemu.inspection.views.frames_view import LETTERS, draw
from hillemu.inspection.views.memory_view import Format
from hillemu.inspection.views.moments import Moment, NotReached, parse_moment, visit
from hillemu.inspection.views.request import VIEWS, is_view, list_of_views, parse_requests
from hillemu.inspection.views.scene import Scene
from hillemu.inspection.views.shown import Row, Table
from hillemu.inspection.views.strips import MOST_BARS, MOST_FOLDED, WIDTH, Bar, folded, strip
from hillemu.machine import Machine
from hillemu.symbols import Symbol, SymbolTable, UnknownSymbol

SYMBOLS = SymbolTable.of([Symbol("kmain", 0xC0100000), Symbol("end", 0x5678)])
REGISTERS = {"esp": 0x9000, "cr3": 0x106000}


def value(text: str) -> int:
    return Address(text).value(SYMBOLS, REGISTERS.__getitem__)


# Addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0xC010_0000", 0xC0100000), ("4096", 4096), ("007", 7), ("kmain", 0xC0100000), ("kmain+0x10", 0xC0100010),
        ("kmain - 0x10 + 4", 0xC00FFFF4), ("$esp", 0x9000), ("%ESP-4", 0x8FFC), ("end+0", 0x5678),
    ],
)  # fmt: skip
def test_an_address_is_a_number_a_symbol_or_a_register_and_steps_from_there(text: str, expected: int) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no address"), ("+4", "is no address"), ("kmain+", "is no address"),
        ("kmain+four", "'four' is not a number"),
        ("kmian", "did you mean 'kmain'"), ("$esq", "no register 'esq'"), ("4-8", "below address 0"),
        ("0xZZ", "no symbol"),
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UserMistake, match=message) as caught:
        value(text)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=12))
def test_any_text_is_an_address_or_a_users_mistake(text: str) -> None:
    with suppress(UserMistake):
        assert value(text) >= 0


# Requests


def test_views_follow_each_other_with_their_arguments() -> None:
    words = ["mem", "pt", "lint", "x/4xb", "kmain", "diff", "kmain", "end", "lint"]
    requests = parse_requests(words)
    assert [request.title for request in requests] == ["mem", "pt lint", "x/4xb kmain", "diff kmain end", "lint"]
    assert requests[3].view.moments == ("kmain", "end")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["regoins"], "no view 'regoins'; did you mean 'regions'"), (["zzz"], "there are mem, tlb, real-tlb, pt"),
        (["mem/4"], "mem takes no format"), (["pt"], "pt needs ADDRESS"), (["diff", "kmain"], "diff needs AT2"),
        (["x/3q", "0"], "there is no 'q'"), (["x/3xd", "0"], "one format"), (["x/0x", "0"], "from 1 to"),
        (["x/99999999999x", "0"], "from 1 to"), (["x/-3x", "0"], "a count and letters"),
    ],
)  # fmt: skip
def test_wrong_words_are_refused_before_anything_runs(words: list[str], message: str) -> None:
    with pytest.raises(UserMistake, match=message):
        parse_requests(words)


def test_a_word_is_a_view_only_with_the_slash_that_it_may_have() -> None:
    assert is_view("x/8xw")
    assert is_view("lint")
    assert not is_view("lint/elf")
    assert not is_view("./lint")


def test_the_help_names_every_view_and_what_must_follow_it() -> None:
    lines = list_of_views().splitlines()
    assert [line.split()[0].removesuffix("[/FMT]") for line in lines] == list(VIEWS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (1, "x", 4)), ("8", (8, "x", 4)), ("8xb", (8, "x", 1)), ("8bx", (8, "x", 1)), ("c", (1, "c", 1)),
        ("2cw", (2, "c", 4)), ("3iw", (3, "i", 1)), ("a", (1, "a", 4)), ("tg", (1, "t", 8)), ("h", (1, "x", 2)),
    ],
)  # fmt: skip
def test_a_format_has_gdbs_defaults(text: str, expected: tuple[int, str, int]) -> None:
    assert Format.parse(text) == expected


# Moments


@pytest.fixture
def machine() -> Machine:
    machine = Machine(mem="16M")
    machine.load_demo()
    return machine


def visited(machine: Machine, *texts: str, max_insns: int | None = None) -> list[tuple[str, int]]:
    """Where the machine stood at each moment."""
    found: list[tuple[str, int]] = []
    moments = [parse_moment(text, machine.symbols) for text in texts]
    visit(
        machine,
        moments,
        lambda moment, stop: found.append((moment.text, machine.cpu.instructions)),
        max_insns=max_insns,
    )
    return found


def test_moments_are_visited_in_the_order_of_the_run(machine: Machine) -> None:
    whole = Machine(mem="16M")
    whole.load_demo()
    whole.run()
    found = visited(machine, "end", "1_000", "0", "7", "_start")
    assert found == [("0", 0), ("_start", 0), ("7", 7), ("1_000", 1000), ("end", whole.cpu.instructions)]


def test_the_run_goes_no_further_than_the_last_moment(machine: Machine) -> None:
    assert visited(machine, "1000") == [("1000", 1000)]
    assert machine.cpu.instructions == 1000


def test_an_address_is_met_where_a_machine_that_steps_meets_it_first(machine: Machine) -> None:
    stepping = Machine(mem="16M")
    stepping.load_demo()
    places: dict[int, int] = {}
    for count in range(2000):
        places.setdefault(stepping.cpu.linear_eip, count)
        stepping.step()
    met = {symbol.name: places[symbol.address] for symbol in stepping.symbols.symbols if symbol.address in places}
    assert len(met) > 2
    assert dict(visited(machine, *met)) == met


def test_the_limit_is_an_end_of_the_run_like_others(machine: Machine) -> None:
    assert visited(machine, "end", max_insns=500) == [("end", 500)]


def test_the_last_instruction_that_the_limit_allows_can_be_a_moment(machine: Machine) -> None:
    assert visited(machine, "500", max_insns=500) == [("500", 500)]


def test_a_moment_that_does_not_come_is_told_with_where_the_run_ended(machine: Machine) -> None:
    with pytest.raises(
        NotReached, match=r"--at 0xdead: not reached; the run ended after [0-9,]+ instructions: halt: cli"
    ):
        visited(machine, "0xdead")
    assert not len(machine.breakpoints)


@pytest.mark.parametrize("text", ["$eip", "kmian", "0x100000000", "", "1000000000000000000000000"])
def test_what_names_no_moment_is_refused(text: str) -> None:
    with pytest.raises(UserMistake):
        parse_moment(text, SYMBOLS)


def test_the_word_end_is_the_end_although_linkers_like_the_symbol() -> None:
    assert parse_moment("end", SYMBOLS).is_end
    assert parse_moment("end+0", SYMBOLS) == Moment("end+0", address=0x5678)
    with pytest.raises(UnknownSymbol):
        parse_moment("ende", SYMBOLS)


# Frames


PAGING = """
    mov dword ptr [0x200000], 0x201007
    mov edi, 0x201000; mov eax, 3; mov ecx, 0x300
1:  mov [edi], eax; add eax, 0x1000; add edi, 4; loop 1b
    mov dword ptr [0x201F00], 0x5007
    mov dword ptr [0x201F04], 0x250067
    mov dword ptr [0x200004], 0x900083
    mov eax, 0x10; mov cr4, eax; mov eax, 0x200000; mov cr3, eax; mov eax, 0x80000001; mov cr0, eax; cli; hlt
"""


@pytest.fixture
def paged() -> Machine:
    """A machine that stands in a small address space: three quarters of a table, two user pages, one 4 MiB page."""
    import tempfile
    from pathlib import Path

    from hillemu.boot.assembler import assemble_text

    header = ".section .multiboot; .long 0x1BADB002, 0, 0xE4524FFE; .text; .globl _start; _start: "
    machine = Machine(mem="16M")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "kernel.elf").write_bytes(assemble_text(header + PAGING).data)
        machine.load(str(Path(folder) / "kernel.elf"))
    machine.run(max_insns=100_000)
    assert machine.cpu.cr0 >> 31
    return machine


def uses_frame_by_frame(machine: Machine) -> dict[int, Use]:
    """The plain model: for each frame of RAM ask one question after the other."""
    space = machine.paging
    tables = set(space.tables.frames)
    assert machine.loaded is not None
    image = {at >> 12 for part in machine.loaded.segments for at in range(part.base & -4096, part.end, 4096)}
    found: dict[int, Use] = {}
    pages = [
        (region.phys >> 12, region.phys_end >> 12, region.rights.user) for region in space.regions(split_flags=True)
    ]
    for frame in range(machine.memory.size_bytes >> 12):
        mapped = [user for first, end, user in pages if first <= frame < end]
        at = frame << 12
        if frame in tables:
            found[frame] = Use.TABLES
        elif frame in image:
            found[frame] = Use.IMAGE
        elif 0x9F000 <= at < 0x100000 or at >= machine.memory.size_bytes - (128 << 10):
            found[frame] = Use.RESERVED
        else:
            found[frame] = Use.USER if any(mapped) else Use.KERNEL if mapped else Use.FREE
    return found


def test_every_frame_has_the_use_that_asking_frame_by_frame_gives_it(paged: Machine) -> None:
    runs = [run for run in frame_uses(paged) if run.base < paged.memory.size_bytes]
    ours = {frame: run.use for run in runs for frame in range(run.base >> 12, run.end >> 12)}
    theirs = uses_frame_by_frame(paged)
    assert ours == theirs
    assert set(theirs.values()) == set(Use) - {Use.MODULES}


def test_a_run_of_frames_names_the_first_page_that_maps_it(paged: Machine) -> None:
    for run in frame_uses(paged):
        mapped = paged.paging.who_maps(run.base >> 12)
        assert run.mapped_at == (mapped[0].start if mapped else None), run


def test_the_picture_has_one_letter_for_each_piece(paged: Machine) -> None:
    picture = draw(frame_uses(paged), paged.memory.size_bytes).splitlines()
    model = uses_frame_by_frame(paged)
    assert picture[-1].startswith("each character is 8 KiB")
    letters = [(int(line.split()[0], 16) // 8192, line.split()[1]) for line in picture[:-1] if line != "*"]
    assert len(letters) > 3
    for first, row in letters:
        for number, letter in enumerate(row, first):
            pair = {model[2 * number], model[2 * number + 1]} - {Use.FREE}
            assert letter in ({LETTERS[use] for use in pair} or {"."}), hex(8192 * number)


def test_lines_of_the_picture_that_repeat_are_left_out() -> None:
    picture = draw([FrameRun(0, 1 << 30, Use.FREE)], 1 << 30).splitlines()
    assert picture[1] == "*"
    assert len(picture) == 3


# Pictures


def test_a_strip_places_its_bars_in_proportion_and_none_is_too_small_to_see() -> None:
    picture = ElementTree.fromstring(
        strip("s", 1000, [Bar(0, 500, "rx", "half <&>", 0), Bar(999, 1000, "rw", "last", 7)])
    )
    bars = [item for item in picture.iter() if "data-a" in item.attrib]
    assert [(bar.get("x"), bar.get("width")) for bar in bars] == [("0.00", "600.00"), ("1198.80", "1.50")]
    assert bars[0][0].text == "half <&>"


def test_of_too_many_bars_the_largest_are_drawn_in_order() -> None:
    bars = [Bar(10 * at, 10 * at + (9 if at % 2 else 1), "rx", "", 0) for at in range(2 * MOST_BARS)]
    picture = ElementTree.fromstring(strip("s", 20 * MOST_BARS, bars))
    starts = [int(item.attrib["data-a"]) for item in picture.iter() if "data-a" in item.attrib]
    assert starts == [bar.start for bar in bars if bar.end - bar.start == 9]


def test_the_folded_strip_has_every_run_in_order_and_leaves_room_for_gaps_only_where_they_are() -> None:
    bars = [Bar(0, 4096, "rx", "", 0), Bar(4096, 1 << 20, "rw", "", 4096), Bar(0xC0000000, 1 << 32, "rx", "", 0)]
    picture = ElementTree.fromstring(folded("s", bars))
    drawn = [item.attrib for item in picture.iter() if "data-a" in item.attrib]
    edges = [(float(bar["x"]), float(bar["x"]) + float(bar["width"])) for bar in drawn]
    assert [int(bar["data-a"]) for bar in drawn] == [bar.start for bar in bars]
    assert edges[0][0] == 0
    assert abs(edges[0][1] - edges[1][0]) < 0.02
    assert edges[2][0] - edges[1][1] > 5
    assert abs(edges[2][1] - WIDTH) < 0.02
    assert edges[0][1] < edges[1][1] - edges[1][0] < edges[2][1] - edges[2][0]
    assert folded("s", []) == folded("s", bars * MOST_FOLDED) == ""


# Holes


def test_memory_that_ends_is_shown_up_to_its_end_and_then_why(paged: Machine) -> None:
    scene = Scene(paged, {})
    (request,) = parse_requests(["x/4xw", "0x3C1FF8"])
    lines = str(request.view.show(scene)).splitlines()
    assert lines[0] == "0x3c1ff8:\t0x00000000\t0x00000000"
    assert lines[1].startswith("cannot access 0x3c2000: PTE[0x3c2] is not present")
    (request,) = parse_requests(["xp/2xb", str(paged.memory.size_bytes - 1)])
    assert str(request.view.show(scene)).endswith("cannot access physical 0x1000000: neither RAM nor ROM answers")
    (request,) = parse_requests(["x/2i", "0xFFFFFFFF"])
    data = request.view.show(scene).data
    assert data["units"] == []
    assert data["error"].startswith("cannot access 0xffffffff: PDE[0x3ff]")


def test_a_plain_table_sets_numbers_to_the_right() -> None:
    table = Table(("what", "size"), (Row(("a", "1")), Row(("bb", "100"))), frozenset({"size"}))
    assert str(table).splitlines() == ["what  size", "a        1", "bb     100"]

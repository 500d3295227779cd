"""Symbols: names to addresses and back; `nm` and `addr2line` are the oracles."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hillemu.emu.errors import UserMistake
from hillemu.symbols import Symbol, SymbolTable, UnknownSymbol

SOURCE = """\
static int hidden(int n) { return n * 3; }
int counter = 7;
static char scratch[256];
int twice(int n) { scratch[n & 255] = 1; return n + hidden(n); }
void start(void) { counter = twice(counter); for (;;); }
"""
ASSEMBLY = """\
.text
.globl tiny, after
tiny: nop
loop_here: jmp loop_here
after: hlt
.section .discarded, ""
.long 0
nowhere: .long 0
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory, gcc_m32: str) -> Path:
    """A small 32-bit ELF by gcc with debugging information."""
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "kernel.c").write_text(SOURCE)
    (folder / "tiny.s").write_text(ASSEMBLY)
    flags = "-m32 -O0 -g -ffreestanding -fno-pic -no-pie -nostdlib -static -Wl,-Ttext=0x100000,-estart,--build-id=none"
    subprocess.run(
        [gcc_m32, *flags.split(), "kernel.c", "tiny.s", "-o", "kernel.elf"], cwd=folder, check=True, timeout=60
    )
    return folder / "kernel.elf"


@pytest.fixture(scope="module")
def table(kernel: Path) -> SymbolTable:
    return SymbolTable(kernel.read_bytes(), name="kernel.elf")


def test_the_names_and_addresses_are_those_of_nm(
    kernel: Path, table: SymbolTable, need_tool: Callable[[str], str]
) -> None:
    listing = subprocess.run([need_tool("nm"), kernel], capture_output=True, text=True, check=True, timeout=60).stdout
    expected = {line.split()[2]: int(line.split()[0], 16) for line in listing.splitlines()}

    assert "hidden" in expected
    assert dict(table) == expected


def test_every_entry_is_what_pyelftools_reads(kernel: Path, table: SymbolTable) -> None:
    from elftools.elf.elffile import ELFFile

    kinds = {"STT_FUNC": "function", "STT_OBJECT": "object", "STT_NOTYPE": "label"}
    with kernel.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".symtab")
        entries = {
            (entry.name, entry["st_value"], entry["st_size"], kinds[entry["st_info"]["type"]], entry["st_info"]["bind"])
            for entry in section.iter_symbols()
            if entry.name and entry["st_info"]["type"] in kinds and entry["st_shndx"] != "SHN_UNDEF"
        }
    assert len(entries) > 5
    assert {
        (symbol.name, symbol.address, symbol.size_bytes, symbol.kind, "STB_GLOBAL" if symbol.is_global else "STB_LOCAL")
        for symbol in table.symbols
    } == entries


def test_every_address_of_the_code_has_the_line_that_addr2line_prints(
    kernel: Path, table: SymbolTable, need_tool: Callable[[str], str]
) -> None:
    hidden, start = table.symbol("hidden"), table.symbol("start")
    addresses = range(hidden.address, start.address + start.size_bytes)
    shown = subprocess.run(
        [need_tool("addr2line"), "-s", "-e", kernel, *map(hex, addresses)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()

    assert [table.line(at) for at in addresses] == [line.split(" (")[0] for line in shown]


def test_an_address_is_described_by_the_function_around_it(table: SymbolTable) -> None:
    assert table.nearest(table["twice"]) == ("twice", 0)
    assert table.nearest(table["twice"] + 5) == ("twice", 5)
    assert table.describe(table["twice"] + 5) == f"{table['twice'] + 5:#010x} <twice+0x5>"
    assert table.describe(table["twice"]) == f"{table['twice']:#010x} <twice>"


def test_sizes_and_kinds_come_from_the_image(table: SymbolTable) -> None:
    assert table.symbol("scratch").size_bytes == 256
    assert table.symbol("scratch").kind == "object"
    assert table.symbol("twice").kind == "function"
    assert table.symbol("tiny").kind == "label"
    assert not table.symbol("hidden").is_global


def test_an_address_outside_every_section_has_no_symbol(table: SymbolTable) -> None:
    assert table.nearest(0x1000) is None
    assert table.nearest(0xC000_0000) is None
    assert table.line(0xC000_0000) is None
    assert table.describe(0x1000) == "0x00001000"


def test_a_symbol_of_a_section_that_is_not_loaded_names_no_place(table: SymbolTable) -> None:
    assert "nowhere" in table
    assert table.nearest(table["nowhere"]) is None


def test_an_unknown_name_proposes_near_ones_and_is_a_user_mistake_too(table: SymbolTable) -> None:
    with pytest.raises(UnknownSymbol, match=r"^no symbol 'twoce' in kernel.elf; did you mean 'twice'\?$") as caught:
        table["twoce"]
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, UserMistake)
    assert table.get("twoce") is None


def test_where_no_name_is_alike_the_nearest_are_told_unless_there_are_too_many() -> None:
    few = SymbolTable.of([Symbol("page_fault", 0x1000), Symbol("zz", 0x2000)])
    with pytest.raises(UnknownSymbol, match=r"^no symbol 'message'; the nearest is 'page_fault'$"):
        few["message"]
    many = SymbolTable.of(Symbol(f"page_{number}", number) for number in range(10_001))
    with pytest.raises(UnknownSymbol, match=r"^no symbol 'xylophone'$"):
        many["xylophone"]


def test_an_image_without_symbols_says_so() -> None:
    table = SymbolTable(b"not an ELF file", name="flat.bin")
    assert len(table) == 0
    assert table.line(0x100000) is None
    with pytest.raises(UnknownSymbol, match=r"flat\.bin: the image has no symbols"):
        table["main"]


def test_the_innermost_symbol_with_a_size_wins_over_labels_that_are_long_over() -> None:
    table = SymbolTable.of(
        [
            Symbol("outer", 0x1000, 0x100, "function"),
            Symbol("inner", 0x1010, 0x8, "function"),
            Symbol("next", 0x1200, 0, "label"),
        ]
    )
    assert table.nearest(0x1014) == ("inner", 4)
    assert table.nearest(0x1018) == ("outer", 0x18)
    assert table.nearest(0x1100) == ("inner", 0xF0)  # padding: the symbol that starts nearest below
    assert table.nearest(0x5000) == ("next", 0x3E00)


def test_at_one_address_a_function_beats_a_label_and_a_global_name_a_local_one() -> None:
    table = SymbolTable.of(
        [
            Symbol("zz_label", 0x1000),
            Symbol("local", 0x1000, 4, "function", is_global=False),
            Symbol("shown", 0x1000, 4, "function"),
        ]
    )
    assert table.nearest(0x1002) == ("shown", 2)


def test_of_two_symbols_with_one_name_the_global_one_is_meant() -> None:
    table = SymbolTable.of([Symbol("init", 0x1000, is_global=False), Symbol("init", 0x2000), Symbol("init", 0x3000)])
    assert table["init"] == 0x2000
    assert [symbol.address for symbol in table.symbols] == [0x1000, 0x2000, 0x3000]


def test_a_mangled_image_has_fewer_symbols_but_never_raises(kernel: Path) -> None:
    pristine = kernel.read_bytes()
    dice = random.Random(386)
    broken = 0
    for _ in range(40):
        image = bytearray(pristine)
        for _ in range(dice.randrange(1, 30)):
            image[dice.choice((dice.randrange(52), dice.randrange(len(image)), -dice.randrange(1, 600)))] ^= 0xFF
        table = SymbolTable(bytes(image[: dice.choice((len(image), dice.randrange(len(image))))]))
        table.nearest(0x100000)
        table.line(0x100000)
        table.get("main")
        broken += bool(table.fault)
    assert broken > 0


def test_nothing_is_parsed_before_the_first_question(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("hillemu.symbols._read_elf", lambda elf: asked.append(elf))
    table = SymbolTable(b"\x7fELF...")
    assert asked == []
    with pytest.raises(AttributeError):
        len(table)
    assert asked == [b"\x7fELF..."]

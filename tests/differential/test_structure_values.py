"""Values read by debugging information print as GDB prints them, byte for byte."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hillemu.boot.elf import read_elf, read_sections
from hillemu.boot.image import Image
from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.control import ControlState
from hillemu.inspection.structs.sources import VirtualSource
from hillemu.inspection.structs.type_library import Structs
from hillemu.inspection.structs.values import read_value
from hillemu.symbols import SymbolTable

EXPRESSIONS = (
    "sample",
    "first",
    "many",
    "steps",
    "text",
    "fractions",
    "sample.points",
    "sample.matrix",
    "sample.bytes",
)
TEXT_BASE = 0x100000


@pytest.fixture(scope="module", params=["-gdwarf-5", "-gdwarf-4", "-gdwarf-3", "-gdwarf-2"])
def program(request: pytest.FixtureRequest, root: Path, gcc_m32: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, linked at 1 MiB."""
    target: Path = tmp_path_factory.mktemp("sample") / "sample.elf"
    options = (
        "-m32",
        request.param,
        "-O0",
        "-w",
        "-fno-pic",
        "-static",
        "-nostdlib",
        f"-Wl,-Ttext={TEXT_BASE:#x},-e,main",
    )
    source = root / "tests" / "support" / "structure_sample.c"
    subprocess.run([gcc_m32, *options, "-Wl,--build-id=none", "-o", str(target), str(source)], check=True)
    return target


def memory_of(elf: bytes) -> FakeMemory:
    """The sections of the program at their addresses."""
    image = Image("sample.elf", elf)
    memory = FakeMemory(0x9000000)
    for section in read_sections(image, read_elf(image)):
        if section.addr and section.type == 1:
            memory.write(PhysAddr(section.addr), elf[section.offset : section.offset + section.size])
    return memory


def test_values_print_as_gdb_prints_them(program: Path, need_tool: Callable[[str], str]) -> None:
    commands = [part for text in EXPRESSIONS for part in ("-ex", f"output {text}", "-ex", "echo \\n--\\n")]
    gdb = [need_tool("gdb"), "-batch", "-nx", "-ex", "set print pretty on", *commands, str(program)]
    expected = subprocess.run(gdb, capture_output=True, text=True, check=True).stdout.split("\n--\n")
    assert len(expected) == len(EXPRESSIONS) + 1
    elf = program.read_bytes()
    structs, symbols = Structs(lambda: (elf, "sample.elf")), SymbolTable(elf)
    source = VirtualSource(memory_of(elf), structs, symbols, ControlState(cr0=0, cr3=0))
    for text, gdb_text in zip(EXPRESSIONS, expected, strict=False):
        name, _, member = text.partition(".")
        value = read_value(source, structs.variable(name), symbols[name])
        assert str(value[member] if member else value) == gdb_text, text

"""The executable, as other programs read it: pyelftools, and readelf where it is installed."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hillemu.boot.assembler import assemble_text

SOURCE = """
.section .multiboot, "a"
.long 0x1BADB002, 0, -0x1BADB002
.global _start, limit
.equ limit, 0x40
.equ private, 5
.text
_start: mov eax, [counter]
        ret
.size _start, . - _start
helper: hlt
.Lhidden: hlt
1: jmp 1b
.type table, @object
table: .long 1
.rodata
text: .asciz "hi"
.data
counter: .long 7
.bss
room: .space 0x2000
"""


def read(data: bytes) -> Any:
    from elftools.elf.elffile import ELFFile

    return ELFFile(io.BytesIO(data))


def symbols(elf: Any) -> dict[str, Any]:
    return {symbol.name: symbol for symbol in elf.get_section_by_name(".symtab").iter_symbols()}


def test_it_is_an_i386_executable_that_starts_at_its_entry() -> None:
    image = assemble_text(SOURCE)
    elf = read(image.data)
    assert (elf.get_machine_arch(), elf["e_type"], elf["e_entry"]) == ("x86", "ET_EXEC", image.symbols["_start"])


def test_segments_load_each_section_to_its_address_with_its_rights() -> None:
    image = assemble_text(SOURCE)
    elf = read(image.data)
    memory = {}
    for segment in elf.iter_segments():
        assert segment["p_offset"] % 4096 == segment["p_vaddr"] % 4096
        for at, byte in enumerate(segment.data().ljust(segment["p_memsz"], b"\0")):
            memory[segment["p_paddr"] + at] = byte
    for section in image.sections:
        loaded = bytes(memory[section.load_address + at] for at in range(section.size))
        assert loaded == section.data, section.name
    rights = [segment["p_flags"] for segment in elf.iter_segments()]
    assert rights == [4, 5, 4, 6]


def test_sections_have_the_flags_and_contents_of_the_source() -> None:
    elf = read(assemble_text(SOURCE).data)
    assert elf.get_section_by_name(".rodata").data() == b"hi\0"
    assert elf.get_section_by_name(".bss")["sh_type"] == "SHT_NOBITS"
    assert [section.name for section in elf.iter_sections()][1:6] == [".multiboot", ".text", ".rodata", ".data", ".bss"]


def test_symbols_have_types_sizes_and_binding() -> None:
    found = symbols(read(assemble_text(SOURCE).data))
    facts = {
        name: (found[name]["st_info"]["type"], found[name]["st_info"]["bind"], found[name]["st_size"])
        for name in ("_start", "helper", "table", "counter", "room")
    }
    assert facts == {
        "_start": ("STT_FUNC", "STB_GLOBAL", 6),
        "helper": ("STT_FUNC", "STB_LOCAL", 4),
        "table": ("STT_OBJECT", "STB_LOCAL", 4),
        "counter": ("STT_OBJECT", "STB_LOCAL", 4),
        "room": ("STT_OBJECT", "STB_LOCAL", 0x2000),
    }
    assert (found["limit"]["st_value"], found["limit"]["st_shndx"]) == (0x40, "SHN_ABS")
    assert not {"private", ".Lhidden", "1"} & set(found)


def test_the_multiboot_header_lies_in_the_first_8192_bytes_of_the_file() -> None:
    data = assemble_text(SOURCE).data
    at = data.find(bytes.fromhex("02b0ad1b"))
    assert 0 <= at <= 8192 - 12
    assert at % 4 == 0


def test_a_higher_half_layout_separates_virtual_and_physical_addresses() -> None:
    source = """
    .layout base=0x200000, virtual=0xC0000000, high=.text .data .bss
    .section .boot, "ax"
    _start: mov eax, offset high
            jmp eax
    .text
    high:   mov eax, [value]
    .data
    value:  .long 1
    """
    image = assemble_text(source)
    places = {section.name: (section.load_address, section.address) for section in image.sections}
    assert places == {
        ".boot": (0x200000, 0x200000),
        ".text": (0x201000, 0xC0201000),
        ".data": (0x202000, 0xC0202000),
    }
    segments = [(s["p_paddr"], s["p_vaddr"]) for s in read(image.data).iter_segments()]
    assert segments == [places[".boot"], places[".text"], places[".data"]]
    assert image.section(".boot")[:5] == b"\xb8" + 0xC0201000.to_bytes(4, "little")
    assert image.entry == 0x200000


def test_readelf_has_nothing_to_complain_about(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    need_tool("readelf")
    (tmp_path / "x.elf").write_bytes(assemble_text(SOURCE).data)
    outcome = subprocess.run(["readelf", "-aW", tmp_path / "x.elf"], capture_output=True, text=True, timeout=20)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert "FUNC    GLOBAL DEFAULT    2 _start" in outcome.stdout

"""The assembler for guest programs: Intel syntax and GNU as directives, from source to bootable image.

>>> image = assemble_text('''
... .code16
... start: mov si, offset text
...        jmp start
... text:  .asciz "hi"
... .org 510
... .word 0xAA55
... ''', layout=Layout(flat=True, base=0x7C00))
>>> len(image.data), hex(image.symbols["text"]), image.data[:5].hex()
(512, '0x7c05', 'be057cebfb')

**Language.**  What GNU as reads after ``.intel_syntax noprefix``, so that it can check our work: ``#``, ``//`` and
``/* */`` comments, ``;`` between statements, labels, ``1:``/``1f``/``1b``, ``.code16``, ``.code32``, data, alignment,
sections, macros and conditions (see `reader`), expressions (see `expression`).  A bare label is the memory
there, and ``offset label`` is its address.  ``.layout`` (see `layout`) is ours; in code, ``.balign`` fills with
one-byte NOPs, which a 386 knows too.

**Output.**  A multiboot-ready ELF32 executable with program headers, section headers and symbols, or a flat binary.
The same source gives the same bytes on every host: nothing depends on time, paths or hash order.

**Not modelled.**  64-bit code, AVX, relocatable objects, debugging line tables, AT&T syntax, common symbols.  Using
them is an `AssemblyError`.

``as`` quirks that are refused instead of imitated: operators whose order C and GNU as read differently, numbers that
would be truncated, memory operands without a size, ``jmp dword ptr [...]`` in 16-bit code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hillemu.boot.assembler.elf import ElfSymbol, write_elf
from hillemu.boot.assembler.expression import ExpressionError, evaluate
from hillemu.boot.assembler.items import Section
from hillemu.boot.assembler.layout import Layout
from hillemu.boot.assembler.link import Linked, link
from hillemu.boot.assembler.program import Program
from hillemu.boot.assembler.reader import read_text
from hillemu.boot.assembler.source import AssemblyError, Place

__all__ = ["AssembledImage", "AssemblyError", "Layout", "Place", "Section", "assemble_file", "assemble_text"]


@dataclass(frozen=True, slots=True)
class AssembledImage:
    """What became of a source."""

    data: bytes
    """The file: ELF, or the flat binary."""
    layout: Layout
    sections: tuple[Section, ...]
    """Non-empty sections in the order of memory."""
    symbols: dict[str, int]
    """Virtual address of every named label."""
    entry: int
    """Where execution begins: the entry symbol, or a flat binary's base."""

    def section(self, name: str) -> bytes:
        """A section's bytes; empty when there is none of that name."""
        return next((section.data for section in self.sections if section.name == name), b"")


def assemble_file(
    path: Path | str,
    *,
    layout: Layout | None = None,
    include_paths: Sequence[Path] = (),
    defines: Mapping[str, int] | None = None,
) -> AssembledImage:
    """Assemble the file at `path`; see `assemble_text`."""
    source = Path(path)
    return assemble_text(
        read_text(source), name=str(source), layout=layout, include_paths=include_paths, defines=defines
    )


def assemble_text(
    text: str,
    *,
    name: str = "<text>",
    layout: Layout | None = None,
    include_paths: Sequence[Path] = (),
    defines: Mapping[str, int] | None = None,
) -> AssembledImage:
    """Assemble `text`, which messages call `name`.

    `layout` wins over the source's own ``.layout``; `include_paths` are searched after the including file's folder;
    `defines` are constants set before the first line.  Raises `AssemblyError`, which names file, line and statement.
    """
    program = Program(include_paths, defines)
    program.read(text, name)
    linked = link(program, layout or program.layout or Layout())
    symbols = {label: linked.lookup(label).number for label in program.labels if "#" not in label and label[:2] != ".L"}
    sections = tuple(linked.sections)
    if not sections:
        raise AssemblyError(Place(name, 1), "there is nothing to assemble")
    if linked.layout.flat:
        data = _flat(linked, name)
        return AssembledImage(data, linked.layout, sections, symbols, linked.layout.base)
    entry_name = linked.layout.entry
    if entry_name not in program.labels:
        raise AssemblyError(Place(name, 1), f"the entry symbol `{entry_name}` is not defined")
    entry = symbols[entry_name]
    data = write_elf(linked.sections, _symbols(program, linked, symbols, name), entry)
    return AssembledImage(data, linked.layout, sections, symbols, entry)


def _flat(linked: Linked, name: str) -> bytes:
    """Sections one behind the other, without the room at the end that holds no data."""
    out = bytearray()
    room: Section | None = None
    for section in linked.sections:
        if section.holds_data:
            if room is not None:
                raise AssemblyError(Place(name, 1), f"section {room.name} holds no data but lies before {section.name}")
            out += bytes(section.load_address - linked.layout.base - len(out)) + section.data
        else:
            room = section
    return bytes(out)


def _symbols(program: Program, linked: Linked, labels: Mapping[str, int], name: str) -> list[ElfSymbol]:
    """The symbol table: all named labels, and the numbers that are declared global."""
    present = {section.name: section for section in linked.sections}
    ends = {section.name: section.address + section.size for section in linked.sections}
    found = [ElfSymbol(Path(name).name, 0, 0, "file", False, None)]
    for label, address in labels.items():
        section = present.get(program.labels[label].name)
        facts = program.facts.get(label)
        if section is None:
            continue
        kind = (facts.kind if facts else "") or ("function" if "x" in section.flags else "object")
        if facts and facts.size is not None:
            size = _value(program, linked, label)
        else:
            later = [at for other, at in labels.items() if at > address and program.labels[other] is section]
            size = min(later, default=ends[section.name]) - address
        found.append(ElfSymbol(label, address, size, kind, bool(facts and facts.is_global), section))
    for equate, facts in program.facts.items():
        if equate in program.equates and facts.is_global:
            found.append(ElfSymbol(equate, linked.lookup(equate).number, 0, "", True, None))
        elif equate not in labels and equate not in program.equates:
            raise AssemblyError(program.place_of(equate), str(program.undefined(equate)))
    return found


def _value(program: Program, linked: Linked, label: str) -> int:
    size = program.facts[label].size
    assert size is not None
    try:
        number = evaluate(size, linked.lookup).number
    except ExpressionError as error:
        raise AssemblyError(program.place_of(label), f"size of `{label}`: {error}") from None
    if not 0 <= number < 1 << 32:
        raise AssemblyError(program.place_of(label), f"size of `{label}` is {number}")
    return number

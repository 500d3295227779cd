"""Puts an ELF file's other sections (symbols, strings, debugging information) into memory, for Multiboot kernels.

A Multiboot loader loads *all* sections: what no segment brought is placed somewhere, and its ``sh_addr`` in the copy
of the section header table says where.  The symbol and string tables go into low memory if they fit, where every
kernel's first page tables reach them; what is larger, and everything else, goes to the top of RAM, so that the memory
behind the kernel, where young kernels take their first pages unzeroed, stays as empty as under QEMU.

Source: Multiboot Specification 0.6.96, "Boot information format" (bit 5); GRUB 2 for which sections are meant: those
with size but without an address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hillemu.boot.elf import (
    SHF_ALLOC,
    SHT_NOBITS,
    SHT_NULL,
    SHT_STRTAB,
    SHT_SYMTAB,
    ElfFile,
    ElfSection,
    section_table_bytes,
    set_section_address,
)
from hillemu.boot.multiboot1_info import SectionFacts
from hillemu.emu.i386.address import PAGE_SIZE

if TYPE_CHECKING:
    from hillemu.boot.image import Image
    from hillemu.boot.space import Space

LOW_BASE, LOW_END = 0x9000, 0x80000
"""Where tables may lie in low memory: above the boot sector's place, below the stacks that kernels put at 0x90000."""


class SectionWrite(NamedTuple):
    """A section's bytes and the physical address they go to."""

    at: int
    data: memoryview


class SymbolSections(NamedTuple):
    """What the kernel is told (nothing, if the tables fit nowhere), what to write, and what to tell the user."""

    facts: SectionFacts | None
    writes: tuple[SectionWrite, ...] = ()
    notes: tuple[str, ...] = ()


def place_sections(image: Image, elf: ElfFile, sections: tuple[ElfSection, ...], space: Space) -> SymbolSections:
    """Claim room in `space` for those of all `sections` of `image` that no segment loads."""
    if not sections:
        return SymbolSections(None)
    loose = [
        (index, section)
        for index, section in enumerate(sections)
        if section.size and not section.addr and section.type not in (SHT_NULL, SHT_NOBITS)
        if not section.flags & SHF_ALLOC
    ]
    tables = [item for item in loose if item[1].type in (SHT_SYMTAB, SHT_STRTAB)]
    others = [item for item in loose if item[1].type not in (SHT_SYMTAB, SHT_STRTAB)]

    addresses = _place(tables, space, low_first=True)
    if addresses is None:
        return SymbolSections(None, notes=("its symbol sections do not fit into RAM and are not passed to the kernel",))
    notes: tuple[str, ...] = ()
    other_addresses = _place(others, space, low_first=False)
    if other_addresses is None:
        notes = ("its debugging sections do not fit into RAM and are not passed to the kernel",)
    else:
        addresses |= other_addresses

    table = bytearray(image.data[elf.section_table_offset :][: section_table_bytes(elf)])
    for index, address in addresses.items():
        set_section_address(table, elf, index, address)
    writes = tuple(
        SectionWrite(address, image.data[sections[index].offset :][: sections[index].size])
        for index, address in addresses.items()
    )
    facts = SectionFacts(bytes(table), elf.section_count, elf.section_header_bytes, elf.names_index)
    return SymbolSections(facts, writes, notes)


def _place(items: list[tuple[int, ElfSection]], space: Space, low_first: bool) -> dict[int, int] | None:
    """Claim one run for all `items`; return the address of each by index, or `None` if no run is large enough."""
    offsets = {}
    size_bytes = 0
    for index, section in items:
        size_bytes += -size_bytes % _alignment(section)
        offsets[index] = size_bytes
        size_bytes += section.size
    if not offsets:
        return {}
    base = space.first_fit(size_bytes, PAGE_SIZE, LOW_BASE, LOW_END) if low_first else None
    if base is None:
        base = space.last_fit(size_bytes, PAGE_SIZE)
    if base is None:
        return None
    space.claim(base, size_bytes)
    return {index: base + offset for index, offset in offsets.items()}


def _alignment(section: ElfSection) -> int:
    align = section.addralign
    is_power_of_two = align > 0 and align & (align - 1) == 0
    return min(align, PAGE_SIZE) if is_power_of_two else 1

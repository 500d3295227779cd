"""What a Multiboot image wants loaded, and where it starts: told by its ELF header or by its address fields.

**The entry point of an ELF file.**  e_entry is a virtual address.  If it lies in the virtual range of a loaded segment
(an executable one first), the entry is the physical address at the same distance into that segment, as in GRUB and
QEMU.  If it does not, but lies in a segment's physical range, it is taken as physical, as QEMU does: higher-half
kernels are linked both ways.  Anything else is refused, as GRUB does.

**The linker's headers.**  ``ld -Ttext 0x100000`` has the ELF headers loaded, too, in the page below: at 0xFF000,
where a PC has its BIOS.  GRUB copies them there, and nothing arrives, as behind a ROM; no kernel misses them.  So what
a segment that begins with the file's first byte has between 640 KiB and 1 MiB is left out, unless the entry is there.

Address fields, if there are any, come before the ELF header, as the specifications say.

Source: Multiboot Specification 0.6.96, "OS image format" ("The address fields of Multiboot header"), and Multiboot2
Specification 2.0, "The address tag of Multiboot2 header"; GRUB 2 and QEMU 7.2 for ELF files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hillemu.boot.elf import ElfFile, ElfSegment, read_elf
from hillemu.boot.memory_map import HIGH_MEMORY_BASE, HOLE_BASE

if TYPE_CHECKING:
    from hillemu.boot.image import Image


class Segment(NamedTuple):
    """A run of memory that the image asks for: `data`, then zeros up to `size_bytes`."""

    name: str
    base: int
    size_bytes: int
    data: memoryview
    is_note: bool = False
    """Nothing but notes for tools: the kernel does not miss it."""

    @property
    def end(self) -> int:
        return self.base + self.size_bytes

    def __str__(self) -> str:
        return f"{self.name} ({self.base:#x}-{self.end - 1:#x})"


class AddressFields(NamedTuple):
    """Physical addresses that say what to load, instead of an ELF header."""

    header: int
    load: int
    load_end: int
    """0: up to the end of the file."""
    bss_end: int
    """0: there is no bss."""
    entry: int


class Plan(NamedTuple):
    """What is to be loaded and where it starts; `elf` is there if the ELF header said so."""

    segments: tuple[Segment, ...]
    entry: int
    elf: ElfFile | None


def plan_by_addresses(image: Image, header_offset: int, fields: AddressFields) -> Plan:
    """Return what the address `fields` of the header at `header_offset` ask for.

    Raises `ImageError` for fields that contradict each other or the file.
    """
    offset = header_offset - (fields.header - fields.load)
    if fields.header < fields.load or offset < 0:
        raise image.fault(
            f"its Multiboot header says that it lies at {fields.header:#x} and loading starts at {fields.load:#x}, "
            f"but it is {header_offset:#x} bytes into the file: check header_addr and load_addr"
        )
    load_end = fields.load_end or fields.load + image.size_bytes - offset
    if load_end < fields.load:
        raise image.fault(f"load_end_addr {load_end:#x} is below load_addr {fields.load:#x} in its Multiboot header")
    count = load_end - fields.load
    if offset + count > image.size_bytes:
        raise image.fault(
            f"is truncated: by its Multiboot header {count:#x} bytes from offset {offset:#x} are to be loaded, "
            f"but the file has only {image.size_bytes:#x}"
        )
    end = fields.bss_end or load_end
    if end < load_end:
        raise image.fault(f"bss_end_addr {end:#x} is below the end of the loaded bytes ({load_end:#x})")
    if not fields.load <= fields.entry < end:
        raise image.fault(
            f"entry_addr {fields.entry:#x} in its Multiboot header is outside what is loaded "
            f"({fields.load:#x}-{max(end - 1, fields.load):#x})"
        )
    segment = Segment("the kernel", fields.load, end - fields.load, image.data[offset : offset + count])
    return Plan((segment,), fields.entry, None)


def plan_by_elf(image: Image, *, entry: int | None = None, accept_64: bool = False) -> Plan:
    """Return what the ELF headers of `image` ask for; `entry` is the physical entry if they do not decide it.

    Raises `ImageError` for a file that is not a complete i386 one (or x86-64, if you `accept_64`), and for an entry
    point outside what is loaded.
    """
    elf = read_elf(image, accept_64=accept_64)
    start = _entry(image, elf) if entry is None else _checked(image, elf, entry)
    loaded = (_without_headers(part, start) for part in elf.segments)
    segments = tuple(
        Segment(
            f"segment {part.number}",
            part.paddr,
            part.memory_bytes,
            image.data[part.offset : part.offset + part.file_bytes],
            part.is_note,
        )
        for part in loaded
        if part.memory_bytes
    )
    return Plan(segments, start, elf)


def _without_headers(segment: ElfSegment, entry: int) -> ElfSegment:
    """`segment` without ELF headers at its beginning that are to lie where ROMs are; perhaps nothing is left."""
    left_out = min(HIGH_MEMORY_BASE - segment.paddr, segment.memory_bytes)
    if segment.offset or not HOLE_BASE <= segment.paddr < HIGH_MEMORY_BASE or entry - segment.paddr in range(left_out):
        return segment
    in_file = min(left_out, segment.file_bytes)
    return segment._replace(
        offset=segment.offset + in_file,
        vaddr=segment.vaddr + left_out,
        paddr=segment.paddr + left_out,
        file_bytes=segment.file_bytes - in_file,
        memory_bytes=segment.memory_bytes - left_out,
    )


def _entry(image: Image, elf: ElfFile) -> int:
    for wanted in (_is_executable, _is_any):
        for segment in filter(wanted, elf.segments):
            if segment.vaddr <= elf.entry < segment.vaddr + segment.memory_bytes:
                return elf.entry - segment.vaddr + segment.paddr
    if _is_loaded(elf, elf.entry):
        return elf.entry
    raise image.fault(f"its entry point {elf.entry:#x} lies in no segment that is loaded: check ENTRY(...)")


def _checked(image: Image, elf: ElfFile, entry: int) -> int:
    if not _is_loaded(elf, entry):
        raise image.fault(
            f"the entry address {entry:#x} in its header lies in no segment that is loaded: it must be a physical one"
        )
    return entry


def _is_loaded(elf: ElfFile, at: int) -> bool:
    return any(segment.paddr <= at < segment.paddr + segment.memory_bytes for segment in elf.segments)


def _is_executable(segment: ElfSegment) -> bool:
    return segment.executable


def _is_any(segment: ElfSegment) -> bool:
    return True

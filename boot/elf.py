"""A reader of ELF files for i386: just what a loader needs, because start-up time is a promise.

::

    +------------+  e_phoff  +-----------------+           +-----------+  e_shoff  +-----------------+
    | ELF header | --------> | program headers | --------> | segments  |           | section headers |
    +------------+           +-----------------+  p_offset +-----------+           +-----------------+

Symbols are read elsewhere.  Everything here is checked against the file's size, so that slices of the file taken by
the numbers returned are never short.

64-bit files are read only for those who say that they accept them: Multiboot 2 starts such kernels in 32-bit code.

Not modelled: relocation (an ET_DYN file is loaded where it is linked, as GRUB and QEMU do), 0xFFFF or more program
headers (PN_XNUM) and 0xFF00 or more sections (SHN_LORESERVE), which no kernel has: both are told as faults.

Source: System V Application Binary Interface, "Object Files" (ELF Header, Sections) and "Program Loading"; Intel386
and AMD64 Architecture Processor Supplements.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hillemu.boot.image import Image

MAGIC = b"\x7fELF"

PT_LOAD = 1
PT_NOTE = 4
PF_X = 1

SHT_NULL = 0
SHT_SYMTAB = 2
SHT_STRTAB = 3
SHT_NOBITS = 8
SHF_ALLOC = 2

_CLASS32, _CLASS64 = 1, 2
_LITTLE_ENDIAN, _BIG_ENDIAN = 1, 2
_CURRENT_VERSION = 1
_RELOCATABLE, _EXECUTABLE, _SHARED, _CORE = 1, 2, 3, 4
_I386 = 3
_X86_64 = 62
_MACHINES = {2: "SPARC", 4: "68000", 8: "MIPS", 20: "PowerPC", 40: "ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V"}

_FILE_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_FILE_HEADER_64 = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<8I")
_PROGRAM_HEADER_64 = struct.Struct("<IIQQQQQQ")
_SECTION_HEADER = struct.Struct("<10I")
_SECTION_HEADER_64 = struct.Struct("<IIQQQQIIQQ")


class ElfSegment(NamedTuple):
    """A program header of type PT_LOAD that occupies memory."""

    number: int
    """Its place in the program header table."""
    offset: int
    vaddr: int
    paddr: int
    file_bytes: int
    memory_bytes: int
    flags: int
    is_note: bool = False
    """Nothing but notes for tools, as a build ID."""

    @property
    def executable(self) -> bool:
        return bool(self.flags & PF_X)


class ElfSection(NamedTuple):
    """A section header; the fields are as the specification names them, without ``sh_``."""

    name: int
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    addralign: int
    entsize: int


class ElfFile(NamedTuple):
    """The headers of a file that can be loaded; `section_header_bytes` is e_shentsize, `names_index` is e_shstrndx."""

    entry: int
    segments: tuple[ElfSegment, ...]
    section_table_offset: int
    section_header_bytes: int
    section_count: int
    names_index: int
    is_64: bool = False


def is_elf(image: Image) -> bool:
    """Whether the file starts like an ELF file of any kind."""
    return image.has(0, MAGIC)


def begins_as_elf(head: bytes) -> bool:
    """The same of a file's first four bytes, or more of them.

    >>> begins_as_elf(b"\\x7fELF\\1"), begins_as_elf(b"MZ")
    (True, False)
    """
    return head.startswith(MAGIC)


def read_elf(image: Image, *, accept_64: bool = False) -> ElfFile:
    """Read the headers of `image`.

    Raises `ImageError` unless it is a complete 32-bit little-endian i386 file, linked, with something to load; or, if
    you `accept_64`, such a file for x86-64.
    """
    is_64 = _check_identity(image, accept_64)
    form = _FILE_HEADER_64 if is_64 else _FILE_HEADER
    if image.size_bytes < form.size:
        raise image.fault(f"is truncated: {image.size_bytes} bytes do not hold an ELF header")
    (_, _, _, _, entry, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, shstrndx) = form.unpack_from(image.data)
    segments = _read_segments(image, phoff, phentsize, phnum, is_64)
    return ElfFile(entry, segments, shoff, shentsize, shnum if shoff else 0, shstrndx, is_64)


def section_table_bytes(elf: ElfFile) -> int:
    """The size of the section header table."""
    return elf.section_count * elf.section_header_bytes


def read_sections(image: Image, elf: ElfFile) -> tuple[ElfSection, ...]:
    """Read the section headers; raises `ImageError` if a section that takes room in the file is not wholly in it."""
    if not elf.section_count:
        return ()
    form = _SECTION_HEADER_64 if elf.is_64 else _SECTION_HEADER
    if elf.section_header_bytes < form.size:
        raise image.fault(f"a section header of {elf.section_header_bytes} bytes is impossible: the file is damaged")
    _check_inside(image, "the section header table", elf.section_table_offset, section_table_bytes(elf))
    sections = []
    for index in range(elf.section_count):
        at = elf.section_table_offset + index * elf.section_header_bytes
        section = ElfSection(*form.unpack_from(image.data, at))
        if section.type not in (SHT_NULL, SHT_NOBITS):
            _check_inside(image, f"section {index}", section.offset, section.size)
        sections.append(section)
    return tuple(sections)


def set_section_address(table: bytearray, elf: ElfFile, index: int, address: int) -> None:
    """Write sh_addr of section `index` into `table`, a copy of the section header table."""
    at = index * elf.section_header_bytes
    struct.pack_into(*(("<Q", table, at + 16) if elf.is_64 else ("<I", table, at + 12)), address)


def _check_identity(image: Image, accept_64: bool) -> bool:
    """Raise `ImageError` unless the file is of the right kind; return whether it is a 64-bit one."""
    data = image.data
    if not is_elf(image):
        raise image.fault("is not an ELF file")
    if image.size_bytes < _FILE_HEADER.size:
        # The class decides how long the header is, but both are longer than this.
        raise image.fault(f"is truncated: {image.size_bytes} bytes do not hold an ELF header")
    elf_class, order = data[4], data[5]
    if order == _BIG_ENDIAN:
        machine = int.from_bytes(data[18:20], "big")
        raise image.fault(f"is a big-endian ELF file for {_machine_name(machine)}, not for i386")
    if order != _LITTLE_ENDIAN or elf_class not in (_CLASS32, _CLASS64):
        raise image.fault(f"is a damaged ELF file: class {elf_class}, byte order {order}")
    file_type, machine, version = struct.unpack_from("<HHI", data, 16)
    if machine not in (_I386, _X86_64):
        raise image.fault(f"is an ELF file for {_machine_name(machine)}, not for i386")
    is_64 = elf_class == _CLASS64
    if is_64 and not accept_64:
        raise image.fault(
            "is a 64-bit ELF file, and this machine is a 32-bit one; if the kernel starts in 32-bit code, convert it: "
            f"objcopy -O elf32-i386 {image.path} kernel32.elf"
        )
    if machine != (_X86_64 if is_64 else _I386):
        what = "i386 in 64-bit form" if is_64 else "x86-64 (x32), not for i386"
        raise image.fault(f"is an ELF file for {what}: compile and link it with -m32")
    if version != _CURRENT_VERSION:
        raise image.fault(f"is a damaged ELF file: version {version} instead of {_CURRENT_VERSION}")
    if file_type == _RELOCATABLE:
        raise image.fault("is an ELF object file, not yet linked: link it into a kernel with ld")
    if file_type not in (_EXECUTABLE, _SHARED):
        what = "a core dump" if file_type == _CORE else f"an ELF file of type {file_type}"
        raise image.fault(f"is {what}, not an executable")
    return is_64


def _machine_name(machine: int) -> str:
    return _MACHINES.get(machine, f"machine {machine}")


def _read_segments(image: Image, phoff: int, phentsize: int, phnum: int, is_64: bool) -> tuple[ElfSegment, ...]:
    if not phnum:
        raise image.fault("is an ELF file without program headers: nothing says what to load")
    form = _PROGRAM_HEADER_64 if is_64 else _PROGRAM_HEADER
    if phentsize < form.size:
        raise image.fault(f"a program header of {phentsize} bytes is impossible: the file is damaged")
    _check_inside(image, "the program header table", phoff, phnum * phentsize)
    segments = []
    notes = []
    for index in range(phnum):
        fields = form.unpack_from(image.data, phoff + index * phentsize)
        if is_64:
            kind, flags, offset, vaddr, paddr, file_bytes, memory_bytes, _ = fields
        else:
            kind, offset, vaddr, paddr, file_bytes, memory_bytes, flags, _ = fields
        if kind == PT_NOTE:
            notes.append(range(offset, offset + file_bytes + 1))
        if kind != PT_LOAD or not (memory_bytes or file_bytes):
            continue
        if file_bytes > memory_bytes:
            raise image.fault(
                f"segment {index} has {file_bytes:#x} bytes in the file but only {memory_bytes:#x} in memory: "
                "the file is damaged"
            )
        _check_inside(image, f"segment {index}", offset, file_bytes)
        segments.append(ElfSegment(index, offset, vaddr, paddr, file_bytes, memory_bytes, flags))
    segments = [
        one._replace(is_note=any(one.offset in note and one.offset + one.memory_bytes in note for note in notes))
        for one in segments
    ]
    if not segments:
        raise image.fault("is an ELF file with nothing to load: no segment of type PT_LOAD takes memory")
    return tuple(segments)


def _check_inside(image: Image, what: str, offset: int, count: int) -> None:
    if count and offset + count > image.size_bytes:
        raise image.fault(
            f"is truncated: {what} is bytes {offset:#x}-{offset + count - 1:#x} of the file, "
            f"which has only {image.size_bytes:#x}"
        )

"""The Multiboot 2 header: how a kernel image says what it wants, in tags.

::

     0  magic 0xE85250D6         then tags, each at a multiple of 8, up to one of type 0:
     4  architecture, 0 = i386       0  type (16 bits)
     8  header_length                2  flags (16 bits); bit 0: a loader may ignore this tag
    12  checksum                     4  size, without the padding to the next multiple of 8
        (the four add up             8  the tag's own fields
        to 0 modulo 2**32)

The header lies in the first 32768 bytes of the file, at a multiple of 8.  Tags are walked up to the one that ends them,
as GRUB does, whatever header_length says: many kernels compute it wrongly.

EFI tags (boot services, entry points for EFI) are taken into account only on EFI machines, says the specification, and
this is none: they are skipped, required or not.

Source: Multiboot2 Specification 2.0, "OS image format"; GRUB 2.06 where it leaves a choice.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from hillemu.boot.multiboot_plan import AddressFields

if TYPE_CHECKING:
    from hillemu.boot.image import Image

MAGIC = 0xE85250D6
SEARCH_BYTES = 32768
ALIGN = 8
I386 = 0

# Header tags.
END, REQUEST, ADDRESS, ENTRY, CONSOLE, FRAMEBUFFER, MODULE_ALIGNMENT = range(7)
EFI_BOOT_SERVICES, EFI32_ENTRY, EFI64_ENTRY, RELOCATABLE = 7, 8, 9, 10

OPTIONAL = 1
"""The bit of a tag's flags."""
CONSOLE_REQUIRED, EGA_TEXT_SUPPORTED = 1, 2
"""Bits of console_flags."""
LOAD_BASE_ADDRESS = 21
"""The last type of information tag that the specification defines; a loader must know what it is asked for."""

_MAGIC_BYTES = struct.pack("<I", MAGIC)
_FIXED_BYTES = 16
_TAG_HEAD = struct.Struct("<HHI")
_LATE_SEARCH_BYTES = 16 << 20
_WHOLE_FILE = 0xFFFFFFFF
"""load_addr that means: from the beginning of the file."""

_FORMS = {
    ADDRESS: struct.Struct("<4I"),
    ENTRY: struct.Struct("<I"),
    CONSOLE: struct.Struct("<I"),
    FRAMEBUFFER: struct.Struct("<3I"),
    RELOCATABLE: struct.Struct("<4I"),
}
_NAMES = {
    REQUEST: "information request",
    ADDRESS: "address",
    ENTRY: "entry address",
    CONSOLE: "console flags",
    FRAMEBUFFER: "framebuffer",
    RELOCATABLE: "relocatable",
}
_SKIPPED = (MODULE_ALIGNMENT, EFI_BOOT_SERVICES, EFI32_ENTRY, EFI64_ENTRY)
"""Modules are page-aligned anyway."""


class ScreenWish(NamedTuple):
    """The graphics mode that the kernel would like; 0 is no preference."""

    width: int
    height: int
    depth: int


class Relocation(NamedTuple):
    """Where the image may be moved as a whole: no byte below `lowest`, and its end not above `highest`."""

    lowest: int
    highest: int
    align: int
    """0 is no wish."""
    preference: int
    """One of `ANY`, `LOW`, `HIGH`."""


ANY, LOW, HIGH = 0, 1, 2


class Header(NamedTuple):
    """A valid header, `offset` bytes into the file.  What a tag did not say is None, or as if it said nothing."""

    offset: int
    addresses: AddressFields | None = None
    entry: int | None = None
    console_flags: int = EGA_TEXT_SUPPORTED
    screen: ScreenWish | None = None
    relocation: Relocation | None = None


class _Tag(NamedTuple):
    type: int
    flags: int
    fields_at: int
    """Where the tag's own fields begin in the file."""
    fields_bytes: int


def has_header(image: Image) -> bool:
    """Whether `image` has an i386 header with the right checksum where a loader looks for it."""
    return _valid_offset(image) is not None


def read_header(image: Image) -> Header:
    """Return the header of `image`.

    Raises `ImageError` if there is none, saying how near the file came to having one; if its tags are damaged or do
    not end in the first 32768 bytes; or if it requires what the specification does not define.
    """
    offset = _valid_offset(image)
    if offset is None:
        raise image.fault(explain_missing(image))
    found: dict[int, tuple[int, ...]] = {}
    for tag in _tags(image, offset):
        if tag.type in _FORMS:
            found[tag.type] = _fields(image, tag)
        elif tag.type == REQUEST:
            _check_request(image, tag)
        elif tag.type not in _SKIPPED and not tag.flags & OPTIONAL:
            raise image.fault(
                f"its Multiboot 2 header requires a tag of type {tag.type}, which the specification does not define: "
                "set the tag's optional flag, or leave it out"
            )
    return Header(
        offset,
        _addresses(image, offset, found),
        found[ENTRY][0] if ENTRY in found else None,
        found[CONSOLE][0] if CONSOLE in found else EGA_TEXT_SUPPORTED,
        ScreenWish(*found[FRAMEBUFFER]) if FRAMEBUFFER in found else None,
        Relocation(*found[RELOCATABLE]) if RELOCATABLE in found else None,
    )


def explain_missing(image: Image) -> str:
    """Say why `image` has no header: the checksum, the architecture, the place, or no trace of one."""
    wrong = late = odd = None
    for offset in _magic_offsets(image, _LATE_SEARCH_BYTES):
        if offset + _FIXED_BYTES > image.size_bytes:
            break
        if offset % ALIGN == 0 and offset + _FIXED_BYTES <= SEARCH_BYTES:
            wrong = offset if wrong is None else wrong
        elif _is_valid(image, offset):
            if offset % ALIGN:
                odd = offset if odd is None else odd
            else:
                late = offset if late is None else late
    if wrong is not None:
        architecture, length, found = struct.unpack_from("<3I", image.data, wrong + 4)
        right = -(MAGIC + architecture + length) & 0xFFFFFFFF
        if found == right:
            return (
                f"the Multiboot 2 header at offset {wrong:#x} is for architecture {architecture}, not for i386 ({I386})"
            )
        return (
            f"the Multiboot 2 header at offset {wrong:#x} has a wrong checksum: it is {found:#010x}, and for "
            f"architecture {architecture} and length {length} it must be {right:#010x}"
        )
    if late is not None:
        return (
            f"its Multiboot 2 header is at offset {late:#x}, and must lie in the first {SEARCH_BYTES} bytes: put its "
            "section first in the linker script"
        )
    if odd is not None:
        return f"its Multiboot 2 header is at offset {odd:#x}, which is not a multiple of {ALIGN}: align its section"
    return f"has no Multiboot 2 header: its magic {MAGIC:#010x} is not in the first {SEARCH_BYTES} bytes"


def _tags(image: Image, offset: int) -> Iterator[_Tag]:
    at = offset + _FIXED_BYTES
    end = min(SEARCH_BYTES, image.size_bytes)
    while at + _TAG_HEAD.size <= end:
        kind, flags, size = _TAG_HEAD.unpack_from(image.data, at)
        if kind == END:
            return
        if size < _TAG_HEAD.size or at + size > end:
            raise image.fault(
                f"the tag of type {kind} at offset {at:#x} in its Multiboot 2 header has the impossible size {size:#x}"
            )
        yield _Tag(kind, flags, at + _TAG_HEAD.size, size - _TAG_HEAD.size)
        at += size + -size % ALIGN
    raise image.fault(
        f"the tags of its Multiboot 2 header at offset {offset:#x} do not end (with a tag of type 0) in the first "
        f"{end:#x} bytes"
    )


def _addresses(image: Image, offset: int, found: dict[int, tuple[int, ...]]) -> AddressFields | None:
    if ADDRESS not in found:
        return None
    if ENTRY not in found:
        raise image.fault("its Multiboot 2 header has an address tag but no entry address tag: add one")
    at, load, load_end, bss_end = found[ADDRESS]
    if load == _WHOLE_FILE:
        load = at - offset
    if load < 0:
        raise image.fault(
            f"its Multiboot 2 header is {offset:#x} bytes into the file, and header_addr {at:#x} leaves no room for "
            "what lies before it"
        )
    return AddressFields(at, load, load_end, bss_end, found[ENTRY][0])


def _fields(image: Image, tag: _Tag) -> tuple[int, ...]:
    form = _FORMS[tag.type]
    if tag.fields_bytes < form.size:
        raise image.fault(
            f"the {_NAMES[tag.type]} tag in its Multiboot 2 header has only {tag.fields_bytes + _TAG_HEAD.size} bytes "
            f"of {form.size + _TAG_HEAD.size}"
        )
    return form.unpack_from(image.data, tag.fields_at)


def _check_request(image: Image, tag: _Tag) -> None:
    """Refuse a request for what no specification defines.  What is known, but not there, is simply not given."""
    if tag.flags & OPTIONAL:
        return
    for kind in struct.unpack_from(f"<{tag.fields_bytes // 4}I", image.data, tag.fields_at):
        if kind > LOAD_BASE_ADDRESS:
            raise image.fault(
                f"its Multiboot 2 header requires information of type {kind}, which the specification does not define"
            )


def _valid_offset(image: Image) -> int | None:
    for offset in _magic_offsets(image, SEARCH_BYTES):
        in_file = offset + _FIXED_BYTES <= min(SEARCH_BYTES, image.size_bytes)
        if offset % ALIGN == 0 and in_file and _is_valid(image, offset):
            return offset
    return None


def _is_valid(image: Image, offset: int) -> bool:
    magic, architecture, length, checksum = struct.unpack_from("<4I", image.data, offset)
    return bool(architecture == I386 and (magic + architecture + length + checksum) & 0xFFFFFFFF == 0)


def _magic_offsets(image: Image, limit_bytes: int) -> Iterator[int]:
    head = bytes(image.data[:limit_bytes])
    at = head.find(_MAGIC_BYTES)
    while at >= 0:
        yield at
        at = head.find(_MAGIC_BYTES, at + 1)

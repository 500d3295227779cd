"""The Multiboot 1 header: how a kernel image says that it wants to be loaded by the protocol.

::

     0  magic 0x1BADB002        12  header_addr   \\                 32  mode_type \\
     4  flags                   16  load_addr      |                36  width      | if flags.video_mode
     8  checksum                20  load_end_addr  | if flags.      40  height     |
        (the three add up       24  bss_end_addr   | address_fields 44  depth     /
        to 0 modulo 2**32)      28  entry_addr    /

The header lies in the first 8192 bytes of the file, at a multiple of 4.

Source: Multiboot Specification 0.6.96, "OS image format".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from hillemu.boot.multiboot_plan import AddressFields
from hillemu.emu.word import Bit, Bits, Word

if TYPE_CHECKING:
    from hillemu.boot.image import Image

MAGIC = 0x1BADB002
SEARCH_BYTES = 8192
ALIGN = 4

_MAGIC_BYTES = struct.pack("<I", MAGIC)
_LATE_SEARCH_BYTES = 16 << 20
"""How far to look for a header that comes too late, to be able to tell."""


class HeaderFlags(Word):
    """What the kernel demands (bits 0-15) and offers (bits 16-31)."""

    address_fields = Bit(16)
    undefined_demands = Bits(15, 3)
    """A loader that does not understand a demand must refuse the image."""
    video_mode = Bit(2)
    memory_info = Bit(1)
    page_align_modules = Bit(0)


class VideoFields(NamedTuple):
    """The screen that the kernel would like; 0 is no preference."""

    mode_type: int
    """0 is linear graphics, 1 is EGA text."""
    width: int
    height: int
    depth: int


class Header(NamedTuple):
    """A valid header, `offset` bytes into the file."""

    offset: int
    flags: HeaderFlags
    addresses: AddressFields | None
    video: VideoFields | None


def has_header(image: Image) -> bool:
    """Whether `image` has a header with the right checksum where a loader looks for it."""
    return _valid_offset(image) is not None


def read_header(image: Image) -> Header:
    """Return the header of `image`.

    Raises `ImageError` if there is none, saying how near the file came to having one; if it does not lie wholly in the
    first 8192 bytes; or if it demands what the specification does not define.
    """
    offset = _valid_offset(image)
    if offset is None:
        raise image.fault(explain_missing(image))
    flags = HeaderFlags(struct.unpack_from("<I", image.data, offset + 4)[0])
    if flags.undefined_demands:
        bits = ", ".join(str(bit) for bit in range(3, 16) if flags >> bit & 1)
        raise image.fault(
            f"its Multiboot header demands features that the specification does not define (flags {int(flags):#010x}, "
            f"bits {bits}), so a loader must refuse it: clear these bits"
        )
    size_bytes = 48 if flags.video_mode else 32 if flags.address_fields else 12
    if offset + size_bytes > min(SEARCH_BYTES, image.size_bytes):
        raise image.fault(
            f"its Multiboot header at offset {offset:#x} is {size_bytes} bytes long by its flags ({int(flags):#010x}) "
            f"and ends behind {min(SEARCH_BYTES, image.size_bytes):#x}, where a loader stops looking"
        )
    addresses = AddressFields(*struct.unpack_from("<5I", image.data, offset + 12)) if flags.address_fields else None
    video = VideoFields(*struct.unpack_from("<4I", image.data, offset + 32)) if flags.video_mode else None
    return Header(offset, flags, addresses, video)


def explain_missing(image: Image) -> str:
    """Say why `image` has no header: the checksum, the place, or no trace of one."""
    wrong_sum = late = odd = None
    for offset in _magic_offsets(image, _LATE_SEARCH_BYTES):
        if offset + 12 > image.size_bytes:
            break
        if offset % ALIGN == 0 and offset + 12 <= SEARCH_BYTES:
            wrong_sum = offset if wrong_sum is None else wrong_sum
        elif _sum(image, offset) == 0:
            if offset % ALIGN:
                odd = offset if odd is None else odd
            else:
                late = offset if late is None else late
    if wrong_sum is not None:
        flags, found = struct.unpack_from("<II", image.data, wrong_sum + 4)
        right = -(MAGIC + flags) & 0xFFFFFFFF
        return (
            f"the Multiboot header at offset {wrong_sum:#x} has a wrong checksum: it is {found:#010x}, and for flags "
            f"{flags:#010x} it must be {right:#010x}"
        )
    if late is not None:
        return (
            f"its Multiboot header is at offset {late:#x}, and must lie in the first {SEARCH_BYTES} bytes: put its "
            "section first in the linker script"
        )
    if odd is not None:
        return f"its Multiboot header is at offset {odd:#x}, which is not a multiple of {ALIGN}: align its section"
    return f"has no Multiboot header: its magic {MAGIC:#010x} is not in the first {SEARCH_BYTES} bytes"


def _valid_offset(image: Image) -> int | None:
    for offset in _magic_offsets(image, SEARCH_BYTES):
        in_file = offset + 12 <= min(SEARCH_BYTES, image.size_bytes)
        if offset % ALIGN == 0 and in_file and _sum(image, offset) == 0:
            return offset
    return None


def _magic_offsets(image: Image, limit_bytes: int) -> list[int]:
    head = bytes(image.data[:limit_bytes])
    offsets = []
    at = head.find(_MAGIC_BYTES)
    while at >= 0:
        offsets.append(at)
        at = head.find(_MAGIC_BYTES, at + 1)
    return offsets


def _sum(image: Image, offset: int) -> int:
    magic, flags, checksum = struct.unpack_from("<III", image.data, offset)
    return int(magic + flags + checksum) & 0xFFFFFFFF

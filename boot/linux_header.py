"""The setup header of a Linux kernel image (zImage, bzImage, and the tools that dress up as one).

::

    0x000   boot sector                      0x1F1  setup_sects       0x214  code32_start     0x230  kernel_alignment
    0x1F1   the header, in part here         0x1F4  syssize           0x218  ramdisk_image    0x234  relocatable_kernel
    0x200   jump over its rest               0x1FA  vid_mode          0x21C  ramdisk_size     0x235  min_alignment
            real-mode setup code,            0x202  "HdrS"            0x224  heap_end_ptr     0x236  xloadflags
            setup_sects * 512 bytes          0x206  version           0x228  cmd_line_ptr     0x238  cmdline_size
            32-bit code, to the end          0x210  type_of_loader    0x22C  initrd_addr_max  0x258  pref_address
                                             0x211  loadflags                                 0x260  init_size

A field that the image's version of the protocol does not define reads as what the protocol says to assume.

Not modelled: images without "HdrS" (before Linux 1.3.73) and 64-bit kernels; both are told so.

Source: Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header", "Details of Header Fields".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hillemu.boot.image import Image

SIGNATURE = b"HdrS"
SIGNATURE_OFFSET = 0x202
HEADER_OFFSET = 0x1F1
SECTOR_BYTES = 512

# Offsets of the fields that a loader writes.
VID_MODE, TYPE_OF_LOADER, LOADFLAGS, SETUP_MOVE_SIZE, CODE32_START = 0x1FA, 0x210, 0x211, 0x212, 0x214
RAMDISK_IMAGE, RAMDISK_SIZE, HEAP_END_PTR, CMD_LINE_PTR, KERNEL_ALIGNMENT = 0x218, 0x21C, 0x224, 0x228, 0x230
CMD_LINE_MAGIC, CMD_LINE_OFFSET = 0x20, 0x22

LOADED_HIGH, QUIET, CAN_USE_HEAP = 0x01, 0x20, 0x80
"""Bits of loadflags."""

LOW_KERNEL_BASE, HIGH_KERNEL_BASE = 0x10000, 0x100000
"""Where the 32-bit part of a zImage and of a bzImage is loaded."""

_KERNEL_64 = 0x01
"""The bit of xloadflags that only 64-bit kernels have."""
_DEFAULT_SETUP_SECTORS = 4
_MOST_SETUP_SECTORS = 64
_DEFAULT_INITRD_ADDR_MAX = 0x37FFFFFF
_DEFAULT_CMDLINE_SIZE = 255
_JUMP, _SHORT_JUMP = 0x200, 0xEB
"""The jump over the header, whose distance tells how long the header is."""
_LAST_HEADER_BYTE = 0x290
"""Where the zero page has other fields."""


class Header(NamedTuple):
    """What the image says about itself."""

    version: int
    """0x020F is 2.15."""
    setup_bytes: int
    """The boot sector and the setup code: the image's first part."""
    header_end: int
    """Where the header ends, in the image and in the zero page."""
    loadflags: int
    code32_start: int
    initrd_addr_max: int
    """The last byte that the initial RAM disk may occupy."""
    alignment: int
    """That a relocatable kernel prefers; 0 for one that is not relocatable."""
    min_alignment: int
    """That it needs."""
    cmdline_size: int
    """The longest command line, without its NUL."""
    pref_address: int
    init_size: int
    """Bytes that the kernel needs to unpack itself; 0 if it does not say."""
    name: str
    """The kernel's own version string, or ""."""

    @property
    def is_high(self) -> bool:
        """Whether this is a bzImage."""
        return bool(self.loadflags & LOADED_HIGH)

    @property
    def protocol(self) -> str:
        """The version as people write it."""
        return f"{self.version >> 8}.{self.version & 0xFF:02d}"


def has_header(image: Image) -> bool:
    """Whether `image` says that it follows the Linux boot protocol."""
    return image.has(SIGNATURE_OFFSET, SIGNATURE)


def read_header(image: Image) -> Header:
    """Return the header of `image`; raises `ImageError` if there is none, or if the image is not complete or 64-bit."""
    if not has_header(image):
        raise image.fault('is no Linux kernel of version 1.3.73 or later: there is no "HdrS" at offset 0x202')
    version = _number(image, 0x206, "<H")
    if not 0x200 <= version < 0x1000:
        raise image.fault(f"is damaged: it names version {version >> 8}.{version & 0xFF} of the Linux boot protocol")
    sectors = _number(image, HEADER_OFFSET, "<B") or _DEFAULT_SETUP_SECTORS
    setup_bytes = (sectors + 1) * SECTOR_BYTES
    if sectors > _MOST_SETUP_SECTORS:
        raise image.fault(f"is damaged: its setup code has {sectors} sectors, and {_MOST_SETUP_SECTORS} are allowed")
    if setup_bytes >= image.size_bytes:
        raise image.fault(f"is truncated: after {setup_bytes:#x} bytes of setup there is no kernel")
    is_short_jump = _number(image, _JUMP, "<B") == _SHORT_JUMP
    header_end = SIGNATURE_OFFSET + _number(image, _JUMP + 1, "<B") if is_short_jump else _LAST_HEADER_BYTE

    def field(offset: int, form: str, since: int, otherwise: int) -> int:
        inside = offset + struct.calcsize(form) <= header_end
        return _number(image, offset, form) if version >= since and inside else otherwise

    if field(0x236, "<H", 0x20C, 0) & _KERNEL_64:
        raise image.fault("is a 64-bit Linux kernel, and this machine is a 32-bit one: use an i386 (686) kernel")
    _check_payload(image, setup_bytes, field(0x248, "<I", 0x208, 0) + field(0x24C, "<I", 0x208, 0))
    alignment = field(KERNEL_ALIGNMENT, "<I", 0x205, 0)
    relocatable = field(0x234, "<B", 0x205, 0) and alignment and not alignment & alignment - 1
    min_alignment = field(0x235, "<B", 0x20A, 0)
    return Header(
        version,
        setup_bytes,
        min(header_end, _LAST_HEADER_BYTE),
        _number(image, LOADFLAGS, "<B"),
        _number(image, CODE32_START, "<I"),
        field(0x22C, "<I", 0x203, _DEFAULT_INITRD_ADDR_MAX),
        alignment if relocatable else 0,
        min(1 << min_alignment, alignment) if min_alignment else alignment,
        field(0x238, "<I", 0x206, _DEFAULT_CMDLINE_SIZE),
        field(0x258, "<Q", 0x20A, 0),
        field(0x260, "<I", 0x20A, 0),
        _name(image, setup_bytes),
    )


def _check_payload(image: Image, setup_bytes: int, payload_end: int) -> None:
    # Not syssize: it counts what is appended to the file, and other programs than Linux set it carelessly.
    if setup_bytes + payload_end > image.size_bytes:
        raise image.fault(
            f"is truncated: its compressed kernel ends {setup_bytes + payload_end:#x} bytes into the file, which has "
            f"only {image.size_bytes:#x}"
        )


def _name(image: Image, setup_bytes: int) -> str:
    at = _number(image, 0x20E, "<H")
    if not at or at + 0x200 >= setup_bytes:
        return ""
    text = bytes(image.data[at + 0x200 : min(at + 0x280, setup_bytes)]).partition(b"\0")[0]
    word = text.decode("ascii", "replace").partition(" ")[0]
    return word if word.isprintable() else ""


def _number(image: Image, offset: int, form: str) -> int:
    """The field at `offset`; 0 behind the end of the file."""
    end = offset + struct.calcsize(form)
    return int.from_bytes(image.data[offset:end], "little") if end <= image.size_bytes else 0

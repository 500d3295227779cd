"""What kind of file an image is, by looking into it, and what to do about the kinds that cannot be booted.

>>> from hillemu.boot.image import Image
>>> detect(Image("notes", b"Dear diary,"))
<Kind.TEXT: 'text'>

A valid boot protocol header decides before the file's own format, since a Multiboot kernel may be an ELF, PE or a.out
file, or none of these.
"""

from __future__ import annotations

import struct
from enum import StrEnum
from typing import TYPE_CHECKING

from hillemu.boot.elf import is_elf, read_elf
from hillemu.boot.multiboot1_header import explain_missing, has_header

if TYPE_CHECKING:
    from hillemu.boot.image import Image


class Kind(StrEnum):
    """A kind of file."""

    MULTIBOOT1 = "multiboot"
    MULTIBOOT2 = "multiboot2"
    LINUX = "linux"
    ELF = "elf"
    PE = "pe"
    DOS = "dos"
    AOUT = "a.out"
    COMPRESSED = "compressed"
    ISO = "iso"
    DISK_CONTAINER = "disk-container"
    BOOT_DISK = "boot-disk"
    ARCHIVE = "archive"
    TEXT = "text"
    EMPTY = "empty"
    UNKNOWN = "unknown"


def detect(image: Image) -> Kind:
    """Return the kind of `image`.  Looks at the first 33 KiB at most and raises nothing."""
    if not image.size_bytes:
        return Kind.EMPTY
    if has_header(image):
        return Kind.MULTIBOOT1
    if _has_multiboot2_header(image):
        return Kind.MULTIBOOT2
    head = bytes(image.data[:512])
    if image.has(0x202, b"HdrS"):
        return Kind.LINUX
    if is_elf(image):
        return Kind.ELF
    if head[:2] == b"MZ":
        return _windows_or_dos(image)
    if _compression(head):
        return Kind.COMPRESSED
    if head.startswith(b"!<arch>\n"):
        return Kind.ARCHIVE
    if _container(head):
        return Kind.DISK_CONTAINER
    if image.has(0x8001, b"CD001"):
        return Kind.ISO
    if head[510:512] == b"\x55\xaa":
        return Kind.BOOT_DISK
    if len(head) >= 32 and struct.unpack_from("<H", head)[0] in _AOUT_MAGICS and head[2] in _AOUT_MACHINES:
        return Kind.AOUT
    return Kind.TEXT if _is_text(head) else Kind.UNKNOWN


def refusal(image: Image, kind: Kind) -> str:
    """Say what `image`, which is of `kind` and not Multiboot 1, is, and what to do.

    Raises `ImageError` itself for an ELF file whose own headers already tell the fault.
    """
    if kind is Kind.ELF:
        read_elf(image)
        return f"is an ELF file, but {explain_missing(image)}"
    if kind is Kind.COMPRESSED:
        name = _compression(bytes(image.data[:8]))
        return f"is compressed with {name}: unpack it first ({name} -dc < {image.path} > kernel.elf)"
    if kind is Kind.DISK_CONTAINER:
        return f"is a disk image in the format {_container(bytes(image.data[:8]))}, not a kernel: {_GIVE_KERNEL}"
    text = _REFUSALS[kind]
    return f"{text}; {explain_missing(image)}" if kind in (Kind.PE, Kind.AOUT, Kind.UNKNOWN) else text


_GIVE_KERNEL = "disks cannot be booted yet; give the kernel file that is on it"

_REFUSALS = {
    Kind.MULTIBOOT2: (
        "is a Multiboot 2 kernel, which cannot be booted yet: add a Multiboot 1 header (a kernel may have both)"
    ),
    Kind.LINUX: "is a Linux kernel (bzImage), which cannot be booted yet; kernels with a Multiboot 1 header can",
    Kind.PE: "is a Windows or UEFI program (PE)",
    Kind.DOS: "is a DOS program (MZ), not a kernel",
    Kind.AOUT: "is an a.out program",
    Kind.ISO: "is a CD image (ISO 9660), which cannot be booted yet; give the kernel file on it, often under boot/",
    Kind.BOOT_DISK: f"is a boot disk or boot sector (55 AA at offset 510), not a kernel: {_GIVE_KERNEL}",
    Kind.ARCHIVE: "is a static library (ar archive), not a kernel: link it",
    Kind.TEXT: "is a text file, not a kernel",
    Kind.EMPTY: "is empty",
    Kind.UNKNOWN: "is no kind of kernel that is known here",
}

_MULTIBOOT2_MAGIC = struct.pack("<I", 0xE85250D6)
_MULTIBOOT2_SEARCH_BYTES = 32768
_MULTIBOOT2_ALIGN = 8

# OMAGIC, NMAGIC, ZMAGIC, QMAGIC; machine unknown or i386.  Source: a.out.h.
_AOUT_MAGICS = (0o407, 0o410, 0o413, 0o314)
_AOUT_MACHINES = (0, 100)

_COMPRESSIONS = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
)
_CONTAINERS = ((b"QFI\xfb", "qcow2"), (b"KDMV", "VMDK"), (b"conectix", "VHD"), (b"<<< ", "VDI"))


def _has_multiboot2_header(image: Image) -> bool:
    head = bytes(image.data[:_MULTIBOOT2_SEARCH_BYTES])
    at = head.find(_MULTIBOOT2_MAGIC)
    while 0 <= at <= len(head) - 16:
        if at % _MULTIBOOT2_ALIGN == 0 and sum(struct.unpack_from("<4I", head, at)) & 0xFFFFFFFF == 0:
            return True
        at = head.find(_MULTIBOOT2_MAGIC, at + 1)
    return False


def _windows_or_dos(image: Image) -> Kind:
    at = int.from_bytes(image.data[0x3C:0x40], "little")
    return Kind.PE if image.has(at, b"PE\0\0") else Kind.DOS


def _compression(head: bytes) -> str | None:
    return next((name for magic, name in _COMPRESSIONS if head.startswith(magic)), None)


def _container(head: bytes) -> str | None:
    return next((name for magic, name in _CONTAINERS if head.startswith(magic)), None)


def _is_text(head: bytes) -> bool:
    return all(byte >= 0x20 or byte in b"\t\n\r\f\x1b" for byte in head) and 0x7F not in head

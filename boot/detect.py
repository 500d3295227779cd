"""What kind of file an image is, by looking into it, and what to do about the kinds that cannot be booted.

>>> from hillemu.boot.image import Image
>>> detect(Image("notes", b"Dear diary,"))
<Kind.TEXT: 'text'>

The order matters, because a file may be of several kinds:

- A Linux header first, as in QEMU.  Linux images have a boot sector's signature, and some a Multiboot header.
- CDs before disks: a hybrid image is both.
- Disks before kernels: GRUB's core image, in the first sectors of every disk that GRUB is installed on, has a Multiboot
  header that disks do not mean.
- A Multiboot header before the file's own format, since such a kernel may be an ELF, PE or a.out file, or none.
- Multiboot 1 before 2, where a kernel has both: QEMU's ``-kernel`` knows no other.  Only a 64-bit ELF file, which
  Multiboot 1 cannot start, is taken by its other header.
"""

from __future__ import annotations

import struct
from enum import StrEnum
from typing import TYPE_CHECKING

from hillemu.boot import multiboot1_header
from hillemu.boot.elf import is_elf, read_elf

if TYPE_CHECKING:
    from hillemu.boot.image import Image


class Kind(StrEnum):
    """A kind of file."""

    MULTIBOOT1 = "multiboot"
    MULTIBOOT2 = "multiboot2"
    LINUX = "linux"
    DISK = "disk"
    FLOPPY = "floppy"
    CD = "cd"
    ELF = "elf"
    PE = "pe"
    DOS = "dos"
    AOUT = "a.out"
    COMPRESSED = "compressed"
    DISK_CONTAINER = "disk-container"
    ROM = "rom"
    ARCHIVE = "archive"
    TEXT = "text"
    EMPTY = "empty"
    UNKNOWN = "unknown"


FLOPPY_BYTES = tuple(kib << 10 for kib in (160, 180, 320, 360, 720, 1200, 1440, 1680, 2880))
"""The sizes of floppy disk images."""


def is_disk_kind(kind: Kind) -> bool:
    """Whether firmware boots images of this `kind` from a drive; the others are kernels, or cannot be booted."""
    return kind in (Kind.DISK, Kind.FLOPPY, Kind.CD)


def detect(image: Image) -> Kind:
    """Return the kind of `image`.  Looks at the first 33 KiB, and the last bytes, and raises nothing."""
    if not image.size_bytes:
        return Kind.EMPTY
    if image.has(0x202, b"HdrS"):
        return Kind.LINUX
    if image.has(0x8001, b"CD001"):
        return Kind.CD
    if image.has(510, b"\x55\xaa") and not is_elf(image) and not image.has(0, b"MZ"):
        return Kind.FLOPPY if image.size_bytes in FLOPPY_BYTES else Kind.DISK
    has_multiboot1 = multiboot1_header.has_header(image)
    if has_multiboot1 and not _is_elf64(image):
        return Kind.MULTIBOOT1
    if _has_multiboot2(image):
        return Kind.MULTIBOOT2
    return Kind.MULTIBOOT1 if has_multiboot1 else _detect_others(image)


def refusal(image: Image, kind: Kind) -> str:
    """Say what `image`, which is of `kind` and not to be booted, is, and what to do.

    Raises `ImageError` itself for an ELF file whose own headers already tell the fault.
    """
    if kind is Kind.ELF:
        read_elf(image)
        return f"is an ELF file, but {_explain_missing(image)}"
    if kind is Kind.COMPRESSED:
        name = _compression(bytes(image.data[:8]))
        return f"is compressed with {name}: unpack it first ({name} -dc < {image.path} > unpacked)"
    if kind is Kind.DISK_CONTAINER:
        return (
            f"is a disk image in the format {_container(bytes(image.data[:8]))}: make a raw one of it first "
            f"(qemu-img convert -O raw {image.path} disk.img)"
        )
    if kind is Kind.UNKNOWN:
        disk = (
            "; nor has it a disk's boot signature (55 AA at offset 510)"
            if image.size_bytes >= 512
            else f"; nor is it a boot sector: it has {image.size_bytes} bytes, not 512"
        )
        hint = "; --force-boot starts it from a drive all the same"
        return f"is no kind of kernel that is known here; {_explain_missing(image)}{disk}{hint}"
    text = _REFUSALS[kind]
    return f"{text}; {_explain_missing(image)}" if kind in (Kind.PE, Kind.AOUT) else text


_REFUSALS = {
    Kind.PE: "is a Windows or UEFI program (PE)",
    Kind.DOS: "is a DOS program (MZ), not a kernel",
    Kind.AOUT: "is an a.out program",
    Kind.ROM: "is a ROM image, not a kernel: run it with --bios",
    Kind.ARCHIVE: "is a static library (ar archive), not a kernel: link it",
    Kind.TEXT: "is a text file, not a kernel",
    Kind.EMPTY: "is empty",
    Kind.DISK: "is a disk image: it is booted from a drive, not loaded as a kernel",
    Kind.FLOPPY: "is a floppy disk image: it is booted from a drive, not loaded as a kernel",
    Kind.CD: "is a CD image: it is booted from a drive, not loaded as a kernel",
}

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

_ROM_BYTES = tuple(kib << 10 for kib in (64, 128, 256, 512))
_RESET_BYTES = 16
"""From where the processor starts after RESET to the end of a ROM."""
_JUMPS = (0xEA, 0xE9, 0xEB)


def _detect_others(image: Image) -> Kind:
    head = bytes(image.data[:512])
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
    if image.size_bytes in _ROM_BYTES and image.data[-_RESET_BYTES] in _JUMPS:
        return Kind.ROM
    if len(head) >= 32 and struct.unpack_from("<H", head)[0] in _AOUT_MAGICS and head[2] in _AOUT_MACHINES:
        return Kind.AOUT
    return Kind.TEXT if _is_text(head) else Kind.UNKNOWN


def _has_multiboot2(image: Image) -> bool:
    from hillemu.boot import multiboot2_header

    return multiboot2_header.has_header(image)


def _explain_missing(image: Image) -> str:
    """Say why there is no Multiboot header, or how near the file came to having one of either version."""
    from hillemu.boot import multiboot2_header

    first, second = multiboot1_header.explain_missing(image), multiboot2_header.explain_missing(image)
    return second if first.startswith("has no") and not second.startswith("has no") else first


def _is_elf64(image: Image) -> bool:
    return is_elf(image) and image.has(4, b"\x02")


def _windows_or_dos(image: Image) -> Kind:
    at = int.from_bytes(image.data[0x3C:0x40], "little")
    return Kind.PE if image.has(at, b"PE\0\0") else Kind.DOS


def _compression(head: bytes) -> str | None:
    return next((name for magic, name in _COMPRESSIONS if head.startswith(magic)), None)


def _container(head: bytes) -> str | None:
    return next((name for magic, name in _CONTAINERS if head.startswith(magic)), None)


def _is_text(head: bytes) -> bool:
    return all(byte >= 0x20 or byte in b"\t\n\r\f\x1b" for byte in head) and 0x7F not in head

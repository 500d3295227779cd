"""Puts together the disk of a kernel that boots from one of its own: boot sector, loader, kernel.

::

    sector 0        1 ...             1 + loader's sectors ...
    +-------------+-----------------+-------------------------------+
    | boot sector | loader          | kernel, as it lies in memory  |
    +-------------+-----------------+-------------------------------+
      boot/asm/disk_sector.inc        boot/asm/disk_kernel.inc reads its header

The boot sector and the loader are one flat program; it knows how many sectors it has.
"""

from __future__ import annotations

from hillemu.boot.elf import read_elf
from hillemu.boot.image import Image

SECTOR_BYTES = 512
_SIGNATURE_AT, _SIGNATURE = 510, b"\x55\xaa"


def disk_image(boot: Image, kernel: Image) -> bytes:
    """The disk that starts with the flat program `boot`, and behind it has the segments of the ELF file `kernel`.

    Raises `ImageError` for parts that cannot be used.
    """
    program = boot.data.tobytes()
    if len(program) % SECTOR_BYTES or program[_SIGNATURE_AT : _SIGNATURE_AT + 2] != _SIGNATURE:
        raise boot.fault("is no boot sector with whole sectors behind it")
    return program + in_sectors(memory_image(kernel))


def memory_image(kernel: Image) -> bytes:
    """What the segments of the ELF file `kernel` bring into memory, from the lowest address on.

    Raises `ImageError` for a file that is no i386 program.
    """
    segments = sorted((one for one in read_elf(kernel).segments if one.file_bytes), key=lambda one: one.paddr)
    if not segments:
        raise kernel.fault("has nothing to load")
    out = bytearray()
    for one in segments:
        out += bytes(one.paddr - segments[0].paddr - len(out))
        out += kernel.data[one.offset : one.offset + one.file_bytes]
    return bytes(out)


def in_sectors(data: bytes) -> bytes:
    """`data`, with zeros behind it up to the end of its last sector.

    >>> len(in_sectors(b"x" * 513))
    1024
    """
    return data + bytes(-len(data) % SECTOR_BYTES)

"""Finding room for a kernel, its modules and its boot information, and words for those who ask for too much.

Everything finds its place before anything is written, so that a refused image leaves the machine as it was.
"""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING

from hillemu.boot.image import Image, Module, Placed
from hillemu.boot.memory_map import EBDA_BASE, FOUR_GIB, HIGH_MEMORY_BASE, HOLE_BASE
from hillemu.boot.multiboot_plan import Segment
from hillemu.boot.space import Space
from hillemu.emu.errors import ImageError, OptionError
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr, page_up

if TYPE_CHECKING:
    from hillemu.emu.guest import GuestMemory

INFO_BASE = 0x9000
LOWEST_BASE = 0x1000
"""Below lie the interrupt vectors, the BIOS data area and the stack that the BIOS left."""

_INFO_ALIGN = 16
_LARGEST_RAM_BELOW_HOLE = 3 << 30
"""A segment that ends above this will not fit with any ``--mem``: PCs have devices there."""


def claim_segments(image: Image, segments: tuple[Segment, ...], space: Space) -> tuple[Segment, ...]:
    """Take the room that `segments` ask for and return them; raises `ImageError` where it is not free RAM or shared.

    A build ID that lies behind all RAM is left out: without a place for it in the linker script, GNU ld puts it where
    programs for Linux begin, at 0x08048000, and on QEMU it is lost like that.
    """
    segments = tuple(segment for segment in segments if not (segment.is_note and segment.base >= space.ram_end))
    for segment in segments:
        if fault := _fault_of_place(segment, space):
            raise image.fault(fault)
    ordered = sorted(segments, key=lambda segment: segment.base)
    for below, above in pairwise(ordered):
        if above.base < below.end:
            raise image.fault(
                f"{below} and {above} overlap in memory: check the load addresses (AT) in the linker script"
            )
    for segment in segments:
        space.claim(segment.base, segment.size_bytes)
    return segments


def place_info(image: Image, size_bytes: int, segments: tuple[Segment, ...], space: Space) -> int:
    """Claim room for the boot information, in low memory if possible; raises `ImageError`."""
    base = space.first_fit(size_bytes, _INFO_ALIGN, INFO_BASE, EBDA_BASE)
    if base is None:
        base = space.first_fit(size_bytes, _INFO_ALIGN, LOWEST_BASE, INFO_BASE)
    if base is None:
        base = _fit_behind(segments, size_bytes, space)
    if base is None:
        raise image.fault(
            f"leaves no room for the {size_bytes:#x} bytes of boot information: give the machine more RAM (--mem)"
        )
    space.claim(base, size_bytes)
    return base


def place_modules(modules: tuple[Module, ...], segments: tuple[Segment, ...], space: Space) -> tuple[Placed, ...]:
    """Claim a run of pages for each of `modules`, behind the kernel if possible; raises `ImageError`."""
    places = []
    for module in modules:
        size_bytes = module.data.nbytes
        base = _fit_behind(segments, max(size_bytes, 1), space)
        if base is None:
            raise ImageError(
                module.path,
                f"this module of {size_bytes:#x} bytes does not fit into RAM: the largest free run above 1 MiB has "
                f"{space.largest_run_bytes(HIGH_MEMORY_BASE):#x} bytes; give the machine more, --mem",
            )
        space.claim(base, max(size_bytes, 1))
        places.append(placed(f"module {module.path}", base, size_bytes))
    return tuple(places)


def write_segments(memory: GuestMemory, segments: tuple[Segment, ...]) -> None:
    """Write the bytes of `segments`, and the zeros behind them."""
    for segment in segments:
        memory.write(PhysAddr(segment.base), segment.data)
        memory.fill(PhysAddr(segment.base + segment.data.nbytes), segment.size_bytes - segment.data.nbytes)


def encode_string(text: str, option: str) -> bytes:
    """The bytes of `text`, without a NUL; raises `OptionError`, naming `option`, if no C string can hold it."""
    try:
        # File names that are not UTF-8 reach Python as lone surrogates; os.fsencode gives their bytes back.
        encoded = os.fsencode(text)
    except UnicodeEncodeError:
        raise OptionError(option, f"{text!r} has characters that cannot be passed to the kernel") from None
    if b"\0" in encoded:
        raise OptionError(option, f"{text!r} has a NUL character, which would end the kernel's string")
    return encoded


def placed(name: str, base: int, size_bytes: int) -> Placed:
    """A record of something put at `base`."""
    return Placed(name, PhysAddr(base), PhysAddr(base + size_bytes))


def mib_for(end: int, space: Space) -> int:
    """The ``--mem`` in MiB with which usable RAM reaches up to `end`."""
    return page_up(end) + space.kept_bytes + (1 << 20) - 1 >> 20


def _fault_of_place(segment: Segment, space: Space) -> str | None:
    """Why `segment` cannot lie where it wants to, in an empty machine; `None` if it can."""
    if space.is_free(segment.base, segment.size_bytes):
        return None
    if segment.base < HIGH_MEMORY_BASE and segment.end > HOLE_BASE:
        return (
            f"{segment} reaches into the hole {HOLE_BASE:#x}-{HIGH_MEMORY_BASE - 1:#x}, where video memory and ROMs "
            "are, not RAM: link the kernel at 1 MiB (0x100000)"
        )
    if segment.end > FOUR_GIB:
        return f"{segment} ends above 4 GiB: the file is damaged"
    if segment.end > _LARGEST_RAM_BELOW_HOLE:
        return (
            f"{segment} is where a PC has devices, not RAM: give it a physical address below, for example "
            "AT(ADDR(.text) - 0xC0000000) in the linker script of a higher-half kernel"
        )
    return (
        f"{segment} is outside RAM, which ends at {space.ram_end - 1:#x}: "
        f"give the machine more, --mem {mib_for(segment.end, space)}M"
    )


def _fit_behind(segments: tuple[Segment, ...], size_bytes: int, space: Space) -> int | None:
    """The first page-aligned place behind the kernel, or else anywhere above 1 MiB."""
    kernel_end = max(segment.end for segment in segments)
    base = space.first_fit(size_bytes, PAGE_SIZE, max(kernel_end, HIGH_MEMORY_BASE))
    return space.first_fit(size_bytes, PAGE_SIZE, HIGH_MEMORY_BASE) if base is None else base

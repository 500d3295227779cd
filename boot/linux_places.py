"""Where the parts of a Linux kernel go in memory; see linux.py for the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hillemu.boot.linux_cmdline import memory_limit
from hillemu.boot.linux_header import HIGH_KERNEL_BASE, LOW_KERNEL_BASE, Header
from hillemu.boot.memory_map import FOUR_GIB, HIGH_MEMORY_BASE
from hillemu.boot.placing import mib_for
from hillemu.emu.errors import ImageError
from hillemu.emu.i386.address import PAGE_SIZE

if TYPE_CHECKING:
    from hillemu.boot.image import BootOptions, Image, Module
    from hillemu.boot.space import Space

SETUP_BASE, CMDLINE_BASE = 0x10000, 0x20000
OLD_SETUP_BASE, OLD_CMDLINE_END = 0x90000, 0x9A000

_LEAST_HEAP_BYTES = 0x400
"""For the setup code's stack."""
_INITRD_ALIGN = 4


class Places(NamedTuple):
    """Physical addresses."""

    setup: int
    """Of the setup code, or of the zero page."""
    heap_end: int
    """The end of the setup code's heap and stack, from `setup`."""
    cmdline: int
    kernel: int
    alignment: int
    """That the kernel's place has; 0 if nobody asked."""
    initrd: int
    initrd_bytes: int
    initrd_offsets: tuple[int, ...]
    """Of each part, from `initrd`."""


def find_places(
    image: Image, header: Header, cmdline_bytes: int, options: BootOptions, space: Space, *, real_mode: bool
) -> Places:
    """Find room for everything, `cmdline_bytes` with the NUL; raises `ImageError` if there is not enough."""
    if header.is_high and header.version >= 0x202:
        setup, cmdline = SETUP_BASE, CMDLINE_BASE
    else:
        setup, cmdline = OLD_SETUP_BASE, OLD_CMDLINE_END - cmdline_bytes & ~0xF
    heap_end = cmdline - setup
    if heap_end < header.setup_bytes + _LEAST_HEAP_BYTES:
        raise image.fault(
            f"its setup code of {header.setup_bytes:#x} bytes and a command line of {cmdline_bytes - 1} do not fit "
            "into low memory"
        )
    _claim(image, "its setup code and command line", setup, heap_end + cmdline_bytes, space)
    kernel, alignment = _place_kernel(image, header, space, real_mode=real_mode)
    initrd, initrd_bytes, offsets = _place_initrds(header, options, space)
    return Places(setup, heap_end, cmdline, kernel, alignment, initrd, initrd_bytes, offsets)


def _place_kernel(image: Image, header: Header, space: Space, *, real_mode: bool) -> tuple[int, int]:
    """Claim the kernel's place and the memory that it unpacks itself into; return its base and alignment."""
    size_bytes = image.size_bytes - header.setup_bytes
    if not header.is_high:
        _claim(image, "its 32-bit part", LOW_KERNEL_BASE, size_bytes, space)
        return LOW_KERNEL_BASE, 0
    if real_mode or not header.alignment:
        base = HIGH_KERNEL_BASE
        start = header.pref_address or base
        if header.alignment:
            # Where the kernel moves itself: it never goes below the address that it prefers.
            start = max(base + header.alignment - 1 & -header.alignment, header.pref_address)
        _claim_both(image, (base, base + size_bytes), (start, start + header.init_size), space)
        return base, 0
    room = max(size_bytes, header.init_size)
    preferred = header.pref_address or HIGH_KERNEL_BASE
    if preferred >= HIGH_MEMORY_BASE and space.is_free(preferred, room):
        space.claim(preferred, room)
        return preferred, header.alignment
    align = header.alignment
    while align >= header.min_alignment:
        found = space.first_fit(room, align, HIGH_MEMORY_BASE)
        if found is not None:
            space.claim(found, room)
            return found, align
        align >>= 1
    raise _too_small(image, "it needs", preferred, room, space)


def _claim_both(image: Image, loaded: tuple[int, int], unpacked: tuple[int, int], space: Space) -> None:
    if unpacked[1] <= unpacked[0]:
        _claim(image, "its 32-bit part", loaded[0], loaded[1] - loaded[0], space)
    elif max(loaded[0], unpacked[0]) < min(loaded[1], unpacked[1]):
        base, end = min(loaded[0], unpacked[0]), max(loaded[1], unpacked[1])
        _claim(image, "what it unpacks", base, end - base, space)
    else:
        _claim(image, "its 32-bit part", loaded[0], loaded[1] - loaded[0], space)
        _claim(image, "what it unpacks", unpacked[0], unpacked[1] - unpacked[0], space)


def _place_initrds(header: Header, options: BootOptions, space: Space) -> tuple[int, int, tuple[int, ...]]:
    offsets = []
    size_bytes = 0
    for initrd in options.initrds:
        size_bytes += -size_bytes % _INITRD_ALIGN
        offsets.append(size_bytes)
        size_bytes += initrd.data.nbytes
    if not size_bytes:
        return 0, 0, tuple(offsets)
    limit = memory_limit(options.cmdline)
    high = min(header.initrd_addr_max + 1, FOUR_GIB, FOUR_GIB if limit is None else limit)
    base = space.last_fit(size_bytes, PAGE_SIZE, HIGH_MEMORY_BASE, high)
    if base is None:
        raise ImageError(
            _names(options.initrds),
            f"this initial RAM disk of {size_bytes:#x} bytes does not fit into RAM below "
            f"{min(high, space.ram_end):#x}: the largest free run has "
            f"{space.largest_run_bytes(HIGH_MEMORY_BASE):#x} bytes; give the machine more, --mem",
        )
    space.claim(base, size_bytes)
    return base, size_bytes, tuple(offsets)


def _names(parts: tuple[Module, ...]) -> str:
    return " + ".join(part.path for part in parts)


def _claim(image: Image, what: str, base: int, size_bytes: int, space: Space) -> None:
    if not space.is_free(base, size_bytes):
        raise _too_small(image, what, base, size_bytes, space)
    space.claim(base, size_bytes)


def _too_small(image: Image, what: str, base: int, size_bytes: int, space: Space) -> ImageError:
    end = base + size_bytes
    if end <= space.ram_end or end > FOUR_GIB:
        return image.fault(f"{what} ({base:#x}-{end - 1:#x}) does not lie in free RAM: the file is damaged")
    return image.fault(
        f"{what} ({base:#x}-{end - 1:#x}) is outside RAM, which ends at {space.ram_end - 1:#x}: "
        f"give the machine more, --mem {mib_for(end, space)}M"
    )

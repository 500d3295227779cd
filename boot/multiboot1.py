"""Loads a Multiboot 1 kernel: its segments, modules and information structure, and the state it starts in.

Where things go::

    0x00009000  GDT, information structure, memory map, tables, strings (else 0x1000, else behind the kernel)
                symbol and string tables, if they fit below 0x80000 (else the top of RAM)
    as linked   the kernel's segments, bss zeroed
    behind it   modules, each on a page of its own
    top of RAM  debugging sections

The structure lies in low memory as GRUB's does, at the address that QEMU uses, and all its strings with it: many
kernels take the memory right behind their last symbol for their first allocator.  Nothing is written before everything
has found its place, so a refused image leaves the machine as it was.

Not modelled: graphics modes.  A kernel that asks for a mode finds the 80x25 text screen described in the framebuffer
fields, which the specification allows, and the user is told.

Source: Multiboot Specification 0.6.96; GRUB 2 and QEMU 7.2 where it leaves a choice.
"""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING

from hillemu.boot.detect import Kind
from hillemu.boot.elf import read_sections, section_table_bytes
from hillemu.boot.flat_entry import enter_flat32
from hillemu.boot.image import BootOptions, Image, Loaded, Module, Placed
from hillemu.boot.memory_map import EBDA_BASE, FOUR_GIB, HIGH_MEMORY_BASE, HOLE_BASE, memory_map
from hillemu.boot.multiboot1_header import Header, VideoFields, read_header
from hillemu.boot.multiboot1_info import Facts, ModuleFacts, build_block
from hillemu.boot.multiboot1_plan import Plan, Segment, plan_kernel
from hillemu.boot.space import Space
from hillemu.boot.symbol_sections import SymbolSections, place_sections
from hillemu.emu.errors import ImageError, OptionError
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr, page_up

if TYPE_CHECKING:
    from hillemu.emu.guest import Guest, GuestMemory

BOOTLOADER_MAGIC = 0x2BADB002
"""In EAX at the entry."""

INFO_BASE = 0x9000
_INFO_ALIGN = 16
_LOWEST_INFO_BASE = 0x1000
_LARGEST_RAM_BELOW_HOLE = 3 << 30
"""A segment that ends above this will not fit with any ``--mem``: PCs have devices there."""


def load_multiboot1(guest: Guest, image: Image, options: BootOptions) -> Loaded:
    """Put the kernel `image` into `guest` and make it ready to start.

    Raises `ImageError` for an image or module that cannot be loaded into this machine, `OptionError` for a command
    line that cannot be passed on.
    """
    header = read_header(image)
    plan = plan_kernel(image, header)
    sections = read_sections(image, plan.elf) if plan.elf else ()
    space = Space(guest.memory)
    _claim_segments(image, plan.segments, space)

    facts = _facts_without_addresses(guest.memory, image, header, options)
    info_bytes = len(build_block(0, facts).data) + (section_table_bytes(plan.elf) if plan.elf else 0)
    info_base = _place_info(image, info_bytes, plan, space)
    modules = _place_modules(options.modules, plan, space)
    symbols = place_sections(image, plan.elf, sections, space) if plan.elf else SymbolSections(None)
    facts = facts._replace(
        modules=tuple(
            known._replace(start=place.base, end=place.end) for known, place in zip(facts.modules, modules, strict=True)
        ),
        sections=symbols.facts,
    )
    block = build_block(info_base, facts)

    _write_segments(guest.memory, plan.segments)
    for module, place in zip(options.modules, modules, strict=True):
        guest.memory.write(place.base, module.data)
    for section in symbols.writes:
        guest.memory.write(PhysAddr(section.at), section.data)
    guest.memory.write(PhysAddr(info_base), block.data)
    entry, info_address = PhysAddr(plan.entry), PhysAddr(block.info_address)
    enter_flat32(guest.registers, PhysAddr(block.gdt_address), eip=entry, eax=BOOTLOADER_MAGIC, ebx=info_address)

    segments = tuple(_placed(segment.name, segment.base, segment.size_bytes) for segment in plan.segments)
    description = (
        f"Multiboot 1 ({'ELF' if plan.elf else 'address fields'}), entry at {entry:#x}",
        *(str(place) for place in (*segments, *modules)),
        f"information structure at {info_address:#x}",
    )
    notes = (*_video_notes(header), *symbols.notes)
    return Loaded(Kind.MULTIBOOT1, entry, segments, modules, info_address, description, notes)


def _facts_without_addresses(memory: GuestMemory, image: Image, header: Header, options: BootOptions) -> Facts:
    return Facts(
        # QEMU separates with a space even if there are no arguments, and kernels print this line.
        cmdline=_encode(f"{image.path} {options.cmdline}", "--append"),
        memory_map=memory_map(memory),
        modules=tuple(ModuleFacts(0, 0, _encode(module.string, "--module")) for module in options.modules),
        text_screen=header.video is not None,
    )


def _claim_segments(image: Image, segments: tuple[Segment, ...], space: Space) -> None:
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
    mib = page_up(segment.end) + (1 << 20) - 1 >> 20
    return f"{segment} is outside RAM, which ends at {space.ram_end - 1:#x}: give the machine more, --mem {mib}M"


def _place_info(image: Image, size_bytes: int, plan: Plan, space: Space) -> int:
    base = space.first_fit(size_bytes, _INFO_ALIGN, INFO_BASE, EBDA_BASE)
    if base is None:
        base = space.first_fit(size_bytes, _INFO_ALIGN, _LOWEST_INFO_BASE, INFO_BASE)
    if base is None:
        base = _fit_behind(plan, size_bytes, space)
    if base is None:
        raise image.fault(
            f"leaves no room for the {size_bytes:#x} bytes of boot information: give the machine more RAM (--mem)"
        )
    space.claim(base, size_bytes)
    return base


def _place_modules(modules: tuple[Module, ...], plan: Plan, space: Space) -> tuple[Placed, ...]:
    places = []
    for module in modules:
        size_bytes = module.data.nbytes
        base = _fit_behind(plan, max(size_bytes, 1), space)
        if base is None:
            raise ImageError(
                module.path,
                f"this module of {size_bytes:#x} bytes does not fit into RAM: the largest free run above 1 MiB has "
                f"{space.largest_run_bytes(HIGH_MEMORY_BASE):#x} bytes; give the machine more, --mem",
            )
        space.claim(base, max(size_bytes, 1))
        places.append(_placed(f"module {module.path}", base, size_bytes))
    return tuple(places)


def _fit_behind(plan: Plan, size_bytes: int, space: Space) -> int | None:
    """The first page-aligned place behind the kernel, or else anywhere above 1 MiB."""
    kernel_end = max(segment.end for segment in plan.segments)
    base = space.first_fit(size_bytes, PAGE_SIZE, max(kernel_end, HIGH_MEMORY_BASE))
    return space.first_fit(size_bytes, PAGE_SIZE, HIGH_MEMORY_BASE) if base is None else base


def _write_segments(memory: GuestMemory, segments: tuple[Segment, ...]) -> None:
    for segment in segments:
        memory.write(PhysAddr(segment.base), segment.data)
        memory.fill(PhysAddr(segment.base + segment.data.nbytes), segment.size_bytes - segment.data.nbytes)


def _encode(text: str, option: str) -> bytes:
    try:
        # File names that are not UTF-8 reach Python as lone surrogates; os.fsencode gives their bytes back.
        encoded = os.fsencode(text)
    except UnicodeEncodeError:
        raise OptionError(option, f"{text!r} has characters that cannot be passed to the kernel") from None
    if b"\0" in encoded:
        raise OptionError(option, f"{text!r} has a NUL character, which would end the kernel's string")
    return encoded


def _placed(name: str, base: int, size_bytes: int) -> Placed:
    return Placed(name, PhysAddr(base), PhysAddr(base + size_bytes))


def _video_notes(header: Header) -> tuple[str, ...]:
    video = header.video
    if video is None or _is_text_80x25(video):
        return ()
    size = f"{video.width}x{video.height}" if video.width and video.height else "any size"
    depth = f", {video.depth} bits per pixel" if video.depth else ""
    what = {0: "a graphics screen", 1: "a text screen"}.get(video.mode_type, f"a screen of type {video.mode_type}")
    return (f"the kernel asks for {what} ({size}{depth}); it gets 80x25 text and is told so",)


def _is_text_80x25(video: VideoFields) -> bool:
    return video.mode_type == 1 and video.width in (0, 80) and video.height in (0, 25)

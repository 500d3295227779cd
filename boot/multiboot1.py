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

A kernel that asks for graphics gets the mode that comes nearest.  Without graphics it finds the 80x25 text screen
described in the framebuffer fields, which the specification allows, and the user is told.

Source: Multiboot Specification 0.6.96; GRUB 2 and QEMU 7.2 where it leaves a choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.boot.detect import Kind
from hillemu.boot.elf import is_elf, read_sections, section_table_bytes
from hillemu.boot.firmware import NO_FIRMWARE, Firmware
from hillemu.boot.image import BootOptions, Image, Loaded
from hillemu.boot.memory_map import MapEntry, memory_map
from hillemu.boot.multiboot1_header import Header, VideoFields, read_header
from hillemu.boot.multiboot1_info import Facts, ModuleFacts, build_block
from hillemu.boot.multiboot_plan import Plan, plan_by_addresses, plan_by_elf
from hillemu.boot.multiboot_start import start
from hillemu.boot.placing import claim_segments, encode_string, place_info, place_modules
from hillemu.boot.space import Space
from hillemu.boot.symbol_sections import SymbolSections, place_sections
from hillemu.boot.video_mode import LONGEST, Framebuffer, fulfils, screen_note, set_best_mode

if TYPE_CHECKING:
    from hillemu.emu.guest import Guest

BOOTLOADER_MAGIC = 0x2BADB002
"""In EAX at the entry."""

_GRAPHICS, _TEXT = 0, 1
"""mode_type."""


def load_multiboot1(guest: Guest, image: Image, options: BootOptions, firmware: Firmware = NO_FIRMWARE) -> Loaded:
    """Put the kernel `image` into `guest` and make it ready to start.

    Raises `ImageError` for an image or module that cannot be loaded into this machine, `OptionError` for a command
    line that cannot be passed on.
    """
    header = read_header(image)
    plan = _plan(image, header)
    sections = read_sections(image, plan.elf) if plan.elf else ()
    entries = memory_map(guest.memory)
    space = Space(guest.memory, entries)
    plan = plan._replace(segments=claim_segments(image, plan.segments, space))

    facts = _facts_without_addresses(entries, image, header, options)
    wants_graphics = _wants_graphics(header.video) and firmware.set_mode is not None
    # A graphics mode is set last, when nothing can be refused any more, so room is made for the longest description.
    info_bytes = len(build_block(0, facts._replace(framebuffer=LONGEST if wants_graphics else None)).data)
    info_bytes += section_table_bytes(plan.elf) if plan.elf else 0
    info_base = place_info(image, info_bytes, plan.segments, space)
    modules = place_modules(options.modules, plan.segments, space)
    symbols = place_sections(image, plan.elf, sections, space) if plan.elf else SymbolSections(None)
    facts = facts._replace(
        modules=tuple(
            known._replace(start=place.base, end=place.end) for known, place in zip(facts.modules, modules, strict=True)
        ),
        sections=symbols.facts,
        framebuffer=_set_mode(header.video, firmware),
    )
    block = build_block(info_base, facts)
    return start(
        guest,
        plan,
        options,
        modules,
        symbols,
        block,
        info_base,
        kind=Kind.MULTIBOOT1,
        magic=BOOTLOADER_MAGIC,
        title=f"Multiboot 1 ({'ELF' if plan.elf else 'address fields'})",
        notes=tuple(_video_notes(header, facts.framebuffer)),
    )


def _plan(image: Image, header: Header) -> Plan:
    if header.addresses:
        return plan_by_addresses(image, header.offset, header.addresses)
    if not is_elf(image):
        raise image.fault(
            "has a Multiboot header without address fields (flag 16), and is not an ELF file: "
            "nothing says where to load it"
        )
    return plan_by_elf(image)


def _facts_without_addresses(
    entries: tuple[MapEntry, ...], image: Image, header: Header, options: BootOptions
) -> Facts:
    return Facts(
        # QEMU separates with a space even if there are no arguments, and kernels print this line.
        cmdline=encode_string(f"{image.path} {options.cmdline}", "--append"),
        memory_map=entries,
        modules=tuple(ModuleFacts(0, 0, encode_string(module.string, "--module")) for module in options.modules),
        text_screen=header.video is not None,
    )


def _set_mode(video: VideoFields | None, firmware: Firmware) -> Framebuffer | None:
    if video is None or not _wants_graphics(video) or firmware.set_mode is None:
        return None
    return set_best_mode(firmware.set_mode, video.width, video.height, video.depth)


def _wants_graphics(video: VideoFields | None) -> bool:
    return video is not None and video.mode_type == _GRAPHICS


def _video_notes(header: Header, framebuffer: Framebuffer | None) -> tuple[str, ...]:
    video = header.video
    if video is None or _is_text_80x25(video) or (framebuffer is not None and fulfils(framebuffer, *video[1:])):
        return ()
    what = {_GRAPHICS: "a graphics screen", _TEXT: "a text screen"}.get(
        video.mode_type, f"a screen of type {video.mode_type}"
    )
    return (screen_note(what, video.width, video.height, video.depth, framebuffer),)


def _is_text_80x25(video: VideoFields) -> bool:
    return video.mode_type == _TEXT and video.width in (0, 80) and video.height in (0, 25)

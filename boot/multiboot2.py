"""Loads a Multiboot 2 kernel: its segments, modules and information structure, and the state it starts in.

Where things go is as for Multiboot 1 (see multiboot1.py), and so is the processor's state but for EAX.  What the older
protocol lacks:

- 64-bit ELF files, started in 32-bit code.  This machine stays a 32-bit one, which the user is told.
- Relocatable images, see relocation.py.
- Consoles: a kernel may take text, graphics or either, and require one of them.

Module strings are a module's arguments, or its name if it has none; the command line is the arguments alone.  So GRUB
does it, the reference for this protocol.

Source: Multiboot2 Specification 2.0; GRUB 2.06 where it leaves a choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.boot.detect import Kind
from hillemu.boot.elf import is_elf, read_sections, section_table_bytes
from hillemu.boot.firmware import NO_FIRMWARE, Firmware
from hillemu.boot.found_tables import find_rsdp, find_smbios
from hillemu.boot.image import BootOptions, Image, Loaded
from hillemu.boot.memory_map import memory_map
from hillemu.boot.multiboot1_info import ModuleFacts, SectionFacts
from hillemu.boot.multiboot2_header import CONSOLE_REQUIRED, EGA_TEXT_SUPPORTED, Header, read_header
from hillemu.boot.multiboot2_info import Facts, build_block
from hillemu.boot.multiboot_plan import Plan, plan_by_addresses, plan_by_elf
from hillemu.boot.multiboot_start import start
from hillemu.boot.placing import claim_segments, encode_string, place_info, place_modules
from hillemu.boot.relocation import load_base, relocate
from hillemu.boot.space import Space
from hillemu.boot.symbol_sections import SymbolSections, place_sections
from hillemu.boot.video_mode import LONGEST, Framebuffer, fulfils, screen_note, set_best_mode

if TYPE_CHECKING:
    from hillemu.emu.guest import Guest

BOOTLOADER_MAGIC = 0x36D76289
"""In EAX at the entry."""


def load_multiboot2(guest: Guest, image: Image, options: BootOptions, firmware: Firmware = NO_FIRMWARE) -> Loaded:
    """Put the kernel `image` into `guest` and make it ready to start.

    Raises `ImageError` for an image or module that cannot be loaded into this machine, `OptionError` for a command
    line that cannot be passed on.
    """
    header = read_header(image)
    plan = _plan(image, header)
    sections = read_sections(image, plan.elf) if plan.elf else ()
    entries = memory_map(guest.memory)
    space = Space(guest.memory, entries)
    if header.relocation:
        plan = relocate(image, plan, header.relocation, space)
    plan = plan._replace(segments=claim_segments(image, plan.segments, space))

    facts = Facts(
        cmdline=encode_string(options.cmdline, "--append"),
        memory_map=entries,
        load_base=load_base(plan),
        modules=tuple(
            ModuleFacts(0, 0, encode_string(module.cmdline or module.path, "--module")) for module in options.modules
        ),
        apm=firmware.apm,
        rsdp=find_rsdp(guest.memory),
        smbios=find_smbios(guest.memory),
    )
    wants_graphics = header.screen is not None and firmware.set_mode is not None
    # A graphics mode is set last, when hardly anything can be refused any more, so room is made for the longest one.
    longest = facts._replace(
        framebuffer=LONGEST if wants_graphics else None,
        sections=SectionFacts(bytes(section_table_bytes(plan.elf)), 0, 0, 0) if sections and plan.elf else None,
    )
    info_base = place_info(image, len(build_block(0, longest).data), plan.segments, space)
    modules = place_modules(options.modules, plan.segments, space)
    symbols = place_sections(image, plan.elf, sections, space) if plan.elf else SymbolSections(None)
    framebuffer = _set_mode(image, header, firmware)
    facts = facts._replace(
        modules=tuple(
            known._replace(start=place.base, end=place.end) for known, place in zip(facts.modules, modules, strict=True)
        ),
        sections=symbols.facts,
        framebuffer=framebuffer,
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
        kind=Kind.MULTIBOOT2,
        magic=BOOTLOADER_MAGIC,
        title=f"Multiboot 2 ({_form(plan)})",
        notes=(*_notes_on_64_bits(plan), *_notes_on_the_screen(header, framebuffer)),
    )


def _plan(image: Image, header: Header) -> Plan:
    if header.addresses:
        return plan_by_addresses(image, header.offset, header.addresses)
    if not is_elf(image):
        raise image.fault(
            "has a Multiboot 2 header without an address tag, and is not an ELF file: nothing says where to load it"
        )
    return plan_by_elf(image, entry=header.entry, accept_64=True)


def _set_mode(image: Image, header: Header, firmware: Firmware) -> Framebuffer | None:
    """Set the mode that the kernel would like; `None`, and text, if there is no wish or no such mode."""
    framebuffer = None
    if header.screen and firmware.set_mode:
        framebuffer = set_best_mode(firmware.set_mode, *header.screen)
    if framebuffer is None and header.console_flags & (CONSOLE_REQUIRED | EGA_TEXT_SUPPORTED) == CONSOLE_REQUIRED:
        raise image.fault(
            "its Multiboot 2 header requires a console and does not accept text, but there is no graphics mode "
            + ("to be had" if header.screen else "that it asks for: add a framebuffer tag")
        )
    return framebuffer


def _form(plan: Plan) -> str:
    if plan.elf is None:
        return "address tag"
    return "64-bit ELF" if plan.elf.is_64 else "ELF"


def _notes_on_64_bits(plan: Plan) -> tuple[str, ...]:
    if plan.elf is None or not plan.elf.is_64:
        return ()
    return ("the kernel is a 64-bit ELF file; it starts in 32-bit code, and this machine has no 64-bit mode",)


def _notes_on_the_screen(header: Header, framebuffer: Framebuffer | None) -> tuple[str, ...]:
    wish = header.screen
    if framebuffer is None and not header.console_flags & EGA_TEXT_SUPPORTED:
        return ("the kernel does not support a text screen, which is what it gets",)
    if wish is None or (framebuffer is not None and fulfils(framebuffer, *wish)):
        return ()
    return (screen_note("a graphics screen", *wish, framebuffer),)

"""The last step of both Multiboot protocols: all has its place, so it is written, and the processor put there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hillemu.boot.flat_entry import enter_flat32
from hillemu.boot.image import Loaded, Placed
from hillemu.boot.placing import placed, write_segments
from hillemu.emu.i386.address import PhysAddr

if TYPE_CHECKING:
    from hillemu.boot.detect import Kind
    from hillemu.boot.image import BootOptions
    from hillemu.boot.multiboot_plan import Plan
    from hillemu.boot.symbol_sections import SymbolSections
    from hillemu.emu.guest import Guest


class Block(NamedTuple):
    """The information structure with what belongs to it, and the addresses of two things in it."""

    data: bytes
    info_address: int
    gdt_address: int


def start(
    guest: Guest,
    plan: Plan,
    options: BootOptions,
    modules: tuple[Placed, ...],
    symbols: SymbolSections,
    block: Block,
    block_at: int,
    *,
    kind: Kind,
    magic: int,
    title: str,
    notes: tuple[str, ...],
) -> Loaded:
    """Write the kernel, its `modules` and `block`, and have the processor enter it with `magic` in EAX."""
    write_segments(guest.memory, plan.segments)
    for module, place in zip(options.modules, modules, strict=True):
        guest.memory.write(place.base, module.data)
    for section in symbols.writes:
        guest.memory.write(PhysAddr(section.at), section.data)
    guest.memory.write(PhysAddr(block_at), block.data)
    entry, info_address = PhysAddr(plan.entry), PhysAddr(block.info_address)
    enter_flat32(guest.registers, PhysAddr(block.gdt_address), eip=entry, eax=magic, ebx=info_address)

    segments = tuple(placed(segment.name, segment.base, segment.size_bytes) for segment in plan.segments)
    description = (
        f"{title}, entry at {entry:#x}",
        *(str(place) for place in (*segments, *modules)),
        f"information structure at {info_address:#x}",
    )
    return Loaded(kind, entry, segments, modules, info_address, description, (*notes, *symbols.notes))

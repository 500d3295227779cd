"""Moves a relocatable Multiboot 2 image, as a whole, to where its header allows.

The image is one run from its lowest to its highest byte, and its entry moves with it.  Nothing in it is changed: such
images are position-independent, or find out by themselves where they are.

Without a preference the image stays where it is linked if that is allowed and free; else, and for the preference
"low", it goes to the lowest place, for "high" to the highest.  Below 1 MiB the BIOS's own data are not touched.

Source: Multiboot2 Specification 2.0, "Relocatable header tag"; GRUB 2.06.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.boot.memory_map import EBDA_BASE, HIGH_MEMORY_BASE
from hillemu.boot.multiboot2_header import ANY, HIGH, Relocation
from hillemu.boot.multiboot_plan import Plan
from hillemu.boot.placing import LOWEST_BASE

if TYPE_CHECKING:
    from hillemu.boot.image import Image
    from hillemu.boot.space import Space


def relocate(image: Image, plan: Plan, wish: Relocation, space: Space) -> Plan:
    """Return `plan` moved into free RAM as `wish` says; raises `ImageError` where there is no room."""
    link_base = load_base(plan)
    size_bytes = max(segment.end for segment in plan.segments) - link_base
    align = wish.align or 1
    if align & align - 1:
        raise image.fault(f"its Multiboot 2 header wants an alignment of {align:#x}, which is not a power of two")
    if wish.lowest + size_bytes > wish.highest:
        raise image.fault(
            f"its Multiboot 2 header wants its {size_bytes:#x} bytes between {wish.lowest:#x} and {wish.highest:#x}, "
            "where they do not fit"
        )
    base = _find(wish, link_base, size_bytes, align, space)
    if base is None:
        raise image.fault(
            f"its {size_bytes:#x} bytes do not fit into free RAM between {wish.lowest:#x} and {wish.highest:#x}, where "
            "its Multiboot 2 header wants them: give the machine more, --mem"
        )
    delta = base - link_base
    moved = tuple(segment._replace(base=segment.base + delta) for segment in plan.segments)
    return plan._replace(segments=moved, entry=plan.entry + delta)


def load_base(plan: Plan) -> int:
    """The lowest address of what `plan` loads."""
    return min(segment.base for segment in plan.segments)


def _find(wish: Relocation, link_base: int, size_bytes: int, align: int, space: Space) -> int | None:
    bounds = (
        (max(wish.lowest, LOWEST_BASE), min(wish.highest, EBDA_BASE)),
        (max(wish.lowest, HIGH_MEMORY_BASE), wish.highest),
    )
    if wish.preference == ANY and link_base % align == 0 and space.is_free(link_base, size_bytes):
        for low, high in bounds:
            if low <= link_base and link_base + size_bytes <= high:
                return link_base
    if wish.preference == HIGH:
        places = [space.last_fit(size_bytes, align, low, high) for low, high in reversed(bounds)]
    else:
        places = [space.first_fit(size_bytes, align, low, high) for low, high in bounds]
    return next((place for place in places if place is not None), None)

"""Verifies a buddy zone: its levels agree, blocks do not overlap, twins are merged, every frame is accounted for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hillemu.emu.i386.address import PhysAddr
from hillemu.kernel.mm.buddy_layout import HEADER, MAGIC, RESERVED, USED
from hillemu.kernel.mm.frames import MAX_ORDER

if TYPE_CHECKING:
    from hillemu.kernel.mm.buddy import Buddy
    from hillemu.kernel.mm.words import Words


def check(zone: Buddy) -> list[str]:
    """Contradictions, as sentences; none if all is well."""
    found = _check_header(zone)
    found += _check_levels(zone)
    found += _check_cover(zone)
    return found


def _check_header(zone: Buddy) -> list[str]:
    """What Python remembers of the header is still what guest memory says."""
    header = HEADER.read(zone.memory, zone.at)
    remembered: dict[str, int | bytes] = {
        "base_page": zone.base,
        "total_pages": zone.total_frames,
        "magic": MAGIC,
        "min_order": zone.min_order,
        "max_order": zone.max_order,
        "top": zone.geometry.top_offset,
        "state": zone.geometry.state_offset,
    }
    for name, level in zip(("blocks", "groups", "summary"), zone.geometry.levels, strict=True):
        remembered[name] = b"".join(offset.to_bytes(4, "little") for offset, _ in level).ljust(
            4 * (MAX_ORDER + 1), b"\0"
        )
    found = [
        f"buddy: buddy_zone.{name} at {zone.at + HEADER.offset(name):#x} is {header[name]!r}, not {value!r}"
        for name, value in remembered.items()
        if header[name] != value
    ]
    if zone.top[zone.max_order + 1] == 0:
        found.append(f"buddy: the word behind the last order's, top[{zone.max_order + 1}], is 0")
    return found


def _check_levels(zone: Buddy) -> list[str]:
    """Each bit of a level tells whether a word of the level below is 0."""
    found: list[str] = []
    for order in range(zone.max_order + 1):
        below: Words = zone.levels[0][order]
        for name, above in (("groups", zone.levels[1][order]), ("summary", zone.levels[2][order])):
            found += _disagreements(below, above, f"{name}[{order}]")
            below = above
        found += _disagreements(below, [zone.top[order]], f"top[{order}]")
    return found


def _disagreements(below: Words, above: Words | list[int], name: str) -> Iterator[str]:
    for number in range(len(above)):
        group = range(64 * number, min(64 * number + 64, len(below)))
        expected = sum(1 << (index & 63) for index in group if below[index])
        if above[number] != expected:
            yield f"buddy: word {number} of {name} is {above[number]:#x}, but the level below makes it {expected:#x}"


def _check_cover(zone: Buddy) -> list[str]:
    """Every frame is reserved, or in exactly one block, free or in use."""
    found = []
    total, base = zone.total_frames, zone.base
    state = bytes(zone.memory.read(PhysAddr(zone.at + zone.geometry.state_offset), total))
    cover = bytearray(total)  # 0 nobody, 1 free, 2 in use, 3 reserved

    def claim(first: int, order: int, what: int, name: str) -> None:
        end = first + (1 << order)
        if end > total:
            found.append(f"buddy: the {name} block at frame {base + first:#x} (order {order}) ends outside the zone")
        elif any(cover[first:end]) or RESERVED in state[first:end]:
            found.append(f"buddy: the {name} block at frame {base + first:#x} (order {order}) overlaps another owner")
        cover[first:end] = bytes([what]) * (min(end, total) - first)

    for order, blocks in enumerate(zone.levels[0]):
        for index in _set_bits(blocks):
            claim(index << order, order, 1, "free")
            if index & 1 and order < zone.max_order and blocks[index >> 6] >> (index & 63 ^ 1) & 1:
                found.append(
                    f"buddy: free twins of order {order} at frame {base + (index - 1 << order):#x} are not merged"
                )
    for first, value in enumerate(state):
        if value == RESERVED or not value:
            continue
        if not USED <= value <= USED + zone.max_order or first % (1 << (order := value - USED)):
            found.append(f"buddy: the state of frame {base + first:#x} is {value:#x}, which no frame there can have")
        else:
            claim(first, order, 2, "used")
    lost = sum(1 for frame in range(total) if not cover[frame] and state[frame] != RESERVED)
    if lost:
        found.append(f"buddy: {lost} frames are neither free nor in use nor reserved")
    managed = total - state.count(RESERVED)
    said = HEADER.get(zone.memory, zone.at, "managed_pages")
    if said != managed:
        found.append(f"buddy: buddy_zone.managed_pages is {said}, but {managed} frames are not reserved")
    return found


def _set_bits(array: Words) -> Iterator[int]:
    for number in range(len(array)):
        word = array[number]
        while word:
            yield (number << 6) + (word & -word).bit_length() - 1
            word &= word - 1

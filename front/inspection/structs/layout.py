"""Where gcc puts the members of an i386 structure.

>>> from hillemu.inspection.structs.types import BASE_TYPES, CHAR
>>> members, size, align = lay_out("struct", [Wish("c", CHAR), Wish("l", BASE_TYPES["long long"])])
>>> [member.offset_bytes for member in members], size, align
([0, 4], 12, 4)

A bit-field goes directly behind the one before, unless it would then reach over more units of its type than it must;
one of width 0 ends the unit.  Packed, bit-fields leave no gap.

Source: System V ABI, Intel386 Architecture Processor Supplement, "Aggregates and Unions", "Bit-Fields"; gcc's manual,
"Common Type Attributes" (packed, aligned), "Structure-Layout Pragmas".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hillemu.inspection.structs.types import CType, Member


class Wish(NamedTuple):
    """A member as the source declares it.

    `bits` is the width of a bit-field; `aligned` what an ``aligned`` attribute on it says, in bytes; `packed` whether
    it has that attribute.
    """

    name: str
    type: CType
    bits: int | None = None
    aligned: int = 0
    packed: bool = False


def lay_out(
    kind: str,
    wishes: Sequence[Wish],
    *,
    packed: bool = False,
    aligned: int = 0,
    pack_most: int = 0,
) -> tuple[tuple[Member, ...], int, int]:
    """Return the members with their places, the size and the alignment of a ``struct`` or ``union``, in bytes.

    `packed` and `aligned` are the attributes of the whole; `pack_most` is what ``#pragma pack`` says, 0 for nothing.
    """
    members = []
    at = size = 0  # bits
    align = 8
    for wish in wishes:
        wish_packed = wish.packed or packed
        unit = _align_bits(wish, wish_packed, pack_most)
        if wish.bits is None:
            start = _up(at, unit)
            length = wish.type.size_bytes * 8
            place = Member(wish.name, wish.type, start // 8)
            align = max(align, unit)
        else:
            start = _bit_field_start(at, wish, wish_packed, unit, pack_most)
            length = wish.bits
            place = Member(wish.name, wish.type, start // 8, wish.bits, start % 8)
            if wish.name or wish.aligned:
                align = max(align, unit)
        size = max(size, start + length)
        at = start + length if kind == "struct" else 0
        if wish.bits is None or wish.name:
            members.append(place)
    align = max(align, aligned * 8)
    return tuple(members), _up(size, align) // 8, align // 8


def _align_bits(wish: Wish, packed: bool, pack_most: int) -> int:
    natural = wish.type.align_bytes * 8
    if wish.bits == 0:
        return natural  # Neither attribute nor pragma touches those that end a unit.
    if packed and not (wish.bits is not None and pack_most):
        natural = 8  # For a bit-field the pragma, if there is one, replaces the attribute.
    wanted = max(natural, wish.aligned * 8)
    return min(wanted, pack_most * 8) if pack_most else wanted


def _bit_field_start(at: int, wish: Wish, packed: bool, unit: int, pack_most: int) -> int:
    assert wish.bits is not None
    if wish.bits == 0:
        return _up(at, unit)
    if wish.aligned:
        at = _up(at, wish.aligned * 8)
    if packed or pack_most:
        return at
    type_units = -(-wish.type.size_bytes * 8 // unit)
    units_reached = (at % unit + wish.bits + unit - 1) // unit
    return _up(at, unit) if units_reached > type_units else at


def _up(bits: int, unit: int) -> int:
    return -(-bits // unit) * unit

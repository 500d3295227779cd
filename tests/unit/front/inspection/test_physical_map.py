"""Who answers where, against a plain set of addresses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hillemu.inspection.physical_map import PhysicalMap, Place

borders = st.sets(st.integers(0, 60), max_size=12).map(sorted)


@given(borders, st.integers(0, 60), st.integers(1, 20))
def test_every_question_is_answered_as_address_by_address(cuts: list[int], base: int, size: int) -> None:
    places = [Place(start, end, f"at {start}") for start, end in zip(cuts[::2], cuts[1::2], strict=False)]
    owners = {at: place for place in places for at in range(place.base, place.end)}
    found = PhysicalMap(reversed(places))
    extent = range(base, base + size)
    assert [found.find(at) for at in extent] == [owners.get(at) for at in extent]
    assert found.somebody_in(base, base + size) == any(at in owners for at in extent)
    gaps = {at for start, end in found.gaps(base, base + size) for at in range(start, end)}
    assert gaps == set(extent) - owners.keys()

"""IRR, ISR and priorities against sets and sorted lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.devices.apic.apic_message import FLAT_MODEL, is_addressed
from hillemu.emu.devices.apic.apic_priority import PendingInterrupts

VECTORS = st.sampled_from([16, 17, 31, 32, 47, 48, 0x50, 0x51, 0x5F, 0xE0, 0xEF, 0xFE, 0xFF])
STEPS = st.one_of(
    st.tuples(st.just("request"), VECTORS, st.booleans()),
    st.tuples(st.just("acknowledge"), st.just(0), st.just(False)),
    st.tuples(st.just("end"), st.just(0), st.just(False)),
    st.tuples(st.just("tpr"), st.integers(0, 255), st.just(False)),
)


class Model:
    """The manual's words: priorities are compared by class, and the processor's is the higher of two."""

    def __init__(self) -> None:
        self.requested: set[int] = set()
        self.service: list[int] = []
        self.level: set[int] = set()
        self.tpr = 0

    @property
    def ppr(self) -> int:
        service = max(self.service, default=0)
        return self.tpr if self.tpr // 16 >= service // 16 else service // 16 * 16

    def acknowledge(self) -> int | None:
        able = [vector for vector in self.requested if vector // 16 > self.ppr // 16]
        if not able:
            return None
        self.requested.remove(max(able))
        self.service.append(max(able))
        return max(able)

    def end(self) -> int | None:
        if not self.service:
            return None
        self.service.remove(highest := max(self.service))
        return highest


def members(vectors: int) -> set[int]:
    return {vector for vector in range(256) if vectors >> vector & 1}


@given(st.lists(STEPS, max_size=60))
def test_any_history_gives_what_sets_give(steps: list[tuple[str, int, bool]]) -> None:
    pending, model = PendingInterrupts(), Model()
    for action, value, level in steps:
        if action == "request":
            pending.request(value, level=level)
            model.requested.add(value)
            (model.level.add if level else model.level.discard)(value)
        elif action == "tpr":
            pending.tpr = model.tpr = value
        elif action == "end":
            assert pending.end() == model.end()
        else:
            able = pending.deliverable
            given = pending.acknowledge()
            assert given == model.acknowledge()
            assert able == (given is not None)
        assert members(pending.irr) == model.requested
        assert members(pending.isr) == set(model.service)
        assert pending.ppr == model.ppr
        assert all(pending.is_level(vector) == (vector in model.level) for vector in model.requested)


@pytest.mark.parametrize(
    ("destination", "logical", "meant"),
    [(3, False, True), (0, False, False), (0xFF, False, True), (0x04, True, True), (0x0B, True, False)],
)
def test_a_flat_destination(destination: int, logical: bool, meant: bool) -> None:
    assert is_addressed(destination, logical=logical, apic_id=3, logical_id=4, model=FLAT_MODEL) == meant


@pytest.mark.parametrize(
    ("destination", "meant"), [(0x24, True), (0x26, True), (0x2B, False), (0x34, False), (0xF4, True), (0xF3, False)]
)
def test_a_cluster_destination_names_a_cluster_and_its_members(destination: int, meant: bool) -> None:
    assert is_addressed(destination, logical=True, apic_id=0, logical_id=0x24, model=0) == meant

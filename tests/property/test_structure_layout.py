"""Structures are laid out as gcc lays them out for i386, whether they come from C text or from DWARF."""

from __future__ import annotations

from pathlib import Path

import pytest
from c_structures import PRELUDE, Facts, Made, compile_facts, structures
from hypothesis import HealthCheck, given, settings

from hillemu.inspection.structs.type_library import Structs
from hillemu.inspection.structs.types import Record


def facts_of(record: Record, made: Made) -> Facts:
    bits = {}
    for name in made.bits:
        member = record.member(name)
        assert member.bit_size is not None
        bits[name] = (member.offset_bytes * 8 + member.bit_offset, member.bit_size)
    return Facts(record.size_bytes, record.align_bytes, {name: record.offset_of(name) for name in made.plain}, bits)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("structures")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=structures())
def test_both_ways_to_a_type_agree_with_gcc(made: list[Made], folder: Path, gcc_m32: str) -> None:
    elf, expected = compile_facts(made, folder, gcc_m32)
    by_hand, by_dwarf = Structs(), Structs(lambda: (elf, "made.o"))
    by_hand.define(PRELUDE + "\n".join(one.text for one in made))
    for number, (one, facts) in enumerate(zip(made, expected, strict=True)):
        defined, debugged = by_hand[f"t{number}"].bare, by_dwarf[f"t{number}"].bare
        assert isinstance(defined, Record)
        assert isinstance(debugged, Record)
        assert facts_of(defined, one) == facts, one.text
        # DWARF tells of alignment only where an attribute asked for it.
        assert facts_of(debugged, one)._replace(align_bytes=facts.align_bytes) == facts, one.text

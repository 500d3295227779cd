"""REP MOVS and REP STOS under a memory model: made by the core itself, they do what translated code does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hillemu.emu.cpu.core import CoreStop

PROPERTY = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
MODELS = pytest.mark.parametrize("model", ["i386", "i486", "pentium"])
PREPARED = "mov edi, 0x7f00; 1: imul eax, eax, 69069; inc eax; mov [edi], eax; add edi, 4; cmp edi, 0xa200; jb 1b;"
PLACES = st.integers(0x7F80, 0x8010) | st.integers(0x8FE0, 0x9040)
"""On both sides of pages' ends, and near enough to overlap."""
STRINGS = st.tuples(
    st.sampled_from(["movsb", "movsw", "movsd", "stosb", "stosw", "stosd"]),
    st.sampled_from(["cld", "std"]),
    PLACES,
    PLACES,
    st.integers(0, 300),
)


def program(strings: list[tuple[str, str, int, int, int]]) -> str:
    lines = [
        f"{direction}; mov esi, {source:#x}; mov edi, {target:#x}; mov ecx, {count}; rep {operation}"
        for operation, direction, source, target, count in strings
    ]
    return PREPARED + "; ".join([*lines, "hlt"])


def outcome(lab: Any) -> dict[str, Any]:
    memory = lab.pc.cycles.memory
    return {**lab.outcome(), "counters": memory.counters(), "tlb": memory.tlb(), "lines": memory.lines()}


@MODELS
@PROPERTY
@given(strings=st.lists(STRINGS, min_size=1, max_size=4), step=st.integers(1, 400))
def test_repeated_strings_are_as_in_translated_code_and_in_pieces(
    lab_of: Callable[..., Any], model: str, strings: list[tuple[str, str, int, int, int]], step: int
) -> None:
    whole, recorded, pieces = (lab_of("native", program(strings), timing=model) for _ in range(3))
    recorded.pc.cycles.memory.record(True)  # each access is told by a call of translated code
    assert whole.run() is recorded.run() is CoreStop.HALT
    while pieces.processor.run(instructions=step) is not CoreStop.HALT:
        pass
    assert outcome(whole) == outcome(recorded) == outcome(pieces)
    plain = lab_of("native", program(strings))
    assert plain.run() is CoreStop.HALT
    assert plain.memory.sha256() == whole.memory.sha256()
    assert plain.processor.registers() == whole.processor.registers()


def test_a_string_that_overwrites_its_own_tables_is_as_in_translated_code(lab_of: Callable[..., Any]) -> None:
    """The table's entries change while the string goes through the pages that they map."""
    source = (
        "mov edi, 0x20000; mov eax, 0x21003; stosd; mov edi, 0x21000; mov eax, 3; mov ecx, 1024;"
        "1: stosd; add eax, 0x1000; loop 1b; mov eax, 0x20000; mov cr3, eax;"
        "mov eax, cr0; or eax, 0x80000000; mov cr0, eax;"
        "mov esi, 0x40000; mov edi, 0x40000; mov ecx, 2048; rep movsd;"
        "mov eax, 0x63; mov edi, 0x21000; mov ecx, 20; 2: stosd; add eax, 0x1000; loop 2b;"
        "mov esi, 0x21000; mov edi, 0x21000; mov ecx, 1024; rep movsd; hlt"
    )
    whole, recorded = (lab_of("native", source, timing="i486") for _ in range(2))
    recorded.pc.cycles.memory.record(True)
    assert whole.run() is recorded.run() is CoreStop.HALT
    assert outcome(whole) == outcome(recorded)
    assert whole.pc.cycles.memory.counters()["updates"] > 0


def assert_recording_and_stops_change_nothing(lab_of: Callable[..., Any], source: str, model: str) -> Any:
    whole, recorded, pieces = (lab_of("native", source, timing=model) for _ in range(3))
    recorded.pc.cycles.memory.record(True)
    assert whole.run() is recorded.run() is CoreStop.HALT
    assert pieces.step_to_end() == whole.count
    assert outcome(whole) == outcome(recorded) == outcome(pieces)
    return whole


@MODELS
@pytest.mark.parametrize("direction", ["cld", "std"])
def test_a_string_that_overwrites_itself_is_as_in_translated_code_and_in_pieces(
    lab_of: Callable[..., Any], model: str, direction: str
) -> None:
    """The first iteration behind the change is another instruction, at an address that was to be executed next."""
    source = (
        f"mov eax, 0x90909090; mov ecx, 60; mov edi, offset string {'-+'[direction == 'std']} 100; {direction};"
        "string: rep stosd; inc ebx; .rept 300; nop; .endr; hlt"
    )
    whole = assert_recording_and_stops_change_nothing(lab_of, source, model)
    plain = lab_of("native", source)
    assert plain.run() is CoreStop.HALT
    assert (plain.count, plain.processor.registers()) == (whole.count, whole.processor.registers())


@MODELS
@pytest.mark.parametrize("prefixes", [14, 15])
def test_a_string_with_too_many_prefixes_faults_and_moves_nothing(
    lab_of: Callable[..., Any], model: str, prefixes: int
) -> None:
    """Intel SDM Vol. 2A, "Instruction Prefixes": more than 15 bytes are #GP."""
    setup = "mov ecx, 8; mov esi, 0x8000; mov edi, 0x9000;"  # 15 bytes: the string lies in two lines
    source = f"{setup} .rept {prefixes}; .byte 0xF3; .endr; .byte 0xA5; hlt"
    whole = assert_recording_and_stops_change_nothing(lab_of, source, model)
    assert whole.vectors == ([13] if prefixes == 15 else [])
    assert whole.get("ecx") == (8 if prefixes == 15 else 0)

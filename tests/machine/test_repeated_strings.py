"""REP MOVS and REP STOS under a memory model do what they do without one, wherever they cannot go on as they began.

The same guest without a model, whose iterations are translated code, is the oracle for registers, memory, instructions
and exceptions; with a model, whose accesses are recorded, for cycles and what the caches hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from paged_lab import PAGED

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.cpu.observers import Watch
from hillemu.emu.timing.model import timing_model

MODELS = pytest.mark.parametrize("model", ["i386", "i486", "pentium"])
FILL = "mov edi, 0x308000; mov eax, 1; 7: mov [edi], eax; imul eax, eax, 69069; add edi, 4; cmp edi, 0x309400; jb 7b;"
SCATTERED = (
    "mov dword ptr [ENTRY], 0x305007; mov dword ptr [ENTRY + 4], 0x303007; mov dword ptr [ENTRY + 8], 0x307007;"
    "mov eax, cr3; mov cr3, eax;"
)
"""Three pages whose frames are not neighbours."""
RING_3 = (
    "push 0x23; push 0x7F000; push 0x202; push 0x1B; push offset user; iretd;"
    "user: mov ax, 0x23; mov ds, ax; mov es, ax;"
)
MAP_AND_LOG = (
    "vector_14: mov ebx, cr2; mov [0x210000 + ebp], ecx; mov [0x210004 + ebp], esi; mov [0x210008 + ebp], edi;"
    "mov [0x21000C + ebp], ebx; add ebp, 16; and ebx, ~0xFFF; mov edx, ebx; shr edx, 10; or ebx, 7;"
    "mov [TABLE + edx], ebx; invlpg [ebx]; add esp, 4; iretd"
)
SEGMENTS = (
    "mov esi, 0x1000; mov edi, 0x1800; mov ecx, 12; rep movsd;"
    "mov dword ptr [0x1830], 0x0004FFFF; mov dword ptr [0x1834], 0x00CF9200;"  # base 4, without limit
    "mov dword ptr [0x1838], 0x00100310; mov dword ptr [0x183C], 0x00C09200;"  # base 0x10, up to 0x310FFF
    "mov dword ptr [0x1840], 0x00100310; mov dword ptr [0x1844], 0x00C09600;"  # the same, but what is above
    "lgdt [limits]; jmp 7f; limits: .word 0x47; .long 0x1800; 7:"
)
CASES = {
    "misaligned, over scattered pages": PAGED
    + FILL
    + SCATTERED
    + "mov esi, 0x308001; mov edi, PAGE + 0x0FE1; mov ecx, 1030; rep movsd; mov esi, PAGE + 0x1003; mov edi, 0x310002;"
    "mov ecx, 2000; rep movsw; std; mov esi, 0x309001; mov edi, PAGE + 0x2005; mov ecx, 1100; rep movsd; hlt",
    "a page that is not there": PAGED
    + FILL
    + "mov dword ptr [ENTRY + 4], 0; mov dword ptr [ENTRY + 12], 0; mov eax, cr3; mov cr3, eax; xor ebp, ebp;"
    "mov esi, 0x308000; mov edi, PAGE + 0xF80; mov ecx, 100; rep movsd; std; mov esi, PAGE + 0x4010; mov edi, 0x320000;"
    f"mov ecx, 500; rep movsb; mov edi, PAGE + 0x3000; mov ecx, 3; rep stosd; hlt; {MAP_AND_LOG}",
    "ring 3 and its pages": PAGED
    + FILL
    + "mov dword ptr [ENTRY + 20], 0x205003; mov dword ptr [ENTRY + 24], 0x206005; mov eax, cr3; mov cr3, eax;"
    f"xor ebp, ebp; mov esi, 0x308000; mov edi, PAGE + 0x4FF0; mov ecx, 2100; rep movsb; {RING_3}"
    f"mov esi, 0x308000; mov edi, PAGE + 0x4FE0; mov ecx, 1040; rep movsd; int 0x80;"
    f"vector_128: cli; hlt; {MAP_AND_LOG}",
    "a segment with a base": SEGMENTS
    + FILL
    + "mov ax, 0x30; mov es, ax; mov esi, 0x308000; mov edi, 0x310F00; mov ecx, 300; rep movsd; mov ds, ax;"
    "mov esi, 0x310F00; mov edi, 0x320000; mov ecx, 300; rep movsd; hlt",
    "a segment that ends before the string": SEGMENTS
    + FILL
    + "mov byte ptr [0x311800], 1; mov ax, 0x38; mov es, ax; mov esi, 0x308000; mov edi, 0x310F40; mov ecx, 300;"
    "rep movsd; hlt;"
    "vector_13: mov [0x210000], ecx; mov [0x210004], edi; cli; hlt",
    "a segment that expands down": SEGMENTS
    + FILL
    + "mov byte ptr [0x311800], 1; mov ax, 0x40; mov es, ax; mov esi, 0x308400; mov edi, 0x311080; mov ecx, 300;"
    "std; rep movsw; hlt;"
    "vector_13: mov [0x210000], ecx; mov [0x210004], edi; cli; hlt",
    "other segments and addresses": SEGMENTS
    + FILL
    + "mov ax, 0x30; mov fs, ax; mov byte ptr [0x9FFF0], 1; mov al, [0x8000];"
    "mov esi, 0x308000; mov edi, 0x310000; mov ecx, 40; .byte 0x2E, 0xF3, 0xA5; mov ecx, 40; .byte 0xF3, 0x64, 0xA4;"
    "mov esi, 0x8000; mov edi, 0x9FFF0; mov ecx, 0x10010; .byte 0x67, 0xF3, 0xA5; hlt",
    "addresses of ROM, of the screen, of nobody": FILL
    + "mov esi, 0x308000; mov edi, 0xEFF00; mov ecx, 200; rep movsd; mov esi, 0x308000; mov edi, 0x9FFC0; mov ecx, 50;"
    "rep movsd; mov edi, 0xFFFFC0; mov ecx, 60; rep stosd; mov esi, 0xFFFFC0; mov edi, 0x320000; mov ecx, 60;"
    "rep movsd; mov esi, 0xEFF00; mov ecx, 200; rep movsd; hlt",
    "single steps, and a stack switch's shadow": FILL
    + "mov esi, 0x308000; mov edi, 0x310000; xor ebp, ebp; mov ecx, 12; mov ax, ss; mov ss, ax; rep movsd; pushfd;"
    "or dword ptr [esp], 0x100; mov ecx, 12; popfd; rep movsd; nop; and dword ptr [esp], ~0x100; hlt;"
    "vector_1: mov [0x210000 + 4 * ebp], ecx; inc ebp; cmp ebp, 14; jb 6f; and dword ptr [esp + 8], ~0x100; 6: iretd",
    "code that is executed next": FILL
    + "mov eax, 0x43434343; mov edi, offset next; mov ecx, 9; rep stosb; next: .rept 12; nop; .endr;"
    "mov esi, offset next; mov edi, 0x310000; mov ecx, 3; rep movsd; mov byte ptr [0x31000C], 0xC3;"
    "mov edx, 0x310000; call edx; mov al, 0x4B; mov edi, 0x310002; mov ecx, 7; rep stosb; call edx; hlt",
}


def architectural(lab: Any) -> dict[str, Any]:
    names = ("instructions", "registers", "ram", "deliveries")
    return {name: value for name, value in lab.outcome().items() if name in names}


def outcome(lab: Any) -> dict[str, Any]:
    memory = lab.pc.cycles.memory
    return {**lab.outcome(), "counters": memory.counters(), "tlb": memory.tlb(), "lines": memory.lines()}


@MODELS
@pytest.mark.parametrize("source", CASES.values(), ids=CASES)
def test_a_string_does_what_it_does_without_a_model(lab_of: Callable[..., Any], source: str, model: str) -> None:
    plain = lab_of("native", source)
    whole, recorded, pieces = (lab_of("native", source, timing=model) for _ in range(3))
    recorded.pc.cycles.memory.record(True)
    assert plain.run() is whole.run() is recorded.run() is CoreStop.HALT
    while pieces.processor.run(instructions=13) is CoreStop.LIMIT:
        pass
    assert architectural(whole) == architectural(plain)
    assert outcome(whole) == outcome(recorded) == outcome(pieces)


@MODELS
@pytest.mark.parametrize("kind", [Watch.READ, Watch.WRITE])
@pytest.mark.parametrize("direction", ["cld", "std"])
def test_each_watched_element_is_told(lab_of: Callable[..., Any], model: str, kind: Watch, direction: str) -> None:
    """Set before the string begins, or while it runs."""
    source = FILL + f"mov esi, 0x308800; mov edi, 0x310800; mov ecx, 400; {direction}; string: rep movsd; hlt"
    told: list[list[tuple[int, int, int | None, int]]] = []
    outcomes = []
    at = (0x310800 if kind is Watch.WRITE else 0x308800) + (800 if direction == "cld" else -800)
    for timing, first in (("", 0), (model, 0), (model, 6460)):
        lab, hits = lab_of("native", source, timing=timing), []
        lab.run(first)
        lab.processor.observers.add_watch(at, 16, kind, on_hit=hits.append)
        assert lab.run() is CoreStop.HALT
        told.append([(hit.at, hit.address, hit.before, hit.after) for hit in hits])
        outcomes.append(architectural(lab))
    assert told[0] == told[1] == told[2]
    assert len(told[0]) == 4
    assert outcomes[0] == outcomes[1] == outcomes[2]


@MODELS
def test_a_breakpoint_at_a_string_stops_in_front_of_each_element(lab_of: Callable[..., Any], model: str) -> None:
    source = "mov esi, 0x308000; mov edi, 0x310000; mov ecx, 9; string: rep movsd; hlt"
    lab = lab_of("native", source, timing=model)
    lab.processor.add_breakpoint(lab["string"])
    assert [(lab.run(), lab.get("ecx")) for _ in range(10)] == [
        (CoreStop.BREAKPOINT, left) for left in range(9, -1, -1)
    ]
    assert lab.run() is CoreStop.HALT


@MODELS
def test_a_breakpoint_that_comes_while_a_string_runs_stops_it(lab_of: Callable[..., Any], model: str) -> None:
    source = "mov esi, 0x308000; mov edi, 0x310000; mov ecx, 900; string: rep movsd; hlt"
    lab = lab_of("native", source, timing=model)
    lab.run(103)
    lab.processor.add_breakpoint(lab["string"])
    lefts = [lab.get("ecx")]
    for _ in range(3):
        assert lab.run() is CoreStop.BREAKPOINT
        lefts.append(lab.get("ecx"))
    assert lefts[-3:] == [lefts[-1] + 2, lefts[-1] + 1, lefts[-1]]
    assert lefts[0] == 800


@pytest.mark.parametrize("processor", ["i386", "i486"])
def test_elements_wider_than_the_bus_take_the_cycles_of_translated_code(
    lab_of: Callable[..., Any], processor: str
) -> None:
    model = timing_model(processor)
    narrow = model._replace(geometry=model.geometry._replace(bus_bytes=2))
    source = FILL + "mov esi, 0x308000; mov edi, 0x310000; mov ecx, 300; rep movsd; mov ecx, 300; rep stosd; hlt"
    whole, recorded, wide = (lab_of("native", source, timing=timing) for timing in (narrow, narrow, model))
    recorded.pc.cycles.memory.record(True)
    assert whole.run() is recorded.run() is wide.run() is CoreStop.HALT
    assert outcome(whole) == outcome(recorded)
    assert whole.processor.ticks() > wide.processor.ticks()


TIMER = (
    "mov al, 0x11; out 0x20, al; mov al, 8; out 0x21, al; mov al, 4; out 0x21, al; mov al, 1; out 0x21, al;"
    "mov al, 0xFE; out 0x21, al; mov al, 0x34; out 0x43, al; mov al, 61; out 0x40, al; xor al, al; out 0x40, al;"
)
"""IRQ 0 each 61 clocks of the 8254, 51 microseconds: a few lines of a string, and no whole number of them."""


@MODELS
@pytest.mark.parametrize("string", ["stosb", "movsb", "movsd"])
def test_a_timer_interrupts_a_string_within_a_line_that_is_known(
    lab_of: Callable[..., Any], model: str, string: str
) -> None:
    """The handler writes down how many elements were left."""
    source = (
        FILL
        + TIMER
        + (
            "mov ebx, 0x318000; mov ebp, 40; sti;"
            f"1: mov esi, 0x308400; mov edi, 0x308800; mov ecx, 200; rep {string}; dec ebp; jnz 1b; cli; hlt;"
            "vector_8: mov [ebx], ecx; add ebx, 4; push eax; mov al, 0x20; out 0x20, al; pop eax; iretd"
        )
    )
    whole, recorded = (lab_of("native", source, timing=model) for _ in range(2))
    recorded.pc.cycles.memory.record(True)
    assert whole.run() is recorded.run() is CoreStop.HALT
    assert outcome(whole) == outcome(recorded)
    left = [whole.word(at) for at in range(0x318000, whole.get("ebx"), 4)]
    size = 4 if string == "movsd" else 1
    assert len({elements * size % 16 // size for elements in left}) > 2  # not at the ends of lines only

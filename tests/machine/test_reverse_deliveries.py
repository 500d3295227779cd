"""Watchpoints that see what interrupts and exceptions push: the way back stops in front of what was interrupted."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from scripted_debugger import debug, p, value

from hillemu.debugging import history, pace
from hillemu.machine import Machine

Boot = Callable[..., Machine]
SLOT = 0x301000 - 12
"""Where a frame without an error code has its EIP, if the stack was empty."""
SOURCE = """
    mov esp, 0x301000; mov ecx, 256; mov edi, 0x202000
1:  mov eax, offset handler; mov [edi], ax; mov dword ptr [edi + 2], 0x8E000008; shr eax, 16; mov [edi + 6], ax
    add edi, 8; loop 1b
    lidt [pointer]; mov al, 0x34; out 0x43, al; mov al, 5; out 0x40, al; mov al, 0; out 0x40, al
start: CODE
    inc ebx; inc ebx; cli; hlt
handler: inc dword ptr [0x203000]; push eax; mov al, 0x20; out 0x20, al; add dword ptr [esp + 4], SKIP; pop eax; iretd
pointer: .word 0x7FF; .long 0x202000"""
WAITS = "cmp dword ptr [0x203000], 6; jb 2b; cli"
INTERRUPTED = {
    "busy": f"sti; 2: inc edx; test edx, 1; jz 2b; inc edx; inc edx; {WAITS}",
    "hlt": f"sti; 2: hlt; mov dword ptr [0x300FF4], 0; {WAITS}",
    "writes there itself": f"sti; 2: inc edx; test edx, 31; jnz 3f; mov [0x300FF4], edx; 3: {WAITS}",
    "rep": "sti; mov al, 0x77; mov edi, 0x300FF7; mov ecx, 500; std; rep stosb; cli",
    "int": "inc esi; int 0x80; inc edi; int 0x81",
}
FAULTS = {"ud2": "inc esi; ud2; inc edi; ud2"}
SKIPS = dict.fromkeys(INTERRUPTED, 0) | dict.fromkeys(FAULTS, 2)


def changes(machine: Machine) -> list[tuple[int, int]]:
    """In front of which instruction, and after how many, a run by single steps changes the slot; oldest first."""
    places = []
    while not places or machine.run(max_insns=1).reason.value == "max-insns":
        places.append((machine.cpu.eip, machine.cpu.instructions, machine.read(SLOT, 4)))
    places.append((0, 0, machine.read(SLOT, 4)))
    return [(eip, count) for (eip, count, old), (_, _, new) in pairwise(places) if old != new]


@pytest.mark.parametrize("name", SKIPS)
@pytest.mark.parametrize("interval", [history.INTERVAL, 40])
def test_the_way_back_stops_in_front_of_each_change_whoever_made_it(
    boot: Boot, name: str, interval: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = SOURCE.replace("CODE", {**INTERRUPTED, **FAULTS}[name]).replace("SKIP", str(SKIPS[name]))
    expected = changes(boot(source))
    assert len(expected) > 1
    monkeypatch.setattr(history, "INTERVAL", interval)
    monkeypatch.setattr(pace, "MOST_S", 0.0)
    machine = boot(source)
    looks = [packet for _ in expected for packet in (b"bc", p("eip"))]
    answers, _ = debug(machine, b"c", b"Z2,%x,4" % SLOT, *looks, b"bc")
    places = [value(answer) for answer in answers if len(answer) == 8]
    assert places == [eip for eip, _ in reversed(expected)]
    assert sum(b"watch:" in answer for answer in answers) == len(expected)
    assert b"replaylog:begin" in answers[-1]


@pytest.mark.parametrize("back", [b"bc", b"bs"])
@pytest.mark.parametrize("name", ["busy", "hlt", "ud2"])
def test_from_a_handlers_first_instruction_the_way_back_leads_to_what_was_interrupted(
    boot: Boot, name: str, back: bytes
) -> None:
    """Forwards, the watchpoint stops behind the delivery, where no instruction of the handler is executed yet."""
    source = SOURCE.replace("CODE", {**INTERRUPTED, **FAULTS}[name]).replace("SKIP", str(SKIPS[name]))
    machine = boot(source)
    (first, _), *_ = changes(boot(source))
    watch = b"Z2,%x,4" % SLOT
    answers, _ = debug(machine, watch, b"c", p("eip"), back, p("eip"), b"m%x,4" % SLOT, b"c", p("eip"))
    places = [value(answer) for answer in answers if len(answer) == 8]
    assert places == [machine.symbols["handler"], first, 0, machine.symbols["handler"]]
    assert sum(b"watch:%x;" % SLOT in answer for answer in answers) == 3

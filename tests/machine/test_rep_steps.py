"""A debugger's steps over REP are the traps that a processor with TF takes: one an iteration, the last behind it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scripted_debugger import debug, p, value

from hillemu.machine import Machine

Boot = Callable[..., Machine]
TRACE, MOST = 0x204000, 40

STRINGS = {
    "stosb": "mov ecx, 3; rep stosb",
    "none": "xor ecx, ecx; rep stosb",
    "one": "mov ecx, 1; rep movsd",
    "16-bit count": "mov ecx, 0x50002; .byte 0x67, 0xF3, 0xAA",
    "16-bit count of zero": "mov ecx, 0x50000; .byte 0x67, 0xF3, 0xAA",
    "ended by ZF": "mov ecx, 5; mov byte ptr [edi + 1], 9; repe cmpsb",
    "ended by the count": "mov ecx, 4; mov al, 1; repne scasb",
    "ended by both": "mov ecx, 2; mov byte ptr [edi + 1], 9; repe cmpsb",
    "with prefixes": "mov ecx, 2; .byte 0x66, 0xF3, 0x2E, 0xA5",
    "a port": "mov ecx, 2; mov dx, 0xE9; rep outsb",
    "twice": "mov ecx, 2; rep stosb; mov ecx, 1; rep stosb; rep stosb",
}
TRAPS = """
    mov eax, offset trap; mov [0x202008], ax; mov dword ptr [0x20200A], 0x8E000008; shr eax, 16; mov [0x20200E], ax
    lidt [pointer]; mov ebp, TRACE; pushfd; mov dword ptr [esp], FLAGS; xor eax, eax
    mov esi, 0x200000; mov edi, 0x201000; popfd
first: nop
    CODE
last: cli; hlt
trap: push eax; mov eax, [esp + 4]; mov [ebp], eax; add ebp, 4; pop eax; iretd
pointer: .word 0x7F; .long 0x202000"""
TF = 0x100


def traps(boot: Boot, code: str, flags: int) -> Machine:
    return boot(TRAPS.replace("CODE", code).replace("TRACE", hex(TRACE)).replace("FLAGS", hex(flags)))


def places_of_traps(boot: Boot, code: str) -> list[int]:
    """Where the guest sees itself trap, from `first` on."""
    machine = traps(boot, code, TF)
    machine.run(max_insns=1000)
    words = [int.from_bytes(machine.read(TRACE + 4 * at, 4), "little") for at in range(MOST)]
    return words[: words.index(0)]


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize("code", STRINGS.values(), ids=STRINGS)
def test_steps_stop_where_the_guest_traps_with_tf_and_so_do_steps_back(boot: Boot, code: str) -> None:
    expected = places_of_traps(boot, code)
    machine = traps(boot, code, 0)
    machine.run(max_insns=14)
    first, *expected = expected
    assert machine.cpu.eip == first
    forward = [packet for _ in expected for packet in (b"s", p("eip"))]
    back = [packet for _ in expected for packet in (b"bs", p("eip"))]
    answers, _ = debug(machine, *forward, *back)
    places = [value(answer) for answer in answers if len(answer) == 8]
    assert places[: len(expected)] == expected
    assert places[len(expected) :] == [*expected[:-1][::-1], first]


@pytest.mark.usefixtures("core")
def test_a_breakpoint_at_rep_is_arrived_at_by_iterations_only(boot: Boot) -> None:
    """A condition that counts them: forwards, and backwards."""
    machine = boot("mov edi, 0x200000; mov ecx, 3; here: rep stosb; cli; hlt")
    at = machine.symbols["here"]
    zero = "26000122001327"  # ecx == 0
    conditional = b"Z0,%x,1;X%x,%b" % (at, len(zero) // 2, zero.encode())
    answers, _ = debug(machine, conditional, b"c", b"bc", b"z0,%x,1" % at, b"Z0,%x,1" % at, b"c", p("ecx"))
    assert answers[1].startswith((b"O", b"T11")), "it came to the end"
    assert b"replaylog:begin" in next(answer for answer in answers[2:] if b"replaylog" in answer)
    assert value(answers[-1]) == 3


def test_a_limit_within_rep_is_kept_by_steps(boot: Boot) -> None:
    machine = boot("mov edi, 0x200000; mov ecx, 3; rep stosb; cli; hlt")
    debug(machine, *[b"s"] * 8, max_insns=5)
    assert machine.cpu.instructions == 5
    assert machine.cpu.ecx == 0

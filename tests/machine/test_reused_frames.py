"""Frames that hold code, then data, then code again: what runs is always what was stored last."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from hillemu.emu.cpu.core import CoreStop

FRAME = 0x200000
MANY = 100_000  # far more stores than it takes until the frame counts as data

STORE_LOOP = f"mov ecx, {MANY}; 1: mov [edi], ecx; inc dword ptr [edi + 4]; dec ecx; jnz 1b"


def returning(value: int) -> str:
    """Store ``mov eax, value; ret`` at EDI."""
    code = (b"\xb8" + value.to_bytes(4, "little") + b"\xc3\x90\x90").hex()
    low, high = (int.from_bytes(bytes.fromhex(code)[at : at + 4], "little") for at in (0, 4))
    return f"mov dword ptr [edi], {low:#x}; mov dword ptr [edi + 4], {high:#x}"


def test_code_that_is_stored_after_much_data_is_what_runs(lab: Callable[..., Any]) -> None:
    machine = lab(
        f"""
        mov edi, {FRAME}
        {returning(0x11)}; call edi; mov esi, eax
        {STORE_LOOP}; mov ebx, [edi + 4]
        {returning(0x22)}; call edi; mov ebp, eax
        {STORE_LOOP}
        {returning(0x33)}; call edi
        hlt
        """
    )
    assert machine.run() is CoreStop.HALT
    assert [machine.get(name) for name in ("esi", "ebp", "eax")] == [0x11, 0x22, 0x33]
    assert machine.get("ebx") == (0x90900000 | 0xC3 << 8) + MANY & 0xFFFFFFFF


def test_code_that_was_left_alone_beside_much_data_still_runs(lab: Callable[..., Any]) -> None:
    machine = lab(
        f"""
        mov edi, {FRAME + 0x800}; {returning(0x44)}; call edi
        mov edi, {FRAME}; {STORE_LOOP}
        call {FRAME + 0x800}; mov esi, eax
        mov byte ptr [{FRAME + 0x801}], 0x55; call {FRAME + 0x800}
        hlt
        """
    )
    assert machine.run() is CoreStop.HALT
    assert (machine.get("esi"), machine.get("eax")) == (0x44, 0x55)


def test_a_loop_may_store_into_its_own_frame_and_change_itself(lab: Callable[..., Any]) -> None:
    machine = lab(
        f"""
        mov ecx, {MANY}; xor eax, eax
        1: inc dword ptr [counter]
        add eax, 1
        changed:
        mov edx, 0
        mov [changed + 1], ecx
        add ebx, edx
        dec ecx; jnz 1b
        mov esi, [counter]; hlt
        counter: .long 0
        """
    )
    assert machine.run() is CoreStop.HALT
    assert machine.get("esi") == machine.get("eax") == MANY
    assert machine.get("ebx") == sum(range(2, MANY + 1)) & 0xFFFFFFFF


@pytest.mark.parametrize("step", [1, 997, 65_536])
def test_stops_change_nothing_while_frames_are_reused(step: int, lab: Callable[..., Any]) -> None:
    source = f"mov edi, {FRAME}; {returning(1)}; call edi; mov ecx, 3000; 1: mov [edi], ecx; loop 1b; hlt"
    whole, stopped = lab(source), lab(source)
    whole.run()
    while stopped.processor.run(instructions=step) is CoreStop.LIMIT:
        pass
    assert stopped.outcome() == whole.outcome()


def test_stores_are_as_fast_where_code_was_once_as_anywhere(lab_of: Callable[..., Any]) -> None:
    stores = "mov ecx, 3000000; 1: mov [edi + 64], ecx; mov [edi + 128], ecx; dec ecx; jnz 1b; hlt"

    def seconds(prepare: str) -> float:
        machine = lab_of("native", f"mov edi, {FRAME}; {prepare}; {stores}")
        begin = time.process_time()
        machine.processor.run(instructions=20_000_000)
        return time.process_time() - begin

    fresh = min(seconds("nop") for _ in range(3))
    reused = min(seconds(f"{returning(1)}; call edi") for _ in range(3))
    assert reused < 3 * fresh

"""Power management called from protected mode: the ROM's entries answer as the service of INT 15h does."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from laboratory import GDT

from hillemu.boot.bios.apm import PM1_CNT, ApmService
from hillemu.boot.bios.call import fake_call
from hillemu.boot.bios.rom import AT, install_rom
from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.guest import FakeGuest, Segment
from hillemu.emu.i386.address import PhysAddr

BASE = 0x8000
"""Below 64 KiB, where a 16-bit far return leads."""
CODE_32, CODE_16 = 0x30, 0x38
DESCRIPTORS = (0x00409B0F0000FFFF, 0x00009B0F0000FFFF)
"""What programs make of the answers to AX=5303h and 5302h: the ROM's segment, of 32 and of 16 bits."""
CALLS = {
    CODE_32: f"call {CODE_32}:{AT['apm32']}",
    CODE_16: f".byte 0x66, 0x9A; .word {AT['apm16']}, {CODE_16}",
}
FUNCTIONS = [
    *[(al, 0x0001, 0x0000) for al in (0x04, 0x05, 0x06, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0F, 0x10, 0x11, 0x80)],
    *[(0x07, device, state) for device in (0x0001, 0x0100) for state in (0, 1, 2, 3, 4, 0xFFFF)],
    *[(0x0E, 0, version) for version in (0x0000, 0x0001, 0x0100, 0x0101, 0x0102, 0x0103, 0x0200)],
]


def answered(lab: Callable[..., Any], segment: int, ax: int, bx: int, cx: int) -> tuple[Any, dict[str, int]]:
    machine = lab(
        f"""
        mov eax, {ax:#x}; mov ebx, {bx:#x}; mov ecx, {cx:#x}; mov edx, 0x1111; mov esi, 0x2222; mov ebp, esp
        {CALLS[segment]}
        sbb edi, edi; sub ebp, esp; hlt
        """,
        base=BASE,
    )
    install_rom(machine.pc)
    machine.memory.write(PhysAddr(GDT + CODE_32), struct.pack("<2Q", *DESCRIPTORS))
    machine.processor.set_segment("gdtr", Segment(0, GDT, 8 * 8 - 1, 0))
    machine.pc.ports.attach(PM1_CNT, 2, machine.probe, name="PM1_CNT", width=2)
    assert machine.run() is CoreStop.HALT
    assert machine.get("ebp") == 0, "the stack is as it was"
    registers = {name: machine.get(f"e{name}") & 0xFFFF for name in ("ax", "bx", "cx", "dx", "si")}
    return machine, {**registers, "carry": machine.get("edi") & 1}


@pytest.mark.parametrize("segment", [CODE_32, CODE_16])
@pytest.mark.parametrize(("al", "bx", "cx"), FUNCTIONS)
def test_the_entries_answer_as_int_15h(lab: Callable[..., Any], segment: int, al: int, bx: int, cx: int) -> None:
    guest = FakeGuest(1 << 20)
    real = fake_call(0x15, guest, resumed=True, eax=0x5300 | al, ebx=bx, ecx=cx, edx=0x1111, esi=0x2222)
    ApmService()(real)
    machine, registers = answered(lab, segment, 0x5300 | al, bx, cx)
    wanted = {"ax": real.ax, "bx": real.bx, "cx": real.cx, "dx": real.dx, "si": real.si, "carry": int(real.carry)}
    assert registers == wanted
    assert [(value, size) for *_, size, value in machine.probe.log] == [
        (value, size) for _, value, size in guest.port_writes
    ]


@pytest.mark.parametrize("segment", [CODE_32, CODE_16])
@pytest.mark.parametrize("ax", [0x5300, 0x5303, 0x8805])
def test_what_is_for_real_mode_only_is_not_supported(lab: Callable[..., Any], segment: int, ax: int) -> None:
    _, registers = answered(lab, segment, ax, 0, 0)
    assert (registers["ax"] >> 8, registers["carry"]) == (0x0C, 1)

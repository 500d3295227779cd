"""The PCI BIOS for 32-bit code, where QEMU's firmware does not check what it is asked (tests/guest/bios32.c)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hillemu.boot.bios.rom import AT, SEGMENT, install_rom
from hillemu.emu.cpu.core import CoreStop

ENTRY = (SEGMENT << 4) + AT["pci32"]
SUCCESSFUL, NOT_SUPPORTED, BAD_VENDOR, BAD_REGISTER = 0x00, 0x81, 0x83, 0x87


@pytest.mark.parametrize(
    ("function", "registers", "status"),
    [
        (0x02, "mov edx, 0xFFFF; xor ecx, ecx; xor esi, esi", BAD_VENDOR),
        (0x09, "mov edi, 1", BAD_REGISTER),
        (0x0A, "mov edi, 2", BAD_REGISTER),
        (0x0C, "mov edi, 3; xor ecx, ecx", BAD_REGISTER),
        (0x0D, "mov edi, 1; xor ecx, ecx", BAD_REGISTER),
        (0x08, "mov edi, 0x100", BAD_REGISTER),
        (0x06, "nop", NOT_SUPPORTED),
        (0x0E, "nop", NOT_SUPPORTED),
        (0x08, "mov edi, 0xFFFF00FF", SUCCESSFUL),
    ],
)
def test_the_status_says_what_is_wrong(function: int, registers: str, status: int, lab: Callable[..., Any]) -> None:
    machine = lab(
        f"""
        mov ebp, esp; mov ebx, 0; {registers}; mov eax, {0xB100 | function:#x}
        call 8:{ENTRY:#x}
        setc ch; sub ebp, esp; hlt
        """
    )
    install_rom(machine.pc)
    assert machine.run() is CoreStop.HALT
    assert machine.get("eax") & 0xFFFF == status << 8 | function
    assert machine.get("ecx") >> 8 & 1 == (status != SUCCESSFUL)
    assert machine.get("ebp") == 0, "the stack is as it was"

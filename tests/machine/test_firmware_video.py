"""The video BIOS as the whole machine has it: VBE through INT 10h, and what is on the screen at power-on."""

from __future__ import annotations

from real_mode import RealMode

from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.stop import StopReason


def ran(source: str) -> RealMode:
    real = RealMode(source + "\ncli; hlt\n")
    stop = real.run()
    assert stop.reason is StopReason.HALT, stop
    return real


def test_vbe_tells_of_the_card_and_of_the_modes_that_it_lists() -> None:
    real = ran("mov dword ptr [0x7000], 0x32454256; mov di, 0x7000; mov ax, 0x4F00; int 0x10; mov [0x7400], ax")
    assert real.told == []
    assert real.word(0x7400) == 0x004F
    memory = real.machine.memory
    assert memory.read(PhysAddr(0x7000), 6) == b"VESA\x00\x03"
    assert real.word(0x7000 + 18) == 256, "64 KiB blocks: 16 MiB"
    offset, segment = real.word(0x7000 + 14), real.word(0x7000 + 16)
    assert memory.read(PhysAddr((segment << 4) + offset), 2) == b"\x00\x01", "the list starts with mode 100h"


def test_the_monitor_tells_vbe_what_it_tells_by_the_cards_registers() -> None:
    real = ran("mov di, 0x7000; xor cx, cx; xor dx, dx; mov bl, 1; mov ax, 0x4F15; int 0x10; mov [0x7400], ax")
    assert real.word(0x7400) == 0x004F
    block = real.machine.memory.read(PhysAddr(0x7000), 128)
    assert block[:8] == bytes.fromhex("00ffffffffffff00")
    assert sum(block) % 256 == 0


def test_the_screen_is_empty_at_power_on_and_the_font_is_where_programs_look() -> None:
    real = ran("nop")
    assert real.machine.memory.read(PhysAddr(0xB8F00), 160) == b"\x20\x07" * 80
    offset, segment = real.word(4 * 0x43), real.word(4 * 0x43 + 2)
    letter_i = real.machine.memory.read(PhysAddr((segment << 4) + offset + 16 * ord("I")), 16)
    assert letter_i[5] & letter_i[6] & letter_i[7], "a vertical bar in the middle"

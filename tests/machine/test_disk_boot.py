"""Boot sectors on the processor, with the ROM's stubs: the way from power-on through INT 13h, 18h and 19h.

The parts are put together here, so that a fault shows in the firmware and not in the command line.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from int13 import cut
from int13_cases import CASES, DIFFERENT, recorded

from hillemu.boot.assembler import Layout, assemble_text
from hillemu.boot.bios.data import write_bios_data
from hillemu.boot.bios.disk import DiskService
from hillemu.boot.bios.disk_tables import write_disk_tables
from hillemu.boot.bios.dispatcher import Bios
from hillemu.boot.bios.drives import Drives, FloppyDrive, HardDisk
from hillemu.boot.bios.rom import install_rom
from hillemu.boot.disk_boot import DiskBoot
from hillemu.emu.cpu.models import model_named
from hillemu.emu.media import Medium
from hillemu.emu.pc import Pc

MOST_INSTRUCTIONS = 500_000


class BootedPc:
    """A PC of 32 MiB that has booted from `drives`; `sent` is what it writes to the debug console."""

    def __init__(self, drives: Drives, order: str) -> None:
        self.reports: list[str] = []
        self.shown: list[str] = []
        self.pc = Pc(
            size_bytes=32 << 20,
            model=model_named("max"),
            rtc_base=datetime(2024, 1, 1),
            on_exit=lambda value: None,
            on_reset=lambda: None,
            on_power_off=lambda: None,
            report=self.reports.append,
        )
        install_rom(self.pc)
        write_bios_data(self.pc.memory)
        write_disk_tables(self.pc.memory, drives)
        bios = Bios(self.pc, report=self.reports.append)
        boot = DiskBoot(drives, order=order, show=self.shown.append)
        bios.register(0x13, DiskService(drives))
        bios.register(0x18, boot.int18)
        bios.register(0x19, boot.int19)
        boot.start(self.pc)

    def run(self) -> bytes:
        self.pc.processor.run(instructions=MOST_INSTRUCTIONS, ticks=None, over_breakpoint=False)
        return bytes(self.pc.debug_log.data)


@pytest.mark.parametrize("name", [name for name in CASES if "geometry" not in name])
def test_a_boot_sector_gets_seabioss_answers(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    case.make(tmp_path)
    answers = cut(BootedPc(case.drives(tmp_path), "dca").run(), case.asks)
    for ask, our, their in zip(case.asks, answers, recorded()[name], strict=True):
        if (name, ask.ax) not in DIFFERENT:
            assert our == their, f"AX={ask.ax:04X}h CX={ask.cx:04X}h DX={ask.dx:04X}h"


def sector(source: str) -> Medium:
    text = f".code16\n.text\nstart:\n{source}\n.org 510\n.word 0xAA55\n"
    return Medium.from_bytes("sector", assemble_text(text, layout=Layout(flat=True, base=0x7C00)).data)


def say(letter: str) -> str:
    return f"mov al, '{letter}'\nout 0xE9, al\n"


def test_int_18h_tries_the_next_drive_and_halts_after_the_last() -> None:
    disk, floppy = sector(say("c") + "int 0x18"), sector(say("a") + "int 0x18")
    booted = BootedPc(Drives([FloppyDrive(floppy)], [HardDisk(disk)]), "ca")
    assert booted.run() == b"ca"
    assert booted.shown[-1] == "No bootable device.\r\n"


def test_int_19h_boots_again_with_interrupts_enabled_and_the_drive_in_dl() -> None:
    again = """
        mov al, dl
        out 0xE9, al
        pushf
        pop ax
        mov al, ah                              # IF is bit 1 of the high byte
        out 0xE9, al
        cmp byte ptr [0x600], 1
        je 1f
        mov byte ptr [0x600], 1
        mov dl, 0x55
        cli
        int 0x19
    1:  cli
        hlt
    """
    assert BootedPc(Drives(disks=[HardDisk(sector(again))]), "c").run() == b"\x80\x02" * 2

"""The ROM on the graphics card, as firmware finds it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hillemu.emu.devices.pci.expansion_rom import ExpansionRom
from hillemu.emu.devices.pci.pci_function import COMMAND, COMMAND_MEMORY, ROM_BASE, ROM_ENABLE
from hillemu.emu.errors import ImageError, OptionError
from hillemu.machine import Machine

AT = 0xFEBE0000
IMAGE = bytes.fromhex("55AA01CB") + bytes(508)


def test_reads_of_any_size_find_the_image_and_ones_behind_it() -> None:
    rom = ExpansionRom(0x10000, IMAGE)
    assert rom.read(0, 2) == 0xAA55
    assert rom.read(3, 1) == 0xCB
    assert rom.read(512, 4) == 0xFFFFFFFF
    assert rom.read(0xFFFF, 1) == 0xFF


def test_a_rom_keeps_what_it_has() -> None:
    rom = ExpansionRom(0x10000, IMAGE)
    rom.write(0, 4, 0)
    assert rom.read(0, 4) == 0xCB01AA55


@pytest.fixture
def roms(tmp_path: Path) -> Callable[[bytes], dict[str, str]]:
    """`roms(image)` are a machine's options for a BIOS that does nothing and this video BIOS."""

    def make(image: bytes) -> dict[str, str]:
        (tmp_path / "bios.bin").write_bytes(b"\xf4" * 0x10000)
        (tmp_path / "vga.bin").write_bytes(image)
        return {"bios": str(tmp_path / "bios.bin"), "vga_bios": str(tmp_path / "vga.bin")}

    return make


def test_the_cards_rom_answers_where_its_base_address_is_enabled(roms: Callable[[bytes], dict[str, str]]) -> None:
    machine = Machine("16M", **roms(IMAGE))
    vga, mmio = machine._pc.pci.vga, machine._pc.mmio
    vga.write(COMMAND, 2, COMMAND_MEMORY)
    vga.write(ROM_BASE, 4, AT)
    assert mmio.read(AT, 4) == 0xFFFFFFFF
    vga.write(ROM_BASE, 4, AT | ROM_ENABLE)
    assert mmio.read(AT, 4) == 0xCB01AA55
    vga.write(COMMAND, 2, 0)
    assert mmio.read(AT, 4) == 0xFFFFFFFF


@pytest.mark.parametrize("image", [b"", b"\x55", b"MZ" + bytes(510), b"\x55\xaa" + bytes(0x10000)])
def test_what_is_no_video_bios_is_refused(roms: Callable[[bytes], dict[str, str]], image: bytes) -> None:
    with pytest.raises(ImageError, match=r"vga\.bin"):
        Machine("16M", **roms(image))


def test_a_video_bios_needs_a_bios_that_starts_it(roms: Callable[[bytes], dict[str, str]]) -> None:
    with pytest.raises(OptionError, match="--vga-bios: needs --bios"):
        Machine("16M", vga_bios=roms(IMAGE)["vga_bios"])

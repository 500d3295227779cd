"""The graphics card as the video BIOS finds it: its own modes' registers, and where its framebuffer is.

Source: Bochs, "VBE DISPI interface"; PCI Local Bus Specification 2.1, "Configuration Mechanism #1", "Base Addresses".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.emu.guest import Guest

if TYPE_CHECKING:
    from hillemu.boot.bios.call import MemoryBus

INDEX_PORT, DATA_PORT = 0x1CE, 0x1CF
ID, XRES, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET, VIDEO_MEMORY = range(11)
ENABLED, DAC_8_BITS, LINEAR, KEEP_MEMORY = 0x01, 0x20, 0x40, 0x80
IDS = range(0xB0C0, 0xB0D0)
MEMORY_UNIT = 0x10000

_CONFIG_ADDRESS, _CONFIG_DATA, _CONFIG_ENABLE = 0xCF8, 0xCFC, 1 << 31
_DEVICES, _ID, _COMMAND, _CLASS, _BAR_0, _BAR_2 = 32, 0x00, 0x04, 0x08, 0x10, 0x18
_EDID_BYTES, _EDID_HEADER = 128, bytes.fromhex("00ffffffffffff00")
_STANDARD_VGA, _DISPLAY_VGA, _MEMORY_SPACE = 0x11111234, 0x0300, 0x02


def get(guest: Guest, register: int) -> int:
    """Read a DISPI register."""
    guest.write_port(INDEX_PORT, register, 2)
    return guest.read_port(DATA_PORT, 2)


def put(guest: Guest, register: int, value: int) -> None:
    """Write a DISPI register."""
    guest.write_port(INDEX_PORT, register, 2)
    guest.write_port(DATA_PORT, value, 2)


def is_there(guest: Guest) -> bool:
    """Whether the card has modes of its own."""
    return get(guest, ID) in IDS


def memory_bytes(guest: Guest) -> int:
    return get(guest, VIDEO_MEMORY) * MEMORY_UNIT


def is_enabled(guest: Guest) -> bool:
    """Whether a mode of the card's own is set."""
    return is_there(guest) and bool(get(guest, ENABLE) & ENABLED)


def switch_off(guest: Guest) -> None:
    """Leave the card's own modes, if it has any."""
    if is_there(guest):
        put(guest, ENABLE, 0)


def framebuffer_address(guest: Guest) -> int:
    """Physical address of the linear framebuffer; 0 if the card is not on the PCI bus, or does not answer there."""
    return _base_address(guest, _BAR_0)


def monitor_facts(guest: Guest, bus: MemoryBus) -> bytes:
    """The EDID block that the card has of its monitor, read over the memory `bus`; empty where there is none."""
    registers = _base_address(guest, _BAR_2)
    if not registers:
        return b""
    block = b"".join(bus.read(registers + at, 4).to_bytes(4, "little") for at in range(0, _EDID_BYTES, 4))
    return block if block.startswith(_EDID_HEADER) else b""


def _base_address(guest: Guest, register: int) -> int:
    """Where a range of the card's lies in memory; 0 if the card is not on the PCI bus, or does not answer there."""
    before = guest.read_port(_CONFIG_ADDRESS, 4)
    try:
        for device in range(_DEVICES):
            if _config(guest, device, _ID) == _STANDARD_VGA and _config(guest, device, _CLASS) >> 16 == _DISPLAY_VGA:
                if _config(guest, device, _COMMAND) & _MEMORY_SPACE:
                    return _config(guest, device, register) & ~0xF
                return 0
        return 0
    finally:
        guest.write_port(_CONFIG_ADDRESS, before, 4)


def _config(guest: Guest, device: int, register: int) -> int:
    guest.write_port(_CONFIG_ADDRESS, _CONFIG_ENABLE | device << 11 | register, 4)
    return guest.read_port(_CONFIG_DATA, 4)

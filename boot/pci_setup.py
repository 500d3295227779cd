"""What firmware does to the PCI bus before it starts an operating system: addresses, interrupts, decoding.

::

    I/O ranges       from C000h up, the largest first
    memory ranges    below FEC00000h down; prefetchable ones apart from the others, the less aligned on top
    PIRQA-PIRQD      IRQ 10, 10, 11, 11, level-triggered;  every function's interrupt line register says its IRQ
    PIIX4            power management at 600h, SMBus at 700h, SCI on IRQ 9
    440FX            C0000-E7FFF and F0000-FFFFF read RAM and ignore writes, E8000-EFFFF is RAM

All by configuration accesses through the ports, on whatever functions answer there.

Source: SeaBIOS 1.16, whose results these are (src/fw/pciinit.c, src/fw/shadow.c), under QEMU 7.2 ``-machine pc``;
PCI Local Bus Specification 2.1, "Base Addresses".
Not modelled: bridges to other buses, 64-bit base addresses, option ROMs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hillemu.emu.guest import Guest

CONFIG_ADDRESS, CONFIG_DATA = 0xCF8, 0xCFC
PIRQ_IRQS = (10, 10, 11, 11)
"""The ISA interrupts of PIRQA-PIRQD."""
SCI_IRQ = 9
PM_BASE, SMBUS_BASE = 0x600, 0x700
IO_BASE = 0xC000
MEMORY_END = 0xFEC00000

_VENDOR, _DEVICE, _COMMAND, _HEADER_TYPE, _INTERRUPT_LINE, _INTERRUPT_PIN = 0x00, 0x02, 0x04, 0x0E, 0x3C, 0x3D
_COMMAND_DECODE_SERR = 0x0103
_ALL_ONES = 0xFFFFFFFF
_BARS = (0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x30)
_ROM = 0x30
_INTEL = 0x8086
_ELCR = 0x4D0
_PAM = (0x10, 0x11, 0x11, 0x11, 0x11, 0x11, 0x33)
_PAM_REGISTER = 0x59
_SMALLEST_MEMORY_RANGE = 0x1000


class PciConfig:
    """Configuration mechanism #1 on a machine's ports; `slot` is device times 8 plus function."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    def read(self, slot: int, offset: int, size: int) -> int:
        return self._guest.read_port(self._select(slot, offset), size)

    def write(self, slot: int, offset: int, size: int, value: int) -> None:
        self._guest.write_port(self._select(slot, offset), value, size)

    def slots(self) -> Iterator[int]:
        """Every function of bus 0 that answers."""
        for device in range(32):
            first = device << 3
            if self.read(first, _VENDOR, 2) == 0xFFFF:
                continue
            count = 8 if self.read(first, _HEADER_TYPE, 1) & 0x80 else 1
            for slot in range(first, first + count):
                if self.read(slot, _VENDOR, 2) != 0xFFFF:
                    yield slot

    def _select(self, slot: int, offset: int) -> int:
        self._guest.write_port(CONFIG_ADDRESS, 0x80000000 | slot << 8 | offset & 0xFC, 4)
        return CONFIG_DATA + (offset & 3)


class _Claim(NamedTuple):
    """A range that a function wants: `register` of `slot`."""

    slot: int
    register: int
    size_bytes: int
    is_io: bool
    prefetchable: bool


def set_up_pci(guest: Guest) -> None:
    """Do it.  A machine without a PCI bus is left alone."""
    config = PciConfig(guest)
    slots = list(config.slots())
    claims = [claim for slot in slots for claim in _claims(config, slot)]
    for register, base in _places(claims):
        config.write(*register, 4, base)
    for slot in slots:
        if pin := config.read(slot, _INTERRUPT_PIN, 1):
            config.write(slot, _INTERRUPT_LINE, 1, irq_of(slot >> 3, pin))
        _set_up_chip(guest, config, slot)
        command = config.read(slot, _COMMAND, 2)
        config.write(slot, _COMMAND, 2, command | _COMMAND_DECODE_SERR)


def irq_of(device: int, pin: int) -> int:
    """The ISA interrupt of a device's pin (1 for INTA#), as the mainboard wires it and `PIRQ_IRQS` routes it.

    >>> irq_of(3, 1)
    11
    """
    return PIRQ_IRQS[(device + pin - 2) & 3]


def _claims(config: PciConfig, slot: int) -> Iterator[_Claim]:
    """Ask every base address of a function for its size."""
    for register in _BARS:
        kept = config.read(slot, register, 4)
        config.write(slot, register, 4, _ALL_ONES & ~1 if register == _ROM else _ALL_ONES)
        found = config.read(slot, register, 4)
        config.write(slot, register, 4, kept)
        is_io = register != _ROM and bool(found & 1)
        mask = found & (0xFFFFFFFC if is_io else 0xFFFFF800 if register == _ROM else 0xFFFFFFF0)
        if not mask:
            continue
        size = mask & -mask
        yield _Claim(slot, register, size, is_io, register != _ROM and not is_io and bool(found & 8))


def _places(claims: list[_Claim]) -> Iterator[tuple[tuple[int, int], int]]:
    """((slot, register), base) of every claim."""
    yield from _row([claim for claim in claims if claim.is_io], IO_BASE)
    memory = [claim for claim in claims if not claim.is_io]
    groups = [[claim for claim in memory if claim.prefetchable is kind] for kind in (False, True)]
    # The group of the smaller alignment goes on top, where it wastes less.
    groups.sort(key=_alignment)
    end = MEMORY_END
    for group in groups:
        if group:
            alignment = _alignment(group)
            room = sum(_room(claim) for claim in group)
            end = end - (room + alignment - 1 & -alignment) & -alignment
            yield from _row(group, end)


def _row(claims: list[_Claim], base: int) -> Iterator[tuple[tuple[int, int], int]]:
    """Lay `claims` out from `base` up, the largest first, so that all are aligned."""
    for claim in sorted(claims, key=_room, reverse=True):
        yield (claim.slot, claim.register), base
        base += _room(claim)


def _room(claim: _Claim) -> int:
    return claim.size_bytes if claim.is_io else max(claim.size_bytes, _SMALLEST_MEMORY_RANGE)


def _alignment(claims: list[_Claim]) -> int:
    return max(map(_room, claims), default=1)


def _set_up_chip(guest: Guest, config: PciConfig, slot: int) -> None:
    """The chip set's own registers."""
    if config.read(slot, _VENDOR, 2) != _INTEL:
        return
    match config.read(slot, _DEVICE, 2):
        case 0x1237:  # 82441FX
            for n, attributes in enumerate(_PAM):
                config.write(slot, _PAM_REGISTER + n, 1, attributes)
            config.write(slot, 0x72, 1, 0x0A)  # SMRAM: closed, at A0000-BFFFF
        case 0x7000:  # PIIX3, ISA bridge
            for n, irq in enumerate(PIRQ_IRQS):
                config.write(slot, 0x60 + n, 1, irq)
            levels = sum(1 << irq for irq in set(PIRQ_IRQS))
            guest.write_port(_ELCR, levels & 0xFF)
            guest.write_port(_ELCR + 1, levels >> 8)
        case 0x7010:  # PIIX3, IDE: both channels decode their ports
            config.write(slot, 0x40, 2, 0x8000)
            config.write(slot, 0x42, 2, 0x8000)
        case 0x7113:  # PIIX4, power management
            config.write(slot, _INTERRUPT_LINE, 1, SCI_IRQ)
            config.write(slot, 0x40, 4, PM_BASE | 1)
            config.write(slot, 0x80, 1, 1)
            config.write(slot, 0x90, 4, SMBUS_BASE | 1)
            config.write(slot, 0xD2, 1, 0x09)

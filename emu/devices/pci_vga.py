"""The PCI side of QEMU's standard VGA: device 2, 1234:1111.

::

    10  frame buffer, 16 MiB, prefetchable        30  expansion ROM, 64 KiB
    18  registers, 4 KiB

The 4 KiB hold the ports, for those who cannot use them::

    000-0FF  EDID                    400-41F  ports 3C0-3DF
    500-515  the sixteen-bit DISPI registers 0-10, as at ports 1CE (index) and 1CF (data)
    600-607  frame buffer size... of QEMU's own: size of this block, then 1E1E1E1E or BEBEBEBE: byte order

Source: QEMU, docs/specs/standard-vga.rst.
The ROM's addresses are claimed, as QEMU's are, also where nobody put a ROM there: reads find open bus then.

Not modelled: EDID (reads 0: no monitor answers) and the big-endian frame buffer (a write is reported, and ignored).
"""

from __future__ import annotations

from hillemu.emu.bus import Bus
from hillemu.emu.devices.pci_function import BAR_PREFETCHABLE, ROM_BAR, Identity, Move, PciFunction
from hillemu.emu.reports import Report, unheard

FRAME_BUFFER_BYTES = 16 << 20
MMIO_BYTES = 0x1000
ROM_BYTES = 0x10000

_VGA_PORTS, _VGA_PORTS_END, _FIRST_VGA_PORT = 0x400, 0x420, 0x3C0
_DISPI, _DISPI_END, _DISPI_INDEX_PORT, _DISPI_DATA_PORT = 0x500, 0x516, 0x1CE, 0x1CF
_EXTENDED, _EXTENDED_BYTES = 0x600, 8
_LITTLE_ENDIAN = 0x1E1E1E1E
_IDENTITY = Identity(0x1234, 0x1111, 0x030000, revision=0x02)


def _nobody(base: int | None) -> None:
    """There is no ROM."""


class PciVga(PciFunction):
    """The function.

    `on_frame_buffer(base)`, `on_mmio(base)` and `on_rom(base)` run when the guest moves (`None`: takes away) a range.
    """

    def __init__(self, *, on_frame_buffer: Move, on_mmio: Move, on_rom: Move = _nobody) -> None:
        super().__init__(_IDENTITY)
        self.add_bar(0, FRAME_BUFFER_BYTES, on_frame_buffer, flags=BAR_PREFETCHABLE)
        self.add_bar(2, MMIO_BYTES, on_mmio)
        self.add_bar(ROM_BAR, ROM_BYTES, on_rom)


class VgaMmio:
    """The 4 KiB of registers.  Attach with ``width=4``; `ports` is where the VGA's ports are."""

    def __init__(self, *, ports: Bus, report: Report = unheard) -> None:
        self._ports = ports
        self._report = report
        self._told = False

    def read(self, offset: int, size: int) -> int:
        if _VGA_PORTS <= offset < _VGA_PORTS_END:
            return self._ports.read(offset - _VGA_PORTS + _FIRST_VGA_PORT, size)
        if _DISPI <= offset < _DISPI_END:
            self._ports.write(_DISPI_INDEX_PORT, 2, offset - _DISPI >> 1)
            value = self._ports.read(_DISPI_DATA_PORT, 2) >> 8 * (offset & 1)
            if size == 4:
                value |= self.read(offset + 2, 2) << 16
            return value & (1 << 8 * size) - 1
        if _EXTENDED <= offset < _EXTENDED + _EXTENDED_BYTES:
            block = _EXTENDED_BYTES.to_bytes(4, "little") + _LITTLE_ENDIAN.to_bytes(4, "little")
            return int.from_bytes(block[offset - _EXTENDED :][:size], "little")
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        if _VGA_PORTS <= offset < _VGA_PORTS_END:
            self._ports.write(offset - _VGA_PORTS + _FIRST_VGA_PORT, size, value)
        elif _DISPI <= offset < _DISPI_END:
            self._ports.write(_DISPI_INDEX_PORT, 2, offset - _DISPI >> 1)
            self._ports.write(_DISPI_DATA_PORT, 2, value & 0xFFFF)
            if size == 4:
                self.write(offset + 2, 2, value >> 16)
        elif offset == _EXTENDED + 4 and value != _LITTLE_ENDIAN and not self._told:
            self._told = True
            self._report(f"VGA: byte order {value:#010x} of the frame buffer is not modelled; it stays little-endian")

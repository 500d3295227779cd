"""The PCI side of QEMU's standard VGA: device 2, 1234:1111.

::

    10  frame buffer, 16 MiB, prefetchable
    18  registers, 4 KiB
    30  expansion ROM, 64 KiB

The card itself is `stdvga`.  The ROM's addresses are claimed, as QEMU's are, also where nobody put a ROM there: reads
find open bus then.

Source: QEMU, docs/specs/standard-vga.rst.
Not modelled: nothing.
"""

from __future__ import annotations

from hillemu.emu.devices.pci.pci_function import BAR_PREFETCHABLE, ROM_BAR, Identity, Move, PciFunction

FRAME_BUFFER_BYTES = 16 << 20
MMIO_BYTES = 0x1000
ROM_BYTES = 0x10000

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

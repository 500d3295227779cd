"""Intel 82441FX: the host bridge, device 0 of a PC's PCI bus, as far as software looks at it.

::

    57     what QEMU keeps there for coreboot: RAM below 4 GiB in units of 8 MiB, at most 255
    59     PAM0   7-4 F0000-FFFFF
    5A-5D  PAM1-4 3-0 C0000, C8000, D0000, D8000 and 16 KiB on | 7-4 the 16 KiB behind
    5E-5F  PAM5-6 3-0 E0000, E8000 and 16 KiB on               | 7-4 the 16 KiB behind
    72     SMRAM  6 D_OPEN | 5 D_CLS | 4 D_LCK | 3 G_SMRAME | 2-0 segment: 2 = A0000-BFFFF

A PAM nibble has bit 1 WE (writes reach RAM) and bit 0 RE (reads come from RAM); without them the access goes to PCI,
where the BIOS ROM is.  After reset all accesses do.

Source: Intel 82441FX (PMC) data sheet (290549), "PAM - Programmable Attribute Map Registers", "SMRAM - System
Management RAM Control Register"; the identity and the command register as QEMU's i440FX shows them.
Not modelled: the DRAM, error and arbitration registers (QEMU has none either: they keep what is written); the cache
enable bits of the PAM registers are kept and mean nothing.  System management mode: D_OPEN and G_SMRAME are kept, and
`report` is told when a guest opens the SMRAM.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.devices.pci.pci_function import Identity, PciFunction
from hillemu.emu.reports import Report, unheard

PAM0, PAM_COUNT, SMRAM = 0x59, 7, 0x72
RE, WE = 1, 2
_D_OPEN, _D_LCK, _G_SMRAME = 0x40, 0x10, 0x08
_COREBOOT_RAM = 0x57
_IDENTITY = Identity(0x8086, 0x1237, 0x060000, revision=0x02)

Pam = Callable[[int, int, bool, bool], None]


def _segments() -> tuple[tuple[int, int, int, int], ...]:
    """(register, shift, first address, end) of all thirteen."""
    rows = [(PAM0, 4, 0xF0000, 0x100000)]
    for n in range(12):
        base = 0xC0000 + 0x4000 * n
        rows.append((PAM0 + 1 + n // 2, 4 * (n % 2), base, base + 0x4000))
    return tuple(rows)


SEGMENTS = _segments()


class I440Fx(PciFunction):
    """The host bridge.

    `on_pam(first, end, read_ram, write_ram)` runs when the attributes of addresses `first` up to `end` change, reset
    included; both are false at power-on.  `ram_below_4g_bytes` is what register 57h tells.
    """

    def __init__(self, *, on_pam: Pam, ram_below_4g_bytes: int, report: Report = unheard) -> None:
        super().__init__(_IDENTITY)
        self._on_pam = on_pam
        self._report = report
        self._told_of_smram = False
        self._attributes = [0] * len(SEGMENTS)
        # QEMU keeps all that it does not model as plain bytes.
        self.define(0x40, 0xC0, 0, writable=(1 << 8 * 0xC0) - 1)
        self.define(_COREBOOT_RAM, 1, min(ram_below_4g_bytes >> 23, 0xFF), writable=0xFF)
        self.define(PAM0, PAM_COUNT, 0, writable=int.from_bytes(bytes([0x70] + [0x77] * 6), "little"))
        self.define(SMRAM, 1, 0x02, writable=_D_OPEN | 0x20 | _D_LCK | _G_SMRAME)

    def write(self, offset: int, size: int, value: int) -> None:
        before = self.get(SMRAM)
        super().write(offset, size, value)
        if offset <= SMRAM < offset + size and before & _D_LCK:
            # Locked until the next reset: only D_CLS can change.
            self.put(SMRAM, 1, before & ~0x20 | self.get(SMRAM) & 0x20)
        if self.get(SMRAM) & ~before & _D_OPEN and not self._told_of_smram:
            self._told_of_smram = True
            self._report("82441FX: the guest opened the SMRAM; system management mode is not modelled")

    def config_changed(self, first: int, end: int) -> None:
        for n, (register, shift, base, limit) in enumerate(SEGMENTS):
            if not first <= register < end:
                continue
            attributes = self.get(register) >> shift & (RE | WE)
            if attributes != self._attributes[n]:
                self._attributes[n] = attributes
                self._on_pam(base, limit, bool(attributes & RE), bool(attributes & WE))

"""QEMU's pc-testdev: what kvm-unit-tests use to see I/O, memory-mapped I/O and interrupts from a guest.

::

    00E0-00E3            a dword that keeps what is written, in accesses of any width
    00E4-00E7            write a physical address: the page's mapping on the host is thrown away
    00E8-00EB            the same dword as at 00E0, a byte at a time
    2000-2017            write 0 or not 0: interrupt line 0-23 goes low or high
    FF000000-FF00FFFF    64 KiB of memory behind memory-mapped I/O

Source: QEMU, hw/misc/pc-testdev.c.
Not modelled: port 00E4 changes nothing: RAM here has no mapping that could be thrown away, so the guest sees the
same memory before and after, as it shall.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hillemu.emu.bus import BusDevice
from hillemu.emu.wires import Line

IRQ_COUNT = 24
MMIO_BASE, MMIO_BYTES = 0xFF000000, 0x10000


class PcTestdev:
    """The card.  Attach `windows()` to the ports, `memory` at `MMIO_BASE` with ``width=4``.

    `irq(n)` makes a new wire into interrupt line `n` (0-23; from 16 on they are the I/O APIC's alone).
    """

    def __init__(self, *, irq: Callable[[int], Line]) -> None:
        self._latch = _Bytes(4)
        self._irqs = _Irqs(irq)
        self.memory = _Bytes(MMIO_BYTES)

    def windows(self) -> Iterator[tuple[int, int, BusDevice, int]]:
        """(first port, count, device, width) of every range of ports."""
        yield 0xE0, 4, self._latch, 4
        yield 0xE4, 4, _Flush(), 4
        yield 0xE8, 4, self._latch, 1
        yield 0x2000, IRQ_COUNT, self._irqs, 1

    def reset(self) -> None:
        """Let go of the interrupt lines.  QEMU's card has no reset: its memory keeps what it has."""
        self._irqs.release()


class _Bytes:
    """Bytes that keep what is written."""

    def __init__(self, count: int) -> None:
        self._data = bytearray(count)

    def read(self, offset: int, size: int) -> int:
        return int.from_bytes(self._data[offset : offset + size], "little")

    peek = read

    def write(self, offset: int, size: int, value: int) -> None:
        self._data[offset : offset + size] = value.to_bytes(size, "little")


class _Flush:
    """Port 00E4."""

    def read(self, offset: int, size: int) -> int:
        return 0

    peek = read

    def write(self, offset: int, size: int, value: int) -> None:
        """Nothing is cached on the host."""


class _Irqs:
    """Ports 2000 and on; a wire is made when the guest first uses it."""

    def __init__(self, irq: Callable[[int], Line]) -> None:
        self._irq = irq
        self._lines: dict[int, Line] = {}

    def read(self, offset: int, size: int) -> int:
        return 0

    peek = read

    def write(self, offset: int, size: int, value: int) -> None:
        if offset not in self._lines:
            self._lines[offset] = self._irq(offset)
        self._lines[offset].set(value != 0)

    def release(self) -> None:
        for line in self._lines.values():
            line.set(False)

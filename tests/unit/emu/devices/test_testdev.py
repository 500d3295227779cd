"""pc-testdev, as kvm-unit-tests use it."""

from __future__ import annotations

from hillemu.emu.bus import Bus
from hillemu.emu.devices.testdev import MMIO_BASE, MMIO_BYTES, PcTestdev
from hillemu.emu.wires import Line


class Bench:
    def __init__(self) -> None:
        self.edges: list[tuple[int, bool]] = []
        self.card = PcTestdev(irq=lambda n: Line(lambda level: self.edges.append((n, level))))
        self.ports = Bus("port", 0x10000)
        self.memory = Bus("memory", 1 << 32)
        for base, count, device, width in self.card.windows():
            self.ports.attach(base, count, device, width=width)
        self.memory.attach(MMIO_BASE, MMIO_BYTES, self.card.memory, width=4)


def test_the_dword_can_be_written_in_parts_and_read_whole() -> None:
    bench = Bench()
    bench.ports.write(0xE0, 4, 0x12345678)
    bench.ports.write(0xE1, 1, 0xAB)
    bench.ports.write(0xE2, 2, 0xCDEF)
    assert bench.ports.read(0xE0, 4) == 0xCDEFAB78
    assert bench.ports.read(0xE8, 4) == 0xCDEFAB78
    bench.ports.write(0xE8, 2, 0x1122)
    assert bench.ports.read(0xE0, 4) == 0xCDEF1122
    assert bench.ports.read(0xE3, 1) == 0xCD


def test_an_interrupt_line_follows_what_is_written_to_its_port() -> None:
    bench = Bench()
    for port, value in ((0x200E, 1), (0x200E, 7), (0x200E, 0), (0x2017, 1), (0x2000, 0)):
        bench.ports.write(port, 1, value)
    assert bench.edges == [(14, True), (14, False), (23, True)]
    bench.card.reset()
    assert bench.edges[3:] == [(23, False)]


def test_the_memory_keeps_bytes_of_any_width() -> None:
    bench = Bench()
    bench.memory.write(MMIO_BASE + 2, 4, 0x01020304)
    bench.memory.write(MMIO_BASE + 3, 1, 0xFF)
    assert bench.memory.read(MMIO_BASE + 2, 4) == 0x0102FF04
    assert bench.memory.read(MMIO_BASE + MMIO_BYTES - 2, 2) == 0


def test_throwing_a_page_away_leaves_everything_as_it_is() -> None:
    bench = Bench()
    bench.ports.write(0xE0, 4, 1)
    bench.ports.write(0xE4, 4, 0x1000)
    assert (bench.ports.read(0xE0, 4), bench.ports.read(0xE4, 4)) == (1, 0)

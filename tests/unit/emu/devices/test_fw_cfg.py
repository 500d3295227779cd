"""fw_cfg as QEMU's specification describes it."""

from __future__ import annotations

import struct

import pytest

from hillemu.emu.bus import Bus
from hillemu.emu.devices import fw_cfg
from hillemu.emu.devices.fw_cfg import FwCfg, pc_items
from hillemu.emu.errors import OptionError
from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PhysAddr

BLOCK, BUFFER = 0x1000, 0x2000


class Bench:
    def __init__(self) -> None:
        self.memory = FakeMemory(0x400000)
        self.box = FwCfg(
            read_memory=lambda at, count: self.memory.read(PhysAddr(at), count),
            write_memory=lambda at, data: self.memory.write(PhysAddr(at), data),
        )
        self.ports = Bus("port", 0x10000)
        self.ports.attach(fw_cfg.PORT, fw_cfg.PORT_COUNT, self.box, width=2)
        self.ports.attach(fw_cfg.DMA_PORT, fw_cfg.DMA_PORT_COUNT, self.box.dma, width=4)

    def item(self, key: int, count: int) -> bytes:
        """Read by the selector and data ports, as SeaBIOS without DMA and kvm-unit-tests do."""
        self.ports.write(0x510, 2, key)
        return bytes(self.ports.read(0x511, 1) for _ in range(count))

    def dma(self, control: int, length: int, address: int = BUFFER, block: int = BLOCK) -> int:
        """Do a DMA access; returns the control word left in the block."""
        self.memory.write(PhysAddr(BLOCK), struct.pack(">IIQ", control, length, address))
        for port, value in ((0x514, block >> 32), (0x518, block & 0xFFFFFFFF)):
            self.ports.write(port, 4, int.from_bytes(struct.pack(">I", value), "little"))
        left: int = struct.unpack(">I", self.memory.read(PhysAddr(BLOCK), 4))[0]
        return left

    def directory(self) -> dict[str, tuple[int, int]]:
        """File name to (size, key), read as a guest does."""
        count = struct.unpack(">I", self.item(fw_cfg.FILE_DIR, 4))[0]
        data = self.item(fw_cfg.FILE_DIR, 4 + 64 * count)[4:]
        rows = [struct.unpack_from(">IHH56s", data, 64 * n) for n in range(count)]
        return {name.rstrip(b"\0").decode(): (size, key) for size, key, _, name in rows}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_signature_and_the_features(bench: Bench) -> None:
    assert bench.item(fw_cfg.SIGNATURE, 4) == b"QEMU"
    assert bench.item(fw_cfg.ID, 4) == struct.pack("<I", 3)
    assert bench.ports.read(0x514, 4) == int.from_bytes(b"QEMU", "little")
    assert bench.ports.read(0x518, 4) == int.from_bytes(b" CFG", "little")


def test_selecting_starts_over_and_the_end_reads_zeros(bench: Bench) -> None:
    assert bench.item(fw_cfg.SIGNATURE, 6) == b"QEMU\0\0"
    assert bench.item(fw_cfg.SIGNATURE, 2) == b"QE"
    assert bench.item(0x7777, 3) == bytes(3)


def test_a_peek_does_not_take_the_byte(bench: Bench) -> None:
    bench.ports.write(0x510, 2, fw_cfg.SIGNATURE)
    assert bench.ports.peek(0x511, 1) == ord("Q")
    assert bench.ports.read(0x511, 1) == ord("Q")
    assert bench.ports.peek(0x511, 1) == ord("E")


def test_a_byte_written_to_either_port_changes_nothing(bench: Bench) -> None:
    bench.item(fw_cfg.SIGNATURE, 1)
    bench.ports.write(0x510, 1, 5)
    bench.ports.write(0x511, 1, 5)
    assert bench.ports.read(0x511, 1) == ord("E")
    assert bench.item(fw_cfg.SIGNATURE, 4) == b"QEMU"


def test_files_are_listed_in_order_of_names_and_readable_by_their_keys(bench: Bench) -> None:
    bench.box.add_file("opt/b", b"second")
    bench.box.add_file("opt/a", b"first!!")
    bench.box.add_file("opt/b", b"again")
    assert bench.directory() == {"opt/a": (7, 0x20), "opt/b": (5, 0x21)}
    assert bench.item(0x20, 7) == b"first!!"
    assert bench.item(0x21, 5) == b"again"


def test_a_name_that_does_not_fit_is_the_users_mistake(bench: Bench) -> None:
    bench.box.add_file("x" * 55, b"")
    with pytest.raises(OptionError, match="1 to 55 bytes"):
        bench.box.add_file("x" * 56, b"")
    for n in range(31):
        bench.box.add_file(f"opt/{n}", b"")
    with pytest.raises(OptionError, match="no room"):
        bench.box.add_file("one too many", b"")


def test_dma_selects_and_reads_in_one_go(bench: Bench) -> None:
    bench.box.set_item(0x08, bytes(range(200)))
    assert bench.dma(0x08 << 16 | 8 | 2, 150) == 0
    assert bench.memory.read(PhysAddr(BUFFER), 150) == bytes(range(150))
    assert bench.dma(2, 100) == 0  # goes on where it was, zeros behind the end
    assert bench.memory.read(PhysAddr(BUFFER), 100) == bytes(range(150, 200)) + bytes(50)


def test_dma_skips(bench: Bench) -> None:
    bench.box.set_item(0x08, bytes(range(200)))
    assert bench.dma(0x08 << 16 | 8 | 4, 100) == 0
    assert bench.dma(2, 4) == 0
    assert bench.memory.read(PhysAddr(BUFFER), 4) == bytes([100, 101, 102, 103])


def test_dma_to_no_memory_ends_with_the_error_bit(bench: Bench) -> None:
    assert bench.dma(0x08 | 2, 16, address=0xF0000000) == 1
    assert bench.dma(2, 0xFFFFFFFF, address=0x200000) == 1  # runs off the end of RAM
    assert bench.dma(16, 4) == 1  # no item may be written
    assert bench.dma(2, 4, block=0xF0000000) == 2  # the block itself is nowhere: nothing to write the error to


def test_a_dma_address_is_taken_only_as_two_dwords(bench: Bench) -> None:
    bench.memory.write(PhysAddr(BLOCK), struct.pack(">IIQ", 8 | 2, 4, BUFFER))
    for port in (0x518, 0x51A):
        bench.ports.write(port, 2, 0x0010)
    assert bench.memory.read(PhysAddr(BUFFER), 4) == bytes(4)


def test_a_pc_tells_its_memory_and_its_boot_order(bench: Bench) -> None:
    ram = ((0, 0xA0000000, 1), (1 << 32, 1 << 30, 1))
    pc_items(bench.box, ram_bytes=0xE0000000, e820=ram, boot_order=("/rom@genroms/linuxboot.bin", "HALT"))
    assert bench.item(fw_cfg.RAM_SIZE, 8) == struct.pack("<Q", 0xE0000000)
    assert bench.item(fw_cfg.NB_CPUS, 2) == bench.item(fw_cfg.MAX_CPUS, 2) == b"\1\0"
    files = bench.directory()
    size, key = files["etc/e820"]
    entries = bench.item(key, size)
    assert [struct.unpack_from("<QQI", entries, at) for at in range(0, size, 20)] == list(ram)
    assert bench.item(files["bootorder"][1], files["bootorder"][0]) == b"/rom@genroms/linuxboot.bin\nHALT\0"

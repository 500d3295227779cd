"""The PCI BIOS, on a bus whose configuration space is a dictionary."""

from __future__ import annotations

import struct

import pytest

from hillemu.boot.bios.call import BiosCall, fake_call
from hillemu.boot.bios.pci import CONFIG_ADDRESS, CONFIG_DATA, PciService
from hillemu.emu.guest import FakeGuest
from hillemu.emu.i386.address import PhysAddr

HOST, ISA, IDE, VGA, SECOND_VGA = 0x00, 0x08, 0x09, 0x10, 0x18


class Pci(FakeGuest):
    """A guest with configuration mechanism 1."""

    def __init__(self) -> None:
        super().__init__(1 << 20)
        self.spaces = {
            HOST: self.space(0x8086, 0x1237, 0x060000, 0),
            ISA: self.space(0x8086, 0x7000, 0x060100, 0x80),
            IDE: self.space(0x8086, 0x7010, 0x010180, 0),
            VGA: self.space(0x1234, 0x1111, 0x030000, 0),
            SECOND_VGA: self.space(0x1234, 0x1111, 0x030000, 0),
            VGA + 1: self.space(0x1234, 0x1111, 0x030000, 0),  # hidden: function 0 says that it is alone
        }
        self._address = 0

    @staticmethod
    def space(vendor: int, device: int, kind: int, header: int) -> bytearray:
        return bytearray(struct.pack("<HHIIHB", vendor, device, 0, kind << 8, 0, header).ljust(256, b"\0"))

    def read_port(self, port: int, size: int = 1) -> int:
        space, at = self._selected(port)
        return (1 << 8 * size) - 1 if space is None else int.from_bytes(space[at : at + size], "little")

    def write_port(self, port: int, value: int, size: int = 1) -> None:
        if port == CONFIG_ADDRESS:
            assert size == 4, "only a dword reaches the address register"
            self._address = value
            return
        space, at = self._selected(port)
        if space is not None:
            space[at : at + size] = value.to_bytes(size, "little")

    def _selected(self, port: int) -> tuple[bytearray | None, int]:
        assert self._address & 0x80000003 == 0x80000000
        assert CONFIG_DATA <= port < CONFIG_DATA + 4
        return self.spaces.get(self._address >> 8 & 0xFFFF), (self._address & 0xFC) + port - CONFIG_DATA


@pytest.fixture
def pci() -> Pci:
    return Pci()


def call(al: int, pci: Pci, service: PciService | None = None, **registers: int) -> BiosCall:
    made = fake_call(0x1A, pci, eax=0xB100 | al, **registers)
    (service or PciService())(made)
    assert made.carry == (made.ah != 0)
    return made


def test_the_installation_check_spells_pci(pci: Pci) -> None:
    asked = call(0x01, pci, PciService(entry32=0xF1234))
    assert asked.edx.to_bytes(4, "little") == b"PCI "
    assert (asked.ax, asked.bx, asked.cl, asked.edi) == (0x0001, 0x0210, 0, 0xF1234)


def test_devices_are_found_one_after_the_other(pci: Pci) -> None:
    for number, (status, at) in enumerate([(0, VGA), (0, SECOND_VGA), (0x86, 0)]):
        asked = call(0x02, pci, ecx=0x1111, edx=0x1234, esi=number, ebx=0)
        assert (asked.ah, asked.bx) == (status, at)


def test_functions_behind_the_first_count_only_in_devices_that_have_several(pci: Pci) -> None:
    assert call(0x02, pci, ecx=0x7010, edx=0x8086).bx == IDE
    assert call(0x03, pci, ecx=0x010180).bx == IDE


def test_a_class_is_found_with_its_interface(pci: Pci) -> None:
    assert call(0x03, pci, ecx=0x030000, esi=1).bx == SECOND_VGA
    assert call(0x03, pci, ecx=0x010100).ah == 0x86


def test_nobodys_vendor_is_refused(pci: Pci) -> None:
    assert call(0x02, pci, edx=0xFFFF).ah == 0x83


def test_registers_are_read_by_byte_word_and_dword(pci: Pci) -> None:
    assert call(0x08, pci, ebx=IDE, edi=0x0B).cl == 0x01
    assert call(0x09, pci, ebx=IDE, edi=0x02, ecx=0xABCD0000).ecx == 0xABCD7010
    assert call(0x0A, pci, ebx=IDE, edi=0x00).ecx == 0x70108086
    assert call(0x0A, pci, ebx=0x1234, edi=0x00).ecx == 0xFFFFFFFF


def test_registers_are_written_by_byte_word_and_dword(pci: Pci) -> None:
    call(0x0B, pci, ebx=VGA, edi=0x41, ecx=0xFFFFFF11)
    call(0x0C, pci, ebx=VGA, edi=0x42, ecx=0xFFFF3322)
    call(0x0D, pci, ebx=VGA, edi=0x44, ecx=0x77665544)
    assert pci.spaces[VGA][0x40:0x48] == bytes.fromhex("0011223344556677")


@pytest.mark.parametrize(("al", "register"), [(0x09, 1), (0x0A, 2), (0x0C, 3), (0x0D, 0x101), (0x08, 0x100)])
def test_a_register_that_is_no_multiple_of_its_size_is_refused(pci: Pci, al: int, register: int) -> None:
    before = {at: bytes(space) for at, space in pci.spaces.items()}
    assert call(al, pci, ebx=VGA, edi=register, ecx=0x55).ah == 0x87
    assert before == pci.spaces


def test_the_routing_table_is_copied_when_there_is_room(pci: Pci) -> None:
    service = PciService(routing=b"r" * 32, exclusive_irqs=0x0C00)
    pci.memory.write(PhysAddr(0x8000), struct.pack("<HHH", 31, 0x9000, 0))
    assert call(0x0E, pci, service, edi=0x8000).ah == 0x89
    assert pci.memory.read(PhysAddr(0x8000), 2) == struct.pack("<H", 32)
    asked = call(0x0E, pci, service, edi=0x8000)
    assert (asked.ah, asked.bx) == (0, 0x0C00)
    assert pci.memory.read(PhysAddr(0x9000), 33) == b"r" * 32 + b"\0"


@pytest.mark.parametrize("al", [0x06, 0x0E, 0x0F, 0x7F])
def test_what_is_not_there_is_not_supported(pci: Pci, al: int) -> None:
    assert call(al, pci).ah == 0x81

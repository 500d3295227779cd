"""The ROM: its table of vectors leads to the source's labels, and calls of services are told."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from hillemu.boot.assembler import assemble_file
from hillemu.boot.bios import rom
from hillemu.boot.bios.rom import SERVICES, handler_of, install_rom, tell_of_services
from hillemu.boot.images import SOURCES
from hillemu.emu.guest import FakeGuest, Segment
from hillemu.emu.i386.address import PhysAddr
from hillemu.machine import Machine


@pytest.fixture
def guest() -> FakeGuest:
    return FakeGuest(1 << 20)


def vectors(guest: FakeGuest) -> Iterator[tuple[int, int]]:
    """(segment, offset) of each vector."""
    for offset, segment in struct.iter_unpack("<HH", guest.memory.read(PhysAddr(0), 1024)):
        yield segment, offset


def test_the_vectors_lead_to_the_labels_of_the_source(guest: FakeGuest) -> None:
    labels = assemble_file(SOURCES / "bios.s").symbols
    install_rom(guest)
    table = list(vectors(guest))
    assert {segment for segment, _ in table} == {0xF000}
    expected = {
        0x00: "nothing",
        0x02: "nmi",
        0x08: "timer",
        0x09: "keyboard",
        0x0A: "master_irq",
        0x0F: "master_irq",
        0x10: "video",
        0x11: "equipment_list",
        0x12: "memory_size",
        0x13: "disk",
        0x14: "serial_port",
        0x15: "system",
        0x16: "key_input",
        0x17: "printer",
        0x18: "rom_basic",
        0x19: "bootstrap",
        0x1A: "time_of_day",
        0x1C: "nothing",
        0x70: "slave_irq",
        0x77: "slave_irq",
        0xFF: "nothing",
    }
    assert {vector: table[vector][1] for vector in expected} == {
        vector: labels[name] for vector, name in expected.items()
    }


def test_handlers_stand_where_programs_that_know_an_ibm_rom_look_for_them() -> None:
    # IBM PC AT Technical Reference, ROM BIOS listing: vectors as the ROM writes them at power-on.
    ibm = {2: 0xE2C3, 8: 0xFEA5, 9: 0xE987, 0x0E: 0xEF57, 0x10: 0xF065, 0x11: 0xF84D, 0x12: 0xF841, 0x13: 0xEC59}
    ibm |= {0x14: 0xE739, 0x15: 0xF859, 0x16: 0xE82E, 0x17: 0xEFD2, 0x19: 0xE6F2, 0x1A: 0xFE6E, 0x1C: 0xFF53}
    assert {vector: handler_of(vector) for vector in ibm} == ibm


def test_every_told_service_tells_the_host_and_returns_with_the_carry_set(guest: FakeGuest) -> None:
    install_rom(guest)
    for vector in SERVICES:
        at = PhysAddr((rom.SEGMENT << 4) + handler_of(vector))
        # out 0xB1, al; stc; retf 2
        assert guest.memory.read(at, 6) == bytes((0xE6, rom.TELL_PORT, 0xF9, 0xCA, 2, 0))


def test_a_call_of_a_service_is_told_with_its_function(guest: FakeGuest) -> None:
    told: list[str] = []
    tell_of_services(guest, told.append)
    guest.registers.set("cs", 0xF000)
    guest.registers.set("eip", handler_of(0x13))
    guest.registers.set("eax", 0x0201)
    guest.out(rom.TELL_PORT, 0x01)
    (message,) = told
    assert "INT 13h (disk) with AX=0201h" in message


def test_a_program_that_uses_the_port_itself_is_not_mistaken_for_one(guest: FakeGuest) -> None:
    told: list[str] = []
    tell_of_services(guest, told.append)
    guest.registers.set("cs", 8)
    guest.registers.set("eip", handler_of(0x13))
    guest.out(rom.TELL_PORT, 0x01)
    assert told == []


REAL_MODE = 0x8000


def in_real_mode(code: bytes) -> tuple[Machine, list[str]]:
    """A machine that stands in real mode in front of `code` at 0x8000, stack below it."""
    told: list[str] = []
    machine = Machine(report=told.append)
    machine.load_demo()
    cpu = machine.cpu
    cpu.cr0 = 0x10
    for name, attributes in (("cs", 0x9B00), ("ds", 0x9300), ("es", 0x9300), ("ss", 0x9300)):
        cpu.set_segment(name, Segment(0, 0, 0xFFFF, attributes))
    cpu.set_segment("idtr", Segment(0, 0, 0x3FF, 0))
    cpu.esp, cpu.eip, cpu.eflags = REAL_MODE, REAL_MODE, 2
    machine.memory.write(PhysAddr(REAL_MODE), code)
    return machine, told


def test_the_timer_counts_ticks_in_real_mode() -> None:
    # sti; three times hlt; cli; hlt
    machine, _ = in_real_mode(b"\xfb\xf4\xf4\xf4\xfa\xf4")
    machine.run(max_insns=100_000)
    assert machine.memory.u32(PhysAddr(0x46C)) == 3
    assert [delivery.vector for delivery in machine.deliveries] == [8, 0x1C] * 3
    # three periods of 65536 counts at 1.193182 MHz, the first of them begun at power-on
    assert 3 * 54.9e6 <= machine.clock.now_ns <= 3 * 55.0e6


def test_a_service_called_by_int_returns_with_the_carry_set() -> None:
    # mov ax, 0xE820; int 0x15; cli; hlt
    machine, told = in_real_mode(b"\xb8\x20\xe8\xcd\x15\xfa\xf4")
    machine.run(max_insns=1000)
    assert machine.cpu.eflags & 1
    assert machine.cpu.esp == REAL_MODE
    assert len(told) == 1
    assert "INT 15h (system) with AX=E820h" in told[0]


def test_the_equipment_and_the_memory_size_are_answered_from_the_bios_data_area() -> None:
    # int 0x11; mov bx, ax; int 0x12; cli; hlt
    machine, told = in_real_mode(b"\xcd\x11\x89\xc3\xcd\x12\xfa\xf4")
    machine.memory.write(PhysAddr(0x410), struct.pack("<H", 0x1234))
    machine.run(max_insns=1000)
    assert machine.cpu.ebx & 0xFFFF == 0x1234
    assert machine.cpu.eax & 0xFFFF == 639, "KiB below the extended BIOS data area"
    assert machine.cpu.segment("ds").base == 0
    assert machine.cpu.esp == REAL_MODE
    assert told == []

"""The ROM: its table of vectors leads to the source's labels, and its stubs to the host's services and back."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from hillemu.boot.assembler import assemble_file
from hillemu.boot.bios.call import AGAIN, WAIT
from hillemu.boot.bios.font import font
from hillemu.boot.bios.rom import AT, BASE, OFFSET, SEGMENT, SITES, handler_of, install_rom
from hillemu.boot.images import SOURCES
from hillemu.emu.guest import FakeGuest, Segment
from hillemu.emu.i386.address import PhysAddr
from hillemu.machine import Machine


@pytest.fixture
def guest() -> FakeGuest:
    guest = FakeGuest(1 << 20)
    install_rom(guest)
    return guest


@pytest.fixture(scope="module")
def labels() -> dict[str, int]:
    return assemble_file(SOURCES / "bios.s").symbols


def vectors(guest: FakeGuest) -> Iterator[tuple[int, int]]:
    """(segment, offset) of each vector."""
    for offset, segment in struct.iter_unpack("<HH", guest.memory.read(PhysAddr(0), 1024)):
        yield segment, offset


def code(guest: FakeGuest, offset: int, count: int) -> bytes:
    return guest.memory.read(PhysAddr(BASE - OFFSET + offset), count)


def test_the_host_knows_the_labels_of_the_source(labels: dict[str, int]) -> None:
    assert {name: labels[name] for name in AT} == AT


def test_the_vectors_lead_into_the_rom_or_are_left_to_programs(guest: FakeGuest) -> None:
    table = list(vectors(guest))
    left = [vector for vector, pointer in enumerate(table) if pointer == (0, 0)]
    assert left == list(range(0x60, 0x68))
    assert {segment for segment, _ in table} == {0, SEGMENT}
    assert {offset for _, offset in table} - {0} <= set(AT.values())


def test_handlers_and_tables_stand_where_programs_that_know_an_ibm_rom_look_for_them() -> None:
    # IBM PC AT Technical Reference, ROM BIOS listing: vectors as the ROM writes them at power-on.
    ibm = {2: 0xE2C3, 5: 0xFF54, 8: 0xFEA5, 9: 0xE987, 0x0E: 0xEF57, 0x10: 0xF065, 0x11: 0xF84D, 0x12: 0xF841}
    ibm |= {0x14: 0xE739, 0x15: 0xF859, 0x16: 0xE82E, 0x17: 0xEFD2, 0x19: 0xE6F2, 0x1A: 0xFE6E, 0x1C: 0xFF53}
    ibm |= {0x13: 0xE3FE, 0x40: 0xEC59, 0x1D: 0xF0A4, 0x1E: 0xEFC7}
    assert {vector: handler_of(vector) for vector in ibm} == ibm
    tables = {"configuration": 0xE6F5, "baud_rates": 0xE729, "font": 0xFA6E, "post": 0xE05B, "reset": 0xFFF0}
    assert {name: AT[name] for name in tables} == tables


def test_every_call_of_the_host_returns_to_a_place_that_the_host_knows(guest: FakeGuest) -> None:
    image = code(guest, OFFSET, 0x2000)
    calls = set()
    for at in range(len(image) - 3):
        if (
            image[at] == 0xE8
            and (OFFSET + at + 3 + int.from_bytes(image[at + 1 : at + 3], "little")) & 0xFFFF == 0xE000
        ):
            calls.add(OFFSET + at + 3)
    assert calls == set(SITES)


def test_behind_a_services_call_are_iret_and_the_ways_to_be_called_again(guest: FakeGuest) -> None:
    firsts = {site.way_on for site in SITES.values() if site.resumed and site.vector != 0x09}
    assert len(firsts) == 8
    for at in firsts:
        # iret; sti, nop, jmp to the cli; sti, hlt; cli; call
        assert code(guest, at, 9) == bytes((0xCF, 0xFB, 0x90, 0xEB, 0x02, 0xFB, 0xF4, 0xFA, 0xE8))
        assert (code(guest, at + AGAIN, 1), code(guest, at + WAIT, 2)) == (b"\xfb", b"\xfb\xf4")


def test_a_reset_jumps_into_the_rom_below_1_mib(guest: FakeGuest) -> None:
    assert code(guest, 0xFFF0, 5) == b"\xea" + struct.pack("<HH", AT["post"], SEGMENT)
    assert code(guest, 0xFFFE, 1) == b"\xfc", "the model byte of a PC/AT"


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


def test_the_font_in_the_rom_is_the_one_that_is_drawn(guest: FakeGuest) -> None:
    assert code(guest, AT["font"], 1024) == font(8)[:1024]

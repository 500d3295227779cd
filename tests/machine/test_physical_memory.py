"""What a guest sees of physical memory: open bus, ROM, RAM above 4 GiB, and what the host changes under it."""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from typing import Any

import pytest
from laboratory import PROBE

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.i386.address import PhysAddr

GIB = 1 << 30
HOLE = 0xE0000000
PDPT = 0x10000


def map_with_pae(machine: Any, virtual: int, physical: int) -> None:
    """PAE tables by the host: the first 2 MiB as they are, and one 2 MiB page from `virtual` to `physical`."""
    directory = PDPT + 0x1000 * (1 + (virtual >> 30))
    for number in {0, virtual >> 30}:
        entry = struct.pack("<Q", PDPT + 0x1000 * (1 + number) | 1)
        machine.memory.write(PhysAddr(PDPT + 8 * number), entry)
    machine.memory.write(PhysAddr(PDPT + 0x1000), struct.pack("<Q", 0x83))
    machine.memory.write(PhysAddr(directory + 8 * (virtual >> 21 & 511)), struct.pack("<Q", physical | 0x83))


PAE_ON = f"mov eax, 0x20; mov cr4, eax; mov eax, {PDPT}; mov cr3, eax; mov eax, 0x80000011; mov cr0, eax; jmp 1f; 1:"


def test_open_bus_reads_all_ones_and_swallows_writes_and_both_are_counted(lab: Any) -> None:
    machine = lab(
        f"""
        mov ebx, {HOLE:#x}
        mov al, [ebx]; mov cx, [ebx + 8]; mov edx, [ebx + 16]; mov esi, [ebx + 4095]
        mov dword ptr [ebx + 0x1000], 0x12345678; mov byte ptr [ebx + 0x1000], 1; mov edi, [ebx + 0x1000]
        hlt
        """
    )
    assert machine.run() is CoreStop.HALT
    got = machine.get("eax") & 0xFF, machine.get("ecx") & 0xFFFF, *(machine.get(r) for r in ("edx", "esi", "edi"))
    assert got == (0xFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    unhandled = machine.pc.mmio.unhandled
    assert unhandled.writes == {HOLE + 0x1000: 2}
    assert unhandled.reads[HOLE] >= 3
    assert set(unhandled.reads) == {HOLE, HOLE + 0x1000}


class Latch:
    def __init__(self) -> None:
        self.values: list[int] = []

    def read(self, offset: int, size: int) -> int:
        return 0x12345678

    def write(self, offset: int, size: int, value: int) -> None:
        self.values.append(value)


def test_every_access_to_open_bus_is_counted_by_its_page(lab: Any) -> None:
    """However many there are: a plain count of the program's own is the oracle."""
    machine = lab(
        f"""
        mov edi, {HOLE + 0x800:#x}; mov eax, 0x55; mov ecx, 3000; rep stosd
        mov esi, {HOLE:#x}; mov ebx, -1; mov ecx, 5000
    1:  and ebx, [esi]; mov al, [esi + 1]; mov dx, [esi + 6]; and dx, ax; add esi, 8; loop 1b
        hlt
        """
    )
    assert machine.run() is CoreStop.HALT
    assert machine.get("ebx") == 0xFFFFFFFF
    assert machine.get("eax") & 0xFF == 0xFF
    writes = Counter((HOLE + 0x800 + 4 * i) & ~0xFFF for i in range(3000))
    reads = Counter((HOLE + 8 * i) & ~0xFFF for i in range(5000) for _ in range(3))
    assert machine.pc.mmio.unhandled == (reads, writes)


def test_a_device_that_comes_where_nobody_was_is_asked(lab: Any) -> None:
    store = f"mov [{HOLE + 0x40:#x}], ecx; dec ecx; mov dx, {PROBE}; out dx, al;"
    machine = lab(f"mov ecx, 9; {store * 6} mov ebx, [{HOLE + 0x40:#x}]; hlt")
    latch, mmio = Latch(), machine.pc.mmio
    steps = [None, lambda: mmio.attach(HOLE + 0x40, 4, latch, width=4), None, lambda: mmio.detach(HOLE + 0x40)]
    turns = iter(steps)
    machine.probe.on_access = lambda: (next(turns, None) or (lambda: None))()
    assert machine.run() is CoreStop.HALT
    assert latch.values == [7, 6]
    assert mmio.unhandled == ({HOLE: 1}, {HOLE: 4})
    assert machine.get("ebx") == 0xFFFFFFFF


def test_who_asks_during_a_run_hears_of_every_access_so_far(lab: Any) -> None:
    machine = lab(
        f"mov ecx, 5; 1: mov [{HOLE:#x}], ecx; mov eax, [{HOLE:#x}]; mov dx, {PROBE}; out dx, al; loop 1b; hlt"
    )
    heard: list[tuple[int, int]] = []
    unhandled = machine.pc.mmio.unhandled
    machine.probe.on_access = lambda: heard.append((len(machine.pc.mmio.unhandled), unhandled.writes[HOLE]))
    assert machine.run() is CoreStop.HALT
    assert heard == [(2, count) for count in range(1, 6)]
    assert unhandled.reads == {HOLE: 5}


def test_a_restored_machine_has_counted_no_more_than_before(boot: Any) -> None:
    machine = boot(f"1: mov [{HOLE:#x}], eax; mov ebx, [{HOLE + 0x2000:#x}]; jmp 1b")
    machine.run(max_insns=301)
    point, counted = machine.snapshot(), machine.unhandled
    assert counted["memory_writes"] == {HOLE: 101}
    machine.run(max_insns=300)
    after = machine.unhandled
    machine.restore(point)
    assert machine.unhandled == counted
    machine.run(max_insns=300)
    assert machine.unhandled == after


@pytest.mark.parametrize("at", [HOLE, 0xFEC00000, 0x9F000000])
def test_code_in_open_bus_ends_in_a_fault_or_a_clear_stop(at: int, lab: Any) -> None:
    machine = lab(f"mov eax, {at:#x}; jmp eax; vector_6: hlt")
    stop = machine.run(1_000_000)
    assert stop in (CoreStop.HALT, CoreStop.ERROR, CoreStop.TRIPLE_FAULT)
    assert stop is not CoreStop.ERROR or machine.processor.error_text


@pytest.mark.parametrize("at", [0xC0000, 0xF0000, 0xFFFFF])
def test_writes_to_rom_vanish(at: int, lab: Any) -> None:
    machine = lab(f"mov byte ptr [{at:#x}], 0x55; mov al, [{at:#x}]; mov ah, [{at:#x}]; hlt")
    machine.memory.rom[at - 0xC0000] = 0xA7
    assert machine.run() is CoreStop.HALT
    assert machine.get("eax") & 0xFFFF == 0xA7A7
    assert machine.memory.rom[at - 0xC0000] == 0xA7


def test_string_stores_over_rom_vanish_and_go_on_behind_it(lab: Any) -> None:
    machine = lab("mov edi, 0xBF000; mov ecx, 0x10000; mov eax, 0x11111111; rep stosd; hlt")
    machine.memory.rom[:] = b"\xa7" * len(machine.memory.rom)
    assert machine.run() is CoreStop.HALT
    assert bytes(machine.memory.rom) == b"\xa7" * 0x40000
    assert machine.memory.read(PhysAddr(0xBF000), 0x1000) == b"\x11" * 0x1000


def test_rom_is_read_only_through_page_tables_too(lab: Any) -> None:
    machine = lab(f"{PAE_ON} mov dword ptr [0x4000F000], 7; mov ecx, [0x4000F000]; hlt")
    map_with_pae(machine, 0x40000000, 0xFFE00000)
    machine.memory.rom[:] = b"\xa7" * len(machine.memory.rom)
    assert machine.run() is CoreStop.HALT
    assert machine.get("ecx") == 0xFFFFFFFF  # open bus below the ROM's copy
    high = lab(f"{PAE_ON} mov dword ptr [0x401FF000], 7; mov ecx, [0x401FF000]; hlt")
    map_with_pae(high, 0x40000000, 0xFFE00000)
    high.memory.rom[:] = b"\xa7" * len(high.memory.rom)
    assert high.run() is CoreStop.HALT
    assert high.get("ecx") == 0xA7A7A7A7


@pytest.mark.parametrize(("size", "physical"), [(5 * GIB, 5 * GIB), (64 * GIB, 40 * GIB), (64 * GIB, 63 * GIB)])
def test_ram_above_4_gib_is_reached_through_pae(size: int, physical: int, lab: Any) -> None:
    machine = lab(f"{PAE_ON} mov dword ptr [0x40000010], 0x12345678; mov ecx, [0x40000020]; hlt", size_bytes=size)
    machine.memory.set_u32(PhysAddr(physical + 0x20), 0xCAFE)
    map_with_pae(machine, 0x40000000, physical)
    assert machine.run() is CoreStop.HALT
    assert machine.get("ecx") == 0xCAFE
    assert machine.word(physical + 0x10) == 0x12345678


def test_an_address_beyond_ram_but_within_36_bits_is_open_bus(lab: Any) -> None:
    machine = lab(f"{PAE_ON} mov dword ptr [0x40000000], 1; mov ecx, [0x40000000]; hlt")
    map_with_pae(machine, 0x40000000, 60 * GIB)
    assert machine.run() is CoreStop.HALT
    assert machine.get("ecx") == 0xFFFFFFFF


def test_an_entry_that_leads_behind_ram_reads_open_bus(lab: Any) -> None:
    machine = lab(f"{PAE_ON} mov ecx, [0x40000000]; hlt; vector_14: mov ebp, 14; cli; hlt")
    map_with_pae(machine, 0x40000000, 1 << 38)
    machine.run()
    assert (machine.get("ecx"), machine.get("ebp")) == (0xFFFFFFFF, 0)
    assert machine.pc.mmio.unhandled.reads[1 << 38] == 1


def test_an_entry_beyond_the_physical_address_bits_is_a_page_fault_for_reserved_bits(lab: Any) -> None:
    machine = lab(f"{PAE_ON} mov ecx, [0x40000000]; hlt; vector_14: pop ebp; cli; hlt")
    map_with_pae(machine, 0x40000000, 1 << 40)
    machine.run()
    assert machine.get("ebp") == 0b1001  # P and RSVD
    assert machine.get("cr2") == 0x40000000


def test_a_hosts_write_to_code_that_ran_is_seen(lab: Any) -> None:
    machine = lab("here: inc eax; nop; jmp here")
    machine.run(30)
    machine.memory.write(PhysAddr(machine["here"]), b"\x43")  # inc ebx
    machine.run(30)
    assert (machine.get("eax"), machine.get("ebx")) == (10, 10)


def test_the_digest_is_what_its_definition_says(lab: Any) -> None:
    machine = lab("mov dword ptr [0x300000], 1; mov dword ptr [0x500ffc], 2; hlt")
    machine.run()
    machine.memory.write(PhysAddr(0x700000), bytes(4096))
    digest = hashlib.sha256()
    for offset in range(0, machine.memory.size_bytes, 4096):
        frame = bytes(machine.memory.ram[offset : offset + 4096])
        if any(frame):
            digest.update(offset.to_bytes(8, "little") + frame)
    assert machine.memory.sha256() == digest.hexdigest()

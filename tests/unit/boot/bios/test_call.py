"""A BIOS call: registers in parts, segments that wrap, flags on the caller's stack, ways on."""

from __future__ import annotations

from hillemu.boot.bios.call import AGAIN, VIRTUAL_8086, WAIT, BiosCall, fake_call
from hillemu.emu.guest import FakeGuest, Segment
from hillemu.emu.i386.address import PhysAddr


def test_parts_of_a_register_are_read_and_set_alone() -> None:
    call = fake_call(0x10, eax=0x12345678, ebx=0xFFFFFFFF, esi=0xABCD1234)
    assert (call.eax, call.ax, call.ah, call.al) == (0x12345678, 0x5678, 0x56, 0x78)
    call.ah = 0xAA
    call.bx = 0x12345
    assert (call.eax, call.ebx, call.si) == (0x1234AA78, 0xFFFF2345, 0x1234)


def test_a_segment_ends_where_it_begins_after_64_kib() -> None:
    call = fake_call(0x13, es=0x1000)
    call.write("es", 0xFFFE, b"abcd")
    assert call.guest.memory.read(PhysAddr(0x1FFFE), 2) == b"ab"
    assert call.guest.memory.read(PhysAddr(0x10000), 2) == b"cd"
    assert call.read("es", 0xFFFE, 4) == b"abcd"


def test_the_hidden_base_counts_not_the_selector() -> None:
    call = fake_call(0x13)
    call.guest.registers.set_segment("ds", Segment(0x0010, 0x50000, 0xFFFFFFFF, 0xCF9300))
    call.write("ds", 4, b"flat")
    assert call.guest.memory.read(PhysAddr(0x50004), 4) == b"flat"
    assert call.ds == 0x10


def test_setting_es_loads_it_as_in_real_mode_and_keeps_the_limit_of_unreal_mode() -> None:
    call = fake_call(0x10)
    call.guest.registers.set_segment("es", Segment(0x0010, 0, 0xFFFFFFFF, 0xCF9300))
    call.es = 0xC000
    assert call.guest.registers.segment("es") == Segment(0xC000, 0xC0000, 0xFFFFFFFF, 0xCF9300)


def test_flags_are_those_that_iret_restores() -> None:
    call = fake_call(0x15)
    assert (call.carry, call.zero, call.interrupts) == (False, False, True)
    call.carry, call.zero, call.interrupts = True, True, False
    assert call.guest.memory.read(PhysAddr(0x7006), 2) == b"\x43\x00"
    call.carry = False
    assert call.guest.memory.read(PhysAddr(0x7006), 2) == b"\x42\x00"


def test_a_16_bit_stack_pointer_wraps_and_its_upper_half_does_not_count() -> None:
    call = fake_call(0x15, ss=0x2000, esp=0x1234FFFE)
    call.carry = True
    assert call.guest.memory.read(PhysAddr(0x20004), 2) != b"\0\0"


def test_a_big_stack_segment_uses_all_of_esp() -> None:
    guest = FakeGuest(1 << 20)
    guest.registers.set_segment("ss", Segment(0, 0, 0xFFFFFFFF, 0x00CF9300))
    guest.registers.set("esp", 0x21000)
    call = BiosCall(guest, 0x15)
    call.carry = True
    assert guest.memory.read(PhysAddr(0x21006), 2) == b"\x01\0"


def test_waiting_leads_to_the_stubs_hlt_and_again_to_a_chance_for_interrupts() -> None:
    for ending, flags, further in (
        (BiosCall.wait, 2, WAIT),
        (BiosCall.again, 2, AGAIN),
        (BiosCall.wait, VIRTUAL_8086 | 2, AGAIN),  # HLT is not for virtual-8086 tasks
    ):
        call = fake_call(0x16, eflags=flags)
        before = call.way_on
        assert not call.waiting
        ending(call)
        assert call.way_on == before + further
        assert call.waiting


def test_another_place_to_return_to_replaces_the_callers() -> None:
    call = fake_call(0x19)
    call.return_to(0x0000, 0x7C00)
    assert call.guest.memory.read(PhysAddr(0x7002), 4) == b"\x00\x7c\x00\x00"


def test_a_refused_call_has_the_carry_set_and_is_told() -> None:
    told: list[str] = []
    call = fake_call(0x15, eax=0xD800, report=told.append)
    call.ax = 0
    call.refuse(0x86)
    assert (call.carry, call.ah) == (True, 0x86)
    assert told == ["the guest called the BIOS: INT 15h with AX=D800h; this is not modelled, the call fails"]


def test_what_lies_outside_of_memory_reads_as_ones_and_writes_vanish() -> None:
    call = fake_call(0x13, es=0xFFFF)
    call.write("es", 0x0E, b"abcd")  # the last two bytes of the fake's RAM and two beyond
    assert call.read("es", 0x0E, 4) == b"ab\xff\xff"


def test_a_virtual_8086_task_is_seen_through_its_page_tables() -> None:
    guest = FakeGuest(1 << 20)
    guest.memory.set_u32(PhysAddr(0x1000), 0x2000 | 7)
    for page in range(256):
        guest.memory.set_u32(PhysAddr(0x2000 + 4 * page), page << 12 | 7)
    guest.memory.set_u32(PhysAddr(0x2000 + 4 * 0x40), 0x80000 | 7)  # linear 0x40000 is physical 0x80000
    guest.memory.set_u32(PhysAddr(0x2000 + 4 * 0x41), 0)  # and 0x41000 is nowhere
    call = fake_call(0x13, guest, cr0=0x80000001, cr3=0x1000, es=0x4000, eflags=VIRTUAL_8086 | 2)
    call.write("es", 0xFFE, b"abcd")
    assert guest.memory.read(PhysAddr(0x80FFE), 2) == b"ab"
    assert call.read("es", 0xFFE, 4) == b"ab\xff\xff"
    assert guest.memory.read(PhysAddr(0x40FFE), 2) == b"\0\0"

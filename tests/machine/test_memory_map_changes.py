"""The memory map changes while the guest runs: shadow RAM, the video window, video RAM, firmware images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.i386.address import PhysAddr

KIB, MIB = 1 << 10, 1 << 20
PROBE = 0x500
FRAME_BUFFER = 0xFD000000


def on_probe(machine: Any, *actions: Callable[[], None]) -> None:
    """Carry out one of `actions` for each access to the probe's ports, in order."""
    left = list(actions)

    def act() -> None:
        left.pop(0)()

    machine.probe.on_access = act


def test_shadow_ram_is_there_for_the_very_next_instruction(lab: Any) -> None:
    machine = lab(
        f"""
        mov edx, {PROBE}
        mov eax, [0xF0000]; mov dword ptr [0xF0000], 1
        out dx, al; mov ebx, [0xF0000]; mov dword ptr [0xF0000], 0x2222; mov ecx, [0xF0000]
        out dx, al; mov dword ptr [0xF0000], 0x3333; mov esi, [0xF0000]
        out dx, al; mov edi, [0xF0000]
        hlt
        """
    )
    machine.memory.rom[0x30000:0x30004] = b"\x11\x11\0\0"
    machine.memory.ram[0xF0000:0xF0004] = b"\x99\0\0\0"
    shadow = machine.memory.set_shadow
    on_probe(
        machine,
        lambda: shadow(0xF0000, 0x100000, read_ram=True, write_ram=True),
        lambda: shadow(0xF0000, 0x100000, read_ram=True, write_ram=False),
        lambda: shadow(0xF0000, 0x100000, read_ram=False, write_ram=False),
    )
    assert machine.run() is CoreStop.HALT
    got = [machine.get(name) for name in ("eax", "ebx", "ecx", "esi", "edi")]
    assert got == [0x1111, 0x99, 0x2222, 0x2222, 0x1111]


def test_code_in_rom_and_in_the_ram_behind_it_is_never_mixed_up(lab: Any) -> None:
    machine = lab(f"mov edx, {PROBE}; mov esi, 0xF0000; again: call esi; out dx, al; call esi; out dx, al; jmp again")
    rom_code, ram_code = b"\x43\xc3", b"\x41\xc3"  # inc ebx; ret and inc ecx; ret
    machine.memory.rom[0x30000:0x30002] = rom_code
    machine.memory.ram[0xF0000:0xF0002] = ram_code
    shadowed = False

    def toggle() -> None:
        nonlocal shadowed
        shadowed = not shadowed
        machine.memory.set_shadow(0xF0000, 0x100000, read_ram=shadowed, write_ram=shadowed)

    machine.probe.on_access = toggle
    machine.run(2 + 9 * 20)
    assert machine.get("ebx") == machine.get("ecx") == 20


def test_a_change_of_the_map_changes_no_count_and_no_time(lab: Any) -> None:
    source = f"mov edx, {PROBE}; mov ecx, 1000; again: out dx, al; inc ebx; dec ecx; jnz again; hlt"
    plain = lab(source)
    plain.run()
    changed = lab(source)
    numbers = iter(range(10**6))
    changed.probe.on_access = lambda: changed.memory.give_window(0xA0000, to_devices=next(numbers) % 3 == 0)
    changed.run()
    assert changed.count == plain.count
    assert changed.processor.ticks() == plain.processor.ticks()
    assert [row[0] for row in changed.probe.log] == [row[0] for row in plain.probe.log]
    assert changed.get("ebx") == 1000


def test_a_stop_that_is_asked_for_together_with_a_change_stops(lab: Any) -> None:
    machine = lab(f"mov edx, {PROBE}; out dx, al; inc ebx; hlt")

    def both() -> None:
        machine.memory.give_window(0xB0000, to_devices=True)
        machine.processor.stop()

    machine.probe.on_access = both
    assert machine.run() is CoreStop.REQUESTED
    assert machine.get("ebx") == 0
    assert machine.run() is CoreStop.HALT
    assert machine.get("ebx") == 1


def test_a_window_given_to_devices_asks_the_bus_and_one_taken_back_is_memory(lab: Any) -> None:
    machine = lab(
        f"""
        mov edx, {PROBE}
        mov dword ptr [0xA0010], 7
        out dx, al; mov eax, [0xA0010]; mov dword ptr [0xB0010], 5
        out dx, al; mov ebx, [0xA0010]; mov ecx, [0xB0010]
        hlt
        """
    )
    machine.pc.mmio.detach(0xA0000)
    machine.pc.mmio.attach(0xA0000, 0x10000, machine.probe, name="recorder", width=4)
    machine.probe.replies.append(0x1234)
    give = machine.memory.give_window
    give(0xA0000, to_devices=False)
    on_probe(machine, lambda: give(0xA0000, to_devices=True), lambda: None, lambda: give(0xA0000, to_devices=False))
    assert machine.run() is CoreStop.HALT
    assert (machine.get("eax"), machine.get("ebx"), machine.get("ecx")) == (0x1234, 7, 5)


def test_a_change_of_the_map_leaves_page_tables_cr2_and_later_faults_alone(lab: Any) -> None:
    directory, nowhere = 0x10000, 0x40000000
    machine = lab(
        f"""
        mov eax, cr4; or eax, 0x10; mov cr4, eax; mov eax, {directory}; mov cr3, eax
        mov eax, cr0; or eax, 0x80000000; mov cr0, eax
        mov eax, [{nowhere}]
        mov edx, {PROBE}; out dx, al; out dx, al; out dx, al; out dx, al
        mov ebx, cr2
        mov eax, 0xFFF8; mov ds, ax
        hlt
        vector_14: pop eax; add dword ptr [esp], 5; iretd
        vector_13: inc esi; pop eax; add dword ptr [esp], 2; iretd
        """
    )
    present_large = 0x83
    machine.memory.set_u32(PhysAddr(directory), present_large)
    looked_at = PhysAddr(directory + 4 * (FRAME_BUFFER >> 22))  # mapped where the video RAM's *physical* address is
    machine.memory.set_u32(looked_at, present_large)
    place = machine.memory.place_video_ram
    other = FRAME_BUFFER - 16 * MIB  # and nothing is mapped at this one
    on_probe(machine, lambda: place(FRAME_BUFFER), lambda: place(other), lambda: place(None), lambda: place(other))
    assert machine.run() is CoreStop.HALT
    assert machine.vectors == [14, 13]
    assert machine.get("ebx") == nowhere
    assert machine.get("esi") == 1
    assert machine.word(looked_at) == present_large


def test_video_ram_answers_where_it_was_placed_and_keeps_its_content_when_it_moves(lab: Any) -> None:
    other = FRAME_BUFFER - 16 * MIB
    machine = lab(
        f"""
        mov edx, {PROBE}
        out dx, al; mov dword ptr [{FRAME_BUFFER + 0x1234}], 0xCAFE; mov eax, [{FRAME_BUFFER + 0x1234}]
        out dx, al; mov ebx, [{FRAME_BUFFER + 0x1234}]; mov ecx, [{other + 0x1234}]
        out dx, al; mov esi, [{other + 0x1234}]
        hlt
        """
    )
    place = machine.memory.place_video_ram
    on_probe(machine, lambda: place(FRAME_BUFFER), lambda: place(other), lambda: place(None))
    assert machine.run() is CoreStop.HALT
    got = [machine.get(name) for name in ("eax", "ebx", "ecx", "esi")]
    assert got == [0xCAFE, 0xFFFFFFFF, 0xCAFE, 0xFFFFFFFF]
    assert machine.memory.video_ram[0x1234:0x1236] == b"\xfe\xca"


@pytest.mark.parametrize("size", [64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB])
def test_a_firmware_image_ends_the_32_bit_space_and_its_end_is_below_1_mib(size: int, lab: Any) -> None:
    machine = lab(f"mov eax, [0xFFFFC]; mov ebx, [0xFFFFFFFC]; mov ecx, [{(1 << 32) - size:#x}]; hlt")
    image = bytearray(size)
    image[:4], image[-4:] = b"head", b"tail"
    machine.memory.set_firmware(bytes(image))
    assert machine.run() is CoreStop.HALT
    got = [machine.get(name).to_bytes(4, "little") for name in ("eax", "ebx", "ecx")]
    assert got == [b"tail", b"tail", b"head"]


def test_the_host_reads_and_writes_what_the_guest_would(lab: Any) -> None:
    machine = lab("hlt")
    memory = machine.memory
    memory.set_shadow(0xC8000, 0xCC000, read_ram=True, write_ram=True)
    memory.write(PhysAddr(0xC7FFE), b"abcd")
    assert memory.read(PhysAddr(0xC7FFE), 4) == b"abcd"
    assert memory.rom[0x7FFE:0x8000] == b"ab"
    assert memory.ram[0xC8000:0xC8002] == b"cd"
    memory.place_video_ram(FRAME_BUFFER)
    memory.set_u32(PhysAddr(FRAME_BUFFER), 0x01020304)
    assert memory.video_ram[0] == 4
    memory.give_window(0xA0000, to_devices=True)
    with pytest.raises(IndexError):
        memory.read(PhysAddr(0xA0000), 1)

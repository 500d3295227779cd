"""Snapshots of whole machines: what they hold, what they leave alone, and what they refuse."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from guest_drives import GuestDrives
from machine_outcome import outcome

from hillemu import Machine
from hillemu.booting import EXTRA_DEVICES, DriveOptions
from hillemu.emu.errors import UserMistake
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.snapshot import Snapshots
from hillemu.emu.stop import StopReason

LONG = 250_000
COUNT = """
    mov ecx, 0
1:  inc ecx; mov [0x300000], ecx; mov al, 'x'; mov dx, 0x3F8; out dx, al; jmp 1b
"""


def drives_of(images: GuestDrives, **options: Any) -> DriveOptions:
    return DriveOptions((str(images.floppy),), (str(images.disk),), (str(images.cd),), **options)


# ---- everything is decided ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cpu", ["max", "486"])
def test_every_object_of_a_machine_with_everything_in_it_has_been_decided_about(
    cpu: str, guest_drives: GuestDrives
) -> None:
    machine = Machine(mem="16M", cpu=cpu, drives=drives_of(guest_drives), devices=EXTRA_DEVICES, reboot=True)
    machine.load_demo()
    machine.schedule_keys("abc{enter}", 5000)
    machine.schedule_call(10**9, lambda: None)
    snapshots = Snapshots(machine._pc, machine)
    before = snapshots.take()  # raises WiringError for a kind that nobody has decided about
    machine.keyboard.type("x{f1}")
    machine.serial.send(b"hello")
    machine.run(max_insns=100_000)
    found = {type(one).__name__ for one in snapshots.take()._objects.objects}
    assert {"Pic", "Pit", "Uart", "Lapic", "IoApic", "Hpet", "Cmos", "Ps2", "Keyboard", "Mouse", "Vga"} <= found
    assert {"AtaChannel", "AtapiCd", "FloppyController", "Medium", "PhysicalMemory", "Clock", "FwCfg"} <= found
    assert {"Machine", "Processor", "SerialLog"} <= found
    assert "Core" not in found
    snapshots.restore(before)


def test_the_hosted_kernel_is_part_of_its_machine() -> None:
    machine = Machine(mem="16M")
    machine.load_kernel()
    machine.run(max_insns=LONG)
    early = machine.snapshot()
    at_early = outcome(machine)
    machine.run(max_insns=LONG)
    late, at_late = machine.snapshot(), outcome(machine)
    for _ in range(2):
        machine.restore(early)
        assert outcome(machine) == at_early
        machine.run(max_insns=LONG)
        assert outcome(machine) == at_late
        machine.restore(late)
        assert outcome(machine) == at_late


# ---- what comes back ------------------------------------------------------------------------------------------------


def test_code_that_changed_is_translated_again(core: str, boot: Callable[..., Machine]) -> None:
    machine = boot("""
        mov dword ptr [0x300000], 0; xor ebx, ebx
    1:  mov eax, 1                          # becomes 2 after a thousand rounds
        add [0x300000], eax
        inc ebx
        cmp ebx, 1000; jne 1b
        mov byte ptr [1b + 1], 2; jmp 1b
    """)
    total = PhysAddr(0x300000)
    machine.run(max_insns=302)
    before = machine.snapshot()
    machine.run(max_insns=3000)
    assert machine.memory.u32(total) == 660, "one by one until here"
    machine.run(max_insns=5000)
    after = machine.snapshot()
    for _ in range(2):
        machine.restore(before)
        machine.run(max_insns=3000)
        assert machine.memory.u32(total) == 660
        machine.restore(after)
        so_far = machine.memory.u32(total)
        machine.run(max_insns=500)
        assert machine.memory.u32(total) == so_far + 2 * 100


def test_the_memory_map_and_the_screen_come_back(core: str, boot: Callable[..., Machine]) -> None:
    machine = boot("1: inc byte ptr [0xB8000]; jmp 1b")
    machine.run(max_insns=10)
    text = machine.snapshot()
    shown = machine.screen.cells
    areas = machine.memory.areas
    machine._pc.write_port(0x1CE, 4, 2)  # the card's linear frame buffer, 640 x 480, 32 bits
    machine._pc.write_port(0x1D0, 0x41, 2)
    machine.memory.video_ram[:4] = b"abcd"
    machine.memory.set_shadow(0xC0000, 0x100000, read_ram=True, write_ram=True)
    assert machine.memory.areas != areas
    graphics = machine.snapshot()
    machine.run(max_insns=4)
    machine.restore(text)
    assert machine.memory.areas == areas
    assert machine.screen.cells == shown
    machine.run(max_insns=2)
    assert machine.screen.cells != shown
    machine.restore(graphics)
    assert machine.memory.areas != areas
    assert bytes(machine.memory.video_ram[:4]) == b"abcd"


def test_what_the_guest_wrote_to_a_disk_comes_back(
    image_of: Callable[[str], Path], guest_drives: GuestDrives, core: str
) -> None:
    machine = Machine(mem="16M", drives=drives_of(guest_drives))
    machine.load(str(image_of("ata")))
    (medium,) = (one.medium for one in machine._booting._drives.disks)  # type: ignore[union-attr]
    start = machine.snapshot()
    stop = machine.run(max_insns=20_000_000)
    written, end = medium.changed_sectors, outcome(machine)
    assert written, "this guest writes sectors"
    late = machine.snapshot()
    machine.restore(start)
    assert medium.changed_sectors == {}
    machine.restore(late)
    assert medium.changed_sectors == written
    machine.restore(start)
    assert machine.run(max_insns=20_000_000) == stop
    assert (medium.changed_sectors, outcome(machine)) == (written, end)


def test_a_transfer_goes_on_in_the_middle_of_its_data(
    image_of: Callable[[str], Path], guest_drives: GuestDrives, core: str
) -> None:
    machine = Machine(mem="16M", drives=drives_of(guest_drives))
    machine.load(str(image_of("ata")))
    core_state = machine._pc.processor.state
    for _ in range(4000):
        machine.run(max_insns=97)
        if core_state()[3]:  # a window is open
            break
    else:
        raise AssertionError("this guest moves data through windows")
    inside = machine.snapshot()
    stop = machine.run(max_insns=20_000_000)
    end = outcome(machine)
    for _ in range(2):
        machine.restore(inside)
        assert machine.run(max_insns=20_000_000) == stop
        assert outcome(machine) == end


@pytest.mark.parametrize("core", ["native", "portable"])
def test_a_halted_machine_wakes_at_the_same_moment(core: str, lab_of: Callable[..., Any]) -> None:
    lab = lab_of(
        core,
        """
        mov al, 0x34; out 0x43, al; xor al, al; out 0x40, al; out 0x40, al
        mov al, 0x11; out 0x20, al; mov al, 0x20; out 0x21, al; mov al, 4; out 0x21, al; mov al, 1; out 0x21, al
        mov al, 0xFE; out 0x21, al
    1:  sti; hlt; jmp 1b
        vector_32: inc dword ptr [0x300000]; mov al, 0x20; out 0x20, al; iretd
    """,
    )
    snapshots = Snapshots(lab.pc, lab.pc)
    lab.processor.run(ticks=8_000_000)  # the timer ticks every 5.5 million
    asleep, count, woken = snapshots.take(), lab.count, lab.word(0x300000)
    lab.processor.run(ticks=1_000_000)
    assert lab.count == count, "it is in the middle of a halt"
    later = snapshots.take()
    lab.processor.run(ticks=20_000_000)
    assert lab.word(0x300000) == woken + 4
    end = lab.outcome()
    for start, ticks in ((asleep, 21_000_000), (later, 20_000_000), (asleep, 21_000_000)):
        snapshots.restore(start)
        assert lab.count == count
        lab.processor.run(ticks=ticks)
        assert lab.outcome() == end


def test_the_guests_code_breakpoints_come_and_go(boot: Callable[..., Machine]) -> None:
    machine = boot("""
        mov eax, offset target; mov dr0, eax
        mov eax, 2; mov dr7, eax
    1:  inc ecx
    target: nop
        jmp 1b
    """)
    machine.run(max_insns=2)
    disarmed = machine.snapshot()
    machine.run(max_insns=3)
    armed = machine.snapshot()
    stop = machine.run(max_insns=50)
    assert stop.reason is StopReason.TRIPLE_FAULT, "#DB without an IDT"
    machine.restore(disarmed)
    machine.cpu.eip = machine.symbols["target"]
    assert machine.run(max_insns=50).reason is StopReason.MAX_INSNS
    machine.restore(armed)
    assert machine.run(max_insns=50) == stop


def test_a_data_breakpoint_that_was_hit_is_raised_after_every_restore(lab_of: Callable[..., Any]) -> None:
    lab = lab_of(
        "native",
        """
        mov eax, 0x300000; mov dr0, eax
        mov eax, 0xD0002; mov dr7, eax              # four bytes, writes
        xor ecx, ecx
    1:  mov dword ptr [0x300000], 5
        inc ecx; cmp ecx, 5; jne 1b
        cli; hlt
        vector_1: inc dword ptr [0x300100]; iretd
        """,
    )
    snapshots = Snapshots(lab.pc, lab.pc)
    kept = []
    for _ in range(30):
        kept.append((snapshots.take(), lab.outcome()))
        lab.run(1)
    lab.run()
    assert lab.word(0x300100) == 5
    end = lab.outcome()
    for snapshot, then in reversed(kept):
        snapshots.restore(snapshot)
        assert lab.outcome() == then
        lab.run()
        assert lab.outcome() == end


def test_keys_and_calls_that_were_due_are_due_again(boot: Callable[..., Machine]) -> None:
    machine = boot("1: in al, 0x60; mov [0x300000], al; jmp 1b")
    calls: list[int] = []
    machine.schedule_keys("a", 2000)
    machine.schedule_call(5_000_000, lambda: calls.append(machine.cpu.instructions))
    before = machine.snapshot()
    ends = []
    for _ in range(2):
        machine.run(max_insns=20_000)
        ends.append(outcome(machine))
        machine.restore(before)
    assert ends[0] == ends[1]
    assert len(calls) == 2
    assert calls[0] == calls[1]


# ---- what stays -----------------------------------------------------------------------------------------------------


def test_breakpoints_and_observers_are_the_hosts(boot: Callable[..., Machine]) -> None:
    machine = boot(COUNT)
    machine.run(max_insns=10)
    before = machine.snapshot()
    heard: list[int] = []
    machine.serial.on_byte(heard.append)
    written: list[Any] = []
    machine.on_write(0x300000, written.append)
    at = machine.breakpoints.add(machine.cpu.linear_eip)
    machine.restore(before)
    assert list(machine.breakpoints) == [at]
    assert machine.run(max_insns=100).reason is StopReason.BREAKPOINT
    assert heard
    assert written
    assert written[0].at > before.instructions


def test_serial_text_is_cut_and_grows_again(boot: Callable[..., Machine]) -> None:
    machine = boot(COUNT)
    seen = []
    for _ in range(4):
        machine.run(max_insns=60)
        seen.append((machine.snapshot(), machine.serial.text))
    for number in (0, 3, 1, 2, 2, 0):
        snapshot, text = seen[number]
        machine.restore(snapshot)
        assert machine.serial.text == text
        assert machine.serial.data == text.encode()
    machine._pc.serial_log.put(ord("!"))
    other = machine.snapshot()
    machine.restore(seen[3][0])
    machine.restore(other)
    assert machine.serial.text == seen[0][1] + "!"


def test_restoring_between_two_slices_of_a_run_is_possible(boot: Callable[..., Machine]) -> None:
    machine = boot(COUNT)
    machine.run(max_insns=50)
    before = machine.snapshot()
    rounds = 0

    def between() -> bool:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            machine.restore(before)
        return False

    machine.run(max_insns=5_000_000, between=between)
    assert machine.cpu.instructions == 5_000_050
    assert machine.memory.u32(PhysAddr(0x300000)) == machine.cpu.ecx


# ---- what it costs --------------------------------------------------------------------------------------------------


def test_snapshots_hold_what_differs_and_give_it_back(boot: Callable[..., Machine]) -> None:
    machine = boot(COUNT, mem="64M")
    first = machine.snapshot()
    assert machine._snapshots is not None
    kept = []
    for number in range(20):
        machine.memory.fill(PhysAddr(0x400000), 64 * 4096, number + 1)
        machine.run(max_insns=50)
        kept.append(machine.snapshot())
    held = machine._snapshots.held_bytes
    assert 20 * 64 * 4096 <= held <= 21 * 66 * 4096
    del kept
    gc.collect()
    assert machine._snapshots.held_bytes <= 66 * 4096
    machine.restore(first)
    assert machine._snapshots.held_bytes == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="only Linux lists open files there")
def test_machines_with_snapshots_end(boot: Callable[..., Machine]) -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        machine = boot(COUNT)
        machine.snapshot()
    del machine
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


# ---- what is refused ------------------------------------------------------------------------------------------------


def test_another_machines_snapshot_is_refused(boot: Callable[..., Machine]) -> None:
    one, other = boot(COUNT), boot(COUNT)
    snapshot = one.snapshot()
    with pytest.raises(UserMistake, match="another machine"):
        other.restore(snapshot)
    other.snapshot()
    with pytest.raises(UserMistake, match="another machine"):
        other.restore(snapshot)


def test_a_disk_that_is_written_cannot_be_taken_back(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(510) + b"\x55\xaa")
    machine = Machine(drives=DriveOptions(disk_write=True))
    machine.load(str(disk))
    with pytest.raises(UserMistake, match=r"disk\.img.*--disk-write"):
        machine.snapshot()
    machine.close()


def test_a_disk_that_was_closed_is_not_there_any_more(tmp_path: Path) -> None:
    machine = Machine()
    disk = tmp_path / "disk.img"
    disk.write_bytes(b"\xf4" + bytes(509) + b"\x55\xaa")
    machine.load(str(disk))
    before = machine.snapshot()
    machine.load_demo()
    with pytest.raises(UserMistake, match="was closed"):
        machine.restore(before)
    machine.run(max_insns=1000)


def test_inside_an_instruction_there_is_no_moment_to_keep(boot: Callable[..., Machine]) -> None:
    machine = boot(COUNT)
    before = machine.snapshot()
    refused: list[str] = []

    def observer(byte: int) -> None:
        for attempt in (machine.snapshot, lambda: machine.restore(before)):
            with pytest.raises(UserMistake, match="while an instruction") as caught:
                attempt()
            refused.append(str(caught.value))
        machine.stop()

    machine.serial.on_byte(observer)
    machine.run()
    assert len(refused) == 2

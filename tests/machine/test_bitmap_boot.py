"""Profile bitmap's boot chain: who loads whom to where, from which drives, which ways past A20, and what can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from hillemu.boot.disk_image import SECTOR_BYTES, memory_image
from hillemu.boot.image import Image
from hillemu.boot.memory_map import memory_map as firmware_map
from hillemu.boot.shipped import shipped_image
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.stop import StopReason
from hillemu.kernel.profiles.bitmap.boot_map import read_memory_map
from hillemu.machine import Machine

BOOT_SECTOR, LOADER, KERNEL = 0x7C00, 0x7E00, 0x10000
HAS_EDD, LOADER_SECTORS = 0x7D9B, 2
DISK = shipped_image("bitmap.img")
BOOT = shipped_image("bitmap_boot.bin")
RESTED = "mapped 1:1"


def boot(tmp_path: Path, disk: bytes, *, mem: str = "16M") -> Machine:
    """A machine that is about to boot the disk, or the floppy if it has the size of one; no Python is behind it."""
    file = tmp_path / "disk.img"
    file.write_bytes(disk)
    machine = Machine(mem=mem)
    machine.load(str(file))
    return machine


def screen_at_the_end(machine: Machine) -> str:
    stop = machine.run(max_insns=3_000_000)
    assert stop.reason is StopReason.HALT, stop
    return "\n".join(line.rstrip() for line in machine.screen_lines()).rstrip()


def patched(disk: bytes, *changes: tuple[bytes, bytes]) -> bytes:
    """`disk` with a piece of its boot sector or loader replaced, which must be there once."""
    head, rest = disk[: len(BOOT)], disk[len(BOOT) :]
    for old, new in changes:
        assert head.count(old) == 1
        assert len(old) == len(new)
        head = head.replace(old, new)
    return head + rest


def test_each_stage_loads_the_next_one_to_its_place(tmp_path: Path) -> None:
    machine = boot(tmp_path, DISK)
    memory = machine.memory
    assert memory.read(PhysAddr(BOOT_SECTOR), 512) == BOOT[:512], "the BIOS has loaded one sector"
    assert not any(memory.read(PhysAddr(LOADER), 512))
    machine.breakpoints.add(LOADER)
    assert machine.run(max_insns=100_000).reason is StopReason.BREAKPOINT
    assert memory.read(PhysAddr(LOADER), LOADER_SECTORS * SECTOR_BYTES) == BOOT[512:]
    assert not any(memory.read(PhysAddr(KERNEL), 512))
    assert not machine.cpu.cr0 & 1, "the loader runs in real mode"

    kernel = memory_image(Image("bitmap.elf", shipped_image("bitmap.elf")))
    entry = int.from_bytes(kernel[8:12], "little")
    machine.breakpoints.add(entry)
    assert machine.run(max_insns=3_000_000).reason is StopReason.BREAKPOINT
    assert memory.read(PhysAddr(KERNEL), len(kernel)) == kernel
    assert machine.cpu.cr0 & 0x80000001 == 1, "the kernel starts in protected mode, without paging"
    assert machine.registers()["ebx"] == 0x500
    assert machine.registers()["edx"] & 0xFF == 0x80


@pytest.mark.parametrize("kib", [160, 360, 720, 1200, 1440, 2880])
def test_floppies_of_every_format_boot(kib: int, tmp_path: Path) -> None:
    machine = boot(tmp_path, DISK.ljust(kib << 10, b"\0"))
    shown = screen_at_the_end(machine)
    assert RESTED in shown
    assert machine.memory.read(PhysAddr(HAS_EDD), 1) == b"\0", "floppies are read by cylinder, head and sector"


@pytest.mark.parametrize("sectors", [len(DISK) // 512, 63 * 16 * 20, 63 * 255 * 3])
@pytest.mark.parametrize("edd", [True, False])
def test_hard_disks_boot_with_and_without_edd(sectors: int, edd: bool, tmp_path: Path) -> None:
    # The kernel reaches beyond the first track of the smallest geometry, so a wrong head or cylinder shows.
    no_edd = () if edd else ((b"\xb4\x41\xbb\xaa\x55", b"\xb4\xfe\xbb\xaa\x55"),)
    machine = boot(tmp_path, patched(DISK, *no_edd).ljust(sectors * 512, b"\0"))
    assert RESTED in screen_at_the_end(machine)
    assert machine.memory.read(PhysAddr(HAS_EDD), 1) == bytes([edd])


NO_BIOS_A20 = (b"\xb8\x01\x24\xcd\x15", b"\xb8\x01\x24\x90\x90")
NO_PORT_92H = (b"\x24\xfe\xe6\x92", b"\x24\xfe\x90\x90")
NO_KEYBOARD = (b"\xb0\xdf\xe6\x60", b"\xb0\xdf\x90\x90")


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ((), "A20: switched on by the BIOS"),
        ((NO_BIOS_A20,), "A20: switched on by port 92h"),
        ((NO_BIOS_A20, NO_PORT_92H), "A20: switched on by the keyboard controller"),
        ((NO_BIOS_A20, NO_PORT_92H, NO_KEYBOARD), "Address line 20 cannot be switched on"),
    ],
)
def test_a20_is_switched_on_by_the_first_way_that_works(
    missing: tuple[tuple[bytes, bytes], ...], said: str, tmp_path: Path
) -> None:
    machine = boot(tmp_path, patched(DISK, *missing))
    machine.breakpoints.add(LOADER)
    machine.run(max_insns=100_000)
    machine.breakpoints.remove(LOADER)
    machine._pc.write_port(0x92, 0)  # the firmware has switched it on
    shown = screen_at_the_end(machine)
    assert said in shown
    assert (RESTED in shown) == (len(missing) < 3)


def test_a20_that_is_on_is_left_alone(tmp_path: Path) -> None:
    assert "\nA20: on\n" in screen_at_the_end(boot(tmp_path, DISK))


def test_a_disk_that_ends_too_early_is_told_with_its_sector_and_the_bios_s_status(tmp_path: Path) -> None:
    shown = screen_at_the_end(boot(tmp_path, DISK[: len(BOOT) + 2 * 512]))
    assert shown.splitlines()[-1].startswith("The disk cannot be read: sector 0x00000005, status 0x")


def test_a_bios_without_a_memory_map_is_told(tmp_path: Path) -> None:
    disk = patched(DISK, (b"\x66\xb8\x20\xe8\x00\x00", b"\x66\xb8\x2f\xe8\x00\x00"))  # mov eax, 0E820h
    shown = screen_at_the_end(boot(tmp_path, disk))
    assert shown.splitlines()[-1] == "The BIOS has no memory map (INT 15h, AX=E820h)"


def test_the_memory_map_is_kept_as_the_bios_gives_it(tmp_path: Path) -> None:
    machine = boot(tmp_path, DISK)
    shown = screen_at_the_end(machine)
    entries = read_memory_map(machine.memory)
    assert [(entry.base, entry.end, entry.type) for entry in entries] == [
        (one.base, one.end, one.kind) for one in firmware_map(machine.memory)
    ]
    told = [line for line in shown.splitlines() if line.startswith("E820 ")]
    assert told == [f"E820 0x{one.base:016X} + 0x{one.length:016X}, type {one.type}" for one in entries]
    assert {entry.attributes for entry in entries} == {1}


def test_a_disk_without_a_kernel_is_told(tmp_path: Path) -> None:
    shown = screen_at_the_end(boot(tmp_path, BOOT + bytes(512)))
    assert shown.splitlines()[-1] == "There is no kernel behind the loader"


def test_a_kernel_that_does_not_fit_below_the_bios_s_data_is_refused(tmp_path: Path) -> None:
    head = DISK[len(BOOT) : len(BOOT) + 4] + (0x90001).to_bytes(4, "little")
    shown = screen_at_the_end(boot(tmp_path, BOOT + head + DISK[len(BOOT) + 8 :]))
    assert shown.splitlines()[-1] == "The kernel is too large for low memory"


def test_the_kernel_says_on_both_consoles_where_it_lies(tmp_path: Path) -> None:
    machine = boot(tmp_path, DISK)
    shown = screen_at_the_end(machine)
    said = machine.serial.text.replace("\r", "").splitlines()
    assert said[0].startswith("bitmap: kernel at 0x00010000-0x")
    assert said[1] == "bitmap: page directory at 0x00101000, 0x00001000-0x00FDFFFF mapped 1:1"
    for line in said:
        assert line in shown


def test_memory_that_is_too_small_for_page_tables_is_told(tmp_path: Path) -> None:
    """No PC of ours has so little; the loader's map is changed behind it."""
    machine = boot(tmp_path, DISK)
    kernel = memory_image(Image("bitmap.elf", shipped_image("bitmap.elf")))
    machine.breakpoints.add(int.from_bytes(kernel[8:12], "little"))
    machine.run(max_insns=3_000_000)
    for number in range(machine.memory.u32(PhysAddr(0x500))):
        at = PhysAddr(0x508 + 24 * number)
        if machine.memory.u32(at) == 0x100000:
            machine.memory.set_u32(PhysAddr(at + 8), 0x2000)
    assert "There is not enough memory behind the bitmap for page tables" in screen_at_the_end(machine)

"""GRUB from CDs and disks: what it shows, and what it starts."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hillemu.booting import DriveOptions
from hillemu.emu.stop import StopReason

Start = Callable[..., Any]


@pytest.fixture
def grub_disk(need_tool: Callable[[str], str], tmp_path: Path) -> Path:
    """A disk of 4 MiB that starts with GRUB's boot sector and a core image."""
    core, settings = tmp_path / "core.img", tmp_path / "early.cfg"
    settings.write_text("serial --unit=0\nterminal_input serial console\nterminal_output serial console\n")
    modules = ["biosdisk", "part_msdos", "normal", "serial", "terminal", "ls", "hexdump"]
    command = [need_tool("grub-mkimage"), "-O", "i386-pc", "-p", "/boot/grub", "-c", settings, "-o", core, *modules]
    subprocess.run(command, check=True, timeout=60)
    boot = Path("/usr/lib/grub/i386-pc/boot.img").read_bytes()
    disk = tmp_path / "disk.img"
    disk.write_bytes((boot + core.read_bytes()).ljust(4 << 20, b"\0"))
    return disk


def test_the_menu_looks_as_on_qemu(grub_cd: Path, pc: Start, qemu: Start) -> None:
    there = qemu("-cdrom", grub_cd)
    here = pc(grub_cd)
    here.wait_for("for a command-line")
    here.run(20_000_000)
    there.wait_for_screen("for a command-line")
    assert here.text_memory() == there.settled_text_memory()


def test_the_command_line_hears_the_keyboard_and_sees_the_cd(grub_cd: Path, pc: Start) -> None:
    here = pc(grub_cd)
    here.wait_for("for a command-line")
    here.type("cls (cd)/boot/grub{enter}")
    here.wait_for(r"fonts/ grub\.cfg i386-pc/")
    assert here.machine.unhandled["port_reads"] == {}


def test_a_multiboot_guest_starts(grub_cd: Path, pc: Start) -> None:
    here = pc(grub_cd)
    here.choose("multiboot")
    stop = here.machine.run(max_insns=1_000_000_000)
    assert (stop.reason, stop.exit_code) == (StopReason.EXIT, 1)
    assert "# 36 checks, 0 failed" in here.machine.serial.text


def test_a_multiboot2_guest_gets_the_screen_that_it_asks_for(grub_cd: Path, pc: Start) -> None:
    here = pc(grub_cd)
    here.choose("multiboot2")
    assert here.run() is StopReason.EXIT
    told = here.machine.serial.text.partition("registers ")[2]
    assert told.startswith("36D76289 "), "EAX is the loader's magic number"
    address_pitch_width_height = "FD000000 00000000 00000C80 00000320 00000258"
    assert address_pitch_width_height in told
    assert here.machine.picture()[:2] == (800, 600)


def test_graphics_are_the_same_pixels_as_on_qemu(grub_cd: Path, pc: Start, qemu: Start) -> None:
    there = qemu("-cdrom", grub_cd)
    there.wait_for_screen("for a command-line")
    there.settled_text_memory()
    there.type("down", "down", "ret")
    here = pc(grub_cd)
    here.choose("graphics")
    here.wait_for_picture(there.settled_picture(800, 600))


def test_a_boot_sector_of_a_disk_is_chained_with_its_drive(
    grub_cd: Path, pc: Start, disk_that_tells_its_drive: Path
) -> None:
    here = pc(grub_cd, drives=DriveOptions(disks=(str(disk_that_tells_its_drive),)))
    here.choose("chain")
    assert here.run() is StopReason.EXIT
    assert here.machine.debug_console.data == b"\x80"


def test_linux_starts(grub_cd: Path, pc: Start) -> None:
    here = pc(grub_cd, mem="256M")
    here.choose("linux")
    here.wait_for("Kernel command line: BOOT_IMAGE=/vmlinuz console=ttyS0")


def test_memtest_starts_in_real_mode(grub_cd: Path, pc: Start) -> None:
    here = pc(grub_cd)
    here.choose("memtest")
    here.wait_for(r"Memtest86\+ v[\s\S]*Test #")


@pytest.mark.parametrize(("entry", "ending"), [("reboot", StopReason.RESET), ("halt", StopReason.POWER_OFF)])
def test_the_machine_is_switched_off_and_reset(grub_cd: Path, pc: Start, entry: str, ending: StopReason) -> None:
    here = pc(grub_cd)
    here.choose(entry)
    assert here.run() is ending


@pytest.mark.parametrize(("kind", "drive"), [("disk", "hd0"), ("floppy", "fd0")])
def test_a_core_image_comes_to_its_prompt(grub_disk: Path, pc: Start, tmp_path: Path, kind: str, drive: str) -> None:
    data = grub_disk.read_bytes()
    image = tmp_path / "image"
    image.write_bytes(data if kind == "disk" else data[: 1440 << 10])
    here = pc(image)
    here.wait_for("grub> ")
    here.machine.serial.send(f"hexdump -n 16 -s 504 ({drive})\r".encode())
    here.wait_for(r"000001f8 .*55 aa")

"""Boot loaders and firmware of the distribution: GRUB, iPXE, memtest86+ and SeaBIOS, started as on a PC."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hillemu import Machine
from hillemu.booting import DriveOptions
from hillemu.emu.stop import StopReason

MOST_INSTRUCTIONS = 3_000_000_000
SEABIOS = Path("/usr/share/seabios/bios-256k.bin")

Find = Callable[[str, str], Path]
GRUB_CFG = """
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=-1
menuentry "one" {{ multiboot /guest.elf colour=blue quiet; boot }}
menuentry "two" {{ multiboot /guest.elf; boot }}
{more}
"""


@pytest.fixture(scope="module")
def rescue_cd(
    need_tool: Callable[[str], str], image_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A GRUB rescue CD whose menu boots guest `paging`."""
    tree = tmp_path_factory.mktemp("rescue")
    (tree / "boot/grub").mkdir(parents=True)
    (tree / "boot/grub/grub.cfg").write_text(GRUB_CFG.format(more=""))
    (tree / "guest.elf").write_bytes(image_of("paging").read_bytes())
    need_tool("xorriso")
    cd = tree.parent / "rescue.iso"
    subprocess.run([need_tool("grub-mkrescue"), "-o", cd, tree], check=True, capture_output=True, timeout=60)
    return cd


def test_grub_on_a_cd_shows_its_menu_and_starts_a_multiboot_guest(rescue_cd: Path) -> None:
    machine = Machine(mem="64M")
    machine.load(str(rescue_cd))
    assert machine.run(until="Use the .* keys to select", max_insns=MOST_INSTRUCTIONS).reason is StopReason.UNTIL
    assert "GNU GRUB  version 2" in machine.serial.text
    machine.serial.send(b"\r")
    stop = machine.run(max_insns=MOST_INSTRUCTIONS)
    assert (stop.reason, stop.exit_code) == (StopReason.EXIT, 1)
    assert "# 36 checks, 0 failed" in machine.serial.text


def test_grub_hears_the_keyboard_and_its_command_line_sees_the_drives(rescue_cd: Path) -> None:
    machine = Machine(mem="64M")
    machine.load(str(rescue_cd))
    machine.run(until="Use the .* keys to select", max_insns=MOST_INSTRUCTIONS)
    machine.schedule_keys("c", machine.cpu.instructions)
    assert machine.run(until="grub> ", max_insns=MOST_INSTRUCTIONS).reason is StopReason.UNTIL
    machine.schedule_keys("ls{enter}", machine.cpu.instructions)
    stop = machine.run(until=r"\(cd\)", max_insns=MOST_INSTRUCTIONS)
    assert stop.reason is StopReason.UNTIL, machine.serial.text[-500:]


def test_grub_installed_on_a_disk_comes_to_its_prompt(need_tool: Callable[[str], str], tmp_path: Path) -> None:
    core = tmp_path / "core.img"
    modules = ["biosdisk", "part_msdos", "serial", "terminal", "ls"]
    command = [need_tool("grub-mkimage"), "-O", "i386-pc", "-p", "/boot/grub", "-o", str(core), *modules]
    subprocess.run(command, check=True, timeout=60)
    boot = Path("/usr/lib/grub/i386-pc/boot.img").read_bytes()
    disk = tmp_path / "disk.img"
    disk.write_bytes((boot + core.read_bytes()).ljust(4 << 20, b"\0"))
    machine = Machine(mem="64M")
    machine.load(str(disk), format="disk")
    stop = machine.run(until="grub rescue> |grub> ", max_insns=MOST_INSTRUCTIONS)
    assert stop.reason is StopReason.UNTIL, machine.screen.text


def test_ipxe_looks_for_network_devices_and_says_that_there_are_no_more(distribution_file: Find) -> None:
    machine = Machine(mem="64M")
    machine.load(str(distribution_file("ipxe", "boot/ipxe.lkrn")))
    stop = machine.run(until="No more network devices", max_insns=MOST_INSTRUCTIONS)
    assert stop.reason is StopReason.UNTIL
    assert "iPXE initialising devices...ok" in machine.screen.text
    assert machine.run(max_insns=MOST_INSTRUCTIONS).reason is StopReason.HALT


def test_ipxe_boots_from_its_cd(distribution_file: Find) -> None:
    machine = Machine(mem="64M")
    machine.load(str(distribution_file("ipxe", "usr/lib/ipxe/ipxe.iso")))
    assert machine.run(until="No more network devices", max_insns=MOST_INSTRUCTIONS).reason is StopReason.UNTIL


def test_memtest_gets_into_its_tests_and_finds_no_error(distribution_file: Find) -> None:
    machine = Machine(mem="16M")
    machine.load(str(distribution_file("memtest86+", "boot/memtest86+ia32.bin")))
    stop = machine.run(until=r"Test #3", max_insns=MOST_INSTRUCTIONS)
    assert stop.reason is StopReason.UNTIL, machine.screen.text
    assert "Errors: 0" in machine.screen.text


@pytest.mark.skipif(not SEABIOS.exists(), reason="seabios is not installed")
def test_seabios_runs_from_the_reset_vector_and_boots_a_disk(tmp_path: Path) -> None:
    from hillemu.boot.assembler import Layout, assemble_text

    sector = (
        ".code16\n.text\nmov al, 'B'\nout 0xE9, al\nmov ax, 0x1234\nout 0xF4, eax\ncli\nhlt\n.org 510\n.word 0xAA55\n"
    )
    disk = tmp_path / "disk.img"
    disk.write_bytes(assemble_text(sector, layout=Layout(flat=True, base=0x7C00)).data.ljust(1 << 20, b"\0"))
    machine = Machine(mem="64M", bios=str(SEABIOS), drives=DriveOptions(disks=(str(disk),)), devices=("fw-cfg",))
    machine.load()
    stop = machine.run(max_insns=MOST_INSTRUCTIONS)
    assert stop.reason is StopReason.EXIT
    assert bytes(machine.debug_console.data).endswith(b"B")

"""Debian's kernel for i386 with a busybox shell: what it finds, its drivers at work, and its ends.

The kernel is told to leave out its tests of cryptographic algorithms (``cryptomgr.notests``), which are half of its
way to the shell and use no device.
"""

from __future__ import annotations

import hashlib
import random
import re
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from linux_guest import LinuxFiles, LinuxShell

from hillemu import Machine
from hillemu.booting import DriveOptions

APPEND = "console=ttyS0 cryptomgr.notests"
DRIVERS = ("ata_piix", "sd_mod", "sr_mod", "floppy")
PROMPT = "/ # "
DISK_BYTES, FLOPPY_BYTES, CD_BYTES = 4 << 20, 1_474_560, 600 << 10

EXPLAINED = {
    r"SMBIOS|DMI: |smpboot: CPU0: |scsi \d:\d:\d:\d: |ata\d\.\d\d: ATA": "names",
    r"ACPI: (RSDP|RSDT|FACP|DSDT|APIC|HPET|WAET|Reserving)|SMP MP-table": "tables of another maker, at other places",
    r"^tsc: |clocksource: .*tsc|Calibrating delay|processors activated|sched_clock": "100 MHz here, another there",
    r"^Memory: |^Freeing initrd|^audit: type|random: crng": "the kernel's place is random; what runs beside; the date",
    r"ttyS1|^00:0\d: ttyS|rtc_cmos": "a second serial port, so the clock chip has another number; it has 128 bytes",
    r"PCI BIOS revision 2.10 entry": "its address",
    r"ACPI: PM: \(supports|Enabled \d GPEs|acpiphp": "no sleep but S5, no hotplug",
    r"E820 reservations|acpi resource window": "the BIOS's date is later; no window above 4 GiB for PCI devices",
    r"PnPBIOS": "the FADT tells of legacy devices",
    r"FDC 0 is|Floppy drive|sr0\] scsi3-mmc|unknown device": "a 82077AA; the drive that the image needs; no CD writer",
}
"""Lines of the kernel's that differ from those on QEMU, and why."""


@pytest.fixture(scope="module")
def linux(distribution_file: Callable[[str, str], Path]) -> LinuxFiles:
    return LinuxFiles(
        distribution_file("linux", "boot/vmlinuz-*"),
        distribution_file("linux", "lib/modules/*/kernel"),
        distribution_file("busybox-static", "bin/busybox"),
    )


class Images:
    """Files for all drives, with bytes that are alike nowhere."""

    def __init__(self, folder: Path, linux: LinuxFiles) -> None:
        self.initrd, self.disk, self.floppy, self.cd = (folder / name for name in ("initrd", "disk", "floppy", "cd"))
        self.initrd.write_bytes(linux.initrd(DRIVERS))
        dice = random.Random(1)
        for path, size_bytes in ((self.disk, DISK_BYTES), (self.floppy, FLOPPY_BYTES), (self.cd, CD_BYTES)):
            path.write_bytes(dice.randbytes(size_bytes))

    @property
    def drives(self) -> DriveOptions:
        return DriveOptions(
            disks=(str(self.disk),), floppies=(str(self.floppy),), cdroms=(str(self.cd),), disk_write=True
        )


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, linux: LinuxFiles) -> Images:
    return Images(tmp_path_factory.mktemp("linux"), linux)


@pytest.fixture(scope="module")
def shell(linux: LinuxFiles, images: Images) -> Iterator[LinuxShell]:
    """A shell on a machine with all drives, for the tests that leave it as it is; entered as 32-bit code."""
    machine = Machine("512M", cpu="qemu32", drives=images.drives)
    machine.load(str(linux.kernel), format="linux", append=APPEND, initrds=[str(images.initrd)])
    shell = LinuxShell(machine)
    shell.boot()
    yield shell
    machine.close()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# ---- what the kernel says ----------------------------------------------------------------------------------------


def on_qemu(qemu: str, linux: LinuxFiles, images: Images) -> str:
    """All that the kernel says on QEMU, up to the prompt.  QEMU's clock counts instructions: the host's load must not
    show."""
    drives = ((images.disk, "ide,index=0"), (images.cd, "ide,index=2,media=cdrom"), (images.floppy, "floppy"))
    command = [
        qemu,
        "-accel",
        "tcg",
        "-icount",
        "shift=3,sleep=off",
        "-m",
        "512M",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-monitor",
        "none",
    ]
    command += ["-nic", "none", "-no-reboot", "-kernel", linux.kernel, "-initrd", images.initrd, "-append", APPEND]
    for path, place in drives:
        command += ["-drive", f"file={path},format=raw,snapshot=on,if={place}"]
    said = bytearray()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        while PROMPT.encode() not in said and (byte := process.stdout.read1(4096)):
            said += byte
        watchdog.cancel()
        process.kill()
    return said.decode(errors="replace")


def told(text: str) -> list[str]:
    """The kernel's lines without their times, and without those that are explained; in alphabetical order."""
    lines = [re.sub(r"^\[ *\d+\.\d+\] ", "", line) for line in text.splitlines() if line.startswith("[ ")]
    return sorted(line for line in lines if not any(re.search(pattern, line) for pattern in EXPLAINED))


def test_the_kernel_finds_what_it_finds_on_qemu(
    need_tool: Callable[[str], str], linux: LinuxFiles, images: Images, shell: LinuxShell
) -> None:
    here, there = told(shell.machine.serial.text), told(on_qemu(need_tool("qemu-system-i386"), linux, images))
    assert len(here) > 200
    assert here == there


# ---- its drivers -------------------------------------------------------------------------------------------------


def test_drivers_read_all_of_disk_cd_and_floppy(shell: LinuxShell, images: Images) -> None:
    assert shell.run("cat /sys/class/ata_device/dev1.0/dma_mode") == "XFER_MW_DMA_2\n"
    for device, path in (("sda", images.disk), ("sr0", images.cd), ("fd0", images.floppy)):
        assert shell.run(f"sha256sum < /dev/{device}").split()[0] == sha256(path.read_bytes())


def test_what_drivers_write_is_in_the_images(shell: LinuxShell, images: Images, linux: LinuxFiles) -> None:
    busybox = linux.busybox.read_bytes()
    disk, floppy = bytearray(images.disk.read_bytes()), bytearray(images.floppy.read_bytes())
    shell.run(
        "dd if=/bin/busybox of=/dev/sda bs=1k seek=100; dd if=/bin/busybox of=/dev/fd0 bs=9k seek=5 count=3; sync"
    )
    disk[100 << 10 : (100 << 10) + len(busybox)] = busybox
    floppy[5 * 9216 : 8 * 9216] = busybox[: 3 * 9216]
    assert images.disk.read_bytes() == disk
    assert images.floppy.read_bytes() == floppy


def test_interrupts_arrive_where_they_should_and_only_there(shell: LinuxShell) -> None:
    table = shell.run("cat /proc/interrupts")
    counts = {name: int(count) for name, count in re.findall(r"^ *(\w+): +(\d+)", table, re.MULTILINE)}
    assert all(counts[irq] for irq in ("0", "1", "4", "6", "12", "14", "15", "LOC"))
    assert not any(counts[name] for name in ("SPU", "ERR", "MIS", "NMI"))


def test_the_clock_chips_alarm_interrupts(shell: LinuxShell) -> None:
    alarm = "/sys/class/rtc/rtc0/wakealarm"
    assert shell.run(f"echo +2 > {alarm}; cat {alarm}").strip()
    assert shell.run(f"sleep 3; cat {alarm}").strip() == ""


def test_time_passes_alike_on_all_clocks(shell: LinuxShell) -> None:
    before, after = (int(value) for value in shell.run("date +%s; sleep 5; date +%s").split())
    assert after - before in (5, 6)
    assert shell.run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource") == "tsc\n"
    assert "unstable" not in shell.run("dmesg")
    chip = shell.run("cat /sys/class/rtc/rtc0/since_epoch; date +%s").split()
    assert abs(int(chip[0]) - int(chip[1])) <= 1


# ---- its ends ----------------------------------------------------------------------------------------------------


def test_a_kernel_started_in_real_mode_works_without_dma_and_switches_the_machine_off(
    linux: LinuxFiles, tmp_path: Path
) -> None:
    disk, initrd, typed = (tmp_path / name for name in ("disk", "initrd", "typed"))
    disk.write_bytes(random.Random(2).randbytes(DISK_BYTES))
    before = sha256(disk.read_bytes())
    initrd.write_bytes(linux.initrd(["libata dma=0", "ata_piix", "sd_mod"]))
    commands = ("cat /sys/class/ata_device/dev1.0/xfer_mode", "sha256sum < /dev/sda", "dd if=/dev/zero of=/dev/sda")
    typed.write_bytes("\n".join(("#" * 80, *commands, "sync", "poweroff -f", "")).encode())
    machine = ("--mem", "64M", "--append", APPEND, "--initrd", initrd, "--disk", disk, "--serial-input", typed)
    done = subprocess.run(
        [sys.executable, "-m", "hillemu", "boot", linux.kernel, *machine], capture_output=True, timeout=100, check=False
    )
    said = done.stdout.decode()
    assert done.returncode == 0, said + done.stderr.decode()
    assert "stopped: power-off" in done.stderr.decode()
    assert "XFER_PIO_4" in said
    assert before in said
    assert sha256(disk.read_bytes()) == before, "nothing is written without --disk-write"


def test_without_acpi_it_uses_the_mp_tables_and_apm(linux: LinuxFiles, tmp_path: Path) -> None:
    disk, initrd = tmp_path / "disk", tmp_path / "initrd"
    disk.write_bytes(random.Random(3).randbytes(DISK_BYTES))
    initrd.write_bytes(linux.initrd(["apm power_off=1", "ata_piix", "sd_mod"]))
    machine = Machine("64M", drives=DriveOptions(disks=(str(disk),)))
    machine.load(str(linux.kernel), append=f"{APPEND} acpi=off pci=bios", initrds=[str(initrd)])
    shell = LinuxShell(machine)
    said = shell.boot()
    assert "Intel MultiProcessor Specification v1.4" in said
    assert "apm: BIOS version 1.2" in said
    assert "IO-APIC" in shell.run("grep ata_piix /proc/interrupts")
    assert shell.run("sha256sum < /dev/sda").split()[0] == sha256(disk.read_bytes())
    assert shell.finish("poweroff -f") == "power-off"


# ---- screen and keyboard -----------------------------------------------------------------------------------------


def test_the_shell_on_the_screen_hears_the_keyboard(linux: LinuxFiles, images: Images) -> None:
    machine = Machine("128M")
    machine.load(str(linux.kernel), append="console=tty0 cryptomgr.notests vga=0xf05", initrds=[str(images.initrd)])
    machine.run(until=PROMPT, max_insns=10_000_000_000)
    machine.keyboard.type("echo $((6*7)) 'OK' | tr OK NO{enter}")
    assert machine.run(until="42 NO", max_insns=1_000_000_000).reason.value == "until"
    assert len(machine.screen_lines()) == 30
    machine.keyboard.type("{ctrl+alt+delete}")
    assert machine.run(max_insns=1_000_000_000).reason.value == "reset"


def test_the_console_in_a_graphics_mode_is_a_picture(linux: LinuxFiles, tmp_path: Path) -> None:
    machine = Machine("64M")
    machine.load(str(linux.kernel), append=f"{APPEND} console=tty0 vga=0x318")
    stop = machine.run(until="VESA VGA frame buffer device", max_insns=10_000_000_000)
    assert stop.reason.value == "until"
    picture = tmp_path / "screen.png"
    machine.save_picture(str(picture))
    data = picture.read_bytes()
    assert struct.unpack_from(">II", data, 16) == (1024, 768)
    pixels = zlib.decompress(data[data.index(b"IDAT") + 4 :])
    grey, black = pixels.count(0xAA), pixels.count(0)
    assert grey > 3 * 20_000, "text"
    assert grey + black > 0.99 * len(pixels), "on black"


# ---- memory, and the same again ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mem", "last"),
    [
        ("64M", "[mem 0x0000000000100000-0x0000000003fdffff] usable"),
        ("8G", "[mem 0x0000000100000000-0x000000023fffffff] usable"),
    ],
)
def test_the_memory_map_is_qemus_for_every_size(mem: str, last: str, linux: LinuxFiles) -> None:
    machine = Machine(mem)
    machine.load(str(linux.kernel), append=APPEND)
    assert machine.run(until=r"Memory: .*highmem\)", max_insns=10_000_000_000).reason.value == "until"
    assert re.findall(r"BIOS-e820: (.* usable)", machine.serial.text)[-1] == last


def test_the_same_again_is_the_same_to_the_bit(linux: LinuxFiles, images: Images) -> None:
    def run() -> tuple[int, str, str]:
        machine = Machine("64M")
        machine.load(str(linux.kernel), append=APPEND, initrds=[str(images.initrd)])
        machine.run(max_insns=2_400_000_000)
        return machine.clock.now, machine.serial.text, machine.memory.sha256()

    first = run()
    assert "Linux version" in first[1]
    assert run() == first


# The last test of the machine that the fixture keeps.
def test_reboot_resets_the_machine(shell: LinuxShell) -> None:
    assert shell.finish("reboot -f") == "reset"

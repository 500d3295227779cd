"""iPXE, memtest86+ and SeaBIOS of the distribution, started as on a PC; GRUB is in test_grub.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hillemu.booting import DriveOptions
from hillemu.emu.stop import StopReason

SEABIOS = Path("/usr/share/seabios/bios-256k.bin")

Find = Callable[[str, str], Path]
Start = Callable[..., Any]


def test_ipxe_looks_for_network_devices_and_says_that_there_are_no_more(distribution_file: Find, pc: Start) -> None:
    here = pc(distribution_file("ipxe", "boot/ipxe.lkrn"))
    here.wait_for("No more network devices")
    assert "iPXE initialising devices...ok" in here.machine.screen.text
    assert here.run() is StopReason.HALT


def test_ipxe_boots_from_its_cd(distribution_file: Find, pc: Start) -> None:
    pc(distribution_file("ipxe", "usr/lib/ipxe/ipxe.iso")).wait_for("No more network devices")


def test_memtest_gets_into_its_tests_and_finds_no_error(distribution_file: Find, pc: Start) -> None:
    here = pc(distribution_file("memtest86+", "boot/memtest86+ia32.bin"), mem="16M")
    here.wait_for("Test #3")
    assert "Errors: 0" in here.machine.screen.text


@pytest.mark.skipif(not SEABIOS.exists(), reason="seabios is not installed")
def test_seabios_runs_from_the_reset_vector_and_boots_a_disk(pc: Start, disk_that_tells_its_drive: Path) -> None:
    drives = DriveOptions(disks=(str(disk_that_tells_its_drive),))
    here = pc(bios=str(SEABIOS), drives=drives, devices=("fw-cfg",))
    assert here.run() is StopReason.EXIT
    assert here.machine.debug_console.data.endswith(b"\x80")

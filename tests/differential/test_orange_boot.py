"""Profile orange's disk on QEMU, up to the first write to the trap port: same screen, memory ranges and page tables.

SeaBIOS and our firmware keep the same 128 KiB at the end of RAM for ACPI tables: the ranges at 0x8000 are equal, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from qemu_monitor import QemuMonitor

from hillemu.boot.shipped import shipped_image
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.stop import StopReason
from hillemu.machine import Machine
from hillemu.symbols import SymbolTable

DISK = shipped_image("orange.img")
SYMBOLS = SymbolTable(shipped_image("orange.elf"))
OUT = SYMBOLS["trap_return"] - 2
"""``out TRAP_PORT, al``, for the first time."""
KERNEL_BYTES = SYMBOLS["kernel_file_end"] - SYMBOLS["kernel_image"]
MEMORY_INFO_BYTES = 4 + 32 * 8
PAGE_DIRECTORY, PAGE_TABLES = 0x100000, 0x101000
SCREEN, SCREEN_BYTES = 0xB8000, 4000
ACCESSED_DIRTY = 0x60
WITHOUT_USE = {ord("A"): "-", ord("D"): "-"}
"""The same in the monitor's flags; its addresses are in lower case."""


@pytest.mark.parametrize(("mib", "drive"), [(32, "ide"), (8, "floppy"), (3072, "ide")])
def test_qemu_comes_to_the_first_trap_with_the_same_memory(
    mib: int, drive: str, tmp_path: Path, need_tool: Callable[[str], str]
) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(DISK.ljust(1440 << 10, b"\0") if drive == "floppy" else DISK)
    machine = Machine(mem=f"{mib}M")
    machine.load(str(disk))
    machine.breakpoints.add(OUT)
    assert machine.run(max_insns=20_000_000).reason is StopReason.BREAKPOINT

    qemu = [need_tool("qemu-system-i386"), "-accel", "tcg", "-m", str(mib), "-nodefaults", "-device", "VGA"]
    boot = ["-drive", f"file={disk},format=raw,if={drive},snapshot=on", "-boot", "a" if drive == "floppy" else "c"]
    with QemuMonitor([*qemu, *boot], tmp_path) as theirs:
        theirs.run_to(OUT)

        def both(at: int, count: int) -> tuple[bytes, bytes]:
            """What lies at physical `at`, here and there."""
            file = tmp_path / "memory.bin"
            theirs.human(f'pmemsave {at:#x} {count:#x} "{file}"')
            return machine.memory.read(PhysAddr(at), count), file.read_bytes()

        ours, other = both(SCREEN, SCREEN_BYTES)
        assert b"orange: kernel at 0x00010000" in ours[::2]
        assert ours == other
        ours, other = both(0x8000, MEMORY_INFO_BYTES)
        assert ours[:4] == (2).to_bytes(4, "little")
        assert ours == other
        ours, other = both(SYMBOLS["kernel_image"], KERNEL_BYTES)
        assert ours == other
        ours, other = both(PAGE_DIRECTORY, 0x1000)
        assert without_use(ours) == without_use(other) == directory_for(mib)
        ours, other = both(PAGE_TABLES, -(-mib // 4) << 12)
        assert without_use(ours) == without_use(other) == list(range(3, -(-mib // 4) << 22, 0x1000))
        if mib < 64:  # the entries are the same already; this is how QEMU reads them
            assert machine.paging.info_mem() == theirs.human("info mem")
            ours_tlb, their_tlb = machine.paging.info_tlb(), theirs.human("info tlb")
            assert ours_tlb.translate(WITHOUT_USE) == their_tlb.translate(WITHOUT_USE)
        said = theirs.human("info registers")
        for name in ("EIP", "CR0", "CR3", "ESP"):
            (value,) = re.findall(rf"\b{name}=([0-9a-f]+)", said)
            assert machine.registers()[name.lower()] == int(value, 16), name


def without_use(tables: bytes) -> list[int]:
    """The entries without A and D bits, which a processor may set earlier than it must."""
    return [entry & ~ACCESSED_DIRTY for entry in memoryview(tables).cast("I")]


def directory_for(mib: int) -> list[int]:
    """The page directory as the document has it."""
    tables = [PAGE_TABLES + 0x1000 * number | 3 for number in range(-(-mib // 4))]
    return tables + [0] * (1024 - len(tables))

"""Profile bitmap's disk on QEMU, up to the first write to the trap port: same screen, memory map and page tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from qemu_monitor import QemuMonitor

from hillemu.boot.shipped import shipped_image
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr
from hillemu.emu.i386.outcomes import Mapped
from hillemu.emu.stop import StopReason
from hillemu.machine import Machine
from hillemu.symbols import SymbolTable

DISK = shipped_image("bitmap.img")
SYMBOLS = SymbolTable(shipped_image("bitmap.elf"))
OUT = SYMBOLS["trap_return"] - 2
"""``out TRAP_PORT, al``, for the first time."""
MEMORY_MAP, MEMORY_MAP_BYTES = 0x500, 8 + 128 * 24
KERNEL_BYTES = SYMBOLS["kernel_file_end"] - 0x10000
SCREEN, SCREEN_BYTES = 0xB8000, 4000
_ROW = re.compile(r"^([0-9a-f]{8,16}): ([0-9a-f]{8,16}) ([-XGPDACTUW]{9})\s*$", re.MULTILINE)
ACCESSED_DIRTY = 0x60


@pytest.mark.parametrize(("mem", "drive"), [("64", "ide"), ("16", "floppy"), ("3584", "ide")])
def test_qemu_comes_to_the_first_trap_with_the_same_memory(
    mem: str, drive: str, tmp_path: Path, need_tool: Callable[[str], str]
) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(DISK.ljust(1440 << 10, b"\0") if drive == "floppy" else DISK)
    machine = Machine(mem=f"{mem}M")
    machine.load(str(disk))
    machine.breakpoints.add(OUT)
    assert machine.run(max_insns=20_000_000).reason is StopReason.BREAKPOINT

    qemu = [need_tool("qemu-system-i386"), "-accel", "tcg", "-m", mem, "-nodefaults", "-device", "VGA"]
    boot = ["-drive", f"file={disk},format=raw,if={drive},snapshot=on", "-boot", "a" if drive == "floppy" else "c"]
    with QemuMonitor([*qemu, *boot], tmp_path) as theirs:
        theirs.run_to(OUT)

        def their_memory(at: int, count: int) -> bytes:
            file = tmp_path / "memory.bin"
            theirs.human(f'pmemsave {at:#x} {count:#x} "{file}"')
            return file.read_bytes()

        def our_memory(at: int, count: int) -> bytes:
            return machine.memory.read(PhysAddr(at), count)

        shown = "\n".join(machine.screen_lines())
        assert "bitmap: page directory at 0x" in shown
        assert our_memory(SCREEN, SCREEN_BYTES) == their_memory(SCREEN, SCREEN_BYTES)
        assert our_memory(MEMORY_MAP, MEMORY_MAP_BYTES) == their_memory(MEMORY_MAP, MEMORY_MAP_BYTES)
        assert our_memory(0x10000, KERNEL_BYTES) == their_memory(0x10000, KERNEL_BYTES)
        directory = machine.memory.u32(PhysAddr(SYMBOLS["page_directory"]))
        tables = -(-machine.memory.u32(PhysAddr(SYMBOLS["mapped_end"])) >> 22)
        size = (1 + tables) * PAGE_SIZE
        assert without_use(our_memory(directory, size)) == without_use(their_memory(directory, size))
        if mem == "64":  # the entries are the same already; this is how QEMU reads them
            assert ours_mapped(machine) == theirs_mapped(theirs.human("info tlb"))
        said = theirs.human("info registers")
        for name in ("EIP", "CR0", "CR3", "ESP"):
            (value,) = re.findall(rf"\b{name}=([0-9a-f]+)", said)
            assert machine.registers()[name.lower()] == int(value, 16), name


def without_use(tables: bytes) -> list[int]:
    """The entries without A and D bits, which a processor may set earlier than it must."""
    return [entry & ~ACCESSED_DIRTY for entry in memoryview(tables).cast("I")]


def ours_mapped(machine: Machine) -> dict[int, tuple[int, bool, bool]]:
    """Page by page: where it leads, whether it is writable, whether programs may use it."""
    walked = {at: machine.paging.walk(at) for at in range(0, machine.memory.size_bytes, PAGE_SIZE)}
    return {
        at: (one.phys, one.rights.writable, one.rights.user) for at, one in walked.items() if isinstance(one, Mapped)
    }


def theirs_mapped(said: str) -> dict[int, tuple[int, bool, bool]]:
    return {int(at, 16): (int(phys, 16), "W" in flags, "U" in flags) for at, phys, flags in _ROW.findall(said)}

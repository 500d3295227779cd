"""What firmware leaves: configuration space, ports and tables, as SeaBIOS does on QEMU and as we do.

QEMU boots a floppy whose only sector says on the debug console that firmware is done; then its monitor is asked.
"""

from __future__ import annotations

import json
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pci_bench import PciBench

from hillemu.boot.firmware_tables import write_firmware_tables
from hillemu.boot.pci_setup import set_up_pci

MIB = 1 << 20
RAM_MIB = 64
FUNCTIONS = ((0, 0), (1, 0), (1, 1), (1, 3), (2, 0))
TIMEOUT_S = 60

SECTOR = b"\xb0\x52\xe6\xe9\xfa\xf4".ljust(510, b"\0") + b"\x55\xaa"  # mov al, 'R'; out 0xe9, al; cli; hlt

IDENTITY = slice(8, 36)
"""Where an ACPI table says who made it, which is not what is compared; the checksum stands in front."""


class Qemu:
    """QEMU's machine after its firmware, through the monitor protocol."""

    def __init__(self, command: str, folder: Path) -> None:
        (folder / "floppy").write_bytes(SECTOR.ljust(1440 << 10, b"\0"))
        self._folder = folder
        machine = ["-machine", "pc", "-m", str(RAM_MIB), "-display", "none", "-nodefaults", "-vga", "std"]
        devices = ["-serial", "null", "-serial", "null", "-parallel", "none", "-debugcon", f"file:{folder / 'said'}"]
        floppy = ["-drive", f"if=floppy,format=raw,file={folder / 'floppy'}", "-boot", "a"]
        self._process = subprocess.Popen(
            [command, *machine, *devices, *floppy, "-qmp", "stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()  # the greeting
        self.ask("qmp_capabilities")
        deadline = time.monotonic() + TIMEOUT_S
        while b"R" not in (folder / "said").read_bytes():
            assert time.monotonic() < deadline, "QEMU's firmware has not booted the floppy"
            time.sleep(0.05)

    def ask(self, command: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        while "return" not in (answer := self._answer()):
            assert "error" not in answer, answer
        return answer["return"]

    def port(self, port: int, letter: str) -> int:
        answer = self.ask("human-monitor-command", **{"command-line": f"i /{letter} {port:#x}"})
        return int(answer.split("=")[1], 16)

    def config(self, device: int, function: int, offset: int) -> int:
        address = 0x80000000 | device << 11 | function << 8 | offset
        self.ask("human-monitor-command", **{"command-line": f"o /w 0xcf8 {address:#x}"})
        return self.port(0xCFC, "w")

    def memory(self, at: int, count: int) -> bytes:
        file = self._folder / "dump"
        self.ask("pmemsave", val=at, size=count, filename=str(file))
        return file.read_bytes()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@pytest.fixture(scope="module")
def qemu(need_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Qemu]:
    machine = Qemu(need_tool("qemu-system-i386"), tmp_path_factory.mktemp("qemu"))
    yield machine
    machine.close()


@pytest.fixture(scope="module")
def ours() -> PciBench:
    bench = PciBench(RAM_MIB)
    set_up_pci(bench)
    # The identification that QEMU's default processor, qemu32, gives.
    write_firmware_tables(bench.memory, signature=0x663, features=0x0781ABFD, floppies=1)
    return bench


@pytest.mark.parametrize(("device", "function"), FUNCTIONS)
def test_configuration_space_is_as_seabios_leaves_it(qemu: Qemu, ours: PciBench, device: int, function: int) -> None:
    theirs = {at: qemu.config(device, function, at) for at in range(0, 256, 4)}
    mine = {at: ours.config_read(device, function, at) for at in range(0, 256, 4)}
    assert {hex(at): hex(value) for at, value in mine.items()} == {hex(at): hex(value) for at, value in theirs.items()}


def test_no_other_function_is_there(qemu: Qemu, ours: PciBench) -> None:
    for slot in [*range(24), 24, 32, 248]:
        theirs, mine = qemu.config(slot >> 3, slot & 7, 0), ours.config_read(slot >> 3, slot & 7, 0)
        assert theirs == mine, f"{slot >> 3}.{slot & 7}"


def test_edge_level_registers_and_power_management_answer_alike(qemu: Qemu, ours: PciBench) -> None:
    assert bytes([qemu.port(0x4D0, "b"), qemu.port(0x4D1, "b")]) == bytes(ours.elcr.data)
    for port in (0x602, 0x604):
        assert qemu.port(port, "h") == ours.read_port(port, 2)
    assert qemu.port(0x700, "b") == ours.read_port(0x700, 1)


def find(segment: bytes, signature: bytes) -> int:
    return next(at for at in range(0, len(segment), 16) if segment[at : at + len(signature)] == signature)


def tables_of(read: Callable[[int, int], bytes]) -> dict[str, bytes]:
    """The ACPI tables, $PIR and the MP configuration table of a machine, by name."""
    segment = read(0xF0000, 0x10000)
    found = {}

    def take(at: int) -> bytes:
        data = read(at, struct.unpack("<I", read(at + 4, 4))[0])
        found[data[:4].decode()] = data
        return data

    rsdp = find(segment, b"RSD PTR ")
    for (at,) in struct.iter_unpack("<I", take(struct.unpack_from("<I", segment, rsdp + 16)[0])[36:]):
        take(at)
    for at in struct.unpack_from("<II", found["FACP"], 36):
        take(at)
    pir = find(segment, b"$PIR")
    found["$PIR"] = segment[pir : pir + struct.unpack_from("<H", segment, pir + 6)[0]]
    (mp,) = struct.unpack_from("<I", segment, find(segment, b"_MP_") + 4)
    found["PCMP"] = read(mp, struct.unpack("<H", read(mp + 4, 2))[0])
    return found


@pytest.fixture(scope="module")
def tables(qemu: Qemu, ours: PciBench) -> tuple[dict[str, bytes], dict[str, bytes]]:
    return tables_of(qemu.memory), tables_of(lambda at, count: bytes(ours.memory.data[at : at + count]))


def test_the_same_tables_are_there(tables: tuple[dict[str, bytes], dict[str, bytes]]) -> None:
    theirs, mine = tables
    assert mine.keys() == theirs.keys()


@pytest.mark.parametrize("name", ["APIC", "HPET", "WAET"])
def test_tables_say_the_same_as_qemus(tables: tuple[dict[str, bytes], dict[str, bytes]], name: str) -> None:
    theirs, mine = tables
    assert mine[name][IDENTITY.stop :] == theirs[name][IDENTITY.stop :]
    assert mine[name][:9] == theirs[name][:9]


def test_the_fadt_says_what_qemus_does_and_how_to_reset(tables: tuple[dict[str, bytes], dict[str, bytes]]) -> None:
    theirs, mine = (bytearray(found["FACP"]) for found in tables)
    # Of revision 3 instead of 1: boot architecture at 109 and the reset register's flag in 112-115 are more.
    assert mine[109] == 0x03
    assert struct.unpack_from("<I", mine, 112)[0] == struct.unpack_from("<I", theirs, 112)[0] | 1 << 10
    for fadt in (mine, theirs):
        fadt[36:44] = bytes(8)  # FACS and DSDT: addresses
        fadt[109] = fadt[113] = 0
    assert mine[36:116] == theirs[36:116]


def test_facs_and_the_routing_table_are_the_same(tables: tuple[dict[str, bytes], dict[str, bytes]]) -> None:
    theirs, mine = tables
    assert mine["FACS"] == theirs["FACS"]
    assert mine["$PIR"] == theirs["$PIR"]


def test_the_mp_tables_entries_are_the_same(tables: tuple[dict[str, bytes], dict[str, bytes]]) -> None:
    theirs, mine = tables
    assert mine["PCMP"][28:] == theirs["PCMP"][28:]  # behind the names

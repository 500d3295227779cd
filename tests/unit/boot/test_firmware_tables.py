"""ACPI, MP, $PIR and SMBIOS tables: found by scanning as kernels do, checked by their sums and by Intel's compiler.

tests/differential compares their content with QEMU's.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hillemu.boot import aml
from hillemu.boot.dsdt import dsdt_body
from hillemu.boot.firmware_tables import write_firmware_tables
from hillemu.emu.guest import FakeMemory

MIB = 1 << 20
F_SEGMENT, F_SEGMENT_END = 0xF0000, 0xF8000


@pytest.fixture(scope="module")
def memory() -> FakeMemory:
    memory = FakeMemory(16 * MIB)
    write_firmware_tables(memory, signature=0x663, features=0x0781ABFD, floppies=1)
    return memory


def find(memory: FakeMemory, signature: bytes) -> int:
    """Scan the BIOS area at multiples of 16, as the specifications tell kernels to."""
    found = [at for at in range(0xE0000, 0x100000, 16) if memory.data[at : at + len(signature)] == signature]
    assert len(found) == 1
    return found[0]


def acpi_tables(memory: FakeMemory) -> dict[str, bytes]:
    """Walk from the RSDP, checking every checksum on the way."""
    rsdp = memory.data[find(memory, b"RSD PTR ") :][:20]
    assert sum(rsdp) & 0xFF == 0
    tables = {}

    def walk(at: int) -> bytes:
        signature, length = struct.unpack_from("<4sI", memory.data, at)
        assert at >= 16 * MIB - 0x20000
        data = bytes(memory.data[at : at + length])
        assert signature == b"FACS" or sum(data) & 0xFF == 0, signature
        tables[signature.decode()] = data
        return data

    rsdt = walk(struct.unpack_from("<I", rsdp, 16)[0])
    for (at,) in struct.iter_unpack("<I", rsdt[36:]):
        if walk(at)[:4] == b"FACP":
            for pointer in struct.unpack_from("<II", tables["FACP"], 36):
                walk(pointer)
    return tables


def test_every_acpi_table_is_found_from_the_root(memory: FakeMemory) -> None:
    assert sorted(acpi_tables(memory)) == ["APIC", "DSDT", "FACP", "FACS", "HPET", "RSDT", "WAET"]


def test_facs_is_64_bytes_at_a_multiple_of_64(memory: FakeMemory) -> None:
    tables = acpi_tables(memory)
    (facs,) = struct.unpack_from("<I", tables["FACP"], 36)
    assert (facs % 64, len(tables["FACS"])) == (0, 64)


def test_a_small_kernel_finds_how_to_switch_off_by_scanning_for_s5(memory: FakeMemory) -> None:
    # The way that most teaching kernels do it.
    tables = acpi_tables(memory)
    dsdt, at = tables["DSDT"], tables["DSDT"].index(b"_S5_")
    assert dsdt[at - 1] == 0x08
    assert dsdt[at + 4] == 0x12
    element = at + 5 + ((dsdt[at + 5] & 0xC0) >> 6) + 2
    if dsdt[element] == 0x0A:
        element += 1
    (pm1a_control,) = struct.unpack_from("<I", tables["FACP"], 64)
    assert (pm1a_control, dsdt[element] << 10 | 1 << 13) == (0x604, 0x2000)


def test_the_fadt_names_the_reset_register(memory: FakeMemory) -> None:
    fadt = acpi_tables(memory)["FACP"]
    assert len(fadt) == 244
    assert struct.unpack_from("<I", fadt, 112)[0] & 1 << 10
    assert struct.unpack_from("<BBBBQB", fadt, 116) == (1, 8, 0, 0, 0xCF9, 0x06)


def test_without_devices_their_tables_are_absent() -> None:
    memory = FakeMemory(16 * MIB)
    write_firmware_tables(memory, signature=0, features=0, hpet=False, serial_ports=1)
    tables = acpi_tables(memory)
    assert "HPET" not in tables
    assert b"HPET" not in tables["DSDT"]
    assert b"COM1" in tables["DSDT"]
    assert b"COM2" not in tables["DSDT"]


def test_a_machine_too_small_for_acpi_has_the_other_tables() -> None:
    memory = FakeMemory(1 * MIB)
    write_firmware_tables(memory, signature=0, features=0)
    assert b"RSD PTR " not in memory.data
    assert find(memory, b"_MP_")


def test_nothing_is_written_but_reserved_memory() -> None:
    memory = FakeMemory(16 * MIB)
    write_firmware_tables(memory, signature=0, features=0)
    touched = {at >> 12 for at in range(0, 16 * MIB, 16) if memory.data[at : at + 16] != bytes(16)}
    assert touched
    assert all(F_SEGMENT >> 12 <= page < F_SEGMENT_END >> 12 or page >= 16 * MIB - 0x20000 >> 12 for page in touched)


def test_the_mp_tables_add_up(memory: FakeMemory) -> None:
    pointer = memory.data[find(memory, b"_MP_") :][:16]
    assert sum(pointer) & 0xFF == 0
    assert pointer[8:11:2] == bytes([1, pointer[10]])
    (at,) = struct.unpack_from("<I", pointer, 4)
    length, count = struct.unpack_from("<H", memory.data, at + 4)[0], struct.unpack_from("<H", memory.data, at + 34)[0]
    table = memory.data[at : at + length]
    assert sum(table) & 0xFF == 0
    entry, kinds = 44, []
    while entry < length:
        kinds.append(table[entry])
        entry += 20 if table[entry] == 0 else 8
    assert (entry, len(kinds)) == (length, count)
    assert kinds == sorted(kinds)


def test_the_smbios_structures_are_walked_to_their_end(memory: FakeMemory) -> None:
    at = find(memory, b"_SM_")
    entry = memory.data[at : at + 31]
    assert sum(entry) & 0xFF == sum(entry[16:]) & 0xFF == 0
    length, structures, count = struct.unpack_from("<HIH", entry, 22)
    kinds, largest, here = [], 0, structures
    while here < structures + length:
        kind, formatted = memory.data[here], memory.data[here + 1]
        end = memory.data.index(b"\0\0", here + formatted) + 2
        kinds.append(kind)
        largest = max(largest, end - here)
        here = end
    assert here == structures + length
    assert kinds == [0, 1, 3, 4, 16, 17, 19, 32, 127]
    assert (count, struct.unpack_from("<H", entry, 8)[0]) == (len(kinds), largest)


@pytest.mark.skipif(shutil.which("dmidecode") is None, reason="dmidecode is not installed")
def test_dmidecode_reads_the_smbios_structures(memory: FakeMemory, tmp_path: Path) -> None:
    # Its dump format: the entry point, pointing to the structures at offset 32.
    at = find(memory, b"_SM_")
    entry = bytearray(memory.data[at : at + 31])
    length, structures = struct.unpack_from("<HI", entry, 22)
    struct.pack_into("<I", entry, 24, 32)
    entry[21] = 0
    entry[21] = -sum(entry[16:]) & 0xFF
    entry[4] = 0
    entry[4] = -sum(entry) & 0xFF
    (tmp_path / "dump").write_bytes(bytes(entry).ljust(32, b"\0") + memory.data[structures : structures + length])
    done = subprocess.run(["dmidecode", "--from-dump", tmp_path / "dump"], capture_output=True, text=True, check=True)
    assert "Vendor: hillemu" in done.stdout
    assert "Size: 16 MB" in done.stdout
    assert "<BAD" not in done.stdout
    assert "invalid" not in (done.stdout + done.stderr).lower()


# ---- the DSDT, by Intel's compiler --------------------------------------------------------------------------------


@pytest.fixture
def disassembled(memory: FakeMemory, tmp_path: Path) -> Callable[[], str]:
    if shutil.which("iasl") is None:
        pytest.skip("iasl is not installed (Debian: acpica-tools)")
    (tmp_path / "dsdt.aml").write_bytes(acpi_tables(memory)["DSDT"])

    def run() -> str:
        subprocess.run(["iasl", "-d", "dsdt.aml"], cwd=tmp_path, capture_output=True, check=True)
        return (tmp_path / "dsdt.dsl").read_text()

    return run


def test_the_dsdt_compiles_again_without_errors(disassembled: Callable[[], str], tmp_path: Path) -> None:
    disassembled()
    done = subprocess.run(
        ["iasl", "-p", "again", "dsdt.dsl"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert " 0 Errors" in done.stdout, done.stdout + done.stderr


def test_the_dsdt_says_what_was_meant(disassembled: Callable[[], str]) -> None:
    text = " ".join(disassembled().split())
    for meant in (
        'Name (_HID, EisaId ("PNP0A03")',
        "Package (0x04) { 0x0001FFFF, Zero, LNKS, Zero }",
        "Package (0x04) { 0x0002FFFF, Zero, LNKB, Zero }",
        "Package (0x04) { 0x001FFFFF, 0x03, LNKB, Zero }",
        "OperationRegion (P40C, PCI_Config, 0x60, 0x04)",
        "If ((0x80 & Arg0)) { Return (0x09) } Return (0x0B)",
        "PRQ2 |= 0x80",
        "CreateDWordField (Arg0, 0x05, PRRI) PRQ3 = PRRI",
        "0x01000000, // Range Minimum 0xFEBFFFFF, // Range Maximum",
        "IRQNoFlags () {12}",
        "DMA (Compatibility, NotBusMaster, Transfer8, ) {2}",
    ):
        assert meant in text, meant


@pytest.mark.skipif(shutil.which("acpiexec") is None, reason="acpiexec is not installed (Debian: acpica-tools)")
@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("\\_SB.LNKS._STA", "[Integer] = 000000000000000B"),
        ("\\_SB.LNKB._CRS", "89 06 00 09 01 00 00 00 00 79 00"),
        ("\\_SB.IQCR 10", "89 06 00 09 01 0A 00 00 00 79 00"),
        ("\\_S5", "[Package] Contains 4 Elements"),
    ],
)
def test_acpica_evaluates_the_objects_as_linux_does(memory: FakeMemory, tmp_path: Path, what: str, found: str) -> None:
    (tmp_path / "dsdt.aml").write_bytes(acpi_tables(memory)["DSDT"])
    command = ["acpiexec", "-b", f"evaluate {what}", "dsdt.aml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30)
    assert found in done.stdout, done.stdout + done.stderr
    assert "AE_" not in done.stdout


@pytest.mark.parametrize(("count", "prefix"), [(62, 1), (63, 2), (4093, 2), (4094, 3)])
def test_a_term_counts_its_own_length(count: int, prefix: int) -> None:
    encoded = aml.scope("A", bytes(count - 4))
    assert len(encoded) == 1 + prefix + count
    assert encoded[1] >> 6 == prefix - 1
    low = encoded[1] & (0x3F if prefix == 1 else 0xF)
    assert low | int.from_bytes(encoded[2 : 1 + prefix], "little") << 4 == prefix + count


def test_names_and_integers_take_their_shortest_forms() -> None:
    assert aml.path("\\") == b"\\\0"
    assert aml.path("\\_SB.PCI0") == b"\\\x2e_SB_PCI0"
    assert aml.path("A.B.C") == b"\x2f\x03A___B___C___"
    with pytest.raises(ValueError, match="more than four"):
        aml.path("LONGER")
    assert [aml.integer(value).hex() for value in (0, 1, 2, 0x100, 0x10000)] == [
        *("00", "01", "0a02", "0b0001", "0c00000100"),
    ]
    with pytest.raises(ValueError, match="does not fit"):
        aml.integer(1 << 32)
    assert aml.eisa_id("PNP0A03") == bytes.fromhex("0c41d00a03")


def test_every_pin_of_every_device_is_routed_as_the_board_is_wired() -> None:
    from hillemu.boot.pci_setup import PIRQ_IRQS, irq_of

    body = dsdt_body(low_ram_end=16 * MIB, serial_ports=2, floppies=0, hpet=True, fw_cfg=True)
    links = {"LNKA": 0, "LNKB": 1, "LNKC": 2, "LNKD": 3}
    for device in range(32):
        for pin in range(4):
            address = aml.integer(device << 16 | 0xFFFF) + aml.integer(pin)
            at = body.index(address) + len(address)
            link = body[at : at + 4].decode()
            if (device, pin) == (1, 0):
                assert link == "LNKS"
            else:
                assert PIRQ_IRQS[links[link]] == irq_of(device, pin + 1)

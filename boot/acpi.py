"""ACPI tables: how an operating system learns of interrupt controllers, power management and PCI routing.

::

    F segment        RSDP
    end of low RAM   FACS | DSDT | FADT | MADT | HPET | WAET | RSDT     (128 KiB, reserved in the memory map)

The FADT is of revision 3, so that it can name port CF9h as the reset register; power off (S5) is in the DSDT.

Source: ACPI specification 2.0c, "ACPI Software Programming Model"; values as in the tables of QEMU 7.2's PC, which the
tests compare; IA-PC HPET specification 1.0a, "The ACPI 2.0 HPET Description Table"; WAET: Microsoft, "Windows ACPI
Emulated Devices Table".
Not modelled: the global lock and waking (FACS), system management mode.
"""

from __future__ import annotations

import struct

from hillemu.boot.dsdt import GPE0_PORT, GPE0_PORT_COUNT, HPET_BASE, SCI_IRQ, dsdt_body
from hillemu.boot.memory_map import acpi_range
from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.address import PhysAddr

RSDP = PhysAddr(0xF5000)
LOCAL_APIC, IO_APIC = 0xFEE00000, 0xFEC00000
HPET_ID = 0x8086A201
"""What QEMU's HPET says of itself: Intel, legacy replacement, 64 bits, three timers, revision 1."""

_OEM, _OEM_TABLE, _CREATOR = b"HILLEM", b"HILLEMU ", b"HLMU"
_PM_PORT = 0x600
_SMI_COMMAND, _ACPI_ENABLE, _ACPI_DISABLE = 0xB2, 0xF1, 0xF0
_RESET_PORT, _RESET_VALUE = 0xCF9, 0x06
_CENTURY = 0x32
_NO_C2, _NO_C3 = 0x0FFF, 0x0FFF
# WBINVD, C1, no sleep button, RTC wakes from S4, reset register, platform clock is right
_FLAGS = 0x0001 | 0x0004 | 0x0020 | 0x0080 | 0x0400 | 0x8000
_LEGACY_DEVICES_8042 = 0x0003
_PCI_INTERRUPTS = (5, 9, 10, 11)
_LEVEL_ACTIVE_HIGH = 0x000D


def write_acpi_tables(
    memory: GuestMemory, *, serial_ports: int = 2, floppies: int = 0, hpet: bool = True, fw_cfg: bool = False
) -> PhysAddr | None:
    """Write all tables; returns where the RSDP is, or `None` when RAM is too small to have tables.

    `floppies` has a bit for each drive; `hpet` and `fw_cfg` say whether the machine has these devices.
    """
    room = acpi_range(memory)
    if room is None:
        return None
    at = room.base

    def put(data: bytes) -> PhysAddr:
        nonlocal at
        here = at
        memory.write(here, data)
        at = PhysAddr(here + len(data) + 15 & ~15)
        return here

    facs = put(struct.pack("<4sI", b"FACS", 64).ljust(64, b"\0"))
    body = dsdt_body(low_ram_end=room.end, serial_ports=serial_ports, floppies=floppies, hpet=hpet, fw_cfg=fw_cfg)
    dsdt = put(table(b"DSDT", 1, body))
    listed = [put(table(b"FACP", 3, fadt_body(facs, dsdt))), put(table(b"APIC", 1, madt_body()))]
    if hpet:
        listed.append(put(table(b"HPET", 1, hpet_body())))
    listed.append(put(table(b"WAET", 1, struct.pack("<I", 2))))  # the timer can be read once, not thrice
    rsdt = put(table(b"RSDT", 1, struct.pack(f"<{len(listed)}I", *listed)))
    memory.write(RSDP, rsdp(rsdt))
    return RSDP


def table(signature: bytes, revision: int, body: bytes) -> bytes:
    """`body` behind the header that all tables but RSDP and FACS have; all bytes add up to 0."""
    length = 36 + len(body)
    header = struct.pack("<4sIBB6s8sI4sI", signature, length, revision, 0, _OEM, _OEM_TABLE, 1, _CREATOR, 1)
    data = bytearray(header + body)
    data[9] = -sum(data) & 0xFF
    return bytes(data)


def rsdp(rsdt: int) -> bytes:
    """The pointer of ACPI 1.0: signature, checksum, OEM, revision 0, RSDT."""
    data = bytearray(struct.pack("<8sB6sBI", b"RSD PTR ", 0, _OEM, 0, rsdt))
    data[8] = -sum(data) & 0xFF
    return bytes(data)


def fadt_body(facs: int, dsdt: int) -> bytes:
    """Fixed ACPI description: the power management ports, the SCI, and how to reset."""
    event, control, timer = _PM_PORT, _PM_PORT + 4, _PM_PORT + 8
    return b"".join(
        [
            struct.pack("<IIBBH", facs, dsdt, 1, 0, SCI_IRQ),
            struct.pack("<IBBBB", _SMI_COMMAND, _ACPI_ENABLE, _ACPI_DISABLE, 0, 0),
            struct.pack("<8I", event, 0, control, 0, 0, timer, GPE0_PORT, 0),
            struct.pack("<8B", 4, 2, 0, 4, GPE0_PORT_COUNT, 0, 0, 0),
            struct.pack("<4H", _NO_C2, _NO_C3, 0, 0),
            struct.pack("<5BHBI", 0, 0, 0, 0, _CENTURY, _LEGACY_DEVICES_8042, 0, _FLAGS),
            _port(8, _RESET_PORT),
            struct.pack("<B3x", _RESET_VALUE),
            struct.pack("<QQ", 0, dsdt),
            _port(32, event),
            _port(0, 0),
            _port(16, control),
            _port(0, 0),
            _port(0, 0),
            _port(32, timer),
            _port(8 * GPE0_PORT_COUNT, GPE0_PORT),
            _port(0, 0),
        ]
    )


def madt_body() -> bytes:
    """Interrupt controllers: one processor, one I/O APIC, where ISA interrupts arrive, NMI on LINT1."""
    parts = [
        struct.pack("<II", LOCAL_APIC, 1),  # and a pair of 8259s
        struct.pack("<BBBBI", 0, 8, 0, 0, 1),
        struct.pack("<BBBBII", 1, 12, 0, 0, IO_APIC, 0),
        struct.pack("<BBBBIH", 2, 10, 0, 0, 2, 0),  # the timer, IRQ 0, is on input 2
        *(struct.pack("<BBBBIH", 2, 10, 0, irq, irq, _LEVEL_ACTIVE_HIGH) for irq in _PCI_INTERRUPTS),
        struct.pack("<BBBHB", 4, 6, 0xFF, 0, 1),
    ]
    return b"".join(parts)


def hpet_body() -> bytes:
    return struct.pack("<I", HPET_ID) + _memory(HPET_BASE) + struct.pack("<BHB", 0, 0, 0)


def _port(bits: int, port: int) -> bytes:
    """A generic address in I/O space; all zero if `port` is."""
    return struct.pack("<BBBBQ", 1 if port else 0, bits, 0, 0, port)


def _memory(address: int) -> bytes:
    return struct.pack("<BBBBQ", 0, 0, 0, 0, address)

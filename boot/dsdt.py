"""The DSDT: what ACPI calls the machine's devices, and how its PCI interrupts can be routed.

::

    \\_S5                 off is sleep type 0
    \\_PR.CPU0
    \\_SB.PCI0            windows of addresses, _PRT: every pin of every device to a link; GPE0's ports
    \\_SB.PCI0.ISA        KBD MOU FDC0 COM1 COM2 RTC
    \\_SB.LNKA - LNKD     PIRQA-PIRQD through the PIIX3's registers 60h-63h: IRQ 5, 10 or 11
    \\_SB.LNKS            the SCI, IRQ 9, which is where the PIIX4's INTA# leads
    \\_SB.HPET

Names and routing are those of QEMU's PC.  Sleep states 3 and 4, hotplug and a parallel port are absent, as they are
from the machine.

Source: ACPI specification 1.0b, "ACPI-Specific Device Objects"; PCI routing: QEMU 7.2's DSDT, disassembled.
"""

from __future__ import annotations

from hillemu.boot import aml

PIRQ_CHOICES = (5, 10, 11)
SCI_IRQ = 9
GPE0_PORT, GPE0_PORT_COUNT = 0xAFE0, 4
HPET_BASE, HPET_BYTES = 0xFED00000, 0x400
_PM_DEVICE = 1
_PRESENT, _ENABLED_SHOWN_WORKING, _DISABLED = 0x0F, 0x0B, 0x09


def dsdt_body(*, low_ram_end: int, serial_ports: int, floppies: int, hpet: bool, fw_cfg: bool) -> bytes:
    """The AML behind the table's header.

    `low_ram_end` is where the addresses begin that PCI devices may use; `floppies` has a bit for each drive.
    """
    parts = [
        aml.scope("\\", aml.name("_S5", aml.package(0, 0, 0, 0))),
        aml.scope("\\_PR", aml.processor("CPU0", 0)),
        aml.scope("\\_SB", _pci(low_ram_end, fw_cfg)),
        aml.scope("\\_SB.PCI0", _isa(serial_ports, floppies)),
        aml.scope("\\_SB", *_links()),
    ]
    if hpet:
        parts.append(aml.scope("\\_SB", _hpet()))
    return b"".join(parts)


def _pci(low_ram_end: int, fw_cfg: bool) -> bytes:
    windows = aml.resources(
        aml.bus_numbers(0, 0xFF),
        aml.io(0xCF8, 8),
        aml.io_window(0, 0xCF7),
        aml.io_window(0xD00, 0xFFFF),
        aml.memory_window(0xA0000, 0xBFFFF, cacheable=True),
        aml.memory_window(low_ram_end, 0xFEBFFFFF),
    )
    parts = [
        aml.name("_HID", aml.eisa_id("PNP0A03")),
        aml.name("_ADR", 0),
        aml.name("_UID", 0),
        aml.name("_CRS", windows),
        aml.name("_PRT", _routing()),
        _on_board("GPE0", aml.eisa_id("PNP0A06"), aml.io(GPE0_PORT, GPE0_PORT_COUNT), uid="GPE0 resources"),
    ]
    if fw_cfg:
        parts.append(_on_board("FWCF", aml.string("QEMU0002"), aml.io(0x510, 12)))
    return aml.device("PCI0", *parts)


def _routing() -> bytes:
    """_PRT: the link of each of the four pins of each of 32 devices."""
    links, of_power_management = [aml.path(f"LNK{letter}") for letter in "DABC"], aml.path("LNKS")
    rows = []
    for device in range(32):
        for pin in range(4):
            link = of_power_management if (device, pin) == (_PM_DEVICE, 0) else links[(device + pin) & 3]
            rows.append(aml.package(device << 16 | 0xFFFF, pin, link, 0))
    return aml.package(*rows)


def _links() -> list[bytes]:
    """The link devices, and the two methods that LNKA to LNKD share."""
    status = aml.method(
        "IQST",
        1,
        aml.if_(aml.and_(0x80, aml.ARG0), aml.return_(_DISABLED)),
        aml.return_(_ENABLED_SHOWN_WORKING),
    )
    # The interrupt's number stands five bytes into the buffer: tag, length (2), flags, count.
    current = aml.method(
        "IQCR",
        1,
        aml.name("PRR0", aml.resources(aml.interrupts([0]))),
        aml.create_dword_field(aml.path("PRR0"), 5, "PRRI"),
        aml.if_(aml.less(aml.ARG0, 0x80), aml.store(aml.ARG0, aml.path("PRRI"))),
        aml.return_(aml.path("PRR0")),
        serialized=True,
    )
    links = []
    for number, letter in enumerate("ABCD"):
        register = aml.path(f"PRQ{number}")
        links.append(
            aml.device(
                f"LNK{letter}",
                aml.name("_HID", aml.eisa_id("PNP0C0F")),
                aml.name("_UID", number),
                aml.name("_PRS", aml.resources(aml.interrupts(PIRQ_CHOICES))),
                aml.method("_STA", 0, aml.return_(aml.call("IQST", register))),
                aml.method("_DIS", 0, aml.or_into(register, 0x80, register)),
                aml.method("_CRS", 0, aml.return_(aml.call("IQCR", register))),
                aml.method(
                    "_SRS",
                    1,
                    aml.create_dword_field(aml.ARG0, 5, "PRRI"),
                    aml.store(aml.path("PRRI"), register),
                ),
            )
        )
    sci = aml.device(
        "LNKS",
        aml.name("_HID", aml.eisa_id("PNP0C0F")),
        aml.name("_UID", 4),
        aml.name("_PRS", aml.resources(aml.interrupts([SCI_IRQ]))),
        aml.method("_STA", 0, aml.return_(_ENABLED_SHOWN_WORKING)),
        aml.method("_DIS", 0),
        aml.method("_CRS", 0, aml.return_(aml.path("_PRS"))),
        aml.method("_SRS", 1),
    )
    return [status, current, *links, sci]


def _isa(serial_ports: int, floppies: int) -> bytes:
    drives = b"".join((floppies >> n & 1).to_bytes(4, "little") for n in range(4)) + b"\2\0\0\0"
    parts = [
        aml.name("_ADR", _PM_DEVICE << 16),
        aml.operation_region("P40C", aml.PCI_CONFIG, 0x60, 4),
        aml.scope("\\_SB", aml.byte_field("\\_SB.PCI0.ISA.P40C", "PRQ0", "PRQ1", "PRQ2", "PRQ3")),
        _on_board("KBD", aml.eisa_id("PNP0303"), aml.io(0x60, 1), aml.io(0x64, 1), aml.irq(1)),
        _on_board("MOU", aml.eisa_id("PNP0F13"), aml.irq(12)),
        _on_board("RTC", aml.eisa_id("PNP0B00"), aml.io(0x70, 2), aml.irq(8)),
        aml.device(
            "FDC0",
            aml.name("_HID", aml.eisa_id("PNP0700")),
            aml.name("_CRS", aml.resources(aml.io(0x3F2, 4), aml.io(0x3F7, 1), aml.irq(6), aml.dma(2))),
            aml.name("_FDE", aml.buffer(drives)),
        ),
    ]
    for number, (base, irq) in enumerate(((0x3F8, 4), (0x2F8, 3))[:serial_ports], 1):
        parts.append(_on_board(f"COM{number}", aml.eisa_id("PNP0501"), aml.io(base, 8), aml.irq(irq), uid=number))
    return aml.device("ISA", *parts)


def _hpet() -> bytes:
    return _on_board("HPET", aml.eisa_id("PNP0103"), aml.fixed_memory(HPET_BASE, HPET_BYTES), uid=0)


def _on_board(text: str, hid: bytes, *descriptors: bytes, uid: int | str | None = None) -> bytes:
    """A device that is there for good, with its resources."""
    parts = [aml.name("_HID", hid), aml.name("_STA", _PRESENT), aml.name("_CRS", aml.resources(*descriptors))]
    if uid is not None:
        parts.insert(1, aml.name("_UID", aml.string(uid) if isinstance(uid, str) else uid))
    return aml.device(text, *parts)

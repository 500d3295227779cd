"""All tables that firmware leaves for an operating system to find.

::

    F5000  RSDP      F5100  MP      F5400  $PIR      F5600  SMBIOS      end of low RAM  ACPI

Source: the modules that write them.
"""

from __future__ import annotations

from hillemu.boot.acpi import write_acpi_tables
from hillemu.boot.mp_tables import write_mp_tables
from hillemu.boot.pir_table import write_pir_table
from hillemu.boot.smbios import write_smbios
from hillemu.emu.guest import GuestMemory


def write_firmware_tables(
    memory: GuestMemory,
    *,
    signature: int,
    features: int,
    serial_ports: int = 2,
    floppies: int = 0,
    hpet: bool = True,
    fw_cfg: bool = False,
) -> None:
    """Write them.

    `signature` and `features` are the processor's CPUID leaf 1, EAX and EDX; `floppies` has a bit for each drive;
    `hpet` and `fw_cfg` say whether the machine has these devices.
    """
    write_acpi_tables(memory, serial_ports=serial_ports, floppies=floppies, hpet=hpet, fw_cfg=fw_cfg)
    write_mp_tables(memory, signature=signature, features=features)
    write_pir_table(memory)
    write_smbios(memory, signature=signature, features=features)

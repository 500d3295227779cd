"""What a Multiboot loader told the kernel, read back from memory, with what is wrong with it.

It is read as it is now: a kernel that has used the memory for something else finds its remains here, and the problems
say so.  Addresses are physical.

Not decoded: drives, the ROM configuration table, APM, VBE, EFI, SMBIOS, ACPI and network tags; `present` names them.

Source: Multiboot Specification 0.6.96, "Boot information format"; Multiboot2 Specification 2.0, "Boot information".
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hillemu.emu.i386.paging import ReadableMemory
from hillemu.inspection.multiboot.reading import Reader
from hillemu.inspection.multiboot.values import MultibootInfo
from hillemu.inspection.multiboot.version_1 import read_version_1
from hillemu.inspection.multiboot.version_2 import read_version_2


def read_multiboot(
    memory: ReadableMemory, address: int, version: int, kernel: Sequence[tuple[int, int]] = ()
) -> MultibootInfo:
    """Decode the structure of `version` 1 or 2 at physical `address`.

    `kernel` is where the kernel was loaded, as starts and ends.  What cannot be read becomes a problem, never an error.
    """
    reader = Reader(memory, MultibootInfo(version, address))
    (read_version_1 if version == 1 else read_version_2)(reader)
    _judge(reader, kernel)
    return reader.info


def _judge(reader: Reader, kernel: Sequence[tuple[int, int]]) -> None:
    areas = sorted(area for area in reader.info.memory_map if area.size_bytes)
    for low, high in pairwise(areas):
        if low.base + low.size_bytes > high.base:
            reader.problem(f"the memory map's areas overlap: {low} and {high}")
    modules = reader.info.modules
    for number, module in enumerate(modules):
        if module.end < module.start:
            reader.problem(f"module {number} ends at 0x{module.end:08X}, in front of its start 0x{module.start:08X}")
            continue
        if module.end > module.start:
            reader.bytes(module.end - 1, 1, f"the end of module {number}")
        for start, end in kernel:
            if module.start < end and start < module.end:
                reader.problem(f"module {number} ({module}) overlaps the kernel at 0x{start:08X}-0x{end - 1:08X}")
        for other in modules[:number]:
            if module.start < other.end and other.start < module.end:
                reader.problem(f"module {number} ({module}) overlaps module {modules.index(other)} ({other})")
    if reader.info.elf_sections is not None and reader.info.version == 1:
        table = reader.info.elf_sections
        reader.bytes(table.address, max(min(table.entries * table.entry_bytes, 1 << 20), 1), "the ELF section headers")

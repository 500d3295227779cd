"""The boot information of Multiboot 1: one structure, whose flags say which of its fields count.

Source: Multiboot Specification 0.6.96, "Boot information format".
"""

from __future__ import annotations

from hillemu.inspection.multiboot.reading import MOST_ITEMS, Reader
from hillemu.inspection.multiboot.values import BootModule, ElfTable, Framebuffer, MemoryArea

_FLAGS = (
    *("memory", "boot device", "command line", "modules", "a.out symbols", "ELF sections", "memory map", "drives"),
    *("configuration table", "boot loader name", "APM table", "VBE", "framebuffer"),
)


def read_version_1(reader: Reader) -> None:
    """Decode the structure at `reader.info.address`."""
    info = reader.info
    fields = reader.unpack("<18I", info.address, "the structure")
    if fields is None:
        return
    flags = fields[0]
    has = {name for bit, name in enumerate(_FLAGS) if flags >> bit & 1}
    info.present = [name for name in _FLAGS if name in has]
    if flags >> len(_FLAGS):
        reader.problem(f"flags 0x{flags:08X} has bits set that mean nothing: is that the structure?")
    if {"a.out symbols", "ELF sections"} <= has:
        reader.problem("flags says that there are both a.out symbols and ELF sections, which share their place")
        has.discard("ELF sections")
    if "memory" in has:
        info.mem_lower_kib, info.mem_upper_kib = fields[1], fields[2]
    if "boot device" in has:
        info.boot_device = fields[3]
    if "command line" in has:
        info.cmdline = reader.string(fields[4], "the command line")
    if "modules" in has:
        _modules(reader, fields[5], fields[6])
    if "ELF sections" in has:
        info.elf_sections = ElfTable(fields[9], fields[7], fields[8], fields[10])
    if "memory map" in has:
        _memory_map(reader, fields[12], fields[11])
    if "boot loader name" in has:
        info.boot_loader_name = reader.string(fields[16], "the boot loader's name")
    if "framebuffer" in has:
        screen = reader.unpack("<Q3I2B", info.address + 88, "the framebuffer's fields")
        info.framebuffer = Framebuffer(*screen) if screen else None


def _modules(reader: Reader, count: int, at: int) -> None:
    if count > MOST_ITEMS:
        reader.problem(f"mods_count says {count:,} modules: that is garbage")
        return
    for number in range(count):
        entry = reader.unpack("<4I", at + 16 * number, f"the entry of module {number}")
        if entry is None:
            return
        text = reader.string(entry[2], f"the string of module {number}") if entry[2] else ""
        reader.info.modules.append(BootModule(entry[0], entry[1], text or ""))


def _memory_map(reader: Reader, at: int, length: int) -> None:
    end = at + length
    while at < end and len(reader.info.memory_map) < MOST_ITEMS:
        entry = reader.unpack("<IQQI", at, "an entry of the memory map")
        if entry is None:
            return
        size = entry[0]
        if size < 20:
            reader.problem(f"the entry of the memory map at 0x{at:08X} says that it has {size} bytes; 20 is the least")
            return
        reader.info.memory_map.append(MemoryArea(*entry[1:]))
        at += size + 4  # `size` does not count itself
    if at != end:
        reader.problem(f"the memory map's entries do not end at mmap_length, but {abs(at - end)} bytes away")

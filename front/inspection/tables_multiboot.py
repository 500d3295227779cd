"""What a Multiboot loader told the kernel, read back from memory, with what is wrong with it.

It is read as it is now: a kernel that has used the memory for something else finds its remains here, and the problems
say so.  Addresses are physical.

Not decoded: drives, the ROM configuration table, APM, VBE, EFI, SMBIOS, ACPI and network tags; `present` names them.

Source: Multiboot Specification 0.6.96, "Boot information format"; Multiboot2 Specification 2.0, "Boot information".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import pairwise

from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.paging import ReadableMemory
from hillemu.inspection.multiboot_values import BootModule, ElfTable, Framebuffer, MemoryArea, MultibootInfo

MOST_STRING_BYTES = 4096
MOST_ITEMS = 1024
"""More modules, tags or map entries than this are garbage."""


def read_multiboot(
    memory: ReadableMemory, address: int, version: int, kernel: Sequence[tuple[int, int]] = ()
) -> MultibootInfo:
    """Decode the structure of `version` 1 or 2 at physical `address`.

    `kernel` is where the kernel was loaded, as starts and ends.  What cannot be read becomes a problem, never an error.
    """
    reader = _Reader(memory, MultibootInfo(version, address))
    (_read_version_1 if version == 1 else _read_version_2)(reader)
    _judge(reader, kernel)
    return reader.info


class _Reader:
    def __init__(self, memory: ReadableMemory, info: MultibootInfo) -> None:
        self.memory = memory
        self.info = info

    def problem(self, text: str) -> None:
        self.info.problems.append(text)

    def bytes(self, at: int, count: int, what: str) -> bytes | None:
        try:
            return self.memory.read(PhysAddr(at), count)
        except IndexError:
            self.problem(f"{what}: {count} bytes at 0x{at:08X} are not in RAM")
            return None

    def unpack(self, layout: str, at: int, what: str) -> tuple[int, ...] | None:
        data = self.bytes(at, struct.calcsize(layout), what)
        return None if data is None else struct.unpack(layout, data)

    def string(self, at: int, what: str) -> str | None:
        found = bytearray()
        while len(found) < MOST_STRING_BYTES:
            byte = self.bytes(at + len(found), 1, what)
            if byte is None:
                return None
            if byte == b"\0":
                return found.decode("utf-8", "backslashreplace")
            found += byte
        self.problem(f"{what} at 0x{at:08X} has no end within {MOST_STRING_BYTES} bytes")
        return found.decode("utf-8", "backslashreplace")


# ---- version 1 ------------------------------------------------------------------------------------------------------

_FLAGS_1 = (
    *("memory", "boot device", "command line", "modules", "a.out symbols", "ELF sections", "memory map", "drives"),
    *("configuration table", "boot loader name", "APM table", "VBE", "framebuffer"),
)


def _read_version_1(reader: _Reader) -> None:
    info = reader.info
    fields = reader.unpack("<18I", info.address, "the structure")
    if fields is None:
        return
    flags = fields[0]
    has = {name for bit, name in enumerate(_FLAGS_1) if flags >> bit & 1}
    info.present = [name for name in _FLAGS_1 if name in has]
    if flags >> len(_FLAGS_1):
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
        _modules_1(reader, fields[5], fields[6])
    if "ELF sections" in has:
        info.elf_sections = ElfTable(fields[9], fields[7], fields[8], fields[10])
    if "memory map" in has:
        _memory_map_1(reader, fields[12], fields[11])
    if "boot loader name" in has:
        info.boot_loader_name = reader.string(fields[16], "the boot loader's name")
    if "framebuffer" in has:
        screen = reader.unpack("<Q3I2B", info.address + 88, "the framebuffer's fields")
        info.framebuffer = Framebuffer(*screen) if screen else None


def _modules_1(reader: _Reader, count: int, at: int) -> None:
    if count > MOST_ITEMS:
        reader.problem(f"mods_count says {count:,} modules: that is garbage")
        return
    for number in range(count):
        entry = reader.unpack("<4I", at + 16 * number, f"the entry of module {number}")
        if entry is None:
            return
        text = reader.string(entry[2], f"the string of module {number}") if entry[2] else ""
        reader.info.modules.append(BootModule(entry[0], entry[1], text or ""))


def _memory_map_1(reader: _Reader, at: int, length: int) -> None:
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


# ---- version 2 ------------------------------------------------------------------------------------------------------

_END = 0
_TAGS_2 = {
    0: "end",
    1: "command line",
    2: "boot loader name",
    3: "module",
    4: "memory",
    5: "boot device",
    6: "memory map",
    7: "VBE",
    8: "framebuffer",
    9: "ELF sections",
    10: "APM table",
    11: "EFI 32-bit table",
    12: "EFI 64-bit table",
    13: "SMBIOS",
    14: "ACPI old RSDP",
    15: "ACPI new RSDP",
    16: "network",
    17: "EFI memory map",
    18: "EFI boot services",
    19: "EFI 32-bit image",
    20: "EFI 64-bit image",
    21: "load base",
}


def _read_version_2(reader: _Reader) -> None:
    info = reader.info
    if info.address % 8:
        reader.problem(f"0x{info.address:08X} is not a multiple of 8")
    head = reader.unpack("<II", info.address, "the structure")
    if head is None:
        return
    info.size_bytes = head[0]
    if head[1]:
        reader.problem(f"the reserved word at offset 4 is {head[1]:#x}, not 0: is that the structure?")
    at, end = info.address + 8, info.address + info.size_bytes
    for _ in range(MOST_ITEMS):
        if at + 8 > end:
            reader.problem(f"the tags reach the end (total_size {info.size_bytes:#x}) without a tag of type 0")
            return
        tag = reader.unpack("<II", at, "a tag")
        if tag is None:
            return
        kind, size = tag
        name = _TAGS_2.get(kind, f"tag {kind}")
        if size < 8 or at + size > end:
            reader.problem(f"the tag at 0x{at:08X} ({name}) says that it has {size} bytes: that is garbage")
            return
        if kind == _END:
            return
        info.present.append(name)
        decoder = _DECODERS_2.get(kind)
        if decoder is not None:
            _decode_tag(reader, decoder, at, size, name)
        at += (size + 7) & ~7
    reader.problem(f"there are more than {MOST_ITEMS} tags")


_Body = bytes
_Decoder = Callable[[_Reader, int, _Body], None]


def _decode_tag(reader: _Reader, decoder: _Decoder, at: int, size: int, name: str) -> None:
    body = reader.bytes(at + 8, size - 8, f"the tag {name}")
    if body is None:
        return
    try:
        decoder(reader, at, body)
    except struct.error:
        reader.problem(f"the tag at 0x{at:08X} ({name}) is too short: {size} bytes")


def _text(reader: _Reader, body: _Body, what: str) -> str:
    if b"\0" not in body:
        reader.problem(f"{what} has no end")
    return body.split(b"\0")[0].decode("utf-8", "backslashreplace")


def _cmdline_2(reader: _Reader, _: int, body: _Body) -> None:
    reader.info.cmdline = _text(reader, body, "the command line")


def _loader_2(reader: _Reader, _: int, body: _Body) -> None:
    reader.info.boot_loader_name = _text(reader, body, "the boot loader's name")


def _module_2(reader: _Reader, _: int, body: _Body) -> None:
    start, end = struct.unpack_from("<II", body)
    text = _text(reader, body[8:], f"the string of module {len(reader.info.modules)}")
    reader.info.modules.append(BootModule(start, end, text))


def _memory_2(reader: _Reader, _: int, body: _Body) -> None:
    reader.info.mem_lower_kib, reader.info.mem_upper_kib = struct.unpack_from("<II", body)


def _device_2(reader: _Reader, _: int, body: _Body) -> None:
    (reader.info.boot_device,) = struct.unpack_from("<I", body)


def _memory_map_2(reader: _Reader, at: int, body: _Body) -> None:
    size, _ = struct.unpack_from("<II", body)
    if size < 24 or size % 8:
        reader.problem(f"the memory map's entry_size is {size}: a multiple of 8 from 24 up is right")
        return
    if (len(body) - 8) % size:
        reader.problem(f"the memory map at 0x{at:08X} does not end with a whole entry")
    for offset in range(8, len(body) - size + 1, size):
        reader.info.memory_map.append(MemoryArea(*struct.unpack_from("<QQI", body, offset)))


def _framebuffer_2(reader: _Reader, _: int, body: _Body) -> None:
    reader.info.framebuffer = Framebuffer(*struct.unpack_from("<Q3I2B", body))


def _elf_2(reader: _Reader, at: int, body: _Body) -> None:
    entries, entry_bytes, names_index = struct.unpack_from("<III", body)
    reader.info.elf_sections = ElfTable(at + 20, entries, entry_bytes, names_index)
    if entries * entry_bytes > len(body) - 12:
        reader.problem(f"the ELF sections' {entries} headers of {entry_bytes} bytes do not fit into their tag")


def _base_2(reader: _Reader, _: int, body: _Body) -> None:
    (reader.info.load_base,) = struct.unpack_from("<I", body)


_DECODERS_2: dict[int, _Decoder] = {
    1: _cmdline_2,
    2: _loader_2,
    3: _module_2,
    4: _memory_2,
    5: _device_2,
    6: _memory_map_2,
    8: _framebuffer_2,
    9: _elf_2,
    21: _base_2,
}


# ---- both -----------------------------------------------------------------------------------------------------------


def _judge(reader: _Reader, kernel: Sequence[tuple[int, int]]) -> None:
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

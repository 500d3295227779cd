"""The boot information of Multiboot 2: tags behind each other.

Source: Multiboot2 Specification 2.0, "Boot information".
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from hillemu.inspection.multiboot.reading import MOST_ITEMS, Reader
from hillemu.inspection.multiboot.values import BootModule, ElfTable, Framebuffer, MemoryArea

_END = 0
_TAGS = {
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


def read_version_2(reader: Reader) -> None:
    """Decode the tags at `reader.info.address`."""
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
        name = _TAGS.get(kind, f"tag {kind}")
        if size < 8 or at + size > end:
            reader.problem(f"the tag at 0x{at:08X} ({name}) says that it has {size} bytes: that is garbage")
            return
        if kind == _END:
            return
        info.present.append(name)
        decoder = _DECODERS.get(kind)
        if decoder is not None:
            _decode_tag(reader, decoder, at, size, name)
        at += (size + 7) & ~7
    reader.problem(f"there are more than {MOST_ITEMS} tags")


_Body = bytes
_Decoder = Callable[[Reader, int, _Body], None]


def _decode_tag(reader: Reader, decoder: _Decoder, at: int, size: int, name: str) -> None:
    body = reader.bytes(at + 8, size - 8, f"the tag {name}")
    if body is None:
        return
    try:
        decoder(reader, at, body)
    except struct.error:
        reader.problem(f"the tag at 0x{at:08X} ({name}) is too short: {size} bytes")


def _text(reader: Reader, body: _Body, what: str) -> str:
    if b"\0" not in body:
        reader.problem(f"{what} has no end")
    return body.split(b"\0")[0].decode("utf-8", "backslashreplace")


def _cmdline(reader: Reader, _: int, body: _Body) -> None:
    reader.info.cmdline = _text(reader, body, "the command line")


def _loader(reader: Reader, _: int, body: _Body) -> None:
    reader.info.boot_loader_name = _text(reader, body, "the boot loader's name")


def _module(reader: Reader, _: int, body: _Body) -> None:
    start, end = struct.unpack_from("<II", body)
    text = _text(reader, body[8:], f"the string of module {len(reader.info.modules)}")
    reader.info.modules.append(BootModule(start, end, text))


def _memory(reader: Reader, _: int, body: _Body) -> None:
    reader.info.mem_lower_kib, reader.info.mem_upper_kib = struct.unpack_from("<II", body)


def _device(reader: Reader, _: int, body: _Body) -> None:
    (reader.info.boot_device,) = struct.unpack_from("<I", body)


def _memory_map(reader: Reader, at: int, body: _Body) -> None:
    size, _ = struct.unpack_from("<II", body)
    if size < 24 or size % 8:
        reader.problem(f"the memory map's entry_size is {size}: a multiple of 8 from 24 up is right")
        return
    if (len(body) - 8) % size:
        reader.problem(f"the memory map at 0x{at:08X} does not end with a whole entry")
    for offset in range(8, len(body) - size + 1, size):
        reader.info.memory_map.append(MemoryArea(*struct.unpack_from("<QQI", body, offset)))


def _framebuffer(reader: Reader, _: int, body: _Body) -> None:
    reader.info.framebuffer = Framebuffer(*struct.unpack_from("<Q3I2B", body))


def _elf(reader: Reader, at: int, body: _Body) -> None:
    entries, entry_bytes, names_index = struct.unpack_from("<III", body)
    reader.info.elf_sections = ElfTable(at + 20, entries, entry_bytes, names_index)
    if entries * entry_bytes > len(body) - 12:
        reader.problem(f"the ELF sections' {entries} headers of {entry_bytes} bytes do not fit into their tag")


def _base(reader: Reader, _: int, body: _Body) -> None:
    (reader.info.load_base,) = struct.unpack_from("<I", body)


_DECODERS: dict[int, _Decoder] = {
    1: _cmdline,
    2: _loader,
    3: _module,
    4: _memory,
    5: _device,
    6: _memory_map,
    8: _framebuffer,
    9: _elf,
    21: _base,
}

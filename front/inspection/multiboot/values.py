"""What a Multiboot loader told the kernel, as values.  Addresses are physical; `tables_multiboot` reads them.

Source: Multiboot Specification 0.6.96, "Boot information format"; Multiboot2 Specification 2.0, "Boot information".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any, NamedTuple

KINDS = {1: "usable", 2: "reserved", 3: "ACPI data", 4: "ACPI NVS", 5: "bad"}
"""Types of memory, as both specifications and ACPI number them."""
FRAMEBUFFER_KINDS = {0: "indexed colour", 1: "RGB", 2: "text"}


class MemoryArea(NamedTuple):
    """An entry of the memory map."""

    base: int
    size_bytes: int
    kind: int

    def __str__(self) -> str:
        name = KINDS.get(self.kind, f"type {self.kind}")
        return f"0x{self.base:09X}-0x{self.base + max(self.size_bytes, 1) - 1:09X} {name}"


class BootModule(NamedTuple):
    """A module: physical `start` up to, not including, `end`, and its string."""

    start: int
    end: int
    string: str

    def __str__(self) -> str:
        return f"0x{self.start:08X}-0x{max(self.end - 1, self.start):08X} {self.string!r}"


class Framebuffer(NamedTuple):
    """The screen; `width` and `height` are in characters if `kind` is 2 (text)."""

    address: int
    pitch_bytes: int
    width: int
    height: int
    bits_per_pixel: int
    kind: int

    def __str__(self) -> str:
        kind = FRAMEBUFFER_KINDS.get(self.kind, f"type {self.kind}")
        return f"{self.width} x {self.height}, {self.bits_per_pixel} bits, {kind}, at 0x{self.address:09X}"


class ElfTable(NamedTuple):
    """The kernel's section headers: `entries` of `entry_bytes` each at physical `address`."""

    address: int
    entries: int
    entry_bytes: int
    names_index: int

    def __str__(self) -> str:
        return f"{self.entries} headers of {self.entry_bytes} bytes at 0x{self.address:08X}"


@dataclass
class MultibootInfo:
    """The information structure at physical `address`; what is not in it is `None` or empty."""

    version: int
    address: int
    size_bytes: int = 0
    """Of the structure itself; version 2 only."""
    present: list[str] = field(default_factory=list)
    """What is there, by the specification's names."""
    cmdline: str | None = None
    boot_loader_name: str | None = None
    mem_lower_kib: int | None = None
    mem_upper_kib: int | None = None
    boot_device: int | None = None
    load_base: int | None = None
    memory_map: list[MemoryArea] = field(default_factory=list)
    modules: list[BootModule] = field(default_factory=list)
    framebuffer: Framebuffer | None = None
    elf_sections: ElfTable | None = None
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Everything for JSON."""
        named = asdict(self)
        for name in ("memory_map", "modules"):
            named[name] = [_as_dict(item) for item in getattr(self, name)]
        for name in ("framebuffer", "elf_sections"):
            item = getattr(self, name)
            named[name] = _as_dict(item) if item is not None else None
        return named

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Names and values for people."""
        plain = (
            ("command line", None if self.cmdline is None else repr(self.cmdline)),
            ("boot loader", None if self.boot_loader_name is None else repr(self.boot_loader_name)),
            ("lower memory", None if self.mem_lower_kib is None else f"{self.mem_lower_kib:,} KiB"),
            ("upper memory", None if self.mem_upper_kib is None else f"{self.mem_upper_kib:,} KiB"),
            ("boot device", None if self.boot_device is None else f"0x{self.boot_device:08X}"),
            ("load base", None if self.load_base is None else f"0x{self.load_base:08X}"),
            ("framebuffer", None if self.framebuffer is None else str(self.framebuffer)),
            ("ELF sections", None if self.elf_sections is None else str(self.elf_sections)),
        )
        rows = [(name, text) for name, text in plain if text is not None]
        rows += [("memory map", str(area)) for area in self.memory_map]
        rows += [("module", str(module)) for module in self.modules]
        return [*rows, ("present", ", ".join(self.present))]

    def __str__(self) -> str:
        lines = [f"Multiboot {self.version} information at 0x{self.address:08X}"]
        lines += [f"  problem: {problem}" for problem in self.problems]
        lines += [f"  {name:<12}  {text}" for name, text in self.rows]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Multiboot {self.version} information at 0x{self.address:08X}, {len(self.problems)} problems>"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in self.rows)
        notes = "".join(f"<br>{escape(problem)}" for problem in self.problems)
        head = f"Multiboot {self.version} information at 0x{self.address:08X}"
        return f'<table style="text-align:left"><caption>{head}{notes}</caption><tbody>{rows}</tbody></table>'


def _as_dict(item: MemoryArea | BootModule | Framebuffer | ElfTable) -> dict[str, Any]:
    """The fields of `item`; those of 64 bits as text, because JSON's numbers need not hold so many."""
    fields: dict[str, Any] = item._asdict()
    for name in _WIDE.get(type(item), ()):
        fields[name] = f"0x{fields[name]:X}"
    return fields


_WIDE: dict[type, tuple[str, ...]] = {MemoryArea: ("base", "size_bytes"), Framebuffer: ("address",)}

"""What a Multiboot kernel finds at its entry, here and on QEMU: registers, information structure, memory map, modules.

The kernel is 32-bit code by hand that sends all of it to the debug console and leaves through isa-debug-exit.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from hillemu.boot.image import BootOptions, Image, Module
from hillemu.boot.loader import load_image
from hillemu.emu.guest import FakeGuest
from hillemu.emu.i386.address import PhysAddr

BASE = 0x100000
SAVED = BASE + 0x800
"""Where the kernel keeps the registers it found."""
STACK = BASE + 0x1000

RAM_MIB = 32
CMDLINE = "root=/dev/ram  quiet"
MODULES = (("first.img", "ro x=1", b"first" * 1000), ("second.img", "", b"second module :-)"))
TIMEOUT_S = 60

ACCESSED = 1 << 40
"""The accessed bit of a descriptor: QEMU's lie in ROM and never get it."""
ELF_SECTIONS = 1 << 5
"""QEMU passes no symbols."""


def saved(offset: int) -> bytes:
    return struct.pack("<I", SAVED + offset)


def send(pointer: bytes, count: bytes) -> bytes:
    """``mov esi, pointer; mov ecx, count; rep outsb``, with the two moves given as code."""
    return pointer + count + b"\xf3\x6e"


CODE = b"".join(
    [
        b"\xa3" + saved(0),  # mov [eax_found], eax
        b"\x89\x1d" + saved(4),  # mov [ebx_found], ebx
        b"\xbc" + struct.pack("<I", STACK),  # mov esp, stack
        b"\x9c\x8f\x05" + saved(8),  # pushfd; pop dword [eflags_found]
        b"\x0f\x20\xc0\xa3" + saved(12),  # mov eax, cr0; mov [cr0_found], eax
        *(
            b"\x8c" + modrm + saved(16 + 2 * n)
            for n, modrm in enumerate((b"\x0d", b"\x15", b"\x1d", b"\x05", b"\x25", b"\x2d"))
        ),
        b"\x0f\x01\x05" + saved(28),  # sgdt [gdtr_found]
        b"\xba\xe9\0\0\0",  # mov edx, 0xe9
        send(b"\xbe" + saved(0), b"\xb9" + struct.pack("<I", 34)),
        send(b"\x8b\x35" + saved(30), b"\xb9" + struct.pack("<I", 24)),  # the GDT
        send(b"\x89\xde", b"\xb9" + struct.pack("<I", 88)),  # the information structure
        send(b"\x8b\x73\x30", b"\x8b\x4b\x2c"),  # mmap_addr, mmap_length
        send(b"\x8b\x73\x10", b"\xb9" + struct.pack("<I", 64)),  # cmdline
        send(b"\x8b\x73\x18", b"\xb9" + struct.pack("<I", 32)),  # mods_addr
        b"\x8b\x7b\x18",  # mov edi, [ebx + mods_addr]
        *(
            send(b"\x8b\x77" + bytes([16 * n]), b"\xb9" + struct.pack("<I", 16))  # the module's beginning
            + send(b"\x8b\x77" + bytes([16 * n + 8]), b"\xb9" + struct.pack("<I", 32))  # its string
            for n in range(2)
        ),
        b"\xb2\xf4\xee",  # mov dl, 0xf4; out dx, al
        b"\xfa\xf4",  # cli; hlt
    ]
)


def kernel() -> bytes:
    header = struct.pack("<III", 0x1BADB002, 0x3, -(0x1BADB002 + 0x3) & 0xFFFFFFFF)
    text = header + CODE
    ident = b"\x7fELF\1\1\1" + bytes(9)
    file_header = ident + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, BASE + 12, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    return file_header + struct.pack("<8I", 1, 84, BASE, BASE, len(text), STACK - BASE, 7, 4) + text


class Found(NamedTuple):
    """What the kernel sent, cut into its pieces."""

    registers: tuple[int, ...]
    """EAX, EFLAGS, CR0, CS, SS, DS, ES, FS, GS, the GDT's limit."""
    gdt: tuple[int, ...]
    info: tuple[int, ...]
    memory_map: bytes
    cmdline: bytes
    modules: tuple[tuple[int, bytes, bytes], ...]
    """Size in bytes, first bytes, string."""
    module_bases: tuple[int, ...]


def cut(sent: bytes) -> Found:
    eax, _, eflags, cr0, *selectors, gdt_limit = struct.unpack_from("<4I6HH", sent)
    gdt = struct.unpack_from("<3Q", sent, 34)
    info = struct.unpack_from("<22I", sent, 58)
    at = 58 + 88
    memory_map = sent[at : at + info[11]]
    at += info[11]
    cmdline = sent[at : at + 64].split(b"\0")[0]
    table = struct.unpack_from("<8I", sent, at + 64)
    at += 96
    modules = []
    for number in range(2):
        start, end, _, _ = table[4 * number : 4 * number + 4]
        modules.append((end - start, sent[at : at + 16], sent[at + 16 : at + 48].split(b"\0")[0]))
        at += 48
    assert at == len(sent)
    registers = (eax, eflags & 0x20200, cr0, *selectors, gdt_limit)
    bases = (table[0], table[4])
    return Found(registers, gdt, info, memory_map, cmdline, tuple(modules), bases)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, made the current one, with the kernel and its modules."""
    (tmp_path / "kernel.elf").write_bytes(kernel())
    for name, _, data in MODULES:
        (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def on_qemu(qemu: str) -> Found:
    initrd = ",".join(f"{name} {arguments}".strip() for name, arguments, _ in MODULES)
    command = [qemu, "-display", "none", "-m", str(RAM_MIB), "-kernel", "kernel.elf", "-append", CMDLINE]
    command += ["-initrd", initrd, "-debugcon", "file:sent", "-device", "isa-debug-exit,iobase=0xf4", "-no-reboot"]
    subprocess.run(command, timeout=TIMEOUT_S, check=False, capture_output=True)
    return cut(Path("sent").read_bytes())


def here() -> Found:
    """What the kernel's instructions would send, read straight from the loaded machine."""
    guest = FakeGuest(RAM_MIB << 20)
    modules = tuple(Module.open(name, arguments) for name, arguments, _ in MODULES)
    load_image(guest, Image.open("kernel.elf"), BootOptions(cmdline=CMDLINE, modules=modules))

    def read(at: int, count: int) -> bytes:
        return guest.memory.read(PhysAddr(at), count)

    get, segment = guest.registers.get, guest.registers.segment
    gdtr = segment("gdtr")
    sent = struct.pack("<4I", get("eax"), get("ebx"), get("eflags"), get("cr0"))
    sent += struct.pack("<6H", *(segment(name).selector for name in ("cs", "ss", "ds", "es", "fs", "gs")))
    sent += struct.pack("<HI", gdtr.limit, gdtr.base) + read(gdtr.base, 24)
    info = struct.unpack("<22I", read(get("ebx"), 88))
    sent += read(get("ebx"), 88) + read(info[12], info[11]) + read(info[4], 64) + read(info[6], 32)
    for number in range(2):
        start, _, string, _ = struct.unpack("<4I", read(info[6] + 16 * number, 16))
        sent += read(start, 16) + read(string, 32)
    return cut(sent)


def test_a_multiboot_kernel_finds_the_same_machine_as_on_qemu(files: Path, need_tool: Callable[[str], str]) -> None:
    theirs, ours = on_qemu(need_tool("qemu-system-i386")), here()

    assert ours.registers == theirs.registers
    assert [entry & ~ACCESSED for entry in ours.gdt] == [entry & ~ACCESSED for entry in theirs.gdt]
    assert ours.info[0] & ~ELF_SECTIONS == theirs.info[0]
    assert ours.info[1:4] == theirs.info[1:4], "mem_lower, mem_upper, boot_device"
    assert ours.info[5] == theirs.info[5] == 2, "mods_count"
    assert ours.memory_map == theirs.memory_map
    assert ours.cmdline == theirs.cmdline == b"kernel.elf " + CMDLINE.encode()
    assert ours.modules == theirs.modules
    assert all(base % 4096 == 0 and base >= STACK for base in (*ours.module_bases, *theirs.module_bases))

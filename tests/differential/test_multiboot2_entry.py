"""What a Multiboot 2 kernel finds at its entry: GRUB on QEMU is the reference, tag by tag.

The kernel (tests/guest/protocols/multiboot2.S) sends its registers and the whole information structure over COM1.  It
runs from a rescue CD on QEMU; here it is loaded, and the same is read from the machine's memory.
"""

from __future__ import annotations

import re
import shutil
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

RAM_MIB = 64
TIMEOUT_S = 60
CMDLINE = "colour=blue quiet"
MODULES = (("alpha", "first one", b"alpha"), ("beta", "second", b"b" * 5000))
GRUB_CFG = """\
multiboot2 /kernel.elf {cmdline}
{modules}
boot
"""

CMDLINE_TAG, _, MODULE, BASIC_MEMORY, BOOT_DEVICE, MAP = range(1, 7)
FRAMEBUFFER, ELF_SECTIONS, APM, ACPI_OLD, LOAD_BASE = 8, 9, 10, 14, 21


class Found(NamedTuple):
    """What the kernel sent."""

    registers: tuple[int, ...]
    """EAX EBX _start CR0 DS CS EFLAGS."""
    tags: list[tuple[int, bytes]]

    def all(self, kind: int) -> list[bytes]:
        return [body for found, body in self.tags if found == kind]


def cut(registers: tuple[int, ...], info: bytes) -> Found:
    tags, at = [], 8
    while at < struct.unpack_from("<I", info)[0]:
        kind, size = struct.unpack_from("<II", info, at)
        tags.append((kind, info[at + 8 : at + size]))
        at += size + -size % 8
    return Found(registers, tags)


@pytest.fixture
def compiled(root: Path, gcc_m32: str, tmp_path: Path) -> Callable[[str], Path]:
    """Compiles the kernel with some of its options."""

    def build(*options: str) -> Path:
        sources = root / "tests" / "guest" / "protocols"
        image = tmp_path / "cd" / "kernel.elf"
        image.parent.mkdir(exist_ok=True)
        flags = ["-m32", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none,--no-warn-rwx-segments"]
        command = [gcc_m32, *flags, *options, "-T", sources / "multiboot2.ld", "-o", image, sources / "multiboot2.S"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return image

    return build


def on_grub(image: Path, qemu: str, mkrescue: str) -> Found:
    folder, cd, log = image.parent, image.parent.parent / "cd.iso", image.parent.parent / "log"
    for name, _, data in MODULES:
        (folder / name).write_bytes(data)
    (folder / "boot" / "grub").mkdir(parents=True)
    lines = "\n".join(f"module2 /{name} {arguments}" for name, arguments, _ in MODULES)
    (folder / "boot" / "grub" / "grub.cfg").write_text(GRUB_CFG.format(cmdline=CMDLINE, modules=lines))
    small = ["--locales=", "--fonts=", "--themes=", "--install-modules=multiboot2 iso9660 biosdisk all_video", "-o", cd]
    done = subprocess.run([mkrescue, *small, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    command = [qemu, "-display", "none", "-m", str(RAM_MIB), "-cdrom", cd, "-serial", f"file:{log}", "-no-reboot"]
    command += ["-device", "isa-debug-exit,iobase=0xf4", "-nic", "none"]
    subprocess.run(command, timeout=TIMEOUT_S, check=False, capture_output=True)
    text = log.read_text()
    registers = re.findall(r"[0-9A-F]{8}", text.partition("registers ")[2].partition("\n")[0])
    words = re.findall(r"[0-9A-F]{8}", text.partition("information ")[2].partition("\n")[0])
    assert text.endswith("done\n"), text
    info = b"".join(struct.pack("<I", int(word, 16)) for word in words)
    return cut(tuple(int(word, 16) for word in registers), info)


def here(image: Path) -> Found:
    guest = FakeGuest(RAM_MIB << 20)
    modules = tuple(Module(name, arguments, data) for name, arguments, data in MODULES)
    loaded = load_image(guest, Image.open(str(image)), BootOptions(cmdline=CMDLINE, modules=modules))
    get, segment = guest.registers.get, guest.registers.segment
    registers = (
        *(get("eax"), get("ebx"), loaded.entry, get("cr0")),
        *(segment("ds").selector, segment("cs").selector, get("eflags")),
    )
    return cut(registers, guest.memory.read(PhysAddr(get("ebx")), guest.memory.u32(PhysAddr(get("ebx")))))


@pytest.mark.parametrize(
    "options", [(), ("-DRELOCATE=0",), ("-DRELOCATE=1",), ("-DRELOCATE=2",), ("-DADDRESSES",)], ids=" ".join
)
def test_a_multiboot_2_kernel_finds_what_grub_gives_it(
    options: tuple[str, ...], compiled: Callable[..., Path], need_tool: Callable[[str], str]
) -> None:
    qemu, mkrescue = need_tool("qemu-system-i386"), need_tool("grub-mkrescue")
    assert shutil.which("xorriso"), "grub-mkrescue needs it"
    image = compiled(*options)
    theirs, ours = on_grub(image, qemu, mkrescue), here(image)

    flags_that_count = 1 << 17 | 1 << 9  # VM, IF
    assert ours.registers[0] == theirs.registers[0] == 0x36D76289
    assert ours.registers[1] % 8 == 0
    assert ours.registers[2] == theirs.registers[2], "the entry, wherever the image was moved"
    assert ours.registers[3] & 0x80000001 == theirs.registers[3] & 0x80000001 == 1
    assert ours.registers[6] & flags_that_count == theirs.registers[6] & flags_that_count == 0

    # The kernel came from a disk there, and not here; APM and ACPI are the firmware's, which is not asked here.
    # Without ELF headers GRUB passes a table of no sections.
    empty = (ELF_SECTIONS, bytes(12))
    kinds = [tag[0] for tag in theirs.tags if tag[0] not in (BOOT_DEVICE, APM, ACPI_OLD) and tag != empty]
    assert [kind for kind, _ in ours.tags] == kinds, "the same tags in the same order"
    for kind in (CMDLINE_TAG, BASIC_MEMORY, MAP, FRAMEBUFFER, LOAD_BASE):
        assert ours.all(kind) == theirs.all(kind)
    assert ours.all(CMDLINE_TAG) == [CMDLINE.encode() + b"\0"]
    for mine, other in zip(ours.all(MODULE), theirs.all(MODULE), strict=True):
        starts_and_ends = [struct.unpack_from("<II", body) for body in (mine, other)]
        assert len({end - start for start, end in starts_and_ends}) == 1
        assert all(start % 4096 == 0 for start, _ in starts_and_ends)
        assert mine[8:] == other[8:]
    for mine, other in zip(ours.all(ELF_SECTIONS), theirs.all(ELF_SECTIONS), strict=ELF_SECTIONS in kinds):
        assert mine[:12] == other[:12], "number, size, names' index"
        assert section_sizes(mine) == section_sizes(other)


def section_sizes(body: bytes) -> list[tuple[int, int]]:
    """Type and size of each section."""
    return [(row[1], row[5]) for row in struct.iter_unpack("<10I", body[12:])]

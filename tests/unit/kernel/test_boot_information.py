"""What the kernel reads of the loader's structure, which our own loader has written."""

from __future__ import annotations

import struct

from hillemu.boot.memory_map import memory_map
from hillemu.boot.multiboot1_info import Facts, ModuleFacts, build_block
from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PhysAddr
from hillemu.kernel.boot_information import BootInformation, BootModule, read_boot_information

BASE = 0x9000


def read(cmdline: bytes, *modules: ModuleFacts, memory: FakeMemory | None = None) -> BootInformation:
    memory = memory or FakeMemory(8 << 20)
    block = build_block(BASE, Facts(cmdline, memory_map(memory), modules))
    memory.write(PhysAddr(BASE), block.data)
    return read_boot_information(memory, PhysAddr(block.info_address))


def test_the_command_line_comes_without_the_image_s_name() -> None:
    assert read(b"kernel.elf paging=pae tests=off").arguments == "paging=pae tests=off"
    assert read(b"kernel.elf").arguments == ""


def test_modules_have_names_without_folders_and_their_arguments() -> None:
    found = read(b"kernel", ModuleFacts(0x200000, 0x201234, b"/tmp/a/prog.elf one two"), ModuleFacts(0, 0, b""))
    assert found.modules == (
        BootModule("prog.elf", ("one", "two"), PhysAddr(0x200000), PhysAddr(0x201234)),
        BootModule("module1", (), PhysAddr(0), PhysAddr(0)),
    )


def test_everything_that_was_read_is_reserved() -> None:
    memory = FakeMemory(8 << 20)
    found = read(b"kernel a=b", ModuleFacts(0x200000, 0x201234, b"prog.elf"), memory=memory)
    covered = {at for one in found.reserved for at in range(one.base, one.end) if at < 1 << 20}
    raw = memory.read(PhysAddr(0), 1 << 20)
    for text in (b"kernel a=b\0", b"prog.elf\0", struct.pack("<III", 0x200000, 0x201234, raw.index(b"prog.elf"))):
        start = raw.index(text)
        assert set(range(start, start + len(text))) <= covered
    assert ("module", 0x200000, 0x201234) in [(one.name, one.base, one.end) for one in found.reserved]


def test_a_string_without_an_end_ends_with_memory() -> None:
    memory = FakeMemory(1 << 20)
    memory.fill(PhysAddr((1 << 20) - 3), 3, ord("x"))
    memory.write(PhysAddr(BASE), struct.pack("<I12xI", 1 << 2, (1 << 20) - 3) + bytes(116))
    assert read_boot_information(memory, PhysAddr(BASE)).arguments == ""

"""Disks of kernels that boot from one of their own: what lies where on them, and parts that are refused."""

from __future__ import annotations

import pytest

from hillemu.boot.assembler import assemble_text
from hillemu.boot.disk_image import SECTOR_BYTES, disk_image, memory_image
from hillemu.boot.image import Image
from hillemu.boot.images import DISKS, build_image, image_folder
from hillemu.emu.errors import ImageError

BOOT = Image("boot.bin", bytes(510) + b"\x55\xaa" + b"loader".ljust(512, b"\0"))
KERNEL = Image(
    "kernel.elf",
    assemble_text(
        ".layout base=0x10000\n.text\n.global _start\n_start: hlt\n.data\n.long 0x12345678\n.bss\n.space 99"
    ).data,
)


@pytest.mark.parametrize("name", sorted(DISKS))
def test_a_shipped_disk_is_what_its_parts_give(name: str) -> None:
    assert (image_folder() / name).read_bytes() == build_image(name)


def test_the_kernel_follows_the_loader_as_it_will_lie_in_memory() -> None:
    disk = disk_image(BOOT, KERNEL)
    assert disk.startswith(BOOT.data.tobytes())
    kernel = disk[len(BOOT.data) :]
    assert kernel[:1] == b"\xf4"
    assert kernel[0x1000:0x1004] == b"\x78\x56\x34\x12", "its variables are on the next page"
    assert len(memory_image(KERNEL)) == 0x1004, "what has no data takes no room"
    assert len(disk) % SECTOR_BYTES == 0


@pytest.mark.parametrize("data", [b"", bytes(512), BOOT.data.tobytes()[:-1]])
def test_what_is_no_boot_sector_in_whole_sectors_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"odd\.bin: is no boot sector with whole sectors behind it"):
        disk_image(Image("odd.bin", data), KERNEL)


def test_a_kernel_that_is_no_elf_file_is_refused() -> None:
    with pytest.raises(ImageError, match=r"odd\.elf: is not an ELF file"):
        disk_image(BOOT, Image("odd.elf", b"odd"))


def test_a_kernel_with_nothing_to_load_is_refused() -> None:
    room = assemble_text(".layout base=0x10000, entry=x\n.bss\nx: .space 99").data
    with pytest.raises(ImageError, match="has nothing to load"):
        memory_image(Image("room.elf", room))

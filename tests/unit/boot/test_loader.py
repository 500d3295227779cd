"""The front door, and the files that come through it."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from hillemu.boot import image as image_module
from hillemu.boot.detect import Kind
from hillemu.boot.image import BootOptions, Image, Module, read_file
from hillemu.boot.loader import FORMATS, kind_of, load_image
from hillemu.emu.errors import ImageError, OptionError
from hillemu.emu.guest import FakeGuest

MIB = 1 << 20


def fault_of(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        Image.open(str(path))
    assert caught.value.path == str(path)
    with pytest.raises(ImageError):
        Module.open(str(path))
    return caught.value.fault


class TestFiles:
    def test_missing(self, tmp_path: Path) -> None:
        assert fault_of(tmp_path / "kernel.elf") == "no such file"
        assert fault_of(tmp_path / "no" / "kernel.elf") == "no such file"
        with pytest.raises(ImageError, match=r"^'': is no file's name; is a variable of the shell empty\?$"):
            Image.open("")

    def test_a_directory(self, tmp_path: Path) -> None:
        assert fault_of(tmp_path) == "is a directory, not a file"

    def test_a_file_used_as_a_directory(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"x")
        assert fault_of(tmp_path / "file" / "kernel") == "cannot be read: Not a directory"

    def test_without_permission(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "k").write_bytes(b"x")

        def fail(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("builtins.open", fail)
        assert fault_of(tmp_path / "k") == "cannot be read: Permission denied"

    def test_a_link_to_itself(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to("loop")
        assert fault_of(tmp_path / "loop").startswith("cannot be read: Too many levels of symbolic links")

    def test_devices_and_sockets_are_not_even_opened(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert fault_of(Path("/dev/zero")) == "is a device or a socket, not a file"
        monkeypatch.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("s")
            assert fault_of(Path("s")) == "is a device or a socket, not a file"

    def test_a_name_that_no_file_can_have(self) -> None:
        with pytest.raises(ImageError, match=r"'a.x00b': is not a possible file name"):
            read_file("a\0b")

    def test_a_pipe_is_read_to_its_end(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        data = os.urandom(100_000)
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,))
        writer.start()
        assert Image.open(str(tmp_path / "pipe")).data == data
        writer.join()

    def test_an_endless_pipe_is_given_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(image_module, "_PIPE_LIMIT_BYTES", 10)
        os.mkfifo(tmp_path / "pipe")
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"x" * 11,))
        writer.start()
        with pytest.raises(ImageError, match="the pipe gives more than"):
            read_file(str(tmp_path / "pipe"))
        writer.join()

    def test_large_files_are_mapped_and_small_ones_copied(self, tmp_path: Path) -> None:
        from mmap import mmap

        (tmp_path / "large").write_bytes(b"L" * image_module.MAPPED_FROM_BYTES)
        (tmp_path / "small").write_bytes(b"S")
        assert isinstance(read_file(str(tmp_path / "large")), mmap)
        assert read_file(str(tmp_path / "small")) == b"S"
        assert Image.open(str(tmp_path / "large")).size_bytes == image_module.MAPPED_FROM_BYTES


def test_a_mapped_kernel_boots_like_a_copied_one(kernels: Any, tmp_path: Path) -> None:
    path = tmp_path / "k.elf"
    path.write_bytes(kernels.small().ljust(image_module.MAPPED_FROM_BYTES, b"\0"))
    memories = []
    for image in (Image.open(str(path)), Image(str(path), path.read_bytes())):
        guest = FakeGuest(4 * MIB)
        assert load_image(guest, image, BootOptions()).kind is Kind.MULTIBOOT1
        memories.append(guest.memory.data)
    assert memories[0] == memories[1]


def test_data_of_any_item_size_is_taken_as_bytes(kernels: Any) -> None:
    words = memoryview(bytearray(kernels.small().ljust(1024, b"\0"))).cast("I")
    assert load_image(FakeGuest(4 * MIB), Image("k", words), BootOptions()).entry == 0x10000C


@pytest.mark.parametrize("format_", ["auto", "multiboot"])
def test_a_multiboot_kernel_loads_by_detection_and_by_name(kernels: Any, format_: str) -> None:
    loaded = load_image(FakeGuest(4 * MIB), Image("k", kernels.small()), BootOptions(format_))
    assert loaded.kind is Kind.MULTIBOOT1


@pytest.mark.parametrize("format_", FORMATS)
def test_an_empty_file_is_empty_whatever_it_is_called(format_: str) -> None:
    with pytest.raises(ImageError, match=r"^k: is empty$"):
        load_image(FakeGuest(4 * MIB), Image("k", b""), BootOptions(format_))


def test_a_named_format_is_tried_without_a_look_at_the_file() -> None:
    with pytest.raises(ImageError, match=r"^notes: has no Multiboot header"):
        load_image(FakeGuest(4 * MIB), Image("notes", b"Dear diary"), BootOptions("multiboot"))


@pytest.mark.parametrize("format_", ["disk", "floppy", "cd"])
def test_what_is_booted_from_a_drive_is_not_loaded(format_: str) -> None:
    image = Image("d", bytes(1024))
    assert kind_of(image, format_) == format_
    guest = FakeGuest(4 * MIB)
    with pytest.raises(ImageError, match=r"^d: is a .* image: it is booted from a drive"):
        load_image(guest, image, BootOptions(format_))
    assert not any(guest.memory.data)


def test_the_kind_of_a_kernel_is_seen_or_said(kernels: Any) -> None:
    assert kind_of(Image("k", kernels.small())) is Kind.MULTIBOOT1
    assert kind_of(Image("k", kernels.small()), "multiboot2") is Kind.MULTIBOOT2
    assert kind_of(Image("k", kernels.bzimage())) is Kind.LINUX
    assert kind_of(Image("k", kernels.bzimage()), "linux16") is Kind.LINUX
    with pytest.raises(ImageError, match="text file"):
        kind_of(Image("k", b"text"))


def test_options_of_another_protocol_are_refused_with_the_right_ones_name(kernels: Any) -> None:
    file = Module("f", "", b"F")
    with pytest.raises(OptionError, match=r"^--module: .*--initrd$"):
        load_image(FakeGuest(4 * MIB), Image("k", kernels.bzimage()), BootOptions(modules=(file,)))
    with pytest.raises(OptionError, match=r"^--initrd: .*--module$"):
        load_image(FakeGuest(4 * MIB), Image("k", kernels.small()), BootOptions(initrds=(file,)))


def test_a_format_that_does_not_exist_is_an_options_fault(kernels: Any) -> None:
    with pytest.raises(OptionError, match=r"^--format: 'flat' is not a format; use auto, multiboot, .* or cd$"):
        load_image(FakeGuest(4 * MIB), Image("k", kernels.small()), BootOptions("flat"))


def test_a_64_bit_kernel_is_refused_with_the_way_out(kernels: Any) -> None:
    elf = kernels.elf([kernels.Part(0x100000, kernels.header())], elf_class=2, machine=62)
    with pytest.raises(ImageError, match=r"64-bit ELF file.*objcopy -O elf32-i386 k kernel32.elf"):
        load_image(FakeGuest(4 * MIB), Image("k", elf), BootOptions())


def test_the_same_image_and_options_give_the_same_ram_and_registers(kernels: Any) -> None:
    options = BootOptions(cmdline="x", modules=(Module("m", "a", b"M" * 100),))
    guests = [FakeGuest(4 * MIB) for _ in range(3)]
    for guest in guests:
        load_image(guest, Image("k", kernels.small()), options)
    assert len({bytes(guest.memory.data) for guest in guests}) == 1
    assert len({str(guest.registers.values) for guest in guests}) == 1

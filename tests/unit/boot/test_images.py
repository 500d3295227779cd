"""The images that ship: they are what their sources give, other tools agree, and they run on QEMU."""

from __future__ import annotations

import re
import selectors
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hillemu.boot.assembler import assemble_file
from hillemu.boot.images import DISKS, DRAWN, IMAGES, SOURCES, build_image, image_folder, main

LAST_LINE = "hillemu demo: all 6 checks passed"


@pytest.mark.parametrize("name", sorted([*IMAGES, *DRAWN]))
def test_an_image_is_what_its_source_gives(name: str) -> None:
    assert (image_folder() / name).read_bytes() == build_image(name)


def test_every_program_in_the_source_folder_has_an_image() -> None:
    assert {path.name for path in SOURCES.glob("*.s")} == set(IMAGES.values())


def test_the_command_rebuilds_and_notices_a_stale_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Of each kind of image one, and a disk's parts: other tests build all of them.
    few = ("demo.elf", "orange_boot.bin", "orange.elf")
    monkeypatch.setattr("hillemu.boot.images.IMAGES", {name: IMAGES[name] for name in few})
    monkeypatch.setattr("hillemu.boot.images.DISKS", {"orange.img": DISKS["orange.img"]})
    assert main([], tmp_path) == 0
    assert {file.name for file in tmp_path.iterdir()} == {*few, "orange.img", *DRAWN}
    assert main(["--check"], tmp_path) == 0
    (tmp_path / "demo.elf").write_bytes(b"old")
    assert main(["--check"], tmp_path) == 1
    complaint = capsys.readouterr().err
    assert "demo.elf is not what " in complaint
    assert "boot/asm/demo.s gives: run `make images`" in complaint
    assert main(["--wrong"], tmp_path) == 125


def test_the_boot_sector_is_one_sector_with_the_signature() -> None:
    data = build_image("hello_sector.bin")
    assert (len(data), data[510:]) == (512, b"\x55\xaa")


@pytest.mark.parametrize("name", sorted(IMAGES))
def test_gnu_as_and_ld_give_the_same_sections(name: str, tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    for tool in ("as", "ld", "objcopy"):
        need_tool(tool)
    for source in SOURCES.glob("*.[si]*"):
        (tmp_path / source.name).write_text(source.read_text())
    whole = (SOURCES / IMAGES[name]).read_text()
    # The layout is told to ld instead.
    (tmp_path / "all.s").write_text(".intel_syntax noprefix\n" + re.sub(r"(?m)^\.layout.*$", "", whole))
    image = assemble_file(SOURCES / IMAGES[name])
    placed = [f"--section-start={section.name}={section.address:#x}" for section in image.sections]
    for command in (
        ["as", "--32", "-o", "all.o", "all.s"],
        ["ld", "-m", "elf_i386", *placed, "-o", "all.elf", "all.o"],
    ):
        subprocess.run(command, cwd=tmp_path, check=True, timeout=30)
    for section in image.sections:
        if section.holds_data:
            subprocess.run(
                ["objcopy", "-O", "binary", f"--only-section={section.name}", "all.elf", "section"],
                cwd=tmp_path,
                check=True,
                timeout=30,
            )
            assert (tmp_path / "section").read_bytes() == section.data, section.name


def serial_text_on_qemu(arguments: list[str], until: str) -> str:
    """Run QEMU until its serial port has said `until`, or for 20 seconds."""
    command = ["qemu-system-i386", *arguments, "-serial", "stdio", "-display", "none", "-monitor", "none"]
    text = b""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as qemu:
        try:
            assert qemu.stdout is not None
            waiting = selectors.DefaultSelector()
            waiting.register(qemu.stdout, selectors.EVENT_READ)
            end = time.monotonic() + 20
            while until.encode() not in text and time.monotonic() < end:
                if waiting.select(timeout=0.5):
                    chunk = qemu.stdout.read1(4096)  # type: ignore[attr-defined]
                    if not chunk:
                        break
                    text += chunk
        finally:
            qemu.kill()
    return text.decode().replace("\r\n", "\n")


def test_the_demo_passes_all_its_checks_on_qemu(need_tool: Callable[[str], str]) -> None:
    need_tool("qemu-system-i386")
    text = serial_text_on_qemu(["-kernel", str(image_folder() / "demo.elf"), "-m", "64M"], LAST_LINE + "\n")
    lines = text.splitlines()
    assert lines[-1] == LAST_LINE
    assert "mmap: base=0x0000000000000000, length=0x000000000009FC00, type=1" in lines
    assert "page fault: cr2=0xD0000000, error=0x0002" in lines
    assert "ring 3: hello through int 0x80" in lines
    assert sum(line.startswith("ok: ") for line in lines) == 6


def test_the_boot_sector_says_hello_on_qemu(need_tool: Callable[[str], str]) -> None:
    need_tool("qemu-system-i386")
    drive = f"format=raw,file={image_folder() / 'hello_sector.bin'},snapshot=on"
    assert "Hello from a boot sector\n" in serial_text_on_qemu(["-drive", drive], "sector\r\n")

"""``ld -Ttext 0x100000`` puts ELF headers where a PC has its BIOS, and a build ID at 128 MiB: it boots as on QEMU."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hillemu import Machine

KERNEL = """
    .section .text
    .long 0x1BADB002, 0, -0x1BADB002
    .globl _start
_start:
    mov $text, %esi
    mov $5, %ecx
    mov $0xE9, %dx
    rep outsb
    mov $0xF4, %dx
    out %al, %dx
    .section .rodata
text:
    .ascii "hello"
"""
TIMEOUT_S = 60


@pytest.mark.parametrize("build_id", ["none", "sha1"])
@pytest.mark.parametrize("option", ["separate-code", "noseparate-code"])
def test_headers_below_the_code_and_a_build_id_behind_all_memory_do_no_harm(
    gcc_m32: str, need_tool: Callable[[str], str], tmp_path: Path, option: str, build_id: str
) -> None:
    source, kernel, sent = tmp_path / "kernel.s", tmp_path / "kernel.elf", tmp_path / "sent"
    source.write_text(KERNEL)
    link = ["-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0x100000", f"-Wl,--build-id={build_id}", f"-Wl,-z,{option}"]
    subprocess.run([gcc_m32, "-m32", *link, source, "-o", kernel], check=True)
    headers = subprocess.run(["readelf", "-lW", kernel], check=True, capture_output=True, text=True).stdout
    assert "0x000ff000" in headers, "the linker puts the headers elsewhere by now"

    qemu = [need_tool("qemu-system-i386"), "-display", "none", "-m", "16", "-kernel", str(kernel), "-no-reboot"]
    qemu += ["-debugcon", f"file:{sent}", "-device", "isa-debug-exit,iobase=0xf4"]
    subprocess.run(qemu, timeout=TIMEOUT_S, check=False, capture_output=True)

    machine = Machine(mem="16M")
    machine.load(str(kernel))
    machine.run(max_insns=10_000)
    assert machine.debug_console.text == sent.read_text() == "hello"

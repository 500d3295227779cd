"""Every kind of instruction, against an assembler of another kind: GNU as."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hillemu.boot.assembler import AssemblyError, Layout, assemble_text

HERE = Path(__file__).parent
FRAME = """
.text
.code{bits}
.global _start
_start:
{instruction}
near_by: nop
{gap}
table: .long 0
"""


# Keystone gives these a displacement of zero: one byte longer than it need be, with the same meaning.
LONGER = {"mov ax, [bp + si]": "8b4200", "mov ax, [bp + di]": "8b4300"}


def lines(bits: int) -> list[str]:
    text = (HERE / f"instructions_{bits}.txt").read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def build(instruction: str, bits: int) -> str:
    return FRAME.format(bits=bits, instruction=instruction, gap=".space 200")


@pytest.fixture(scope="module")
def gnu(tmp_path_factory: pytest.TempPathFactory, need_tool: Callable[[str], str]) -> dict[tuple[int, str], bytes]:
    """What GNU as and ld make of each instruction: one source per width, each instruction in a section of its own."""
    for tool in ("as", "ld", "objcopy"):
        need_tool(tool)
    folder = tmp_path_factory.mktemp("gnu")
    found = {}
    for bits in (16, 32):
        source = folder / f"all{bits}.s"
        # Every frame starts at a multiple of 256, so that its bytes can be cut out of one binary.
        frames = []
        for number, line in enumerate(lines(bits)):
            frame = build(line, bits).replace(".text\n", "").replace(".global _start\n_start:", f"start{number}:")
            frame = frame.replace("near_by", f"near{number}").replace("table", f"table{number}")
            frames.append(f".balign 256, 0x90\n{frame}")
        source.write_text(".intel_syntax noprefix\n.text\n.global _start\n_start:\n" + "\n".join(frames))
        subprocess.run(["as", "--32", "-o", folder / "all.o", source], check=True, timeout=60)
        subprocess.run(
            ["ld", "-m", "elf_i386", "-Ttext", "0", "--oformat", "binary", "-o", folder / "all.bin", folder / "all.o"],
            check=True,
            timeout=60,
            capture_output=True,
        )
        data = (folder / "all.bin").read_bytes()
        for number, line in enumerate(lines(bits)):
            found[bits, line] = (number * 256, data[number * 256 : number * 256 + 256])
    return found


@pytest.mark.parametrize("bits", [16, 32])
def test_every_instruction_is_encoded_as_gnu_as_does(bits: int, gnu: dict) -> None:
    differing = []
    for line in lines(bits):
        base, expected = gnu[bits, line]
        try:
            image = assemble_text(build(line, bits), layout=Layout(flat=True, base=base))
        except AssemblyError as error:
            differing.append(f"{line}: {error.fault}")
            continue
        size = image.symbols["near_by"] - base
        if line in LONGER:
            assert image.data[:size].hex() == LONGER[line]
            continue
        if image.data[:size] != expected[: len(image.data)][:size] or len(image.data) != 205 + size:
            differing.append(f"{line}: {image.data[:size].hex(' ')}, GNU as has {expected[: size + 2].hex(' ')}")
    assert not differing, "\n".join(differing)

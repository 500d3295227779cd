"""`hillemu inspect` against programs that people know: QEMU's monitor for `mem` and `tlb`, GDB for `x`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from faulty_spaces import FAULTS, kernel_source
from gdb_session import DebuggedHillemu
from qemu_monitor import QemuMonitor

from hillemu.boot.assembler import assemble_text

MULTIBOOT = ".section .multiboot; .long 0x1BADB002, 0, 0xE4524FFE; .text; .globl _start; _start: "
DATA_KERNEL = """
    mov esp, offset words + 64; nop
here: cli; hlt; jmp here
    call here; jne here; mov eax, dword ptr [ebx + 4 * ecx + 0x10]
.globl words
words: .long 0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000, offset here, offset words + 4
.globl bytes
bytes: .byte 0, 1, 7, 8, 9, 10, 11, 12, 13, 27, 31, 32, 39, 34, 92, 65, 126, 127, 128, 200, 255, 0
.globl texts
texts: .asciz "plain"; .asciz ""; .asciz "tab\\there \\"quoted\\" it's\\n"; .asciz "\\x7fend"
.balign 8
"""
FORMATS = (
    *("x words", "x/w words+4", "x/2 words+8"),  # first: GDB keeps the last format for those without one
    *("x/8xw words", "x/8dw words", "x/8uw words", "x/8ow words", "x/3tw words", "x/8a words", "x/4xg words"),
    *("x/16xh words", "x/5th words", "x/9dh words", "x/22xb bytes", "x/22db bytes", "x/22ub bytes", "x/22ob bytes"),
    *("x/9tb bytes", "x/22c bytes", "x/4s texts", "x/2xw words+8", "x/xb bytes+15"),
)


def inspect(*words: object) -> str:
    """What the command prints; it must succeed."""
    command = [sys.executable, "-m", "hillemu", "inspect", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("kernel", "symbol"),
    [
        ("paging", "stop_paging"),
        ("paging_large", "stop_paging"),
        ("ring3", "leave_user"),
        ("faulty", "in_the_space"),
    ],
)
def test_mem_and_tlb_are_what_qemus_monitor_prints_at_the_same_point(
    kernel: str, symbol: str, image_of: Callable[[str], Path], need_tool: Callable[[str], str], tmp_path: Path
) -> None:
    qemu = need_tool("qemu-system-i386")
    if kernel == "faulty":
        image = tmp_path / "kernel.elf"
        image.write_bytes(assemble_text(MULTIBOOT + kernel_source(FAULTS)).data)
    else:
        image = image_of(kernel)
    at = int(re.search(r'"virtual": (\d+)', inspect(image, "pt", symbol, "--at", "0", "--json"))[1])  # type: ignore[index]
    command = [qemu, "-accel", "tcg", "-cpu", "max", "-m", "16", "-no-reboot", "-kernel", str(image)]
    with QemuMonitor(command, tmp_path) as theirs:
        theirs.run_to(at)
        for view in ("mem", "tlb"):
            assert inspect(image, view, "--at", symbol, "--mem", "16M") == theirs.human(f"info {view}"), view


def test_x_prints_memory_as_gdb_does(need_tool: Callable[[str], str], tmp_path: Path) -> None:
    image = tmp_path / "kernel.elf"
    image.write_bytes(assemble_text(MULTIBOOT + DATA_KERNEL).data)
    with DebuggedHillemu(need_tool("gdb"), image) as machine:
        steps = [f"{command}\necho ====\\n\n".splitlines() for command in (_in_gdb(one) for one in FORMATS)]
        commands = [part for step in steps for part in step if part]
        text = machine.debug("hbreak *(char*)&here", "continue", "echo ====\\n", *commands, symbols=image)
    answers = text.split("====\n")[1:-1]
    assert len(answers) == len(FORMATS)
    ours = re.split("(?m)^== .* ==\n", inspect(image, *" ".join(FORMATS).split(), "--at", "here"))[1:]
    for command, our, their in zip(FORMATS, ours, answers, strict=True):
        assert _plain(our) == _plain(their), command


def test_instructions_begin_where_gdb_says_that_they_do(need_tool: Callable[[str], str], tmp_path: Path) -> None:
    image = tmp_path / "kernel.elf"
    image.write_bytes(assemble_text(MULTIBOOT + DATA_KERNEL).data)
    with DebuggedHillemu(need_tool("gdb"), image) as machine:
        theirs = machine.debug("echo ====\\n", "x/8i &_start", symbols=image).split("====\n")[1]
    ours = inspect(image, "x/8i", "_start", "--at", "here")
    starts = re.findall(r"(?m)^0x[0-9a-f]+", ours)
    assert len(starts) == 8
    assert starts == re.findall(r"(?m)^\W*(0x[0-9a-f]+)", theirs)


def _in_gdb(command: str) -> str:
    """GDB takes a symbol without a type for a value of no size; its address is meant."""
    words, _, address = command.partition(" ")
    symbol, plus, offset = address.partition("+")
    return f"{words} (char*)&{symbol}{plus}{offset}"


def _plain(text: str) -> str:
    """Without two things in which we differ on purpose: GDB counts offsets in tens, and aligns with blanks."""
    offsets = re.compile(r"<(\w+)\+(\w+)>")
    text = offsets.sub(lambda found: f"<{found[1]}+{int(found[2], 0)}>", text)
    return re.sub(r"[ \t]+", " ", text).strip()

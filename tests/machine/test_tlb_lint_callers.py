"""The TLB lint tells by whom both instructions were called: on stacks without frame pointers, left by a longjmp,
switched, with old return addresses on them; and names them by symbols and lines, also of a disk's kernel.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import guest_builder
import pytest
from paged_lab import PAGED

from hillemu import Machine
from hillemu.boot.assembler import Layout, assemble_text
from hillemu.cli import main
from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.cpu.tlb_lint import StaleUse
from hillemu.emu.errors import OptionError
from hillemu.testing.explanations import explain

CALL_BYTES = 5
STALE = "mov ebx, [PAGE]; mov dword ptr [ENTRY], 0x201003; mov ecx, [PAGE]"
SHAPES = {
    "calls in calls, with room between": (
        "outer: call first; hlt; first: sub esp, 100; inner: call second; add esp, 100; ret; second: push eax; "
        f"{STALE}; pop eax; ret", ("inner", "outer")),
    "an old return address in a local variable's place": (
        f"outer: call first; hlt; first: old: call nothing; sub esp, 16; {STALE}; add esp, 16; ret; nothing: ret",
        ("outer",)),
    "more callers than are kept": (
        "a: call 1f; hlt; 1: b: call 1f; ret; 1: c: call 1f; ret; 1: d: call 1f; ret; 1: e: call 1f; ret; "
        f"1: {STALE}; ret", ("e", "d", "c", "b")),
    "through a register, and behind a call that has returned": (
        f"mov eax, offset first; outer: call eax; hlt; first: call nothing; {STALE}; ret; nothing: ret 0",
        ("outer",)),
    "a longjmp has left calls": (
        "mov esi, esp; call first; there: outer: call last; hlt; first: call second; hlt; second: mov esp, esi; "
        f"jmp there; last: {STALE}; ret", ("outer",)),
    "another stack, and back": (
        "outer: call first; hlt; first: mov esi, esp; mov esp, 0x60000; other: call second; mov esp, esi; "
        f"{STALE}; ret; second: ret", ("outer",)),
    "on another stack": (
        f"call first; hlt; first: mov esp, 0x60000; other: call second; hlt; second: {STALE}; ret", ("other",)),
    "a jump by RET": (
        f"outer: call first; hlt; first: push offset behind; ret; behind: {STALE}; ret", ("outer",)),
    "nobody": (f"{STALE}; hlt", ()),
    "a RET that is executed again behind a fault": (
        "mov eax, offset at_ret; mov dr0, eax; mov eax, 0x303; mov dr7, eax; outer: call first; hlt; "
        f"first: sub esp, 4000; call second; {STALE}; add esp, 4000; ret; second: nop; at_ret: ret; "
        "vector_1: or dword ptr [esp + 8], 0x10000; iretd", ("outer",)),
    "an exception's handler": (
        f"outer: call first; hlt; first: ud2; vector_6: inner: call second; hlt; second: {STALE}; hlt",
        ("inner", "outer")),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_callers_are_the_calls_that_have_not_returned(name: str, lab_of: Callable[..., Any]) -> None:
    body, wanted = SHAPES[name]
    found: list[list[StaleUse]] = []
    for is_stepped in (False, True):
        lab = lab_of("native", PAGED + body)
        lint = lab.processor.lint_tlb()
        if is_stepped:
            lab.step_to_end()
        else:
            assert lab.run() is CoreStop.HALT
        found.append(lint.findings)
    (use,) = found[0]
    assert use.changed_callers == use.used_callers == tuple(lab[label] for label in wanted)
    assert found[0] == found[1]


def test_the_same_two_instructions_called_from_elsewhere_are_another_finding(lab_of: Callable[..., Any]) -> None:
    calls = "first: call work; call work; mov ebp, 3; 1: third: call work; dec ebp; jnz 1b; hlt"
    work = f"work: mov ebx, cr3; mov cr3, ebx; {STALE}; mov dword ptr [ENTRY], 0x200003; ret"
    lab = lab_of("native", f"{PAGED}; {calls}; {work}")
    lint = lab.processor.lint_tlb()
    assert lab.run() is CoreStop.HALT
    assert [(use.times, use.used_callers[0]) for use in lint.findings] == [
        (1, lab["first"]),
        (1, lab["first"] + CALL_BYTES),
        (3, lab["third"]),
    ]


# ---- names -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def optimised_kernel(gcc_m32: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kernel = tmp_path_factory.mktemp("kernel") / "kernel.elf"
    flags = [flag for flag in guest_builder.FLAGS if flag != "-masm=intel"]
    script = ["-T", str(guest_builder.SCRIPT)]
    more = ["-fomit-frame-pointer", "-fno-optimize-sibling-calls", "-g"]
    subprocess.run([gcc_m32, *flags, *more, *guest_builder.LINK_FLAGS, *script, SOURCE, "-o", kernel], check=True)
    return kernel


SOURCE = Path(guest_builder.__file__).with_name("lint_kernel.c")


def line_of(mark: str) -> str:
    (number,) = [n for n, text in enumerate(SOURCE.read_text().splitlines(), 1) if f"/* MARK {mark} */" in text]
    return f"lint_kernel.c:{number}"


def test_a_compiled_kernels_functions_and_lines_are_named(
    optimised_kernel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "run.json"
    assert main(["boot", str(optimised_kernel), "--lint", "tlb", "--serial", "null", "--json", str(record)]) == 33
    lines = [line.removeprefix("hillemu:").strip() for line in capsys.readouterr().err.splitlines()]
    at = next(number for number, line in enumerate(lines) if line.startswith("TLB: stale translation"))
    used, used_from, changed, changed_from = lines[at : at + 4]
    assert re.search(rf"read by 0x[0-9a-f]{{8}} <read_word(\+0x[0-9a-f]+)?> at {line_of('load')}, ", used)
    assert re.search(rf"^called from 0x\S+ <use\S*> at {line_of('uses')}, from 0x\S+ <kernel_main\+\S+> at ", used_from)
    assert line_of("main uses") in used_from
    assert re.search(rf"by 0x\S+ <set_entry\S*> at {line_of('store')}, without INVLPG", changed)
    names = re.findall(r"<(\w+)(?:\+\w+)?> at (\S+?)(?:,|$)", changed_from)
    assert names[:2] == [("map_and_forget", line_of("forgets")), ("deep", line_of("deep"))]
    assert [name for name, _ in names] == ["map_and_forget", "deep", "deep", "deep"]
    (use,) = json.loads(record.read_text())["tlb_lint"]["stale_uses"]
    assert ", from ".join(use["used_callers_names"]) == used_from.removeprefix("called from ")
    assert len(use["used_callers"]) == 3  # use, kernel_main, _start


def test_pytest_explains_a_finding_with_its_callers(optimised_kernel: Path) -> None:
    machine = Machine(mem="16M")
    machine.lint_tlb()
    machine.load(str(optimised_kernel))
    machine.run()
    uses = machine.stale_uses
    assert uses == list(uses)
    assert uses != []
    told = explain("==", uses, [])
    assert told is not None
    assert told[0] == "<stale translations used: 1> == []"
    assert told[1:] == uses.lines(callers=2)
    assert "<map_and_forget" in str(uses)
    assert sum(map(len, told)) < 640
    assert len(told) <= 8


def test_who_did_not_look_is_told_how() -> None:
    with pytest.raises(OptionError, match=r"call lint_tlb\(\) before the run"):
        _ = Machine(mem="16M").stale_uses


BOOT_SECTOR = """
.code16
_start: cli; xor ax, ax; mov ds, ax; mov ss, ax; mov sp, 0x7000
    lgdt [table]; mov eax, cr0; or al, 1; mov cr0, eax; .byte 0xEA; .word protected, 8
.code32
protected: mov ax, 16; mov ds, ax; mov es, ax; mov ss, ax; mov esp, 0x7000
    mov edi, 0x11000; mov eax, 3
1:  mov [edi], eax; add edi, 4; add eax, 0x1000; cmp eax, 0x400003; jne 1b
    mov dword ptr [0x10000], 0x11003; mov eax, 0x10000; mov cr3, eax
    mov eax, cr0; or eax, 0x80010000; mov cr0, eax
    call touch; call remap; call touch; cli; hlt
touch: mov eax, [0x200000]; ret
remap: mov dword ptr [0x11800], 0x201003; ret
.balign 8
entries: .quad 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF
table: .word 23; .long entries
.org 510; .word 0xAA55
"""


@pytest.mark.parametrize("option", [("--disk",), ("--floppy",)])
def test_a_disks_kernel_has_the_names_of_a_file(
    option: tuple[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk, symbols = tmp_path / "disk.img", tmp_path / "kernel.elf"
    disk.write_bytes(assemble_text(BOOT_SECTOR, layout=Layout(flat=True, base=0x7C00)).data.ljust(1_474_560, b"\0"))
    symbols.write_bytes(assemble_text(BOOT_SECTOR, layout=Layout(base=0x7C00)).data)
    for named in ((), ("--symbols", str(symbols))):
        main(["boot", *option, str(disk), "--lint", "tlb", "--serial", "null", *named])
        told = capsys.readouterr().err
        assert "stale translation of 0x00200000: read by 0x00007c" in told
        assert ("<touch>" in told, "<remap>" in told, "called from 0x00007c" in told) == (
            bool(named),
            bool(named),
            True,
        )
    assert "(cli; hlt, at 0x" in told
    assert re.search(r"stopped: halt \(cli; hlt, at 0x\S+ <", told)


def test_a_file_without_symbols_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boot", "--lint", "tlb", "--serial", "null", "--symbols", __file__]) == 125
    assert "--symbols: " in (told := capsys.readouterr().err)
    assert " has none" in told

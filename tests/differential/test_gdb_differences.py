"""Where our stub and QEMU's differ: each row of the table in docs/debugging.md, seen with the same GDB on both.

If a QEMU to come does as we do, a test fails, and its row can go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest
from gdb_session import DebuggedHillemu, build_modes, kernel_of, qemu_waiting, run_gdb

from hillemu.debugging.server import SCRIPT

LIST = "x/i $pc"
TICKS = "p *(int *)&ticks"
TIMER = """
    mov esp, 0x300000; lgdt [gdt_pointer]; push 8; push offset 1f; retf
1:  mov ecx, 256; mov edi, 0x202000
2:  mov eax, offset handler; mov [edi], ax; mov dword ptr [edi + 2], 0x8E000008; shr eax, 16; mov [edi + 6], ax
    add edi, 8; loop 2b
    lidt [idt_pointer]; mov al, 0x34; out 0x43, al; mov al, 5; out 0x40, al; mov al, 0; out 0x40, al
busy: sti; mov ecx, 100000
3:  inc edx; loop 3b
    mov ecx, 3; mov edi, 0x200000
strings: rep stosb
    rdtsc
done: nop
halts: hlt
    nop; nop
dies: lidt [none]; mov ebx, 0x1234; ud2
handler: inc dword ptr [ticks]; push eax; mov al, 0x20; out 0x20, al; pop eax; iretd
.data
ticks: .long 0
gdt: .quad 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF
gdt_pointer: .word 23; .long gdt
idt_pointer: .word 0x7FF; .long 0x202000
none: .word 0; .long 0"""

Compare = Callable[..., tuple[str, str]]


@pytest.fixture
def compare(need_tool: Callable[[str], str]) -> Compare:
    """`compare(image, *commands)` is what GDB says with hillemu, and with QEMU; an image may be a floppy's."""
    gdb, qemu = need_tool("gdb"), need_tool("qemu-system-i386")

    def both(image: Path, *commands: str, script: bool = False) -> tuple[str, str]:
        is_kernel = image.suffix == ".elf"
        symbols = image if is_kernel else None
        with DebuggedHillemu(gdb, image) as machine:
            ours = machine.debug(*commands, "kill", symbols=symbols, scripts=(SCRIPT,) if script else ())
        boot = ("-kernel", image) if is_kernel else ("-drive", f"file={image},format=raw,if=floppy")
        with qemu_waiting(qemu, *boot) as address:
            theirs = run_gdb(gdb, address, *commands, "kill", symbols=symbols)
        return ours, theirs

    return both


@pytest.fixture
def timer(tmp_path: Path) -> Path:
    return kernel_of(tmp_path, TIMER)


@pytest.fixture(scope="module")
def floppy(gcc_m32: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_modes(gcc_m32, tmp_path_factory.mktemp("modes"))[0]


def values(text: str) -> list[str]:
    """What ``p`` printed."""
    return re.findall(r"^\$\d+ = (.*)$", text, re.MULTILINE)


def test_the_first_instruction_is_the_kernels_and_not_the_firmwares(compare: Compare, timer: Path) -> None:
    ours, theirs = compare(timer, "info symbol $pc", "p/x $pc")
    assert "_start in section" in ours
    assert values(theirs) == ["0xfff0"]


def test_a_line_is_stepped_through_by_the_machine_and_not_by_gdb(compare: Compare, timer: Path) -> None:
    """The letter r is what GDB looks for before it asks for a range of steps."""
    ours, theirs = compare(timer, "maint packet vCont?")
    actions = [re.search(r'received: "vCont([;a-zA-Z]*)"', said) for said in (ours, theirs)]
    assert ["r" in (found[1] if found else "").split(";") for found in actions] == [True, False]
    assert all(found and "s" in found[1].split(";") for found in actions)


def test_the_program_counter_of_real_mode_is_linear_and_breakpoints_are_recognised(
    compare: Compare, floppy: Path
) -> None:
    ours, theirs = compare(floppy, "break *0x7c2b", "continue", "p/x $pc", LIST)
    assert "Breakpoint 1, 0x00007c2b" in ours
    assert values(ours) == ["0x7c2b"]
    assert re.search(r"=> 0x7c2b:\s+mov +\$0x5678,%bx", ours)
    assert "Breakpoint 1, " not in theirs
    assert values(theirs) == ["0x2b"]
    assert "$0x5678" not in theirs


def test_code_is_disassembled_as_the_processor_runs_it_in_one_session(compare: Compare, floppy: Path) -> None:
    """A breakpoint in 16-bit code, which says what it is, then one in 32-bit code."""
    commands = ("break *0x7c2b", "continue", "x/i 0x7c2b", "break *0x7c3e", "continue", "x/i 0x7c3e")
    ours, theirs = compare(floppy, *commands, script=True)
    assert re.search(r"0x7c2b:\s+mov +\$0x5678,%bx", ours)
    assert re.search(r"0x7c3e:\s+mov +\$0x90000,%esp", ours)
    assert re.search(r"0x7c3e:\s+mov +\$0x90000,%esp", theirs)
    assert not re.search(r"0x7c2b:\s+mov +\$0x5678,%bx", theirs)
    _, told = compare(floppy, *commands[:2], "set architecture i8086", "x/i 0x7c2b")
    assert "is set to" in told
    assert not re.search(r"0x7c2b:\s+mov +\$0x5678,%bx", told), "what GDB is told is overridden"


def test_steps_take_the_interrupts_that_are_due(compare: Compare, timer: Path) -> None:
    ours, theirs = compare(timer, "tbreak busy", "continue", "stepi 1000", TICKS)
    assert int(values(ours)[0]) == 2
    assert values(theirs) == ["0"]


def test_a_step_at_hlt_executes_it_and_the_next_waits_for_the_interrupt(compare: Compare, timer: Path) -> None:
    step = ["stepi", 'printf "$0 = %d\\n", $pc - (int)&halts', "info symbol $pc"]
    ours, theirs = compare(timer, "tbreak halts", "continue", *step * 16)
    assert values(ours)[0] == "1"
    assert "handler + " in ours.partition("$0 = 1")[2]
    # As if nothing had to wake it; on a busy host some of QEMU's steps go nowhere, or stand behind HLT for a while.
    assert set(values(theirs)[: values(theirs).index("2")]) <= {"0", "1"}
    assert "handler + " not in theirs.partition("$0 = 2")[0]


def test_rep_is_stepped_alike(compare: Compare, timer: Path) -> None:
    """One iteration a step, and the last one leaves it: this is no difference, though it is easily one."""
    steps = ["stepi", 'printf "$0 = %d %d\\n", $pc - (int)&strings, $ecx'] * 8
    ours, theirs = compare(timer, "tbreak busy", "continue", "tbreak strings", "continue", *steps)
    assert values(ours)[:3] == ["0 2", "0 1", "2 0"]
    # On a busy host some of QEMU's steps go nowhere.
    assert [place for place, _ in groupby(["0 3", *values(theirs)])][1:4] == values(ours)[:3]


def test_every_session_is_the_same_run(compare: Compare, timer: Path) -> None:
    (ours, theirs), (again, anew) = (compare(timer, "tbreak done", "continue", "p/x $eax", TICKS) for _ in range(2))
    assert values(ours) == values(again)
    assert values(theirs)[0] != values(anew)[0], "its time-stamp counter counts the host's time"


REGISTERS = {
    "both": ("fs_base", "gs_base", "cr0", "cr2", "cr3", "cr4", "efer"),
    "qemu": ("k_gs_base", "cr8"),
    "ours": (
        *("ip", "code_size", "cs_base", "ss_base", "ds_base", "es_base", "gdtr_base", "gdtr_limit", "idtr_base"),
        *("idtr_limit", "ldtr", "ldtr_base", "tr", "tr_base", "dr0", "dr1", "dr2", "dr3", "dr6", "dr7"),
    ),
}


def test_registers_beside_gdbs_own(compare: Compare, timer: Path) -> None:
    names = [name for group in REGISTERS.values() for name in group]
    ours, theirs = (
        {name for name, value in zip(names, values(text), strict=True) if value != "void"}
        for text in compare(timer, *(f"p ${name}" for name in names))
    )
    assert ours == {*REGISTERS["both"], *REGISTERS["ours"]}
    assert theirs == {*REGISTERS["both"], *REGISTERS["qemu"]}


def test_any_run_goes_backwards(compare: Compare, timer: Path) -> None:
    ours, theirs = compare(timer, "tbreak done", "continue", "reverse-stepi", LIST)
    assert re.search(r"=> .*rdtsc", ours)
    assert "does not support this command" in theirs


def test_conditions_are_evaluated_beside_the_machine(compare: Compare, timer: Path) -> None:
    ours, theirs = compare(timer, "break *busy+6 if $ecx == 99999", "continue", "p $ecx", "info breakpoints")
    assert values(ours) == values(theirs) == ["99999"]
    assert "(target evals)" in ours
    assert "stop only if $ecx == 99999\n" in theirs


def test_a_triple_fault_leaves_everything_to_look_at(compare: Compare, timer: Path) -> None:
    ours, theirs = compare(timer, "tbreak halts", "continue", "jump dies", "p/x $ebx")
    assert "SIGSEGV" in ours
    assert values(ours) == ["0x1234"]
    assert "exited" in theirs
    assert values(theirs) in ([], ["<error: No registers.>"])

"""Programs on profile orange: what they may ask for, and what happens to those that do what they may not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hosted_programs import C_FLAGS
from orange_programs import EXIT, STATUS, WAIT, kernel_of, orange_with, run, said, spoken

from hillemu.boot.shipped import shipped_image
from hillemu.emu.stop import StopReason
from hillemu.kernel.profiles.orange.pf_list import Protection
from hillemu.machine import Machine

# ---- what programs may not do


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("mov eax, [0]", "#PF page fault at 0x00000000, error code 0x5"),
        ("mov eax, [0x501000]", "#PF page fault at 0x00501000, error code 0x5"),
        ("mov dword ptr [0x100000], 0", "#PF page fault at 0x00100000, error code 0x7"),
        ("mov eax, [0xE0000000]", "#PF page fault at 0xE0000000, error code 0x4"),
        ("mov dword ptr [0x40000000], 0", "#PF page fault at 0x40000000, error code 0x7"),
        ("mov eax, [0x40800000]", "#PF page fault at 0x40800000, error code 0x4"),
        ("1: push eax\n jmp 1b", "#PF page fault at 0xBFFFBFFC, error code 0x6"),
        ("cli", "#GP general protection, error code 0x0"),
        ("int 0x81", "#GP general protection, error code 0x40a"),
        ("ud2", "#UD invalid opcode, error code 0x0"),
        ("xor edx, edx\n div edx", "#DE divide error, error code 0x0"),
    ],
)
def test_a_program_that_does_what_it_may_not_ends_and_gives_all_back(tmp_path: Path, body: str, told: str) -> None:
    machine = orange_with({"prog": f'{body}\n tell "still here"\n{EXIT}'}, tmp_path)
    lines = spoken(machine)
    assert lines[0].startswith(f"prog[1]: {told}, EIP 0x4000"), lines
    assert lines[1].startswith("kernel: prog[1] was killed by signal")
    assert len(lines) == 2
    assert len(kernel_of(machine).reports) == 1


def test_a_parent_learns_how_its_child_was_killed(tmp_path: Path) -> None:
    body = f"""
        system_call SYS_FORK
        test eax, eax
        jz 1f
        {WAIT}
        mov eax, [status]
        call tell_hex
        {EXIT}
    1:  mov byte ptr [0], 0
        {STATUS}
    """
    assert said(tmp_path, body)[1:] == ["B", "kernel: prog[1] exited with code 0"]  # SIGSEGV


def test_text_is_read_only_in_the_list_too(tmp_path: Path) -> None:
    machine = orange_with({"prog": '1: tell "on\\n"\njmp 1b'}, tmp_path)
    assert machine.run(until="on\non\n", max_insns=20_000_000).reason is StopReason.UNTIL
    pf_list = kernel_of(machine).mm.pf_list
    seen = {}
    for at in (0x40000000, 0xBFFFF000):
        number = pf_list.number(machine.paging[at].phys or 0)
        assert number is not None
        seen[at] = pf_list[number].protection
    assert seen == {0x40000000: Protection.READ_ONLY, 0xBFFFF000: Protection.READ_WRITE}
    assert kernel_of(machine).check() == []


# ---- system calls


@pytest.mark.parametrize(
    ("call", "result"),
    [
        ("system_call SYS_WRITE, 1, 0, 5", "-14"),
        ("system_call SYS_WRITE, 1, 0x501000, 5", "-14"),
        ("system_call SYS_WRITE, 1, 0xBFFFFFFE, 5", "-14"),
        ("system_call SYS_WRITE, 1, 0xFFFFFFF0, 0x40", "-14"),
        ("system_call SYS_WRITE, 1, 0xBFFFF000, 0x1800", "4096"),
        ("system_call SYS_WRITE, 3, (offset _start), 5", "-9"),
        ("system_call SYS_WRITE, 1, (offset _start), 0", "0"),
        ("system_call SYS_WAITPID, -1, 0, 0", "-10"),
        ("system_call SYS_WAITPID, -1, 0, 2", "-22"),
        ("system_call SYS_BRK, 0", "-38"),
        ("system_call SYS_YIELD", "0"),
        ("system_call SYS_GETPID", "1"),
        ("system_call 64", "0"),
    ],
)
def test_system_calls_give_linux_s_errors(tmp_path: Path, call: str, result: str) -> None:
    body = f"""
        {call}
        test eax, eax
        jns 1f
        neg eax
        tell "-"
    1:  call tell_hex
        {EXIT}
    """
    number = int(result)
    told = said(tmp_path, body)[0].rpartition("\0")[2]  # one writes its stack before
    assert told == f"{'-' if number < 0 else ''}{abs(number):X}"


def test_waitpid_with_a_status_that_nobody_may_write_gives_efault(tmp_path: Path) -> None:
    body = f"""
        system_call SYS_FORK
        test eax, eax
        jz 1f
        system_call SYS_WAITPID, -1, (offset _start), 0
        neg eax
        call tell_hex
        {EXIT}
    1:  {EXIT}
    """
    assert said(tmp_path, body)[0] == "E"


def test_the_timer_lets_everybody_have_a_turn(tmp_path: Path) -> None:
    spin = f"""
        mov ecx, 3
    1:  mov eax, 4000000
    2:  dec eax
        jnz 2b
        tell "{{0}}"
        loop 1b
        tell "\\n"
        {EXIT}
    """
    machine = orange_with({"a": spin.format("a"), "b": spin.format("b")}, tmp_path)
    letters = "".join(line for line in spoken(machine) if not line.startswith("kernel"))
    assert sorted(letters) == list("aaabbb")
    assert letters not in ("aaabbb", "bbbaaa"), "one after the other"
    assert kernel_of(machine).scheduler.switches > 4


def test_coprocessor_registers_are_a_process_s_own(tmp_path: Path) -> None:
    body = f"""
        fld1
        fld1
        faddp                                   # 2
        system_call SYS_FORK
        test eax, eax
        jz child
        fld st(0)
        faddp                                   # 4
        {WAIT}
        fistp dword ptr [number]
        mov eax, [number]
        call tell_hex
        {EXIT}
    child:
        fld st(0)
        fmulp
        fld1
        faddp                                   # 5
        system_call SYS_YIELD
        fistp dword ptr [number]
        mov eax, [number]
        call tell_hex
        {EXIT}
        {STATUS}
        .bss
        number: .space 4
        .text
    """
    assert said(tmp_path, body)[:2] == ["5", "4"]


def test_arguments_are_on_the_stack(tmp_path: Path) -> None:
    body = f"""
        mov eax, [esp]
        call tell_hex
        mov ecx, [esp + 4]
        call tell_line
        mov ecx, [esp + 12]
        call tell_line
        {EXIT}
    """
    orange_with({"prog": body}, tmp_path)
    machine = Machine(mem="32M")
    machine.load_kernel(profile="orange", modules=[(str(tmp_path / "prog"), "one two")])
    run(machine)
    assert "\n3\nprog\ntwo\nkernel: prog[1] exited with code 0\n" in machine.serial.text


# ---- files that are no programs


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("text", b"hello", "exec: text is no ELF file"),
        (
            "memory_test.elf", shipped_image("memory_test.elf"),
            "programs lie between 0x40000000 and 0xBFFFC000 (link with -Wl,-Ttext-segment=0x40000000)",
        ),
    ],
)  # fmt: skip
def test_what_is_no_program_for_this_kernel_is_told(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    machine = orange_with({name: data}, tmp_path)
    assert run(machine).reason is StopReason.POWER_OFF
    reports = kernel_of(machine).reports
    assert told in reports[0]
    assert reports[1:] == [f"kernel: cannot start {name}: ENOEXEC"]


@pytest.mark.parametrize(
    ("mib", "mem", "reason"),
    [
        (17, "256M", "exec: prog takes 17464 KB with its page tables; a process has 16384 KB\n"),
        (4, "8M", "refused: there are no "),
    ],
)
def test_a_program_that_is_too_large_is_told(tmp_path: Path, mib: int, mem: str, reason: str) -> None:
    machine = orange_with({"prog": f"{EXIT}\n.bss\n.space {mib << 20}\n.text"}, tmp_path, mem=mem)
    assert run(machine).reason is StopReason.POWER_OFF
    assert kernel_of(machine).reports[-1] == "kernel: cannot start prog: ENOMEM"
    assert reason in machine.serial.text
    assert kernel_of(machine).check() == []


def test_arguments_that_do_not_fit_on_the_stack_are_told(tmp_path: Path) -> None:
    orange_with({"prog": EXIT}, tmp_path)
    machine = Machine(mem="32M")
    machine.load_kernel(profile="orange", modules=[(str(tmp_path / "prog"), "x" * 20_000)])
    run(machine)
    assert kernel_of(machine).reports == ["kernel: cannot start prog: E2BIG"]


def test_a_c_program_linked_to_40000000h_runs(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    import subprocess

    source = tmp_path / "c.c"
    source.write_text("""
        static int call(int number, int a, const void *b, int c)
        {
            int result;
            __asm__ volatile("int 0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
            return result;
        }
        static char text[6000] = "written\\n";
        void _start(void)
        {
            text[5999] = 1;
            if (call(2, 0, 0, 0) == 0) {
                text[0] = 'W';
                call(4, 1, text, 8);
                call(1, 0, 0, 0);
            }
            call(7, -1, 0, 0);
            call(4, 1, text, 8);
            call(1, text[5999], 0, 0);
        }
    """)
    flags = [flag.replace("0x400000", "0x40000000") for flag in C_FLAGS]
    program = tmp_path / "c"
    subprocess.run([need_tool("gcc"), *flags, str(source), "-o", str(program)], check=True)
    machine = orange_with({"c": program.read_bytes()}, tmp_path)
    assert spoken(machine) == ["Written", "written", "kernel: c[1] exited with code 1"]

"""Programs on the hosted kernel: what they may do, and what happens to those that do what they may not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hosted_programs import kernel_with, run_to_the_end

from hillemu.machine import Machine

WAIT_FOR_PID = """
        mov ebx, [pid]
        mov ecx, offset status
        xor edx, edx
        mov eax, SYS_WAITPID
        int 0x80
"""


def say_of(folder: Path, body: str, *, append: str = "", mem: str = "16M") -> list[str]:
    """What a single program says, and what the kernel says of it."""
    return run_to_the_end(kernel_with(folder, {"prog": body}, append=append, mem=mem))


@pytest.mark.parametrize("append", ["", "paging=pae"])
def test_the_seed_s_program_says_what_the_seed_says(append: str) -> None:
    machine = Machine(mem="64M")
    machine.load_kernel(append=f"tests=off {append}")
    machine.run(max_insns=20_000_000)
    text = machine.serial.text
    for line in ("old_brk = 0x8000000", "new_brk = 0x8001000", "String: Hello", "Mmap string: Mmap!"):
        assert f"\n{line}\n" in text
    assert "\nMemory test completed!\nkernel: memory_test.elf[1] exited with code 0\n" in text


def test_a_child_has_its_parent_s_memory_and_changes_only_its_own(tmp_path: Path) -> None:
    body = f"""
        mov dword ptr [shared], 0x31
        system_call SYS_FORK
        test eax, eax
        jz child
        mov [pid], eax
        {WAIT_FOR_PID}
        cmp eax, [pid]
        jne wrong
        cmp dword ptr [status], 7 << 8
        jne wrong
        cmp dword ptr [shared], 0x31
        jne wrong
        tell "parent: child exited with 7, my memory is as it was\\n"
        system_call SYS_EXIT, 0
    child:
        cmp dword ptr [shared], 0x31
        jne wrong
        mov dword ptr [shared], 0x32
        tell "child: changed mine\\n"
        system_call SYS_EXIT, 7
    wrong:
        tell "WRONG\\n"
        system_call SYS_EXIT, 1
    .bss
    shared: .space 4
    pid: .space 4
    status: .space 4
    """
    assert say_of(tmp_path, body) == [
        "child: changed mine",
        "parent: child exited with 7, my memory is as it was",
        "kernel: prog[1] exited with code 0",
    ]


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("mov dword ptr [0], 1", "prog[1]: write to 0x00000000: nothing is mapped there; EIP 0x"),
        ("mov eax, [0xC0100000]", "prog[1]: read of 0xC0100000: nothing is mapped there; EIP 0x"),
        ("mov dword ptr [_start], 1", "prog[1]: write to 0x00400"),
        ("ud2", "prog[1]: #UD invalid opcode, error code 0x0, EIP 0x"),
        ("cli", "prog[1]: #GP general protection"),
        ("int 0x81", "prog[1]: #GP general protection"),
        ("int 0x20", "prog[1]: #GP general protection"),
        ("in al, 0x60", "prog[1]: #GP general protection"),
        ("mov al, 1\n out 0xB0, al", "prog[1]: #GP general protection"),
        ("xor ecx, ecx\n div ecx", "prog[1]: #DE divide error"),
        ("int3", "prog[1]: #BP breakpoint"),
        ("push 0x37B\nfldcw word ptr [esp]\nfld1\nfldz\nfdivp st(1), st\nfwait", "prog[1]: #MF x87 FPU error"),
        ("clts", "prog[1]: #GP general protection"),
    ],
)
def test_a_program_that_does_what_it_may_not_dies_and_the_kernel_goes_on(tmp_path: Path, body: str, line: str) -> None:
    signals = {"#UD": "4 (SIGILL)", "#DE": "8 (SIGFPE)", "#MF": "8 (SIGFPE)", "#BP": "5 (SIGTRAP)"}
    signal = next((text for name, text in signals.items() if name in line), "11 (SIGSEGV)")
    machine = kernel_with(tmp_path, {"prog": body, "other": 'tell "I live\\n"\nsystem_call SYS_EXIT, 0'})
    said = run_to_the_end(machine)
    assert len([one for one in said if one.startswith(line)]) == 1, said
    assert f"kernel: prog[1] was killed by signal {signal}" in said
    assert "I live" in said
    assert machine.kernel.reports == [next(one for one in said if one.startswith(line))]


@pytest.mark.parametrize(
    ("call", "access", "line"),
    [
        ("SYS_MUNMAP, ebp, 4096", "mov eax, [ebp]", "prog[1]: read of 0x0C000000: nothing is mapped there"),
        ("SYS_MPROTECT, ebp, 4096, 1", "mov [ebp], eax", "prog[1]: write to 0x0C000000: its area is r--"),
        ("SYS_MPROTECT, ebp, 4096, 0", "mov eax, [ebp]", "prog[1]: read of 0x0C000000: its area is ---"),
    ],
)
def test_the_processor_forgets_at_once_what_a_call_takes_away(
    tmp_path: Path, call: str, access: str, line: str
) -> None:
    """It has just used the page, for reading and for writing, so it remembers the translation."""
    body = f"""
        system_call SYS_MMAP2, 0, 4096, 3, 0x22, -1, 0
        mov ebp, eax
        mov dword ptr [ebp], 1
        mov eax, [ebp]
        system_call {call}
        {access}
        tell "it is still there\\n"
    """
    said = run_to_the_end(kernel_with(tmp_path, {"prog": body}))
    assert said[0].startswith(line), said


def test_a_null_data_segment_in_a_program_does_not_hurt_the_kernel(tmp_path: Path) -> None:
    body = """
        xor eax, eax
        mov ds, eax
        mov es, eax
        mov eax, SYS_GETPID
        int 0x80
        cmp eax, 1
        jne 1f
        mov eax, ds
        test eax, eax
        jnz 1f
        mov eax, SYS_EXIT
        mov ebx, 5
        int 0x80
    1:  ud2
    """
    assert say_of(tmp_path, body) == ["kernel: prog[1] exited with code 5"]


@pytest.mark.parametrize(
    ("call", "errno"),
    [
        ("SYS_WRITE, STDOUT, 0xC0100000, 4", 14),
        ("SYS_WRITE, STDOUT, 0, 4", 14),
        ("SYS_WRITE, 7, 0, 4", 9),
        ("SYS_WRITE, STDOUT, 0xFFFFFFFE, 0x7FFFFFFF", 14),
        ("SYS_WAITPID, -1, 0, 0", 10),
        ("SYS_WAITPID, 0, 0, 0", 22),
        ("SYS_EXECVE, 0xC0000000, 0, 0", 14),
        ("SYS_SLEEP, 0x1000", 14),
        ("SYS_MMAP2, 0, 4096, 3, 2, 9, 0", 9),
        ("SYS_MMAP2, 0, 0, 3, 0x22, -1, 0", 22),
        ("SYS_MUNMAP, 0x1001, 4096", 22),
        ("9999", 38),
        ("0xFFFFFFFF", 38),
    ],
)
def test_a_call_with_wrong_arguments_gives_an_error_number(tmp_path: Path, call: str, errno: int) -> None:
    body = f"system_call {call}\nneg eax\nmov ebx, eax\nmov eax, SYS_EXIT\nint 0x80"
    assert say_of(tmp_path, body) == [f"kernel: prog[1] exited with code {errno}"]


def test_two_programs_that_never_give_way_share_the_processor(tmp_path: Path) -> None:
    body = """
        mov esi, 3
    1:  mov ecx, 1500000
    2:  loop 2b
        tell "{name}\\n"
        dec esi
        jnz 1b
        system_call SYS_EXIT, 0
    """
    said = run_to_the_end(kernel_with(tmp_path, {name: body.format(name=name) for name in ("a", "b")}))
    spoken = [line for line in said if len(line) == 1]
    assert sorted(spoken) == ["a", "a", "a", "b", "b", "b"]
    assert spoken[:2] in (["a", "b"], ["b", "a"])


def test_yield_lets_the_other_one_go_first(tmp_path: Path) -> None:
    body = """
        mov esi, 3
    1:  tell "{name}"
        system_call SYS_YIELD
        dec esi
        jnz 1b
        system_call SYS_EXIT, 0
    """
    said = run_to_the_end(kernel_with(tmp_path, {name: body.format(name=name) for name in ("a", "b")}))
    assert said[0].startswith("ababab")


def test_sleepers_wake_in_the_order_of_their_times(tmp_path: Path) -> None:
    body = """
        mov ebx, offset time
        mov eax, SYS_SLEEP
        int 0x80
        tell "{name}\\n"
        system_call SYS_EXIT, 0
    .section .rodata
    .balign 4
    time: .long {seconds}, {ns}
    """
    times = {"late": (1, 0), "early": (0, 50_000_000), "middle": (0, 300_000_000)}
    programs = {name: body.format(name=name, seconds=time[0], ns=time[1]) for name, time in times.items()}
    machine = kernel_with(tmp_path, programs)
    said = run_to_the_end(machine)
    assert [line for line in said if line in times] == ["early", "middle", "late"]
    assert 1_000_000_000 <= machine.clock.now_ns <= 1_200_000_000


def test_exec_becomes_another_program_with_arguments(tmp_path: Path) -> None:
    first = """
        mov ebx, offset path
        mov ecx, offset arguments
        xor edx, edx
        mov eax, SYS_EXECVE
        int 0x80
        tell "exec failed\\n"
        system_call SYS_EXIT, 1
    .section .rodata
    path: .asciz "second"
    one:  .asciz "forty"
    two:  .asciz "two"
    .balign 4
    arguments: .long path, one, two, 0
    """
    second = """
        cmp dword ptr [esp], 3
        jne 1f
        mov ecx, [esp + 8]
        call tell_line
        mov ecx, [esp + 12]
        call tell_line
        system_call SYS_GETPID
        mov ebx, eax
        mov eax, SYS_EXIT
        int 0x80
    1:  tell "run without arguments\\n"
        system_call SYS_EXIT, 9
    """
    said = run_to_the_end(kernel_with(tmp_path, {"first": first, "second": second}, append="init=first"))
    assert said == ["forty", "two", "kernel: second[1] exited with code 1"]


def test_exec_of_what_is_no_program_leaves_the_caller_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    machine = Machine(mem="16M")
    body = """
        mov ebx, offset path
        xor ecx, ecx
        xor edx, edx
        mov eax, SYS_EXECVE
        int 0x80
        neg eax
        mov ebx, eax
        mov eax, SYS_EXIT
        int 0x80
    .section .rodata
    path: .asciz "text"
    """
    from hosted_programs import build_program

    machine.load_kernel(modules=[build_program(body, tmp_path / "prog"), str(tmp_path / "text")], append="tests=off")
    machine.run(max_insns=20_000_000)
    assert "exec: text is no ELF file\nkernel: prog[1] exited with code 8\n" in machine.serial.text


def test_orphans_end_without_anybody_waiting(tmp_path: Path) -> None:
    body = """
        system_call SYS_FORK
        test eax, eax
        jnz 1f
        system_call SYS_YIELD
        tell "orphan\\n"
    1:  system_call SYS_EXIT, 0
    """
    assert sorted(say_of(tmp_path, body)) == [
        "kernel: prog[1] exited with code 0",
        "kernel: prog[2] exited with code 0",
        "orphan",
    ]


def test_forking_without_end_ends_when_memory_does(tmp_path: Path) -> None:
    body = """
    1:  system_call SYS_FORK
        test eax, eax
        js 2f
        jnz 1b
        mov ebx, offset time
        mov eax, SYS_SLEEP
        int 0x80
        system_call SYS_EXIT, 0
    2:  tell "no more\\n"
        system_call SYS_EXIT, 0
    .section .rodata
    .balign 4
    time: .long 3, 0
    """
    said = say_of(tmp_path, body, mem="8M")
    assert "no more" in said or any("out of memory: killed" in line for line in said)

"""Programs of profile bitmap: demand paging, page replacement, protection, system calls, and what they leave behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bitmap_machine import INSTRUCTIONS, bitmap_with, kernel_of, run_to_the_end

from hillemu.emu.stop import StopReason
from hillemu.kernel.options import KernelOptions
from hillemu.kernel.replacement_trace import POLICIES
from hillemu.machine import Machine

# ---- demand paging, replacement -------------------------------------------------------------------------------------


def test_pages_come_when_they_are_touched(tmp_path: Path) -> None:
    body = """
    mov eax, [data]             # a page of the file
    mov [room + 8192], eax      # a page of zeros
    mov ebx, [room + 8192]
    sub ebx, 0x12345678
    system_call SYS_EXIT, ebx
    .data
    data: .long 0x12345678
    .bss
    room: .space 5*4096
    .text
    """
    machine = bitmap_with(tmp_path, {"demand": body})
    assert run_to_the_end(machine) == ["kernel: demand[1] exited with code 0"]
    # text, data, one page of room, and the stack, where the kernel has put the arguments
    assert re.search(r"4 faults: 2 zero, 2 file|4 faults: 1 zero, 3 file", machine.serial.text), machine.serial.text


@pytest.mark.parametrize("policy", sorted(POLICIES))
@pytest.mark.parametrize("frames", [6, 9, 17])
def test_pages_that_left_come_back_as_they_were_under_every_policy(policy: str, frames: int) -> None:
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap", append=f"frames={frames} policy={policy}", options=KernelOptions(check=True))
    most = 0

    def look() -> bool:
        nonlocal most
        if machine.kernel.has_started:
            most = max(most, len(machine.kernel.residents.places))
        return False

    stop = machine.run(max_insns=INSTRUCTIONS, between=look)
    assert stop.reason is StopReason.POWER_OFF
    text = machine.serial.text
    assert "paging: 16 pages are as they were written\n" in text
    assert "all is well" in text
    assert most <= frames
    assert f", at most {frames} frames; " in text
    (faults, from_swap, evicted) = map(int, re.findall(r"(\d+) faults: .* (\d+) swap; (\d+) evicted", text)[0])
    assert (from_swap > 0, evicted > 0) == (True, True)
    assert faults > 24, "that many there are without a limit"


def test_a_policy_of_the_user_s_evicts_in_this_kernel_too(tmp_path: Path) -> None:
    victims: list[int] = []

    class First:
        """The lowest frame goes."""

        def __init__(self, pages: object) -> None:
            self.pages = pages

        def victim(self) -> int | None:
            frame = next(self.pages.program_pages(), None)  # type: ignore[attr-defined]
            victims.append(frame)
            return frame

    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap", append="frames=8", options=KernelOptions(page_replacement=First, check=True))
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.POWER_OFF
    assert len(victims) > 10


def test_a_program_that_needs_more_than_there_is_is_killed_and_the_next_one_runs(tmp_path: Path) -> None:
    grab = """
    system_call SYS_BRK, 0
    mov edi, eax
    lea eax, [edi + 0x2000000]          # 32 MiB of heap in a machine with 16
    system_call SYS_BRK, eax
1:  mov [edi], edi
    add edi, 4096
    jmp 1b
    """
    machine = bitmap_with(tmp_path, {"grab": grab, "after": "system_call SYS_EXIT, 3\n"})
    machine.run(until=r"kmalloc\(1024\)", max_insns=INSTRUCTIONS)
    kernel_of(machine).residents.store.slots = 0  # type: ignore[misc]  # no swap
    said = run_to_the_end(machine)
    assert re.match(r"grab\[1\]: out of memory at 0x4\w{7}; EIP 0x", said[0])
    assert said[1:] == ["kernel: grab[1] was killed by signal 9 (SIGKILL)", "kernel: after[2] exited with code 3"]


# ---- protection of programs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("mov eax, [0x10000]\n", "read of 0x00010000, which is not the program's"),
        ("mov [0x30000000], eax\n", "write to 0x30000000, which is not the program's"),
        ("mov eax, [0]\n", "read of 0x00000000, which is not the program's"),
        (
            "mov [constant], eax\n.section .rodata\nconstant: .long 1\n.text\n",
            "write to read-only page 0x40001000 (r--)",
        ),
        ("1: push eax\n jmp 1b\n", "write to 0xFFFEEFFC, in the guard page below its stack"),
        ("mov eax, [0xFFFFF000]\n", "read of 0xFFFFF000, which is not the program's"),
        ("cli\n", "#GP general protection, error code 0x0"),
        ("in al, 0x60\n", "#GP general protection, error code 0x0"),
        ("int 0x81\n", "#GP general protection, error code 0x40a"),
        ("xor ecx, ecx\n div ecx\n", "#DE"),
        ("ud2\n", "#UD"),
        ("fninit\n", "#NM"),
    ],
)
def test_a_program_that_does_what_it_may_not_ends_alone(body: str, said: str, tmp_path: Path) -> None:
    machine = bitmap_with(tmp_path, {"bad": body, "good": 'tell "still here\\n"\nsystem_call SYS_EXIT, 0\n'})
    lines = run_to_the_end(machine)
    assert lines[0].startswith(f"bad[1]: {said}")
    assert "EIP 0x4000" in lines[0]
    assert re.match(r"kernel: bad\[1\] was killed by signal \d+ \(SIG\w+\)", lines[1])
    assert lines[2:] == ["still here", "kernel: good[2] exited with code 0"]


def test_system_calls_refuse_what_they_cannot_do(tmp_path: Path) -> None:
    body = """
    system_call SYS_WRITE, 7, 0x40000000, 1      # no such file: EBADF
    cmp eax, -9
    jne 1f
    system_call SYS_WRITE, STDOUT, 0x3FFFFFFF, 4    # kernel space: EFAULT
    cmp eax, -14
    jne 1f
    system_call SYS_FORK                            # there is none: ENOSYS
    cmp eax, -38
    jne 1f
    system_call SYS_GETPID
    cmp eax, 1
    jne 1f
    system_call SYS_BRK, 0
    mov ebp, eax
    system_call SYS_BRK, 0x30000000                 # not the heap's place: nothing changes
    cmp eax, ebp
    jne 1f
    mov eax, [esp]                                  # argc
    cmp eax, 1
    jne 1f
    system_call SYS_EXIT, 0
1:  system_call SYS_EXIT, 1
    """
    assert run_to_the_end(bitmap_with(tmp_path, {"calls": body}))[-1] == "kernel: calls[1] exited with code 0"


def test_memory_that_the_heap_gives_up_is_free_and_zero_when_it_comes_back(tmp_path: Path) -> None:
    body = """
    system_call SYS_BRK, 0
    mov ebp, eax
    lea eax, [ebp + 4*4096]
    system_call SYS_BRK, eax
    mov dword ptr [ebp + 3*4096], 0x1234
    system_call SYS_BRK, ebp
    lea eax, [ebp + 4*4096]
    system_call SYS_BRK, eax
    mov ebx, [ebp + 3*4096]
    system_call SYS_EXIT, ebx
    """
    assert run_to_the_end(bitmap_with(tmp_path, {"heap": body}))[-1] == "kernel: heap[1] exited with code 0"


def test_files_that_are_no_programs_are_told_and_passed_over(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no program")
    machine = Machine(mem="16M")
    good = bitmap_with(tmp_path, {"good": "system_call SYS_EXIT, 0\n"})
    del good
    machine.load_kernel(
        profile="bitmap", modules=[str(tmp_path / "notes.txt"), str(tmp_path / "good")],
        options=KernelOptions(check=True),
    )  # fmt: skip
    assert run_to_the_end(machine) == ["kernel: notes.txt is no ELF file", "kernel: good[1] exited with code 0"]


def test_the_machine_has_all_its_pages_back_when_the_programs_have_ended(tmp_path: Path) -> None:
    """But for what the kernel itself keeps, whatever the programs did."""
    left = []
    for count in (1, 5):
        bodies = {f"p{number}": "push 1\nsystem_call SYS_EXIT, 0\n" for number in range(count)}
        machine = bitmap_with(tmp_path, bodies)
        run_to_the_end(machine)
        left.append(kernel_of(machine).pages.free_pages)
    assert left[0] == left[1]

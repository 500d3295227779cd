"""Processes of profile orange: fork on vm_alloc, memory of their own, and that all of it goes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from machine_outcome import outcome
from orange_programs import EXIT, STATUS, WAIT, kernel_of, orange_with, run, said, spoken

from hillemu.emu.stop import StopReason
from hillemu.kernel.mm.protection import PROT_READ, PROT_WRITE
from hillemu.kernel.profiles.orange.check import check
from hillemu.kernel.profiles.orange.layout import PROCESSES
from hillemu.kernel.profiles.orange.memory_manager import FREE_FRAMES
from hillemu.kernel.profiles.orange.pf_list import PageType
from hillemu.kernel.profiles.orange.process import PID
from hillemu.kernel.profiles.orange.processes import areas_of
from hillemu.kernel.program_file import ProgramFile, Segment

# ---- row O4: fork


def test_parent_and_child_run_and_their_memory_is_their_own() -> None:
    assert spoken(orange_with()) == [
        "parent is running, child pid:2",
        "child is running, pid:2",
        "child: number = 0x22222222",
        "parent: the child has ended, number = 0x11111111",
        "kernel: orange_init.elf[1] exited with code 0",
    ]


def test_a_child_has_frames_of_its_own_from_vm_alloc_and_its_own_page_directory() -> None:
    machine = orange_with()
    assert machine.run(until="child is running", max_insns=20_000_000).reason is StopReason.UNTIL
    kernel = kernel_of(machine)
    parent, child = (process.space for process in kernel.processes.by_pid.values())
    assert parent is not None
    assert child is not None
    assert machine.cpu.cr3 == child.cr3 != parent.cr3
    mine, theirs = machine.paging.at(cr3=child.cr3), machine.paging.at(cr3=parent.cr3)
    for at, _ in child.mappings():
        place = mine[at].phys
        assert place is not None
        assert place != theirs[at].phys
        number = kernel.mm.pf_list.number(place)
        assert number is not None
        entry = kernel.mm.pf_list[number]
        assert (entry.type, entry.ref_count) == (PageType.MAPPED, 2), "the window maps it, and the program's tables"
        window = machine.paging.at(cr3=0x100000)
        assert window[child.window + place - child.base].phys == place
    assert kernel.check() == []


def test_what_the_kernel_maps_and_unmaps_in_its_gib_is_so_in_every_address_space() -> None:
    machine = orange_with()
    machine.run(until="child is running", max_insns=20_000_000)
    kernel = kernel_of(machine)
    spaces = [process.space for process in kernel.processes.by_pid.values()]
    kernel.mm.vm_alloc(0x3F000000, 0x2000)
    for space in spaces:
        assert space is not None
        place = machine.paging.at(cr3=space.cr3)[0x3F001000]
        assert place.phys == kernel.mm.physical(0x3F001000)
        assert place.phys is not None
    assert kernel.check() == []
    kernel.mm.vm_free(0x3F000000, 0x2000)
    assert [0x3F000000 in machine.paging.at(cr3=space.cr3) for space in spaces if space] == [False, False]
    assert kernel.check() == []


def test_everything_is_given_back() -> None:
    machine = orange_with()
    machine.run(until="TaskC 6: vm_alloc.F00000H, .*\n", max_insns=20_000_000)
    free = kernel_of(machine).mm.free_frames
    assert run(machine).reason is StopReason.POWER_OFF
    kernel = kernel_of(machine)
    assert kernel.mm.free_frames == free
    assert kernel.processes.by_pid == {}
    assert kernel.mm.tables.copies == {}
    assert check(kernel.mm) == []


def test_a_leak_is_told() -> None:
    machine = orange_with()
    machine.run(until="child is running", max_insns=20_000_000)
    kernel_of(machine).mm.vm_alloc(0x30000000, 0x3000)
    run(machine)
    assert kernel_of(machine).reports == ["kernel: 3 frames were not given back by processes"]


def test_the_kernel_is_part_of_its_machine_and_goes_back_with_it() -> None:
    machine = orange_with()
    machine.run(until="child is running", max_insns=20_000_000)
    early, at_early = machine.snapshot(), outcome(machine)
    run(machine)
    at_end = outcome(machine)
    machine.restore(early)
    assert outcome(machine) == at_early
    kernel = kernel_of(machine)
    assert sorted(kernel.processes.by_pid) == [1, 2]
    assert kernel.check() == []
    run(machine)
    assert outcome(machine) == at_end


def test_children_of_children_and_those_that_nobody_waits_for(tmp_path: Path) -> None:
    body = f"""
        system_call SYS_FORK
        test eax, eax
        jz 1f
        system_call SYS_EXIT, 5                 # before its child
    1:  system_call SYS_FORK
        test eax, eax
        jz 2f
        {WAIT}
        tell "grandchild: "
        call tell_hex
        mov eax, [status]
        call tell_hex
        {EXIT}
    2:  system_call SYS_GETPID
        call tell_hex
        system_call SYS_EXIT, 7
        {STATUS}
    """
    lines = said(tmp_path, body)
    assert lines == [
        "kernel: prog[1] exited with code 5",
        "3",
        "grandchild: 3",
        "700",
        "kernel: prog[2] exited with code 0",
    ]


def test_a_child_that_has_lost_its_parent_has_parent_0_and_zombies_of_the_dead_are_gone(tmp_path: Path) -> None:
    body = """
        system_call SYS_FORK
        test eax, eax
        jz zombie
        system_call SYS_YIELD                   # it ends, and nobody asks for its status
        system_call SYS_FORK
        test eax, eax
        jz orphan
        system_call SYS_EXIT, 0
    orphan:
        system_call SYS_YIELD
        system_call 64
        tell "parent: "
        call tell_hex
    zombie:
        system_call SYS_EXIT, 0
    """
    machine = orange_with({"prog": body}, tmp_path)
    assert spoken(machine) == [
        "kernel: prog[1] exited with code 0",
        "parent: 0",
        "kernel: prog[3] exited with code 0",
    ]
    assert kernel_of(machine).processes.by_pid == {}


def test_waitpid_waits_for_the_child_that_it_names(tmp_path: Path) -> None:
    body = f"""
        system_call SYS_FORK
        test eax, eax
        jz slow
        mov [wanted], eax
        system_call SYS_FORK
        test eax, eax
        jz quick
        system_call SYS_WAITPID, [wanted], 0, 0
        call tell_hex
        system_call SYS_WAITPID, -1, 0, 1       # WNOHANG: the quick one is a zombie by now
        call tell_hex
        {EXIT}
    slow:
        system_call SYS_YIELD
        system_call SYS_YIELD
        system_call SYS_YIELD
        tell "slow\\n"
        {EXIT}
    quick:
        tell "quick\\n"
        {EXIT}
        .bss
        wanted: .space 4
        .text
    """
    assert said(tmp_path, body) == ["quick", "slow", "2", "3", "kernel: prog[1] exited with code 0"]


def test_a_new_process_does_not_get_a_dead_one_s_coprocessor_registers(tmp_path: Path) -> None:
    body = f"""
        mov dword ptr [rounds], 2
    1:  system_call SYS_FORK
        test eax, eax
        jz child
        {WAIT}
        dec dword ptr [rounds]
        jnz 1b
        {EXIT}
    child:
        fnstenv [environment]
        movzx eax, word ptr [environment + 8]   # tags: all registers are empty
        call tell_hex
        fldpi
        fldpi
        {EXIT}
        {STATUS}
        .bss
        rounds: .space 4
        environment: .space 28
        .text
    """
    assert said(tmp_path, body)[:2] == ["FFFF", "FFFF"]


def test_pages_that_two_segments_share_may_be_written_if_one_of_them_may() -> None:
    segments = (
        Segment(0x40000000, 0, 0x1800, 0x1800, PROT_READ),
        Segment(0x40001800, 0, 0x100, 0x1000, PROT_READ | PROT_WRITE),
        Segment(0x40002900, 0, 0x100, 0x1000, PROT_READ),
    )
    assert areas_of(ProgramFile(0x40000000, segments)) == [
        (0x40000000, 1, False),
        (0x40001000, 2, True),
        (0x40003000, 1, False),
        (0xBFFFC000, 4, True),
    ]


def test_a_table_that_is_full_gives_eagain_and_all_children_are_found(tmp_path: Path) -> None:
    body = f"""
    1:  system_call SYS_FORK
        test eax, eax
        jz child
        jns 1b
        tell "fork: -"
        neg eax
        call tell_hex
    2:  {WAIT}
        test eax, eax
        jle 3f
        inc dword ptr [children]
        jmp 2b
    3:  neg eax
        tell "wait: -"
        call tell_hex
        mov eax, [children]
        call tell_hex
        {EXIT}
    child:
        system_call SYS_YIELD
        {EXIT}
        {STATUS}
        .bss
        children: .space 4
        .text
    """
    assert said(tmp_path, body) == [
        "fork: -B",  # EAGAIN
        "wait: -A",  # ECHILD
        f"{PROCESSES - 1:X}",
        "kernel: prog[1] exited with code 0",
    ]


def test_without_memory_fork_gives_enomem_and_nothing_is_lost(tmp_path: Path) -> None:
    body = f"""
        system_call SYS_FORK
        neg eax
        call tell_hex
        {EXIT}
        .data
        .balign 4096
        .space 180*4096
        .text
    """
    # With 8 MB, 724 frames are free, of which TaskC keeps 514.
    assert said(tmp_path, body, mem="8M") == [
        "vm_alloc(0xE1000000, 0xbe000) refused: there are no 190 free frames in a row, and 20 altogether",
        "C",
        "kernel: prog[1] exited with code 0",
    ]


# ---- check


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("record", "has pid, page directory, window and pages"),
        ("directory", "lacks the kernel's entry 0"),
        ("entry", "cannot be written, and frame"),
        ("window", "is not mapped to its frames"),
        ("table", "init.elf[1]: directory entry 257 is 0x00000007, and there is no table for it"),
    ],
)
def test_check_finds_damage_to_a_process(damage: str, told: str) -> None:
    machine = orange_with()
    machine.run(until="child is running", max_insns=20_000_000)
    kernel = kernel_of(machine)
    process = kernel.processes.by_pid[1]  # the parent, which waits
    space = process.space
    assert space is not None
    if damage == "record":
        process.record[PID] = 77
    elif damage == "directory":
        space.directory[0] = 0
    elif damage == "table":
        space.directory[257] = 7
    elif damage == "entry":
        at, entry = next(pair for pair in space.mappings() if pair[1] & 2)
        table = space.directory[at >> 22] & ~0xFFF
        machine.memory.write(table + (at >> 12 & 1023) * 4, (entry & ~2).to_bytes(4, "little"))  # type: ignore[arg-type]
    else:
        kernel.mm.tables.map(space.window, space.base + 0x1000, 1, writable=True)
    found = kernel.check()
    assert any(told in sentence for sentence in found), found


def test_contradictions_end_the_run_with_exit_status_3() -> None:
    machine = orange_with()
    machine.run(until="child is running", max_insns=20_000_000)
    kernel_of(machine).mm.variables[FREE_FRAMES] += 1
    stop = run(machine)
    assert (stop.reason, stop.exit_code) == (StopReason.EXIT, 3)
    assert any(line.startswith("check: mm: free_frames is") for line in kernel_of(machine).reports)

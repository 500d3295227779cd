"""`Machine.on_write` and its like: watching a kernel by its symbols."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hillemu.emu.cpu.observers import Watch
from hillemu.emu.errors import UserMistake
from hillemu.emu.stop import StopReason
from hillemu.symbols import UnknownSymbol

Boot = Callable[..., Any]

KERNEL = """
    mov esp, offset stack_top
    lgdt [gdt_pointer]
    mov ax, 0x10; mov ss, ax; mov ds, ax
    push 7; push 3; call add; add esp, 8
    mov [total], eax
    push 1; push 2; call add; add esp, 8
    mov [total], eax
    mov eax, [total]
    cli; hlt
.globl add; add: mov eax, [esp + 4]; add eax, [esp + 8]; ret
gdt: .quad 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF
gdt_pointer: .word 23; .long gdt
total: .long 0
stack:
.space 64
stack_top:
"""


def test_writes_to_a_symbol_are_told(boot: Boot) -> None:
    machine = boot(KERNEL)
    hits: list[Any] = []
    machine.on_write("total", hits.append)
    assert machine.run().reason is StopReason.HALT
    assert [(hit.before, hit.after, hit.address) for hit in hits] == [
        (0, 10, machine.symbols["total"]),
        (10, 3, machine.symbols["total"]),
    ]


@pytest.mark.parametrize("where", ["total", "address", "range"])
def test_a_place_is_a_symbol_an_address_or_a_range(boot: Boot, where: str) -> None:
    machine = boot(KERNEL)
    at = machine.symbols["total"]
    place = {"total": "total", "address": at, "range": range(at, at + 4)}[where]
    hits: list[Any] = []
    machine.on_read(place, hits.append)
    machine.run()
    assert [hit.after for hit in hits] == [3]


def test_calls_are_told_with_their_arguments(boot: Boot) -> None:
    machine = boot(KERNEL)
    calls: list[Any] = []
    machine.on_call("add", lambda call: calls.append((call.argument(0), call.argument(1), call.return_address)))
    text: list[str] = []
    handle = machine.on_call("add", lambda call: (text.append(repr(call)), handle.remove()))
    machine.run()
    assert [call[:2] for call in calls] == [(3, 7), (2, 1)]
    assert machine.symbols["_start"] < calls[0][2] < calls[1][2] < machine.symbols["add"]
    assert text == [f"<Call of {machine.symbols.describe(machine.symbols['add'])}>"]


def test_a_handle_ends_what_it_stands_for(boot: Boot) -> None:
    machine = boot(KERNEL)
    hits: list[Any] = []
    handles = [
        machine.on_write("total", hits.append),
        machine.on_read("total", hits.append),
        machine.on_call("add", hits.append),
        machine.on_cr3(hits.append),
        machine.on_page_fault(hits.append),
    ]
    with machine.on_write("total", hits.append):
        pass
    for handle in handles * 2:
        handle.remove()
    assert machine.run().reason is StopReason.HALT
    assert hits == []


def test_a_watchpoint_ends_the_run_and_says_who_did_what(boot: Boot) -> None:
    machine = boot(KERNEL)
    watchpoint = machine.watchpoints.add("total")
    stop = machine.run()
    assert stop.reason is StopReason.WATCHPOINT
    (hit,) = machine.watchpoints.hits
    at = machine.symbols["total"]
    who = machine.symbols.describe(hit.eip)
    assert stop.detail == f"write of 4 bytes at {at:#010x} (0x0 -> 0xa) by the instruction at {who}"
    watchpoint.remove()
    machine.watchpoints.add("total", Watch.READ)
    assert machine.run().detail.startswith(f"read of 4 bytes at {at:#010x} (0x3) by")
    assert machine.run().reason is StopReason.HALT


def test_a_kernels_page_faults_are_a_table(boot: Boot) -> None:
    machine = boot(
        KERNEL.replace(
            "cli; hlt",
            "lidt [idt_pointer]; mov eax, offset tables; mov cr3, eax; mov eax, cr0; "
            "or eax, 0x80000000; mov cr0, eax; hlt",
        )
        + ".align 4096; tables: .space 4096; idt_pointer: .word 0; .long 0"
    )
    loads: list[Any] = []
    machine.on_cr3(loads.append)
    assert machine.run().reason is StopReason.TRIPLE_FAULT
    assert [load.after for load in loads] == [machine.symbols["tables"]]
    faults = machine.trace.page_faults
    assert (len(faults), faults.total, repr(faults)) == (1, 1, "<1 page faults of 1>")
    assert faults[0].cr3 == machine.symbols["tables"]
    heading, row = str(faults).splitlines()
    assert heading.split() == ["instructions", "address", "what", "by", "CR3"]
    assert "a read by supervisor mode met a page that is not present" in row
    assert str(faults[:0]) == "instructions  address  what  by  CR3"


def test_mistakes_are_told_as_such(boot: Boot) -> None:
    machine = boot(KERNEL)
    with pytest.raises(UnknownSymbol, match="did you mean 'total'"):
        machine.on_write("totals", print)
    with pytest.raises(UnknownSymbol):
        machine.on_call("ad", print)
    with pytest.raises(UserMistake, match="only all addresses of a range can"):
        machine.on_write(range(0, 100, 4), print)
    with pytest.raises(UserMistake, match="0 bytes at 0x1000 cannot be watched"):
        machine.on_write(range(0x1000, 0x1000), print)


def test_a_guest_of_ours_says_the_same_with_watches_everywhere(image_of: Callable[[str], Any]) -> None:
    """The guest that tests debug registers, under breakpoints at and watches on all that it uses."""
    from hillemu import Machine

    def run(disturb: bool) -> tuple[str, int, str]:
        machine = Machine(mem="16M")
        machine.load(str(image_of("debug_registers")))
        if disturb:
            machine.on_write("data", seen.append)
            machine.on_read("data", seen.append)
            machine.on_call("main", seen.append)
            machine.watchpoints.add("frame", Watch.ACCESS)
            machine.breakpoints.add("on_debug")
        while machine.run(max_insns=20_000_000).reason in (StopReason.WATCHPOINT, StopReason.BREAKPOINT):
            seen.append(None)
        return machine.serial.text, machine.cpu.instructions, machine.memory.sha256()

    seen: list[Any] = []
    plain = run(False)
    assert "FAIL" not in plain[0]
    assert seen == []
    assert run(True) == plain
    assert len(seen) > 40


def test_going_back_in_time_keeps_who_watches_and_forgets_what_was_to_come(boot: Boot) -> None:
    machine = boot(KERNEL.replace("cli; hlt", "ud2"))  # no IDT: a triple fault
    machine.run(max_insns=5)
    snapshot = machine.snapshot()
    hits: list[Any] = []
    calls: list[Any] = []
    machine.on_write("total", hits.append)
    machine.on_call("add", calls.append)
    for _ in range(2):
        assert machine.run().reason is StopReason.TRIPLE_FAULT
        machine.restore(snapshot)
    assert [hit.after for hit in hits] == [10, 3, 10, 3]
    assert [hit.at for hit in hits[:2]] == [hit.at for hit in hits[2:]]
    assert len(calls) == 4


def test_a_snapshot_behind_a_watched_access_keeps_the_guests_own_debug_exception(boot: Boot) -> None:
    """The host's watch stops where the guest's #DB, for the same access, is about to be delivered."""
    machine = boot(
        """
        lgdt [gdt_pointer]; ljmp 8:1f; 1: mov ax, 16; mov ss, ax; mov esp, offset stack_top
        mov eax, offset handler; mov [idt + 8], ax; shr eax, 16; mov [idt + 14], ax; lidt [idt_pointer]
        mov eax, offset total; mov dr0, eax; mov eax, 0xD0001; mov dr7, eax
        mov dword ptr [total], 5
        nop; cli; hlt
        handler: mov ebx, dr6; mov [seen], ebx; iretd
        .align 8; gdt: .quad 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF
        gdt_pointer: .word 23; .long gdt
        idt: .quad 0, 0x00008E0000080000
        idt_pointer: .word 15; .long idt
        .align 4; total: .long 0
        seen: .long 0
        .space 64; stack_top: .long 0
        """
    )
    watchpoint = machine.watchpoints.add("total")
    assert machine.run().reason is StopReason.WATCHPOINT
    watchpoint.remove()
    snapshot = machine.snapshot()
    for _ in range(2):
        assert machine.run().reason is StopReason.HALT
        assert machine.read(machine.symbols["seen"], 4) == (0xFFFF0FF1).to_bytes(4, "little")
        machine.restore(snapshot)

"""`Machine.stop`, Ctrl-C and breakpoints by symbol, on whole machines."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from hillemu.emu.stop import StopReason

pytestmark = pytest.mark.usefixtures("core")

BUSY = "mov dx, 0x3F8; 1: inc eax; cmp eax, 100; jne 1b; xor eax, eax; out dx, al; jmp 1b"
IDLE = """
    lgdt [gdt_pointer]; push 8; push offset 2f; retf; 2:
    mov eax, offset handler; mov word ptr [idt + 64], ax; shr eax, 16; mov word ptr [idt + 70], ax
    lidt [idt_pointer]; sti
1:  hlt; jmp 1b
handler: push eax; mov al, 0x20; out 0x20, al; inc ebx; pop eax; iretd
.data
gdt: .quad 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF
gdt_pointer: .word 23; .long gdt
idt: .rept 8; .quad 0; .endr; .word 0, 8, 0x8E00, 0
idt_pointer: .word 71; .long idt
"""


@pytest.fixture
def ctrl_c() -> Iterator[threading.Timer]:
    """Started, it sends this process what Ctrl-C sends, 0.1 s later."""
    timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield timer
    timer.cancel()
    timer.join()
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("source", ["1: inc eax; jmp 1b", BUSY, IDLE], ids=["loop", "output", "idle"])
def test_ctrl_c_interrupts_a_run_and_the_machine_can_go_on(source: str, boot: Any, ctrl_c: Any) -> None:
    machine = boot(source)
    ctrl_c.start()
    with pytest.raises(KeyboardInterrupt):
        machine.run()
    before = machine.cpu.instructions
    assert before > 0
    assert machine.run(max_insns=1000).reason is StopReason.MAX_INSNS
    assert machine.cpu.instructions == before + 1000


def test_a_stop_tells_where_the_processor_stands_and_not_where_it_was_asked(boot: Any) -> None:
    machine = boot("xor eax, eax; " + BUSY)
    machine.serial.on_byte(lambda byte: machine.stop())
    stop = machine.run()
    assert stop.reason is StopReason.INTERRUPTED
    assert stop.detail == f"at {machine.symbols.describe(machine.cpu.linear_eip)}"
    assert machine.read(machine.cpu.linear_eip - 1, 1) == b"\xee"  # right behind the OUT


@pytest.mark.parametrize("source", ["1: inc eax; jmp 1b", BUSY, IDLE], ids=["loop", "output", "idle"])
def test_another_thread_can_stop_a_run(source: str, boot: Any) -> None:
    machine = boot(source)
    timer = threading.Timer(0.05, machine.stop)
    timer.start()
    assert machine.run().reason is StopReason.INTERRUPTED
    timer.join()
    assert machine.run(max_insns=10).reason is StopReason.MAX_INSNS


def test_an_observer_can_stop_a_run_behind_the_out_that_it_observes(boot: Any) -> None:
    machine = boot("mov dx, 0x3F8; mov al, 'x'; out dx, al; here: inc ebx; cli; hlt")
    machine.serial.on_byte(lambda byte: machine.stop())
    assert machine.run().reason is StopReason.INTERRUPTED
    assert machine.cpu.eip == machine.symbols["here"]
    assert machine.run().reason is StopReason.HALT


def test_an_observer_that_raises_ends_the_run_with_its_exception(boot: Any) -> None:
    machine = boot("mov dx, 0x3F8; mov al, 'x'; out dx, al; cli; hlt")

    def complain(byte: int) -> None:
        raise ValueError("cannot print")

    machine.serial.on_byte(complain)
    with pytest.raises(ValueError, match="cannot print"):
        machine.run()
    assert machine.run().reason is StopReason.HALT


def test_a_breakpoint_by_symbol_stops_there_each_time(boot: Any) -> None:
    machine = boot("mov ecx, 3; again: dec ecx; jnz again; cli; hlt")
    machine.breakpoints.add("again")
    for left in (3, 2, 1):
        stop = machine.run()
        assert (stop.reason, machine.cpu.ecx) == (StopReason.BREAKPOINT, left)
        assert "again" in stop.detail
    machine.breakpoints.remove("again")
    assert machine.run().reason is StopReason.HALT


def test_single_steps_go_over_a_breakpoint_and_count(boot: Any) -> None:
    machine = boot("here: inc eax; inc eax; cli; hlt")
    machine.breakpoints.add("here")
    before = machine.cpu.instructions
    for steps in (1, 2):
        assert machine.step().reason is StopReason.MAX_INSNS
        assert machine.cpu.instructions == before + steps


def test_a_virtual_clock_that_only_idles_moves_on(boot: Any) -> None:
    machine = boot(IDLE)
    machine.run(max_insns=500)
    assert machine.cpu.ebx > 50
    assert machine.clock.now > 50 * 5_400_000

"""When an interrupt is taken, to the instruction: enabled, shadowed, raised by the guest itself, nested, withdrawn."""

from __future__ import annotations

from typing import Any

import pytest

from hillemu.emu.cpu.core import CoreStop, DeliveryKind
from hillemu.emu.devices.pic import PicPair

FIRST_VECTOR = 0x20
END_OF_INTERRUPT = "push eax; mov al, 0x20; out 0x20, al; pop eax"


def with_pic(lab: Any, *, mask: int = 0x00) -> PicPair:
    """Vectors 20h-2Fh, `mask` on the master, the slave open; edge-triggered."""
    for port, value in ((0x20, 0x11), (0x21, FIRST_VECTOR), (0x21, 4), (0x21, 1), (0x21, mask)):
        lab.pc.ports.write(port, 1, value)
    for port, value in ((0xA0, 0x11), (0xA1, FIRST_VECTOR + 8), (0xA1, 2), (0xA1, 1), (0xA1, 0)):
        lab.pc.ports.write(port, 1, value)
    pics: PicPair = lab.pc.pics
    return pics


def taken(lab: Any) -> list[tuple[int, int]]:
    """(vector, EIP of the interrupted instruction) of every hardware interrupt."""
    return [(d.vector, d.eip) for d in lab.processor.deliveries if d.kind is DeliveryKind.INTERRUPT]


def pending_at(lab: Any, source: str) -> Any:
    """A machine that runs `source` with IRQ 5 already waiting."""
    machine = lab(source + "; hlt; vector_37: cli; hlt")
    with_pic(machine).line(5).set(True)
    assert machine.run() is CoreStop.HALT
    return machine


# Name: source, in which the interrupt must be taken in front of `here`
WINDOWS = {
    "STI keeps it out for one more instruction": "sti; inc eax; here: inc eax",
    "STI twice has one shadow only": "sti; sti; here: inc eax",
    "STI and CLI leave no window": "sti; cli; inc eax; sti; nop; here: inc eax",
    "POPFD has no shadow": "pushfd; or dword ptr [esp], 0x200; popfd; here: inc eax",
    "IRETD has no shadow": "pushfd; or dword ptr [esp], 0x200; push cs; push offset here; iretd; here: inc eax",
    "MOV SS behind STI adds no second shadow": "mov ax, ss; sti; mov ss, ax; here: inc eax",
    "STI and HLT wake at once": "sti; hlt; here: inc eax",
    "STI and RET return first": "push offset here; sti; ret; inc eax; here: inc eax",
}


@pytest.mark.parametrize("name", WINDOWS)
def test_a_waiting_interrupt_is_taken_in_front_of_the_right_instruction(name: str, lab: Any) -> None:
    machine = pending_at(lab, WINDOWS[name])
    assert taken(machine) == [(0x25, machine["here"])]


@pytest.mark.parametrize("name", WINDOWS)
def test_single_steps_see_the_same_window(name: str, lab: Any) -> None:
    at_once = pending_at(lab, WINDOWS[name])
    stepped = lab(WINDOWS[name] + "; hlt; vector_37: cli; hlt")
    with_pic(stepped).line(5).set(True)
    stepped.step_to_end()
    assert stepped.outcome() == at_once.outcome()


def test_interrupts_stay_out_while_if_is_clear(lab: Any) -> None:
    machine = pending_at(lab, "mov ecx, 1000; 1: loop 1b; cli")
    assert taken(machine) == []
    assert machine.count == 1 + 1000 + 1 + 1


def test_an_out_that_unmasks_a_request_is_interrupted_at_the_end_of_its_block(lab: Any) -> None:
    machine = lab(
        "sti; nop; jmp 1f; 1: mov al, 0; out 0x21, al; inc ebx; inc ebx; jmp here; here: inc ebx; cli; hlt;"
        "vector_37: cli; hlt"
    )
    with_pic(machine, mask=0xFF).line(5).set(True)
    machine.run()
    assert taken(machine) == [(0x25, machine["here"])]
    assert machine.get("ebx") == 2


@pytest.mark.parametrize("load_ss", ["mov ss, bx", "push ss; pop ss"])
def test_a_load_of_ss_keeps_interrupts_out_for_one_more_instruction(load_ss: str, lab: Any) -> None:
    # The OUT unmasks the request in mid-block; the load of SS ends the block.
    source = f"mov bx, ss; sti; jmp 1f; 1: mov al, 0; out 0x21, al; {load_ss}; mov esp, 0x70000; here: nop; cli; hlt"
    machine = lab(source + "; vector_37: cli; hlt")
    with_pic(machine, mask=0xFF).line(5).set(True)
    machine.run()
    assert taken(machine) == [(0x25, machine["here"])]


def test_a_transmitter_empty_interrupt_follows_the_out_that_enables_it(lab: Any) -> None:
    machine = lab(
        """
        mov dx, 0x3FC; mov al, 8; out dx, al        # OUT2 lets the 16550A drive IRQ 4
        sti
        mov dx, 0x3F9; mov al, 2; out dx, al        # transmitter empty: true at once
        jmp here
        here: inc ebx; cli; hlt
        vector_36: mov dx, 0x3FA; in al, dx; cli; hlt
        """
    )
    with_pic(machine)
    machine.run()
    assert taken(machine) == [(0x24, machine["here"])]
    assert machine.get("eax") & 0x0F == 2  # IIR: transmitter holding register empty


def test_a_request_that_is_withdrawn_before_the_block_ends_is_not_taken(lab: Any) -> None:
    machine = lab("sti; nop; jmp 1f; 1: mov edx, 0x500; out dx, eax; inc eax; jmp 2f; 2: cli; hlt; vector_37: cli; hlt")
    pics = with_pic(machine)

    def glitch() -> None:
        pics.line(5).set(True)
        pics.line(5).set(False)

    machine.probe.on_access = glitch
    assert machine.run() is CoreStop.HALT
    assert taken(machine) == []
    assert machine.get("eax") == 1


def test_a_request_that_vanishes_while_it_is_acknowledged_is_spurious_irq_7(lab: Any) -> None:
    machine = lab("sti; nop; here: cli; hlt; vector_37: hlt; vector_39: inc ebp; cli; hlt")
    pics = with_pic(machine)
    pics.line(5).set(True)
    machine.processor.set_interrupt_line(True)
    pics.intr.on_change = lambda level: None  # the processor does not hear in time
    pics.line(5).set(False)
    machine.run()
    assert taken(machine) == [(0x27, machine["here"])]
    assert machine.get("ebp") == 1


def test_a_level_that_stays_up_interrupts_again_after_the_end_of_interrupt(lab: Any) -> None:
    machine = lab(f"sti; nop; 1: jmp 1b; vector_37: inc ebp; cmp ebp, 3; je 2f; {END_OF_INTERRUPT}; iretd; 2: cli; hlt")
    pics = with_pic(machine)
    machine.pc.ports.write(0x4D0, 1, 1 << 5)
    pics.line(5).set(True)
    assert machine.run() is CoreStop.HALT
    assert [vector for vector, _ in taken(machine)] == [0x25, 0x25, 0x25]


def test_an_edge_interrupts_once(lab: Any) -> None:
    machine = lab(f"sti; nop; mov ecx, 100; 1: loop 1b; cli; hlt; vector_37: inc ebp; {END_OF_INTERRUPT}; iretd")
    with_pic(machine).line(5).set(True)
    assert machine.run() is CoreStop.HALT
    assert machine.get("ebp") == 1


def test_a_handler_that_enables_interrupts_is_interrupted_by_a_higher_priority_only(lab: Any) -> None:
    machine = lab(
        f"""
        sti; nop; cli; hlt
        vector_37: mov edx, 0x500; out dx, eax; sti; nop; inside: nop; cli; {END_OF_INTERRUPT}; iretd
        vector_33: inc ebp; {END_OF_INTERRUPT}; iretd
        vector_38: hlt
        """
    )
    pics = with_pic(machine)
    pics.line(5).set(True)

    def more() -> None:
        pics.line(6).set(True)
        pics.line(1).set(True)

    machine.probe.on_access = more
    machine.run(200)
    assert taken(machine)[:2] == [(0x25, taken(machine)[0][1]), (0x21, machine["inside"])]
    assert machine.get("ebp") == 1


def test_an_interrupt_of_the_slave_comes_through_the_master(lab: Any) -> None:
    machine = lab("sti; nop; here: cli; hlt; vector_44: cli; hlt")
    with_pic(machine).line(12).set(True)
    machine.run()
    assert taken(machine) == [(0x2C, machine["here"])]


def test_an_interrupt_wakes_a_halted_processor_and_returns_behind_the_hlt(lab: Any) -> None:
    machine = lab(f"sti; hlt; here: inc eax; cli; hlt; vector_32: {END_OF_INTERRUPT}; iretd")
    with_pic(machine)
    machine.pc.clock.schedule(1_000_000, lambda: machine.pc.pics.line(0).set(True))
    machine.run()
    assert taken(machine) == [(0x20, machine["here"])]
    assert 1_000_000 <= machine.processor.ticks() < 1_001_000
    assert machine.get("eax") == 1


def test_a_masked_request_does_not_wake_a_halted_processor(lab: Any) -> None:
    machine = lab("sti; hlt; inc eax; hlt")
    with_pic(machine, mask=0xFF).line(5).set(True)
    assert machine.run() is CoreStop.HALT
    assert machine.get("eax") == 0


def test_an_interrupt_between_iterations_of_rep_continues_the_rep(lab: Any) -> None:
    machine = lab(
        f"""
        mov esi, 0x200000; mov edi, 0x300000; mov ecx, 5000
        sti; nop
        here: rep movsd
        cli; hlt
        vector_32: mov ebp, ecx; {END_OF_INTERRUPT}; iretd
        """
    )
    machine.memory.write(0x200000, bytes(range(250)) * 80)
    with_pic(machine)
    machine.pc.clock.schedule(2_000, lambda: machine.pc.pics.line(0).set(True))
    assert machine.run() is CoreStop.HALT
    assert taken(machine) == [(0x20, machine["here"])]
    assert 0 < machine.get("ebp") < 5000
    assert machine.get("ecx") == 0
    assert machine.memory.read(0x300000, 20000) == machine.memory.read(0x200000, 20000)


def test_an_interrupt_that_cannot_be_delivered_is_a_double_fault(lab: Any) -> None:
    machine = lab("sti; nop; here: cli; hlt; vector_8: mov eax, 0x8888; cli; hlt")
    not_present = 0x0E00
    machine.gate(0x25, 0, not_present)
    machine.gate(11, 0, not_present)
    with_pic(machine).line(5).set(True)
    assert machine.run() is CoreStop.HALT
    assert machine.get("eax") == 0x8888
    assert machine.vectors == [0x25, 11, 8]

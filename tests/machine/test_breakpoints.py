"""Breakpoints stop in front of their instruction, once, and are invisible to the guest."""

from __future__ import annotations

from typing import Any

from hillemu.emu.cpu.core import CoreStop


def stops_at(machine: Any, limit: int = 20) -> list[tuple[int, int]]:
    """(EIP, instructions) of every breakpoint until the machine halts."""
    seen = []
    for _ in range(limit):
        if (stop := machine.run()) is CoreStop.HALT:
            return seen
        assert stop is CoreStop.BREAKPOINT
        seen.append((machine.get("eip"), machine.count))
    raise AssertionError("stops for ever")


def same_as_without(lab: Any, source: str, machine: Any) -> None:
    plain = lab(source)
    assert plain.run() is CoreStop.HALT
    assert machine.outcome() == plain.outcome()


def test_a_breakpoint_in_mid_block_stops_in_front_of_its_instruction(lab: Any) -> None:
    source = "inc eax; inc eax; here: inc eax; inc eax; hlt"
    machine = lab(source)
    machine.processor.add_breakpoint(machine["here"])
    assert machine.run() is CoreStop.BREAKPOINT
    assert (machine.get("eip"), machine.get("eax"), machine.count) == (machine["here"], 2, 2)
    assert machine.run() is CoreStop.HALT
    same_as_without(lab, source, machine)


def test_the_instruction_at_which_a_run_starts_does_not_stop_it(lab: Any) -> None:
    machine = lab("here: inc eax; hlt")
    machine.processor.add_breakpoint(machine["here"])
    assert machine.run() is CoreStop.HALT
    assert machine.count == 2


def test_a_loop_stops_every_time_round(lab: Any) -> None:
    source = "mov ecx, 5; here: dec ecx; jnz here; hlt"
    machine = lab(source)
    machine.processor.add_breakpoint(machine["here"])
    assert stops_at(machine) == [(machine["here"], 1 + 2 * n) for n in range(5)]
    same_as_without(lab, source, machine)


def test_a_jump_to_itself_stops_every_time_round(lab: Any) -> None:
    machine = lab("here: jmp here")
    machine.processor.add_breakpoint(machine["here"])
    for times in range(1, 4):
        assert machine.run() is CoreStop.BREAKPOINT
        assert machine.count == times


def test_two_breakpoints_in_one_block_stop_one_after_the_other(lab: Any) -> None:
    source = "inc eax; one: inc eax; two: inc eax; three: inc eax; hlt"
    machine = lab(source)
    for name in ("three", "one", "two"):
        machine.processor.add_breakpoint(machine[name])
    assert stops_at(machine) == [(machine["one"], 1), (machine["two"], 2), (machine["three"], 3)]
    same_as_without(lab, source, machine)


def test_a_breakpoint_that_is_taken_away_while_stopped_there_does_not_come_back(lab: Any) -> None:
    source = "mov ecx, 5; here: dec ecx; jnz here; hlt"
    machine = lab(source)
    machine.processor.add_breakpoint(machine["here"])
    assert machine.run() is CoreStop.BREAKPOINT
    machine.processor.remove_breakpoint(machine["here"])
    assert machine.run() is CoreStop.HALT
    same_as_without(lab, source, machine)


def test_a_breakpoint_that_is_added_to_code_which_ran_before_stops_it(lab: Any) -> None:
    source = "mov ecx, 5; 1: dec ecx; here: nop; jnz 1b; hlt"
    machine = lab(source)
    machine.run(7)
    machine.processor.add_breakpoint(machine["here"])
    assert machine.run() is CoreStop.BREAKPOINT
    assert machine.count == 8


def test_a_rep_instruction_stops_before_its_first_iteration_and_single_steps_go_through_it(lab: Any) -> None:
    source = "mov edi, 0x200000; mov ecx, 5; here: rep stosb; inc ebx; hlt"
    machine = lab(source)
    machine.processor.add_breakpoint(machine["here"])
    stops = stops_at(machine)
    assert stops[0] == (machine["here"], 2)
    assert {eip for eip, _ in stops} == {machine["here"]}
    same_as_without(lab, source, machine)


def test_an_instruction_that_faults_stops_before_and_after_its_handler(lab: Any) -> None:
    source = "xor edx, edx; xor ecx, ecx; here: div ecx; hlt; vector_0: mov ecx, 1; iretd"
    machine = lab(source)
    machine.processor.add_breakpoint(machine["here"])
    assert stops_at(machine) == [(machine["here"], 2), (machine["here"], 4)]
    same_as_without(lab, source, machine)


def test_a_breakpoint_at_a_handlers_first_instruction_stops_after_delivery(lab: Any) -> None:
    source = "inc eax; int 0x80; hlt; vector_128: inc ebx; iretd"
    machine = lab(source)
    machine.processor.add_breakpoint(machine["vector_128"])
    assert stops_at(machine) == [(machine["vector_128"], 2)]
    same_as_without(lab, source, machine)


def test_breakpoints_are_linear_addresses_in_real_mode_too(lab: Any) -> None:
    source = ".code16; inc ax; here: inc ax; inc ax; cli; hlt"
    machine = lab(source, base=0x7C00)
    real_mode(machine, 0x07C0, 0)
    machine.processor.add_breakpoint(machine["here"])
    assert machine.run() is CoreStop.BREAKPOINT
    assert (machine.get("cs"), machine.get("eip"), machine.count) == (0x07C0, 1, 1)
    assert machine.run() is CoreStop.HALT
    assert machine.get("eax") == 3


def real_mode(machine: Any, cs: int, ip: int) -> None:
    """Out of the laboratory's protected mode: reset, then a far jump by hand."""
    machine.processor.reset()
    code = machine.processor.segment("cs")
    machine.processor.set_segment("cs", type(code)(cs, cs << 4, 0xFFFF, code.attributes))
    machine.processor.set("eip", ip)


def test_a_breakpoint_behind_a_shadow_of_sti_leaves_the_shadow_as_it_is(lab: Any) -> None:
    source = "sti; here: inc eax; there: inc eax; cli; hlt; vector_8: inc ebx; iretd"
    machine, plain = lab(source), lab(source)
    for each in (machine, plain):
        for port, value in ((0x20, 0x11), (0x21, 8), (0x21, 4), (0x21, 1), (0x21, 0)):
            each.pc.ports.write(port, 1, value)
        each.pc.pics.line(0).set(True)
    machine.processor.add_breakpoint(machine["here"])
    machine.processor.add_breakpoint(machine["there"])
    stops_at(machine)
    plain.run()
    assert machine.outcome() == plain.outcome()
    assert [(d.vector, d.eip) for d in plain.processor.deliveries] == [(8, plain["there"])]


def test_a_run_of_no_instructions_stops_at_once(lab: Any) -> None:
    machine = lab("here: inc eax; hlt")
    machine.processor.add_breakpoint(machine["here"])
    assert machine.run(0) is CoreStop.LIMIT
    assert (machine.count, machine.get("eax")) == (0, 0)


def test_a_limit_that_ends_at_a_breakpoint_executes_no_more(lab: Any) -> None:
    machine = lab("inc eax; here: inc eax; hlt")
    machine.processor.add_breakpoint(machine["here"])
    assert machine.run(1) in (CoreStop.LIMIT, CoreStop.BREAKPOINT)
    assert machine.count == 1
    assert machine.run() is CoreStop.HALT
    assert machine.count == 3


def test_a_breakpoint_in_a_page_that_is_changed_later_still_stops(lab: Any) -> None:
    source = "mov byte ptr [here], 0x43; jmp here; here: inc eax; hlt"
    machine = lab(source)
    machine.processor.add_breakpoint(machine["here"])
    assert machine.run() is CoreStop.BREAKPOINT
    assert machine.run() is CoreStop.HALT
    assert (machine.get("eax"), machine.get("ebx")) == (0, 1)


def test_breakpoints_in_a_block_too_long_to_translate_at_once_do_not_move_its_interrupts(lab: Any) -> None:
    """A block ends after some thousand micro-operations; a breakpoint's own must not move that end."""
    body = "; ".join(f"b{n}: lock xadd [ebx + {4 * n}], eax" for n in range(600))
    source = f"mov ebx, 0x200000; sti; {body}; cli; hlt; vector_8: push eax; mov al, 0x20; out 0x20, al; pop eax; iretd"
    outcomes = []
    for names in ([], [f"b{n}" for n in range(20, 120, 10)]):
        machine = lab(source)
        for port, value in ((0x20, 0x11), (0x21, 8), (0x21, 4), (0x21, 1), (0x21, 0)):
            machine.pc.ports.write(port, 1, value)
        machine.pc.clock.schedule(30, lambda pics=machine.pc.pics: pics.line(0).set(True))
        for name in names:
            machine.processor.add_breakpoint(machine[name])
        stops_at(machine)
        assert machine.vectors == [8]
        outcomes.append(machine.outcome())
    assert outcomes[0] == outcomes[1]

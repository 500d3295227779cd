"""A device may end the run, or fail, inside a port access: the processor stands right behind the instruction."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from hillemu.emu.cpu.core import CoreStop


def stop_at(lab: Any, source: str, access: int = 1) -> Any:
    """A machine that runs `source` until the recorder's access number `access`, which asks for the stop."""
    machine = lab(source)

    def count() -> None:
        if len(machine.probe.log) == access:
            machine.processor.stop()

    machine.probe.on_access = count
    assert machine.run() is CoreStop.REQUESTED
    return machine


def goes_on_as_if_nothing_had_been(lab: Any, source: str, stopped: Any) -> None:
    """What is left of the run makes it the same as a run that was not stopped."""
    stopped.probe.on_access = lambda: None
    assert stopped.run() is CoreStop.HALT
    whole = lab(source)
    whole.probe.replies.extend([0xA1, 0xA2, 0xA3, 0xA4])
    assert whole.run() is CoreStop.HALT
    assert stopped.outcome() == whole.outcome()


def test_an_out_that_stops_has_been_executed_and_nothing_behind_it(lab: Any) -> None:
    source = "mov edx, 0x500; mov eax, 7; out dx, eax; here: inc ebx; inc ebx; hlt"
    machine = stop_at(lab, source)
    assert (machine.count, machine.get("eip"), machine.get("ebx")) == (3, machine["here"], 0)
    assert machine.probe.values == [7]
    goes_on_as_if_nothing_had_been(lab, source, machine)
    assert machine.get("ebx") == 2


def test_an_in_that_stops_has_its_value(lab: Any) -> None:
    source = "mov edx, 0x500; in eax, dx; here: inc eax; hlt"
    machine = lab(source)
    machine.probe.replies.extend([0xA1])
    machine.probe.on_access = machine.processor.stop
    assert machine.run() is CoreStop.REQUESTED
    assert (machine.count, machine.get("eip"), machine.get("eax")) == (2, machine["here"], 0xA1)
    goes_on_as_if_nothing_had_been(lab, source, machine)
    assert machine.get("eax") == 0xA2


def test_an_outs_that_stops_has_advanced_its_pointer(lab: Any) -> None:
    source = "mov edx, 0x500; mov esi, 0x200000; outsd; here: inc ebx; hlt"
    machine = stop_at(lab, source)
    assert (machine.count, machine.get("eip"), machine.get("esi")) == (3, machine["here"], 0x200004)
    goes_on_as_if_nothing_had_been(lab, source, machine)


def test_a_rep_outs_stops_between_two_iterations(lab: Any) -> None:
    source = "mov edx, 0x500; mov esi, 0x200000; mov ecx, 6; here: rep outsd; inc ebx; hlt"
    machine = stop_at(lab, source, access=3)
    assert (machine.get("eip"), machine.get("ecx"), machine.get("esi")) == (machine["here"], 3, 0x20000C)
    assert len(machine.probe.log) == 3
    goes_on_as_if_nothing_had_been(lab, source, machine)
    assert len(machine.probe.log) == 6


def test_a_rep_ins_stops_with_its_word_in_memory(lab: Any) -> None:
    source = "mov edx, 0x500; mov edi, 0x200000; mov ecx, 4; here: rep insd; inc ebx; hlt"
    machine = lab(source)
    machine.probe.replies.extend([0xA1, 0xA2, 0xA3, 0xA4])
    machine.probe.on_access = lambda: machine.processor.stop() if len(machine.probe.log) == 2 else None
    assert machine.run() is CoreStop.REQUESTED
    assert (machine.get("ecx"), machine.word(0x200004), machine.word(0x200008)) == (2, 0xA2, 0)
    goes_on_as_if_nothing_had_been(lab, source, machine)


def test_every_access_may_stop(lab: Any) -> None:
    source = "mov edx, 0x500; mov ecx, 20; 1: out dx, eax; inc ebx; in al, dx; inc ebx; loop 1b; hlt"
    machine = lab(source)
    machine.probe.on_access = machine.processor.stop
    stops = 0
    while machine.run() is CoreStop.REQUESTED:
        stops += 1
        assert machine.get("ebx") == stops - 1
    assert stops == 40
    whole = lab(source)
    whole.run()
    assert machine.outcome() == whole.outcome()


def test_isa_debug_exit_ends_the_run_behind_its_out(lab: Any) -> None:
    machine = lab("mov al, 0x10; out 0xF4, al; here: inc ebx; hlt")
    assert machine.run() is CoreStop.REQUESTED
    assert machine.exits == [0x21]
    assert (machine.count, machine.get("eip"), machine.get("ebx")) == (2, machine["here"], 0)


def test_a_stop_while_single_stepping_is_the_same_stop(lab: Any) -> None:
    machine = lab("mov edx, 0x500; out dx, eax; here: inc ebx; hlt")
    machine.probe.on_access = machine.processor.stop
    assert machine.run(1) is CoreStop.LIMIT
    assert machine.run(1) in (CoreStop.REQUESTED, CoreStop.LIMIT)
    assert (machine.count, machine.get("eip")) == (2, machine["here"])
    assert machine.run() is CoreStop.HALT
    assert machine.count == 4


class BrokenDevice(Exception):
    """What a device of a user's may raise."""


def fail() -> None:
    raise BrokenDevice("out of paper")


@pytest.mark.parametrize("access", ["in eax, dx", "out dx, eax", "outsd", "insd"])
def test_an_exception_in_a_device_comes_out_of_run_with_its_traceback(access: str, lab: Any) -> None:
    machine = lab(f"mov edx, 0x500; mov esi, 0x200000; mov edi, esi; {access}; here: inc ebx; hlt")
    machine.probe.on_access = fail
    with pytest.raises(BrokenDevice, match="out of paper") as caught:
        machine.run()
    assert [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)][-2:] == [
        "read" if access.startswith("in") else "write",
        "fail",
    ]
    assert (machine.count, machine.get("eip")) == (4, machine["here"])


def test_the_machine_can_go_on_after_an_exception_in_a_device(lab: Any) -> None:
    machine = lab("mov edx, 0x500; out dx, eax; inc ebx; out dx, eax; inc ebx; hlt")
    machine.probe.on_access = fail
    for _ in range(2):
        with pytest.raises(BrokenDevice):
            machine.run()
    assert machine.run() is CoreStop.HALT
    assert (machine.get("ebx"), len(machine.probe.log), machine.count) == (2, 2, 6)


def test_an_exception_in_a_scheduled_event_comes_out_of_run_and_the_machine_can_go_on(lab: Any) -> None:
    source = "mov ecx, 1000; 1: loop 1b; hlt"
    machine = lab(source)
    machine.pc.clock.schedule(100, fail)
    with pytest.raises(BrokenDevice):
        machine.run()
    assert 100 <= machine.count < 110
    assert machine.run() is CoreStop.HALT
    assert machine.count == 1002


def test_an_exception_in_an_event_while_the_processor_is_halted_comes_out_too(lab: Any) -> None:
    machine = lab("sti; hlt; cli; hlt")
    machine.pc.clock.schedule(100, fail)
    with pytest.raises(BrokenDevice):
        machine.run()
    assert machine.run() is CoreStop.HALT
    assert machine.count == 2


def test_an_exception_while_an_interrupt_is_acknowledged_comes_out_too(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = lab("sti; nop; here: nop; cli; hlt; vector_255: inc ebx; iretd")
    monkeypatch.setattr(type(machine.pc.pics.master), "acknowledge", lambda chip: fail())
    machine.pc.lapic.lint0.set(True)
    with pytest.raises(BrokenDevice):
        machine.run()
    assert (machine.count, machine.get("eip")) == (2, machine["here"])
    machine.pc.lapic.lint0.set(False)
    assert machine.run() is CoreStop.HALT
    assert machine.count == 5


def test_a_stop_in_a_block_that_was_cut_before_leaves_the_place_of_interrupts(lab: Any) -> None:
    source = "mov edx, 0x500; sti; jmp 1f; 1: out dx, eax; inc ebx; inc ebx; jmp here; here: cli; hlt; vector_8: iretd"

    def prepared() -> Any:
        machine = lab(source)
        for port, value in ((0x20, 0x11), (0x21, 8), (0x21, 4), (0x21, 1), (0x21, 0)):
            machine.pc.ports.write(port, 1, value)
        machine.pc.clock.schedule(50, lambda: machine.pc.pics.line(0).set(True))  # within the OUT
        return machine

    whole, cut = prepared(), prepared()
    assert whole.run() is CoreStop.HALT
    assert [d.eip for d in whole.processor.deliveries] == [whole["here"]]
    cut.probe.on_access = cut.processor.stop
    while cut.run(1) is not CoreStop.HALT:
        pass
    assert cut.outcome() == whole.outcome()


def test_registers_can_be_read_inside_an_access_as_they_are_there(lab: Any) -> None:
    machine = lab("mov edx, 0x500; mov ebx, 5; inc ebx; here: out dx, eax; mov ebx, 9; hlt")
    seen: list[tuple[int, int, int]] = []
    machine.probe.on_access = lambda: seen.append((machine.get("eip"), machine.get("ebx"), machine.count))
    assert machine.run() is CoreStop.HALT
    assert seen == [(machine["here"], 6, 3)]


def test_running_inside_a_run_is_refused(lab: Any) -> None:
    machine = lab("mov edx, 0x500; out dx, eax; hlt")
    machine.probe.on_access = machine.run
    with pytest.raises(RuntimeError, match="while the processor runs"):
        machine.run()
    machine.probe.on_access = lambda: None
    assert machine.run() is CoreStop.HALT
    assert machine.count == 3

"""`Machine.step_once` does what `Machine.step` does, whatever happens in the step."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from machine_outcome import outcome

from hillemu import Machine
from hillemu.emu.errors import MediumError, UserMistake
from hillemu.emu.stop import StopReason

Boot = Callable[..., Machine]

LOOP = "mov ecx, 20; again: add eax, ecx; loop again; "
EXIT = "mov al, 0x10; out 0xF4, al; "
ENDINGS = {
    "exit": EXIT,
    "halt": "cli; hlt",
    "hang": "cli; jmp .",
    "reset": "mov al, 0xFE; out 0x64, al; jmp .",
    "triple fault": "lidt [none]; ud2; none: .long 0, 0",
    "rep": "mov ecx, 3; mov edi, 0x200000; rep stosd; " + EXIT,
}


def play(machine: Machine, step: Callable[[], object], most: int = 120) -> list[object]:
    """The reason of each step until one is another than that it is done."""
    seen: list[object] = []
    while len(seen) < most and (not seen or seen[-1] is StopReason.MAX_INSNS):
        step()
        assert machine.last_stop is not None
        seen.append(machine.last_stop.reason)
    return seen


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_step_and_its_end_are_the_same(boot: Boot, ending: str) -> None:
    one, other = boot(LOOP + ENDINGS[ending]), boot(LOOP + ENDINGS[ending])
    reasons = play(one, one.step_once)
    assert reasons == play(other, other.step)
    assert len(reasons) > 40
    assert outcome(one) == outcome(other)
    assert one.last_stop is not None
    if one.last_stop.reason is not StopReason.MAX_INSNS:
        assert one.last_stop == other.last_stop


@pytest.mark.parametrize("ending", ["reset", "triple fault"])
def test_a_step_that_boots_again_is_one_step(boot: Boot, ending: str) -> None:
    one, other = (boot(LOOP + ENDINGS[ending], reboot=True) for _ in range(2))
    play(one, one.step_once)
    play(other, other.step)
    assert other.cpu.eax != 20 * 21 // 2  # it is on its way again
    assert outcome(one) == outcome(other)


def test_a_guest_under_a_timer_is_stepped_as_it_runs() -> None:
    stepped, run = Machine(mem="16M"), Machine(mem="16M")
    for machine in (stepped, run):
        machine.load_demo()
    for _ in range(30_000):
        stepped.step_once()
    run.run(max_insns=30_000)
    assert outcome(stepped) == outcome(run)


def test_keys_and_calls_come_at_their_moment_between_steps(boot: Boot) -> None:
    machines = boot(LOOP + EXIT), boot(LOOP + EXIT)
    heard: list[tuple[int, int]] = []
    for number, machine in enumerate(machines):
        machine.schedule_keys("a", 7)
        machine.schedule_call(150, lambda m=machine, n=number: heard.append((n, m.cpu.instructions)))
    play(machines[0], machines[0].step_once)
    play(machines[1], machines[1].step)
    assert heard[0][1] == heard[1][1]
    assert [number for number, _ in heard] == [0, 1]
    assert outcome(machines[0]) == outcome(machines[1])


def test_a_stop_from_a_device_is_told_by_the_step_that_it_came_in(boot: Boot) -> None:
    machine = boot("mov al, 'x'; mov dx, 0x3F8; out dx, al; " + EXIT)
    machine.serial.on_byte(lambda byte: machine.stop())
    assert [machine.step_once().reason for _ in range(3)] == [
        StopReason.MAX_INSNS,
        StopReason.MAX_INSNS,
        StopReason.INTERRUPTED,
    ]


def test_a_disk_that_fails_in_a_step_ends_it(boot: Boot) -> None:
    machines = [boot("mov al, 'x'; mov dx, 0x3F8; out dx, al; " + EXIT) for _ in range(2)]

    def fail(byte: int) -> None:
        raise MediumError("disk.img", "is gone")

    for machine in machines:
        machine.serial.on_byte(fail)
    assert play(machines[0], machines[0].step_once)[-1] is StopReason.DISK_FAILURE
    play(machines[1], machines[1].step)
    assert machines[0].last_stop == machines[1].last_stop
    assert outcome(machines[0]) == outcome(machines[1])


def test_without_an_image_there_is_nothing_to_step() -> None:
    with pytest.raises(UserMistake, match="no image"):
        Machine().step_once()

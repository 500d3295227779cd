"""The native and the portable core run every guest the same, to the instruction; and every run is the same again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import guest_builder as builder
import pytest
from guest_drives import GuestDrives, drive_options
from machine_outcome import outcome

from hillemu import Machine
from hillemu.booting import DriveOptions
from hillemu.emu.stop import StopReason

KNOWN_TO_DIFFER = ("unlike_qemu", "task_switch_16", "mended", "apic", "debug_registers")
"""They ask for #GP by unknown MSRs, for what the native core mends in Unicorn's translation and task switches, for
IA32_APIC_BASE and for data breakpoints; the portable core can do none of it."""
NO_DRIVES = DriveOptions()


def run(
    image: Path | None, core: str, monkeypatch: pytest.MonkeyPatch, drives: DriveOptions = NO_DRIVES
) -> dict[str, Any]:
    monkeypatch.setenv("HILLEMU_CORE", core)
    machine = Machine(mem="64M", drives=drives)
    if image is None:
        machine.load_demo()
    else:
        machine.load(str(image))
    stop = machine.run(max_insns=20_000_000)
    return {**outcome(machine), "stop": stop}


def test_the_built_in_guest_runs_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(None, "native", monkeypatch) == run(None, "portable", monkeypatch)


@pytest.mark.parametrize("cpu", ["386", "486"])
def test_our_kernel_finds_out_the_same_about_an_old_processor(cpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = []
    for core in ("native", "portable"):
        monkeypatch.setenv("HILLEMU_CORE", core)
        machine = Machine(mem="64M", cpu=cpu)
        machine.load_kernel(append="tests=off")
        stop = machine.run(max_insns=20_000_000)
        assert stop.reason is StopReason.POWER_OFF, machine.serial.text
        outcomes.append({**outcome(machine), "stop": stop})
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("profile", ["bitmap", "orange"])
def test_a_kernel_from_its_own_disk_runs_the_same(profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = []
    for core in ("native", "portable"):
        monkeypatch.setenv("HILLEMU_CORE", core)
        machine = Machine(mem="32M")
        machine.load_kernel(profile=profile)
        stop = machine.run(max_insns=20_000_000)
        assert stop.reason is StopReason.POWER_OFF, machine.serial.text
        outcomes.append({**outcome(machine), "stop": stop})
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("guest", [name for name in builder.guests() if name not in KNOWN_TO_DIFFER])
def test_a_guest_runs_the_same(
    guest: str, image_of: Callable[[str], Path], guest_drives: GuestDrives, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, drives = image_of(guest), drive_options(guest, guest_drives)
    assert run(image, "native", monkeypatch, drives) == run(image, "portable", monkeypatch, drives)


HEAVY = [
    "lock xadd [ebx + {n}], eax",
    "fld dword ptr [ebx]; fadd dword ptr [ebx + 4]; fstp dword ptr [ebx + 8]",
    "movsd; stosd; lodsd; scasd",
    "cmpxchg8b [ebx + {n}]",
    "rol dword ptr [ebx + {n}], cl; shld eax, edx, cl",
    "movups xmm0, [ebx]; addps xmm0, xmm0; movups [ebx + 16], xmm0",
]


@pytest.mark.parametrize("heavy", HEAVY)
def test_a_block_too_long_to_translate_at_once_is_cut_at_the_same_instruction(heavy: str, lab_of: Any) -> None:
    body = "; ".join(heavy.format(n=4 * (n % 200)) for n in range(700))
    source = f"""
        mov eax, cr4; or eax, 0x600; mov cr4, eax; fninit
        mov ebx, 0x200000; mov esi, 0x300000; mov edi, 0x400000; sti; {body}; cli; hlt
        vector_8: push eax; rdtsc; mov [0x500000], eax; mov al, 0x20; out 0x20, al; pop eax; iretd
    """
    outcomes = []
    for core in ("native", "portable"):
        machine = lab_of(core, source)
        for port, value in ((0x20, 0x11), (0x21, 8), (0x21, 4), (0x21, 1), (0x21, 0)):
            machine.pc.ports.write(port, 1, value)
        machine.pc.clock.schedule(100, lambda pics=machine.pc.pics: pics.line(0).set(True))
        machine.run()
        assert machine.vectors == [8]
        outcomes.append(machine.outcome())
    assert outcomes[0] == outcomes[1]


def look_at_everything(machine: Machine) -> None:
    machine.registers()
    machine.memory.read(0, 0x2000)  # type: ignore[arg-type]
    machine.memory.sha256()
    machine.read(machine.cpu.esp, 64)
    _ = machine.screen.text, machine.serial.text, machine.deliveries, machine.unhandled, machine.clock.now
    for port in range(0x400):
        machine._pc.ports.peek(port, 1)
    if machine.last_stop is not None:
        machine.crash_report()


def test_ten_runs_are_the_same_with_and_without_observers() -> None:
    outcomes = []
    for number in range(10):
        machine = Machine(mem="64M")
        machine.load_demo()
        stop = None
        if number % 2:
            machine.serial.on_byte(lambda byte, it=machine: look_at_everything(it) if byte == 10 else None)  # type: ignore[misc]
            for _ in range(20):
                machine.run(max_insns=1000 + number)
                look_at_everything(machine)
        stop = machine.run()
        outcomes.append({**outcome(machine), "stop": stop})
    assert all(other == outcomes[0] for other in outcomes)

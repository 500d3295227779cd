"""Machines do not disturb each other, nor other users of Unicorn in the process, and they go away."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import unicorn
from unicorn import arm_const, x86_const

from hillemu import Machine

CODE = 0x1000
X86_LOOP = b"\xb9\x64\x00\x00\x00\x40\x49\x75\xfc\xf4"  # mov ecx, 100; 1: inc eax; dec ecx; jnz 1b; hlt
X64_LOOP = b"\xb9\x64\x00\x00\x00\x48\xff\xc0\xff\xc9\x75\xf9\xf4"
ARM_LOOP = b"\x64\x10\xa0\xe3\x01\x00\x80\xe2\x01\x10\x51\xe2\xfc\xff\xff\x1a"


class Stock:
    """A stock engine that counts its instructions and blocks by hooks and leaves its exceptions to a hook."""

    def __init__(self, kind: str) -> None:
        arch, mode, self.code, self.result = {
            "x86": (unicorn.UC_ARCH_X86, unicorn.UC_MODE_32, X86_LOOP, x86_const.UC_X86_REG_EAX),
            "x64": (unicorn.UC_ARCH_X86, unicorn.UC_MODE_64, X64_LOOP, x86_const.UC_X86_REG_RAX),
            "arm": (unicorn.UC_ARCH_ARM, unicorn.UC_MODE_ARM, ARM_LOOP, arm_const.UC_ARM_REG_R0),
        }[kind]
        self.engine = unicorn.Uc(arch, mode)
        self.engine.mem_map(0, 0x10000)
        self.engine.mem_write(CODE, self.code)
        self.instructions = self.blocks = 0
        self.engine.hook_add(unicorn.UC_HOOK_CODE, self._code)
        self.engine.hook_add(unicorn.UC_HOOK_BLOCK, self._block)

    def _code(self, *_: object) -> None:
        self.instructions += 1

    def _block(self, *_: object) -> None:
        self.blocks += 1

    def works(self) -> bool:
        before = self.instructions
        self.engine.reg_write(self.result, 0)
        self.engine.emu_start(CODE, CODE + len(self.code))
        executed = self.instructions - before
        return self.engine.reg_read(self.result) == 100 and executed in (301, 302) and self.blocks >= 100


KINDS = ("x86", "x64", "arm")
BEFORE = [Stock(kind) for kind in KINDS]
"""Made when this file is imported: with luck before the process's first machine, and used before it in any case."""


def demo() -> Machine:
    machine = Machine(mem="16M")
    machine.load_demo()
    return machine


def outcome(machine: Machine) -> tuple[int, str, str]:
    return machine.cpu.instructions, machine.memory.sha256(), machine.serial.text


def test_stock_engines_work_before_during_and_after_a_machines_life(core: str) -> None:
    assert all(stock.works() for stock in BEFORE)
    machine = demo()
    during = [Stock(kind) for kind in KINDS]
    seen: list[bool] = []
    machine.serial.on_byte(lambda byte: seen.append(all(stock.works() for stock in (*BEFORE, *during))))
    machine.run(max_insns=20_000)
    assert seen
    assert all(seen)
    del machine
    gc.collect()
    assert all(stock.works() for stock in (*BEFORE, *during, *(Stock(kind) for kind in KINDS)))


def test_a_stock_engines_ports_and_time_stamps_are_its_own(core: str) -> None:
    machine = demo()
    engine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
    engine.mem_map(0, 0x10000)
    engine.mem_write(CODE, b"\xe4\x60\xe6\x61\xf4")  # in al, 0x60; out 0x61, al; hlt
    written: list[int] = []
    engine.hook_add(unicorn.UC_HOOK_INSN, lambda uc, port, size, data: 0x5A, aux1=x86_const.UC_X86_INS_IN)
    engine.hook_add(
        unicorn.UC_HOOK_INSN, lambda uc, port, size, value, data: written.append(value), aux1=x86_const.UC_X86_INS_OUT
    )
    engine.emu_start(CODE, CODE + 5)
    assert written == [0x5A]
    assert machine.cpu.instructions == 0


def test_two_machines_that_take_turns_run_as_they_do_alone(core: str) -> None:
    alone = demo()
    alone.run()
    pair = [demo(), demo()]
    for _ in range(60):
        for machine, insns in zip(pair, (777, 1234), strict=True):
            machine.run(max_insns=insns)
    for machine in pair:
        machine.run()
        assert outcome(machine) == outcome(alone)


def test_a_machine_inside_anothers_device_access_disturbs_neither(core: str) -> None:
    alone, outer = demo(), demo()
    alone.run()
    inner: list[Any] = []

    def start_another(byte: int) -> None:
        if len(inner) < 3:
            inner.append(demo())
            inner[-1].run()

    outer.serial.on_byte(start_another)
    outer.run()
    assert {outcome(machine) for machine in (outer, *inner)} == {outcome(alone)}


def test_machines_in_threads_run_as_they_do_alone(core: str) -> None:
    alone = demo()
    alone.run()
    machines = [demo() for _ in range(4)]
    threads = [threading.Thread(target=machine.run) for machine in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {outcome(machine) for machine in machines} == {outcome(alone)}


def test_a_machine_that_nobody_holds_is_freed(core: str) -> None:
    machine = demo()
    machine.run()
    trace = weakref.ref(machine.memory)
    del machine
    gc.collect()
    assert trace() is None


def test_three_hundred_machines_can_be_made_one_after_another(core: str) -> None:
    for _ in range(300):
        machine = Machine(mem="4M")
    machine.load_demo()
    assert machine.run().reason == "halt"

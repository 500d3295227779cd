"""Records the trace of a guest in a laboratory, one instruction at a time, for the reference of the timing models.

Everything is read while the machine stands between two instructions: registers, the bytes at EIP, what an operand in
memory holds, the descriptor that a far transfer names.  A fault is an entry of its own, and the instruction that it
kept from completing is none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from capstone.x86 import X86_OP_MEM
from instruction_cases import condition
from instruction_decoding import Decoded, decode, register_value
from instruction_trace import Event, Step

from hillemu.emu.cpu.core import CoreStop, Delivery, DeliveryKind
from hillemu.emu.i386.address import PhysAddr

PE, PG, VM, NMI, PAGE_FAULT = 1, 1 << 31, 1 << 17, 2, 14
LIMIT_BYTES = 15
TASK_GATE, CALL_GATES, TASKS = 0x5, (0x4, 0xC), (0x1, 0x3, 0x9, 0xB)
Registers = dict[str, int]


class Recording(NamedTuple):
    """The entries of a trace, and the cycles that the machine took for each with those of the next faults' entries."""

    entries: list[Step | Event]
    cycles: list[int]
    """For every entry; those of an `Event` are 0, and counted with the step behind it."""


def record(lab: Any, limit: int = 100_000) -> Recording:
    """Execute the guest of a laboratory to its HLT, which is the last step."""
    recorder = _Recorder(lab)
    for _ in range(limit):
        if recorder.step() is CoreStop.HALT:
            return Recording(recorder.entries, recorder.cycles)
    raise AssertionError(f"still running after {limit} steps")


class _Recorder:
    def __init__(self, lab: Any) -> None:
        self.lab, self.cpu = lab, lab.processor
        self.entries: list[Step | Event] = []
        self.cycles: list[int] = []
        self.is_repeating = False
        self.gdt = b""

    def step(self) -> CoreStop:
        """Execute one instruction, or one iteration of REP."""
        cpu = self.cpu
        before, count, busy = cpu.registers(), cpu.instructions, self._busy()
        prepared = self._prepare(before)
        self.gdt = (
            self._bytes(before["gdtr_base"], before["gdtr_limit"] + 1)
            if prepared and prepared[1].loads_segment
            else b""
        )
        stop: CoreStop = cpu.run(instructions=1)
        events = [it for it in cpu.deliveries if it.at == count and it.kind is not DeliveryKind.SOFTWARE]
        for delivery in events:
            before = self._event(delivery, before)
            prepared = self._prepare(before)
        assert prepared is not None, f"no instruction at {before['eip']:#x}"
        self._instruction(prepared, before, cpu.registers(), self._busy() - busy)
        return stop

    def _busy(self) -> int:
        return int(self.lab.pc.cycles.total - self.lab.pc.cycles.idle)

    # ---- an instruction -------------------------------------------------------------------------------------------

    def _prepare(self, before: Registers) -> tuple[Step, Decoded] | None:
        """What is known of an instruction before it is executed; None if it cannot be fetched or is none."""
        segment = self.cpu.segment("cs")
        linear = segment.base + before["eip"] & 0xFFFFFFFF
        bits = 32 if segment.attributes >> 22 & 1 else 16
        code = self._bytes(linear, LIMIT_BYTES)
        try:
            instruction = decode(code, bits)
        except ValueError:
            return None
        control = int.from_bytes(self.cpu.fpu_get("fcw"), "little") >> 8 & 3
        step = Step(
            code[: instruction.length],
            bits,
            _mode(before),
            before["eip"],
            linear,
            before,
            operand=self._operand(instruction, before),
            precision_control=control,
        )
        return step, instruction

    def _instruction(self, prepared: tuple[Step, Decoded], before: Registers, after: Registers, cycles: int) -> None:
        step, instruction = prepared
        name = instruction.mnemonic
        if name.startswith("REP "):
            self._repeat(step, instruction, after, cycles)
            return
        self.is_repeating = False
        fall_through = before["eip"] + instruction.length & 0xFFFFFFFF
        if name == "Jcc":
            taken = condition(step.code, instruction, before["eflags"])
        elif name in ("JCXZ", "LOOP", "LOOPE", "LOOPNE"):
            taken = after["eip"] != fall_through
        else:
            taken = instruction.is_branch
        loaded = instruction.loads_segment
        if loaded and step.mode == "protected" and after[loaded] & ~3:
            step = step._replace(was_accessed=bool(self.gdt[(after[loaded] & ~7) + 5] & 1))
        step = step._replace(
            taken=taken,
            outcome=self._outcome(step, instruction, before, after),
            switched=before["tr"] != after["tr"] and name != "LTR",
            parameters=self._parameters(step, instruction),
            stored=bool(after["eflags"] & 0x40),
        )
        self.entries.append(step)
        self.cycles.append(cycles)

    def _repeat(self, step: Step, instruction: Decoded, after: Registers, cycles: int) -> None:
        """One more iteration of the last entry, or the first of a new one."""
        made = step.registers["ecx"] - after["ecx"] & 0xFFFFFFFF
        if self.is_repeating:
            last = self.entries[-1]
            assert isinstance(last, Step)
            self.entries[-1] = last._replace(count=last.count + made)
            self.cycles[-1] += cycles
        else:
            self.entries.append(step._replace(count=made))
            self.cycles.append(cycles)
        self.is_repeating = after["eip"] == step.eip

    def _operand(self, instruction: Decoded, before: Registers) -> int:
        """What the memory operand holds; of LSL and LAR the descriptor."""
        name = instruction.mnemonic
        if name not in ("MUL", "IMUL", "BSF", "BSR", "LSL") and instruction.form != "m far":
            return 0
        operand = instruction.operands[-1]
        if operand.type != X86_OP_MEM:
            selector = register_value(instruction.names[-1], before) if name == "LSL" else 0
            return self._descriptor(selector & 0xFFFF, before) if name == "LSL" else 0
        size = {"LSL": 16}.get(
            name, instruction.operand_bits + 16 if instruction.form == "m far" else instruction.size
        ) // 8
        value = int.from_bytes(self._bytes(self._address(operand, instruction, before), size), "little")
        return self._descriptor(value, before) if name == "LSL" else value

    def _address(self, operand: Any, instruction: Decoded, before: Registers) -> int:
        names = [instruction.register_name(number) for number in (operand.mem.base, operand.mem.index)]
        base, index = (register_value(name, before) if name else 0 for name in names)
        offset = base + index * operand.mem.scale + operand.mem.disp
        segment = instruction.register_name(operand.mem.segment) or ("ss" if names[0][-2:] in ("sp", "bp") else "ds")
        wide = len(names[0] or names[1]) == 3 or not any(names)
        return self.cpu.segment(segment).base + (offset & (0xFFFFFFFF if wide else 0xFFFF)) & 0xFFFFFFFF

    # ---- transfers ------------------------------------------------------------------------------------------------

    def _outcome(self, step: Step, instruction: Decoded, before: Registers, after: Registers) -> str:
        name, form = instruction.mnemonic, instruction.form
        if name in ("INT", "INT3", "INTO"):
            vector = {"INT3": 3, "INTO": 4}.get(name, step.code[-1])
            entered = any(
                it.kind is DeliveryKind.SOFTWARE and it.at == self.cpu.instructions and it.vector == vector
                for it in self.cpu.deliveries[-1:]
            )
            return self._gate(vector, before) if entered else ""
        if step.mode != "protected":
            return ""
        if name == "IRET":
            if before["eflags"] >> 14 & 1:
                return "task return"
            return (
                "to V86"
                if after["eflags"] & VM
                else "outer privilege"
                if _cpl(after) > _cpl(before)
                else "same privilege"
            )
        if name == "RET" and form.endswith("far"):
            return "outer privilege" if _cpl(after) > _cpl(before) else "same privilege"
        if form in ("ptr far", "m far"):
            return self._transfer(self._far_descriptor(step, instruction), before, name)
        return ""

    def _far_descriptor(self, step: Step, instruction: Decoded) -> int:
        selector = instruction.selector if instruction.form == "ptr far" else step.operand >> instruction.operand_bits
        return self._descriptor(selector & 0xFFFF, step.registers)

    def _transfer(self, descriptor: int, before: Registers, name: str) -> str:
        kind = descriptor >> 40 & 0x1F
        if kind & 0x10:
            return "code segment"
        if kind in CALL_GATES:
            inner = self._dpl(descriptor >> 16 & 0xFFFF, before) < _cpl(before) and name == "CALL"
            parameters = ", n parameters" if inner and descriptor >> 32 & 0x1F else ""
            return f"call gate, {'more' if inner else 'same'} privilege{parameters}"
        assert kind in TASKS or kind == TASK_GATE, f"descriptor {descriptor:#x}"
        return "TSS" if kind in TASKS else "task gate"

    def _parameters(self, step: Step, instruction: Decoded) -> int:
        if instruction.mnemonic != "CALL" or instruction.form not in ("ptr far", "m far") or step.mode != "protected":
            return 0
        descriptor = self._far_descriptor(step, instruction)
        return descriptor >> 32 & 0x1F if descriptor >> 40 & 0x1F in CALL_GATES else 0

    def _event(self, delivery: Delivery, before: Registers) -> Registers:
        """Note an exception or interrupt; the registers that its handler begins with, but for ESP."""
        self.is_repeating = False
        if delivery.kind is DeliveryKind.INTERRUPT:
            kind = "NMI" if delivery.vector == NMI else "external"
        else:
            kind = "page fault" if delivery.vector == PAGE_FAULT else "exception"
        case = self._gate(delivery.vector, before)
        self.entries.append(Event(kind, _mode(before), case))
        self.cycles.append(0)
        assert case != "task gate", "the state behind a task switch is not known here"
        if _mode(before) == "real":
            entry = int.from_bytes(self._bytes(4 * delivery.vector, 4), "little")
            return before | {"eip": entry & 0xFFFF, "cs": entry >> 16}
        gate = self._idt(delivery.vector)
        return before | {
            "eip": gate & 0xFFFF | gate >> 48 << 16,
            "cs": gate >> 16 & 0xFFFF,
            "eflags": before["eflags"] & ~VM,
        }

    def _gate(self, vector: int, before: Registers) -> str:
        if _mode(before) == "real":
            return ""
        gate = self._idt(vector)
        if gate >> 40 & 0x1F == TASK_GATE:
            return "task gate"
        return "more privilege" if self._dpl(gate >> 16 & 0xFFFF, before) < _cpl(before) else "same privilege"

    # ---- memory ---------------------------------------------------------------------------------------------------

    def _idt(self, vector: int) -> int:
        return int.from_bytes(self._bytes(self.cpu.registers()["idtr_base"] + 8 * vector, 8), "little")

    def _descriptor(self, selector: int, before: Registers) -> int:
        return int.from_bytes(self._bytes(before["gdtr_base"] + (selector & ~7), 8), "little")

    def _dpl(self, selector: int, before: Registers) -> int:
        return self._descriptor(selector, before) >> 45 & 3

    def _bytes(self, linear: int, size: int) -> bytes:
        return b"".join(self._byte(linear + n & 0xFFFFFFFF) for n in range(size))

    def _byte(self, linear: int) -> bytes:
        """A byte at a linear address; 0 where nothing is mapped."""
        if self.cpu.get("cr0") & PG:
            directory = self.lab.word((self.cpu.get("cr3") & ~0xFFF) + 4 * (linear >> 22))
            entry = self.lab.word((directory & ~0xFFF) + 4 * (linear >> 12 & 0x3FF)) if directory & 1 else 0
            if not entry & 1:
                return b"\0"
            linear = entry & ~0xFFF | linear & 0xFFF
        return bytes(self.lab.memory.read(PhysAddr(linear), 1))


def _mode(registers: Registers) -> str:
    return "real" if not registers["cr0"] & PE else "v86" if registers["eflags"] & VM else "protected"


def _cpl(registers: Registers) -> int:
    return 3 if _mode(registers) == "v86" else registers["cs"] & 3

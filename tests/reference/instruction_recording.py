"""Records the trace of a guest in a laboratory, one instruction at a time, for the reference of the timing models.

Everything is read while the machine stands between two instructions: registers, the bytes at EIP, what an operand in
memory holds, the descriptor that a far transfer names.  A fault is an entry of its own, and the instruction that it
kept from completing is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from capstone.x86 import X86_OP_MEM
from instruction_cases import condition
from instruction_decoding import Decoded, decode, register_value
from instruction_trace import Event, Step

from hillemu.emu.cpu.core import CoreStop, Delivery, DeliveryKind
from hillemu.emu.i386.address import PhysAddr

PE, PG, VM, NMI, PAGE_FAULT = 1, 1 << 31, 1 << 17, 2, 14
LIMIT_BYTES, PAGE = 15, 4096
TASK_GATE, CALL_GATES, TASKS = 0x5, (0x4, 0xC), (0x1, 0x3, 0x9, 0xB)
Registers = dict[str, int]


class Recording(NamedTuple):
    """The entries of a trace, and what the machine took for them.

    A stop of the machine is between two groups: an instruction with a fault before it, a trap or an interrupt behind
    it, or all iterations of REP.  `groups` has the number of entries and the cycles of each.
    """

    entries: list[Step | Event]
    groups: list[tuple[int, int]]

    def sums(self, clocks: Sequence[int]) -> list[int]:
        """`clocks`, one for every entry, by groups."""
        found, start = [], 0
        for count, _ in self.groups:
            found.append(sum(clocks[start : start + count]))
            start += count
        return found


def record(lab: Any, limit: int = 100_000) -> Recording:
    """Execute the guest of a laboratory to its HLT, which is the last step, or for so many steps."""
    recorder = _Recorder(lab)
    for _ in range(limit):
        if recorder.step() is CoreStop.HALT:
            break
    return recorder.recording()


class _Recorder:
    def __init__(self, lab: Any) -> None:
        self.lab, self.cpu = lab, lab.processor
        self.entries: list[Step | Event] = []
        self.groups: list[tuple[int, int]] = []
        self.is_repeating = False
        self.tables = (b"", b"")  # GDT and LDT, before a segment register is loaded
        self.noted: list[Delivery] = []
        self.registers, self.busy = self.cpu.registers(), self._busy()

    def recording(self) -> Recording:
        """What was recorded, without a REP that has not ended, and the cycles that its end will take."""
        if self.is_repeating:
            return Recording(self.entries[:-1], self.groups[:-1])
        return Recording(self.entries, self.groups)

    def step(self) -> CoreStop:
        """Execute one instruction, or one iteration of REP."""
        cpu, first = self.cpu, len(self.entries)
        before, count, busy = self.registers, cpu.instructions, self.busy
        prepared = self._prepare(before)
        stop: CoreStop = cpu.run(instructions=1)
        if cpu.instructions == count:
            return stop  # halted for good
        events = [it for it in cpu.deliveries if it.kind is not DeliveryKind.SOFTWARE and it.at >= count]
        for delivery in events:
            # One that came when the last instruction had ended was noted with it.
            if delivery.at == count and delivery not in self.noted:
                before = self._event(delivery, before, prepared)
                prepared = self._prepare(before)
        assert prepared is not None, f"no instruction at {before['eip']:#x}"
        self.registers, self.busy = cpu.registers(), self._busy()
        self.noted = [it for it in events if it.at == cpu.instructions]
        # Where one came when the instruction had ended, the handler has been entered already.
        after = self.registers | ({"cs": self.noted[0].cs, "eip": self.noted[0].eip} if self.noted else {})
        went_on = self._instruction(prepared, before, after)
        for delivery in self.noted:
            self._event(delivery, before | {"cs": delivery.cs, "eip": delivery.eip})
        self._note(went_on, len(self.entries) - first, self.busy - busy)
        return stop

    def _note(self, went_on: bool, entries: int, cycles: int) -> None:
        if went_on:
            before, before_cycles = self.groups.pop()
            entries, cycles = before + entries, before_cycles + cycles
        self.groups.append((entries, cycles))

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
        if instruction.loads_segment:
            local = self.cpu.segment("ldtr")
            self.tables = (
                self._bytes(before["gdtr_base"], before["gdtr_limit"] + 1),
                self._bytes(local.base, local.limit + 1) if before["ldtr"] & ~3 else b"",
            )
        control = int.from_bytes(self.cpu.fpu_get("fcw"), "little") >> 8 & 3 if instruction.mnemonic[0] == "F" else 3
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

    def _instruction(self, prepared: tuple[Step, Decoded], before: Registers, after: Registers) -> bool:
        """Note it; whether it was one more iteration of the entry before."""
        step, instruction = prepared
        name = instruction.mnemonic
        if name.startswith("REP "):
            return self._repeat(step, after)
        self.is_repeating = False
        count = after["ecx"] & (1 << instruction.address_bits) - 1
        if name == "Jcc":
            taken = condition(step.code, instruction, before["eflags"])
        elif name == "JCXZ":
            taken = not count
        elif name.startswith("LOOP"):
            equal = {"LOOPE": 1, "LOOPNE": 0}.get(name, before["eflags"] >> 6 & 1)
            taken = bool(count) and before["eflags"] >> 6 & 1 == equal
        else:
            taken = instruction.is_branch
        loaded = instruction.loads_segment
        if loaded and step.mode == "protected" and after[loaded] & ~3:
            step = step._replace(was_accessed=bool(self.tables[after[loaded] >> 2 & 1][(after[loaded] & ~7) + 5] & 1))
        step = step._replace(
            taken=taken,
            outcome=self._outcome(step, instruction, before, after),
            switched=before["tr"] != after["tr"] and name != "LTR",
            parameters=self._parameters(step, instruction),
            stored=bool(after["eflags"] & 0x40),
        )
        self.entries.append(step)
        return False

    def _repeat(self, step: Step, after: Registers) -> bool:
        """One more iteration of the last entry, or the first of a new one."""
        made = step.registers["ecx"] - after["ecx"] & 0xFFFFFFFF
        went_on = self.is_repeating
        if went_on:
            last = self.entries[-1]
            assert isinstance(last, Step)
            self.entries[-1] = last._replace(count=last.count + made)
        else:
            self.entries.append(step._replace(count=made))
        self.is_repeating = after["eip"] == step.eip
        return went_on

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
                for it in self.cpu.deliveries[-3:]
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

    def _event(self, delivery: Delivery, before: Registers, refused: tuple[Step, Decoded] | None = None) -> Registers:
        """Note an exception or interrupt; the registers that its handler begins with, but for ESP."""
        if self.is_repeating and isinstance(last := self.entries[-1], Step):
            self.entries[-1] = last._replace(is_parted=True)
        self.is_repeating = False
        is_fault = delivery.kind is DeliveryKind.EXCEPTION and refused is not None
        if delivery.kind is DeliveryKind.INTERRUPT:
            kind = "NMI" if delivery.vector == NMI else "external"
        else:
            kind = "page fault" if delivery.vector == PAGE_FAULT else "exception"
        case = self._gate(delivery.vector, before)
        self.entries.append(Event(kind, _mode(before), case, refused[0] if is_fault and refused else None))
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
        base = self.cpu.segment("ldtr").base if selector & 4 else before["gdtr_base"]
        return int.from_bytes(self._bytes(base + (selector & ~7), 8), "little")

    def _dpl(self, selector: int, before: Registers) -> int:
        return self._descriptor(selector, before) >> 45 & 3

    def _bytes(self, linear: int, size: int) -> bytes:
        """Memory at a linear address; 0 where nothing is mapped."""
        found = b""
        while size:
            part = min(size, PAGE - linear % PAGE)
            physical = self._physical(linear)
            found += bytes(part) if physical is None else self._read(physical, part)
            linear, size = linear + part & 0xFFFFFFFF, size - part
        return found

    def _read(self, physical: int, size: int) -> bytes:
        try:
            return bytes(self.lab.memory.read(PhysAddr(physical), size))
        except IndexError:  # an open bus
            return b"\xff" * size

    def _physical(self, linear: int) -> int | None:
        if not self.cpu.get("cr0") & PG:
            return linear
        directory = self.lab.word((self.cpu.get("cr3") & ~0xFFF) + 4 * (linear >> 22))
        entry = self.lab.word((directory & ~0xFFF) + 4 * (linear >> 12 & 0x3FF)) if directory & 1 else 0
        return entry & ~0xFFF | linear & 0xFFF if entry & 1 else None


def _mode(registers: Registers) -> str:
    return "real" if not registers["cr0"] & PE else "v86" if registers["eflags"] & VM else "protected"


def _cpl(registers: Registers) -> int:
    return 3 if _mode(registers) == "v86" else registers["cs"] & 3

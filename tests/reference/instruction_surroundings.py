"""What the recorder looks at beside registers: memory, descriptors, gates, operands, read as the processor would.

Page tables are walked here.
"""

from __future__ import annotations

from typing import Any

from capstone.x86 import X86_OP_IMM, X86_OP_MEM
from instruction_decoding import Decoded, register_value

from hillemu.emu.cpu.core import Delivery
from hillemu.emu.i386.address import PhysAddr

PE, PG, VM, PSE, PAE = 1, 1 << 31, 1 << 17, 1 << 4, 1 << 5
PRESENT, LARGE = 1, 1 << 7
PAGE = 4096
TASK_GATE, CALL_GATES, TASKS_OF_286, TASKS_OF_386 = 0x5, (0x4, 0xC), (0x1, 0x3), (0x9, 0xB)
Registers = dict[str, int]


def mode_of(registers: Registers) -> str:
    """real, protected or v86."""
    return "real" if not registers["cr0"] & PE else "v86" if registers["eflags"] & VM else "protected"


def cpl_of(registers: Registers) -> int:
    mode = mode_of(registers)
    return 0 if mode == "real" else 3 if mode == "v86" else registers["cs"] & 3


class Surroundings:
    """A processor and its memory, between two instructions."""

    def __init__(self, lab: Any) -> None:
        self.cpu, self.memory = lab.processor, lab.memory

    # ---- operands -------------------------------------------------------------------------------------------------

    def operand(self, instruction: Decoded, registers: Registers) -> int:
        """What `instruction_trace.Step` has as operand."""
        name, is_pointer = instruction.mnemonic, instruction.form == "m far"
        if not is_pointer and name not in ("MUL", "IMUL", "BSF", "BSR", "LSL"):
            return 0
        operand = instruction.operands[-1]
        if operand.type == X86_OP_MEM:
            bits = instruction.operand_bits + 16 if is_pointer else 16 if name == "LSL" else instruction.size
            at = self._address(operand, instruction, registers)
            value = int.from_bytes(self.bytes_at(at, bits // 8), "little")
        elif operand.type == X86_OP_IMM:
            value = int(operand.imm) & (1 << instruction.size) - 1
        else:
            value = register_value(instruction.names[-1], registers)
        return self.descriptor(value & 0xFFFF) if name == "LSL" else value

    def _address(self, operand: Any, instruction: Decoded, registers: Registers) -> int:
        names = [instruction.register_name(number) for number in (operand.mem.base, operand.mem.index)]
        base, index = (register_value(name, registers) if name else 0 for name in names)
        offset = base + index * operand.mem.scale + operand.mem.disp
        segment = instruction.register_name(operand.mem.segment) or ("ss" if names[0][-2:] in ("sp", "bp") else "ds")
        wide = len(names[0] or names[1]) == 3 or not any(names)
        return self.cpu.segment(segment).base + (offset & (0xFFFFFFFF if wide else 0xFFFF)) & 0xFFFFFFFF

    # ---- transfers ------------------------------------------------------------------------------------------------

    def transfer(self, descriptor: int, registers: Registers, name: str) -> str:
        """What a far CALL or JMP through a descriptor is, as the tables' cases have it."""
        kind = descriptor >> 40 & 0x1F
        if kind & 0x10:
            return "code segment"
        if kind in CALL_GATES:
            inner = self._dpl(descriptor >> 16 & 0xFFFF) < cpl_of(registers) and name == "CALL"
            parameters = ", n parameters" if inner and descriptor >> 32 & 0x1F else ""
            return f"call gate, {'more' if inner else 'same'} privilege{parameters}"
        is_task = kind in TASKS_OF_286 or kind in TASKS_OF_386
        assert is_task or kind == TASK_GATE, f"descriptor {descriptor:#x}"
        return "TSS" if is_task else "task gate"

    def gate(self, vector: int, registers: Registers) -> str:
        """What an interrupt goes through, as the tables' cases have it; "" in real mode."""
        if mode_of(registers) == "real":
            return ""
        gate = self.idt(vector)
        if gate >> 40 & 0x1F == TASK_GATE:
            return "task gate"
        return "more privilege" if self._dpl(gate >> 16 & 0xFFFF) < cpl_of(registers) else "same privilege"

    def tasks(self, before: Registers, after: Registers) -> str:
        """The kinds of the tasks that were left and entered, as the tables' cases have them; "" if it is the same."""
        if before["tr"] == after["tr"]:
            return ""
        kinds = []
        for registers in (before, after):
            kind = self.descriptor(registers["tr"]) >> 40 & 0x1F
            kinds.append("V86" if registers["eflags"] & VM else "286" if kind in TASKS_OF_286 else "386")
        return " to ".join(kinds)

    def interrupted(self, before: Registers, delivery: Delivery) -> Registers:
        """What is known of the registers where an instruction ended and was interrupted; `before` is from before it."""
        task = self.cpu.get("tr")
        if self.idt(delivery.vector) >> 40 & 0x1F == TASK_GATE and mode_of(before) != "real":
            task = int.from_bytes(self.bytes_at(self._base(self.descriptor(task)), 2), "little")  # whom IRET returns to
        return before | {"cs": delivery.cs, "eip": delivery.eip, "tr": task}

    def entered_task(self, before: Registers) -> Registers:
        """The registers that the task in TR began with."""
        selector = self.cpu.get("tr")
        descriptor = self.descriptor(selector)
        base = self._base(descriptor)
        is_386 = (descriptor >> 40 & 0x1F) in TASKS_OF_386
        at, size = (32, 4) if is_386 else (14, 2)
        image = self.bytes_at(base, 104 if is_386 else 44)
        words = [int.from_bytes(image[place : place + size], "little") for place in range(at, at + 10 * size, size)]
        cs_at = 76 if is_386 else 36
        cs = int.from_bytes(image[cs_at : cs_at + 2], "little")
        names = ("eip", "eflags", "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
        return before | dict(zip(names, words, strict=True)) | {"cs": cs, "tr": selector}

    def idt(self, vector: int) -> int:
        return int.from_bytes(self.bytes_at(self.cpu.get("idtr_base") + 8 * vector, 8), "little")

    def descriptor(self, selector: int) -> int:
        base = self.cpu.segment("ldtr").base if selector & 4 else self.cpu.get("gdtr_base")
        return int.from_bytes(self.bytes_at(base + (selector & ~7) & 0xFFFFFFFF, 8), "little")

    def descriptor_tables(self) -> tuple[bytes, bytes]:
        """All of the GDT and of the LDT."""
        local = self.cpu.segment("ldtr")
        return (
            self.bytes_at(self.cpu.get("gdtr_base"), self.cpu.get("gdtr_limit") + 1),
            self.bytes_at(local.base, local.limit + 1) if local.selector & ~3 else b"",
        )

    @staticmethod
    def _base(descriptor: int) -> int:
        return descriptor >> 16 & 0xFFFFFF | descriptor >> 32 & 0xFF000000

    def _dpl(self, selector: int) -> int:
        return self.descriptor(selector) >> 45 & 3

    # ---- memory ---------------------------------------------------------------------------------------------------

    def bytes_at(self, linear: int, size: int) -> bytes:
        """Memory at a linear address; 0 where nothing is mapped."""
        part = PAGE - linear % PAGE
        if size > part:
            return self.bytes_at(linear, part) + self.bytes_at(linear + part & 0xFFFFFFFF, size - part)
        physical = self._physical(linear)
        if physical is None:
            return bytes(size)
        try:
            return bytes(self.memory.read(PhysAddr(physical), size))
        except IndexError:  # an open bus
            return b"\xff" * size

    def _physical(self, linear: int) -> int | None:
        get = self.cpu.get
        if not get("cr0") & PG:
            return linear
        control = get("cr4")
        if control & PAE:
            return self._physical_by_pae(linear)
        directory = self._word((get("cr3") & ~0xFFF) + 4 * (linear >> 22))
        if directory & LARGE and directory & PRESENT and control & PSE:
            return directory & ~0x3FFFFF | linear & 0x3FFFFF
        entry = self._word((directory & ~0xFFF) + 4 * (linear >> 12 & 0x3FF)) if directory & PRESENT else 0
        return entry & ~0xFFF | linear & 0xFFF if entry & PRESENT else None

    def _physical_by_pae(self, linear: int) -> int | None:
        """With entries of eight bytes, whose upper halves are 0 on these machines."""
        table = self.cpu.get("cr3") & ~0x1F
        for index in (linear >> 30, linear >> 21 & 0x1FF):
            entry = self._word(table + 8 * index)
            if not entry & PRESENT:
                return None
            table = entry & ~0xFFF
        if entry & LARGE:
            return entry & ~0x1FFFFF | linear & 0x1FFFFF
        entry = self._word(table + 8 * (linear >> 12 & 0x1FF))
        return entry & ~0xFFF | linear & 0xFFF if entry & PRESENT else None

    def _word(self, physical: int) -> int:
        return int(self.memory.u32(PhysAddr(physical)))

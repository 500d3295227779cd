"""Which registers instructions read and write: against capstone, and against Unicorn executing them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import capstone
import pytest
from unicorn import unicorn_const as uc_const
from unicorn import x86_const

from hillemu.emu.timing.opcodes import Slot, SlotKey, slots
from hillemu.emu.timing.registers import Access, accesses

uc: Any = importlib.import_module("unicorn")
"""Without types, which it does not have."""

NUMBERS = {
    name: number
    for number, names in enumerate(("al ah ax", "cl ch cx", "dl dh dx", "bl bh bx", "sp", "bp", "si", "di"))
    for name in (*names.split(), f"e{names.split()[-1]}")
}
CAPSTONE_LEAVES_OUT = {
    # implicit registers
    *("DAA", "DAS", "AAA", "AAS", "AAM", "AAD", "XLAT", "ENTER", "INT", "INT3", "INTO", "IRET"),
    *("PUSH sreg", "POP sreg", "CALL ptr far", "CALL m far", "RET far", "RET imm far"),
    # wrong about an operand: the index of BOUND is only read, ARPL compares both, TEST writes nothing, LEAVE's ESP is
    # not read, CDQ leaves EAX alone; CPUID had no subleaves in ECX; CMPXCHG may write EAX and reads both operands
    *("BOUND", "ARPL", "TEST", "LEAVE", "CWD", "CPUID", "CMPXCHG"),
}
REGISTERS = [
    getattr(x86_const, f"UC_X86_REG_{name}") for name in ("EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI")
]
CODE, DATA, STACK = 0x1000, 0x2000, 0x8000


def encodings() -> Iterable[tuple[SlotKey, Slot, bytes]]:
    """An example of every encoding but the x87's: rm is register 1 or an absolute address, immediates are 1 or 0."""
    for (opcode, reg, is_memory), slot in slots().items():
        if not 0xD8 <= opcode <= 0xDF and not (is_memory and slot.mod_ignored):
            head = opcode.to_bytes(2 if opcode > 0xFF else 1, "big")
            tail = bytes([reg << 3 | 5]) + DATA.to_bytes(4, "little") if is_memory else bytes([0xC1 | reg << 3])
            yield (opcode, reg, is_memory), slot, head + (tail if slot.has_modrm else b"") + b"\x01" + bytes(7)


def named(access: Access, slot: Slot, key: SlotKey) -> int:
    """The registers of an access word as a mask, for the example of `encodings`."""
    mask = access & 0xFF
    for flag, number, letters in ((Access.RM, 1, "ERU"), (Access.REG, key[1], "G"), (Access.OPCODE, key[0] & 7, "Z")):
        if access & flag:
            width = next(operand[1] for operand in slot.operands if operand[0] in letters)
            mask |= 1 << (number & 3 if width == "b" else number)
    return int(mask)


def test_registers_are_those_that_capstone_names() -> None:
    disassembler: Any = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)  # type: ignore[no-untyped-call]
    disassembler.detail = True
    compared, wrong = 0, []
    for key, slot, code in encodings():
        instruction = next(disassembler.disasm(code, 0), None)
        if instruction is None or CAPSTONE_LEAVES_OUT & {slot.form.mnemonic, str(slot.form)}:
            continue
        theirs = [
            sum({1 << NUMBERS[name] for name in map(instruction.reg_name, registers) if name in NUMBERS})
            for registers in instruction.regs_access()
        ]
        ours = [named(access, slot, key) for access in accesses(slot)]
        compared += 1
        if ours != theirs:
            wrong.append(f"{code.hex()} {instruction.mnemonic} {instruction.op_str}: {ours}, capstone {theirs}")
    assert not wrong, "\n".join(wrong[:20])
    assert compared > 3000


LEAVES_THE_PROGRAM = {
    "CALL",
    "JMP",
    "RET",
    "INT",
    "INT3",
    "INTO",
    "IRET",
    "Jcc",
    "LOOP",
    "LOOPE",
    "LOOPNE",
    "JCXZ",
    "HLT",
}
FAULTS_OR_STOPS = {"BOUND", "WRMSR", "RDMSR", "RSM", "LLDT", "LTR", "IN", "OUT", "INS", "OUTS", "WAIT", "LMSW"}


@pytest.mark.parametrize("seed", [0x01020304, 0x7A6B5C4D])
def test_an_executed_instruction_changes_no_register_that_it_is_not_said_to_write(seed: int) -> None:
    engine: Any = uc.Uc(uc_const.UC_ARCH_X86, uc_const.UC_MODE_32)
    engine.mem_map(0, 0x10000)
    executed, wrong = set(), []
    for key, slot, code in encodings():
        operands = slot.form.operands
        if key[1] and slots().get((key[0], 0, key[2])) == slot:
            continue  # the same with another register in reg
        if slot.form.mnemonic in LEAVES_THE_PROGRAM | FAULTS_OR_STOPS or "sreg" in operands or "CR" in operands:
            continue
        if "DR" in operands or "TR" in operands or slot.form.mnemonic in ("LDS", "LES", "LFS", "LGS", "LSS"):
            continue
        # Addresses where an instruction may read and write, values that differ, and a dividend that does not overflow.
        before = [seed & 0xFF, 0x2104, 0, 0x2208, STACK, STACK + 0x100, 0x2300 + (seed & 0xF), 0x2400]
        engine.mem_write(CODE, code)
        engine.ctl_remove_cache(CODE, CODE + len(code))
        engine.mem_write(DATA, bytes(range(1, 256)) * 8)
        for register, value in zip(REGISTERS, before, strict=True):
            engine.reg_write(register, value)
        try:
            engine.emu_start(CODE, 0, count=1)
        except uc.UcError:
            continue
        executed.add(slot.form.mnemonic)
        after = [engine.reg_read(register) for register in REGISTERS]
        changed = sum(1 << number for number in range(8) if before[number] != after[number])
        if changed & ~named(accesses(slot)[1], slot, key):
            wrong.append(f"{code.hex()} {slot.form} changed {changed:#x}: {before} {after}")
    assert not wrong, "\n".join(wrong[:20])
    assert {"DAA", "AAM", "XLAT", "ENTER", "LEAVE", "CMPXCHG", "CWD", "PUSHA", "POPA", "MUL", "DIV"} <= executed
    assert len(executed) > 80

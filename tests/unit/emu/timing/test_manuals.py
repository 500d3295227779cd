"""Clocks as the manuals and published tables print them, typed in for whole instructions."""

from __future__ import annotations

import pytest

from hillemu.emu.timing.cases import Mode
from hillemu.emu.timing.expressions import Operands
from hillemu.emu.timing.model import PROCESSORS, timing_model

P, R, V = Mode.PROTECTED, Mode.REAL, Mode.V86

IN_ANY_MODE = [
    # 32-bit code; instruction, i386, i486, Pentium; None: the processor does not have it
    ("89 d8", "mov eax, ebx", 2, 1, 1),
    ("8b 06", "mov eax, [esi]", 4, 1, 1),
    ("89 06", "mov [esi], eax", 2, 1, 1),
    ("b8 01000000", "mov eax, 1", 2, 1, 1),
    ("c7 06 00000000", "mov dword [esi], 0", 2, 1, 1),
    ("50", "push eax", 2, 1, 1),
    ("58", "pop eax", 4, 1, 1),
    ("68 00000000", "push 0", 2, 1, 1),
    ("ff 36", "push dword [esi]", 5, 4, 2),
    ("8f 06", "pop dword [esi]", 5, 5, 3),
    ("01 d8", "add eax, ebx", 2, 1, 1),
    ("01 06", "add [esi], eax", 7, 3, 3),
    ("03 06", "add eax, [esi]", 6, 2, 2),
    ("83 c0 01", "add eax, 1", 2, 1, 1),
    ("83 06 01", "add dword [esi], 1", 7, 3, 3),
    ("31 06", "xor [esi], eax", 7, 3, 3),
    ("33 06", "xor eax, [esi]", 6, 2, 2),
    ("39 06", "cmp [esi], eax", 5, 2, 2),
    ("3b 06", "cmp eax, [esi]", 6, 2, 2),
    ("85 06", "test [esi], eax", 5, 2, 2),
    ("a8 01", "test al, 1", 2, 1, 1),
    ("40", "inc eax", 2, 1, 1),
    ("ff 06", "inc dword [esi]", 6, 3, 3),
    ("f7 d8", "neg eax", 2, 1, 1),
    ("f7 1e", "neg dword [esi]", 6, 3, 3),
    ("f6 f3", "div bl", 14, 16, 17),
    ("66 f7 f3", "div bx", 22, 24, 25),
    ("f7 f3", "div ebx", 38, 40, 41),
    ("f7 36", "div dword [esi]", 41, 40, 41),
    ("f7 fb", "idiv ebx", 43, 43, 46),
    ("f7 3e", "idiv dword [esi]", 46, 44, 46),
    ("99", "cdq", 2, 3, 2),
    ("98", "cwde", 3, 3, 3),
    ("d1 e0", "shl eax, 1", 3, 3, 1),
    ("c1 e0 04", "shl eax, 4", 3, 2, 1),
    ("d3 e0", "shl eax, cl", 3, 3, 4),
    ("d1 26", "shl dword [esi], 1", 7, 4, 3),
    ("d1 d0", "rcl eax, 1", 9, 3, 1),
    ("0f a4 c3 04", "shld ebx, eax, 4", 3, 2, 4),
    ("0f ba 26 01", "bt dword [esi], 1", 6, 3, 4),
    ("0f a3 06", "bt [esi], eax", 12, 8, 9),
    ("0f ab 06", "bts [esi], eax", 13, 13, 14),
    ("0f b6 c0", "movzx eax, al", 3, 3, 3),
    ("0f b6 06", "movzx eax, byte [esi]", 6, 3, 3),
    ("8d 06", "lea eax, [esi]", 2, 1, 1),
    ("c9", "leave", 4, 5, 3),
    ("60", "pusha", 18, 11, 5),
    ("61", "popa", 24, 9, 5),
    ("90", "nop", 3, 1, 1),
    ("f4", "hlt", 5, 4, 4),
    ("f8", "clc", 2, 2, 2),
    ("fa", "cli", 3, 5, 7),
    ("a5", "movsd", 7, 7, 4),
    ("ad", "lodsd", 5, 5, 2),
    ("ab", "stosd", 4, 5, 3),
    ("a7", "cmpsd", 10, 8, 5),
    ("af", "scasd", 7, 6, 4),
    ("87 d8", "xchg eax, ebx", 3, 3, 3),
    ("87 06", "xchg [esi], eax", 5, 5, 3),
    ("d7", "xlat", 5, 4, 4),
    ("37", "aaa", 4, 3, 3),
    ("27", "daa", 4, 2, 3),
    ("d5 0a", "aad", 19, 14, 10),
    ("d4 0a", "aam", 17, 15, 18),
    ("9e", "sahf", 3, 2, 2),
    ("9f", "lahf", 2, 3, 2),
    ("0f 20 c0", "mov eax, cr0", 6, 4, 4),
    ("0f 22 c0", "mov cr0, eax", 10, 17, 22),
    ("0f 22 d8", "mov cr3, eax", 5, 4, 21),
    ("0f 01 16", "lgdt [esi]", 11, 12, 6),
    ("0f 06", "clts", 5, 7, 10),
    ("0f c8", "bswap eax", None, 1, 1),
    ("0f c1 d8", "xadd eax, ebx", None, 3, 4),
    ("0f 09", "wbinvd", None, 5, 2000),
    ("0f a2", "cpuid", None, None, 14),
    ("0f 32", "rdmsr", None, None, 20),
    ("0f 24 f0", "mov eax, tr6", 12, 4, None),
    ("d9 c0", "fld st0", 14, 4, 1),
    ("dd 06", "fld qword [esi]", 25, 3, 1),
    ("d9 c9", "fxch", 18, 4, 1),
    ("d9 e1", "fabs", 22, 3, 1),
    ("d9 fa", "fsqrt", 125, 85, 70),
    ("db 2e", "fld tword [esi]", 44, 6, 3),
]

BY_CASE = [
    ("i386", "74 00", P, "taken", Operands(components=2), 9),
    ("i386", "74 00", P, "not taken", Operands(), 3),
    ("i486", "74 00", P, "taken", Operands(), 3),
    ("i486", "0f 84 00000000", P, "not taken", Operands(), 1),
    ("pentium", "74 00", P, "taken", Operands(), 1),
    ("i386", "e2 00", P, "taken", Operands(components=1), 12),
    ("i486", "e2 00", P, "taken", Operands(), 7),
    ("i486", "e2 00", P, "not taken", Operands(), 6),
    ("i386", "e8 00000000", P, "", Operands(components=3), 10),
    ("i486", "e8 00000000", P, "", Operands(), 3),
    ("i386", "c3", P, "", Operands(components=1), 11),
    ("i486", "c3", P, "", Operands(), 5),
    ("i386", "f3 a5", P, "n>1", Operands(n=10), 45),
    ("i386", "f3 ab", P, "n>1", Operands(n=10), 55),
    ("i386", "f3 a6", P, "n>1", Operands(n=10), 95),
    ("i386", "f2 ae", P, "n>1", Operands(n=10), 85),
    ("i486", "f3 a5", P, "n=0", Operands(), 5),
    ("i486", "f3 a5", P, "n=1", Operands(n=1), 13),
    ("i486", "f3 a5", P, "n>1", Operands(n=10), 42),
    ("i486", "f3 ab", P, "n>1", Operands(n=10), 47),
    ("i486", "f3 a6", P, "n>1", Operands(n=10), 77),
    ("pentium", "f3 a5", P, "n>1", Operands(n=10), 22),
    ("i386", "f7 e3", P, "", Operands(multiplier=0), 9),
    ("i386", "f7 e3", P, "", Operands(multiplier=0xFFFFFFFF), 38),
    ("i386", "f7 26", P, "", Operands(multiplier=0xFFFFFFFF), 41),
    ("i386", "f6 e3", P, "", Operands(multiplier=0xFF), 14),
    ("i486", "f7 e3", P, "", Operands(multiplier=0), 13),
    ("i486", "f7 e3", P, "", Operands(multiplier=0xFFFFFFFF), 42),
    ("i486", "0f af c3", P, "", Operands(multiplier=-3), 15),
    ("pentium", "f6 e3", P, "", Operands(multiplier=1), 11),
    ("i386", "0f bc c3", P, "source not 0", Operands(n=7, source=1 << 7), 31),
    ("i486", "0f bc c3", P, "source not 0", Operands(source=1 << 31), 42),
    ("i486", "0f bd c3", P, "source not 0", Operands(position=0), 103),
    ("i386", "8e d8", R, "", Operands(), 2),
    ("i386", "8e d8", P, "", Operands(), 18),
    ("i486", "8e d8", R, "", Operands(), 3),
    ("i486", "8e d8", P, "", Operands(), 9),
    ("i386", "c5 06", R, "", Operands(), 7),
    ("i386", "c5 06", P, "", Operands(), 22),
    ("i486", "c5 06", R, "", Operands(), 6),
    ("i486", "c5 06", P, "", Operands(), 12),
    ("i386", "cd 80", R, "", Operands(), 37),
    ("i386", "cc", R, "", Operands(), 33),
    ("i386", "cd 80", P, "same privilege", Operands(), 59),
    ("i386", "cd 80", P, "more privilege", Operands(), 99),
    ("i386", "cd 80", V, "more privilege", Operands(), 119),
    ("i486", "cd 80", R, "", Operands(), 30),
    ("i486", "cd 80", P, "same privilege", Operands(), 44),
    ("i486", "cd 80", P, "more privilege", Operands(), 71),
    ("i486", "cd 80", V, "more privilege", Operands(), 86),
    ("pentium", "cd 80", R, "", Operands(), 16),
    ("i386", "cf", R, "", Operands(), 22),
    ("i386", "cf", P, "same privilege", Operands(), 38),
    ("i386", "cf", P, "outer privilege", Operands(), 82),
    ("i386", "cf", P, "to V86", Operands(), 60),
    ("i486", "cf", R, "", Operands(), 15),
    ("i486", "cf", P, "outer privilege", Operands(), 36),
    ("pentium", "cf", P, "outer privilege", Operands(), 27),
    ("i386", "ec", R, "", Operands(), 13),
    ("i386", "ec", P, "CPL<=IOPL", Operands(), 7),
    ("i386", "ec", P, "CPL>IOPL", Operands(), 27),
    ("i386", "ec", V, "", Operands(), 27),
    ("i486", "ec", R, "", Operands(), 14),
    ("i486", "ec", P, "CPL<=IOPL", Operands(), 8),
    ("i486", "ee", P, "CPL>IOPL", Operands(), 30),
    ("i386", "9a 00000000 0800", P, "call gate, same privilege", Operands(components=2), 54),
    ("i386", "9a 00000000 0800", P, "call gate, more privilege, n parameters", Operands(n=2, components=2), 104),
    ("i486", "9a 00000000 0800", P, "call gate, more privilege", Operands(), 69),
    ("i486", "9a 00000000 0800", P, "call gate, more privilege, n parameters", Operands(n=2), 85),
    ("i486", "ea 00000000 0800", P, "TSS", Operands(task_switch=162), 204),
    ("i386", "ea 00000000 0800", P, "TSS", Operands(task_switch=300), 300),
    ("i386", "c8 0000 00", P, "level 0", Operands(), 10),
    ("i386", "c8 0000 04", P, "level n", Operands(n=4), 27),
    ("i486", "c8 0000 01", P, "level 1", Operands(n=1), 17),
    ("i486", "0f 94 c0", P, "true", Operands(), 4),
    ("i486", "0f 94 c0", P, "false", Operands(), 3),
    ("i486", "0f 01 38", P, "TLB hit", Operands(), 12),
    ("i386", "0f 02 c3", P, "", Operands(), 15),
    ("i486", "0f b1 1e", P, "equal", Operands(), 7),
    ("i486", "0f b1 1e", P, "not equal", Operands(), 10),
    ("pentium", "d8 f1", P, "", Operands(precision_control=2), 33),
    ("pentium", "d8 f1", P, "", Operands(), 39),
    ("i386", "6e", P, "CPL<=IOPL", Operands(), 8),
    ("i486", "f3 6d", P, "CPL<=IOPL", Operands(n=256), 2058),
]


@pytest.mark.parametrize(("code", "instruction", "i386", "i486", "pentium"), IN_ANY_MODE)
def test_an_instruction_costs_what_the_manuals_print(
    code: str, instruction: str, i386: int | None, i486: int | None, pentium: int | None
) -> None:
    for processor, clocks in zip(PROCESSORS, (i386, i486, pentium), strict=True):
        for mode in (R, P):
            assert timing_model(processor).clocks_of(bytes.fromhex(code), mode, 32) == clocks, (processor, mode)


@pytest.mark.parametrize(("processor", "code", "mode", "case", "operands", "clocks"), BY_CASE)
def test_an_outcome_costs_what_the_manuals_print(
    processor: str, code: str, mode: Mode, case: str, operands: Operands, clocks: int
) -> None:
    assert timing_model(processor).clocks_of(bytes.fromhex(code), mode, 32, case, operands) == clocks


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("code", ["0f 00 d0", "0f 00 d8", "0f 00 c0", "0f 02 c3", "63 d8"])
def test_instructions_of_protected_mode_only_cost_nothing_elsewhere_because_they_do_not_exist(
    processor: str, code: str
) -> None:
    model = timing_model(processor)
    assert model.clocks_of(bytes.fromhex(code), R, 32) is None
    assert model.clocks_of(bytes.fromhex(code), V, 32) is None
    assert model.clocks_of(bytes.fromhex(code), P, 32) is not None

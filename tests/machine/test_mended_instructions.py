"""What QEMU 5 executes wrongly and the native core mends: LOCK, ARPL, ENTER, rotates, 16-bit gates, conforming tasks.

Sources: Intel SDM Vol. 2, the instructions; Vol. 3A, "Exception Conditions Checked During a Task Switch";
Intel386 Programmer's Reference Manual, "16-Bit Gates", "Page-Level Protection".  Rotates: what barotto/test386.asm
recorded of processors.
"""

from __future__ import annotations

from typing import Any

import pytest
from laboratory import GDT, IDT

from hillemu.emu.i386.address import PhysAddr

FAULTS = """; hlt
    vector_6: mov ebp, 6; mov esi, [esp]; cli; hlt
    vector_14: mov ebp, 14; mov ebx, [esp]; mov esi, [esp + 4]; mov edi, cr2; cli; hlt
"""


def paging(change: str = "") -> str:
    """4 MiB mapped to themselves, with `change` made to their table at 0x400000."""
    return f"""
        mov edi, 0x400000; mov eax, 7; mov ecx, 1024
    1:  mov [edi], eax; add eax, 4096; add edi, 4; loop 1b
        {change}
        mov dword ptr [0x401000], 0x400007; mov dword ptr [0x401004], 0x402007
        mov eax, 0x401000; mov cr3, eax
        mov eax, cr0; or eax, 0x80010000; mov cr0, eax
    """


def native(lab_of: Any, source: str) -> Any:
    machine = lab_of("native", source + FAULTS)
    machine.run()
    return machine


@pytest.mark.parametrize(
    "code",
    ["F0 90", "F0 89 03", "F0 8B 03", "F0 3B 03", "F0 39 03", "F0 83 3B 00", "F0 01 C3", "F0 87 C3", "F0 F7 23",
     "F0 FF 33", "F0 F7 03 01 00 00 00", "F0 0F A3 03", "F0 0F BA 23 01", "F0 0F A2", "F0 0F 38 00 03", "F0 50",
     "66 F0 90"],
)  # fmt: skip
def test_lock_is_undefined_where_nothing_is_read_changed_and_written_back(code: str, lab_of: Any) -> None:
    machine = native(lab_of, f"mov ebx, 0x200000; here: .byte {', '.join('0x' + byte for byte in code.split())}; nop")
    assert (machine.get("ebp"), machine.get("esi")) == (6, machine.symbols["here"])


def test_lock_is_refused_in_front_of_a_page_that_is_not_there(lab_of: Any) -> None:
    source = paging("and dword ptr [0x400804], ~1") + "mov word ptr [0x200FFE], 0x90F0; mov eax, 0x200FFE; jmp eax"
    assert native(lab_of, source).get("ebp") == 6


@pytest.mark.parametrize(
    "instruction",
    ["add [ebx], eax", "or [ebx], al", "xor dword ptr [ebx], 5", "not dword ptr [ebx]", "neg byte ptr [ebx]",
     "inc dword ptr [ebx]", "dec word ptr [ebx]", "xchg [ebx], eax", "bts [ebx], eax", "btc dword ptr [ebx], 3",
     "cmpxchg [ebx], ecx", "xadd [ebx], eax", "cmpxchg8b [ebx]"],
)  # fmt: skip
def test_lock_is_good_for_the_others(instruction: str, lab_of: Any) -> None:
    assert native(lab_of, f"mov ebx, 0x200000; lock {instruction}").get("ebp") == 0


@pytest.mark.parametrize(("destination", "stored", "faults"), [(0xFFF2, 0xFFF2, False), (0xFFF0, 0xFFF0, True)])
def test_arpl_stores_only_what_it_changes(destination: int, stored: int, faults: bool, lab_of: Any) -> None:
    source = f"mov word ptr [0x200000], {destination}; " + paging("and dword ptr [0x400800], ~2")
    machine = native(lab_of, f"{source}; mov ebx, 2; here: arpl [0x200000], bx")
    assert (machine.get("ebp") == 14) is faults
    assert machine.memory.u32(PhysAddr(0x200000)) == stored
    dirty = machine.memory.u32(PhysAddr(0x400800)) >> 6 & 1
    assert dirty == 0


SMALL_STACK = "mov eax, 0x30; mov ss, ax; "


@pytest.mark.parametrize("level", [0, 1, 4])
def test_enter_on_a_16_bit_stack_keeps_the_upper_half_of_the_frame_pointer(level: int, lab_of: Any) -> None:
    source = (
        f"lgdt [0x7800]; {SMALL_STACK} mov ebp, 0xABCDFFF0; mov esp, 0x10000; .byte 0xC8, 8, 0, {level}; mov ecx, esp"
    )
    machine = lab_of("native", source + "; cli; hlt")
    machine.memory.write(PhysAddr(GDT + 0x30), (0x008F92000000FFFF).to_bytes(8, "little"))
    machine.memory.write(PhysAddr(0x7800), (0x37).to_bytes(2, "little") + GDT.to_bytes(4, "little"))
    machine.run()
    assert machine.get("ebp") == 0x1FFFC
    assert machine.get("ecx") == 0x10000 | (0xFFFC - 8 - 4 * level)
    if level:
        assert machine.memory.u32(PhysAddr(0xFFFC - 4 * level)) == 0x1FFFC  # the new frame's own pointer


def test_enter_with_16_bit_operands_leaves_the_upper_half_of_ebp(lab_of: Any) -> None:
    machine = native(
        lab_of, "mov ebp, 0x12345678; mov ecx, esp; .byte 0x66, 0xC8, 8, 0, 0; mov edx, esp; movzx eax, bp"
    )
    assert machine.get("ebp") >> 16 == 0x1234
    assert machine.get("eax") == (machine.get("ecx") - 2) & 0xFFFF
    assert machine.get("edx") == machine.get("ecx") - 2 - 8


def test_enter_faults_where_its_frame_could_not_be_written_and_changes_nothing(lab_of: Any) -> None:
    ring_3 = "push 0x23; push 0x201004; pushfd; push 0x1B; push offset here; iretd; "
    source = paging("and dword ptr [0x400800], ~1") + ring_3
    machine = native(lab_of, source + "here: enter 0x10, 0")
    assert (machine.get("ebp"), machine.get("ebx"), machine.get("edi")) == (14, 6, 0x200FF0)
    assert machine.get("esi") == machine.symbols["here"]
    assert machine.memory.u32(PhysAddr(machine.get("esp") + 16)) == 0x201004  # the ESP that was pushed


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("left", [True, False])
def test_a_rotate_through_carry_computes_overflow_from_its_result(bits: int, left: bool, lab_of: Any) -> None:
    register = {8: "al", 16: "ax", 32: "eax"}[bits]
    name = "rcl" if left else "rcr"
    source = f"again: mov eax, ebx; mov ecx, esi; bt edx, 0; {name} {register}, cl; seto dl; setc dh; here: jmp again"
    machine = lab_of("native", source)
    machine.processor.add_breakpoint(machine.symbols["here"])
    for value in (0x81234567, 0x00000001, 0x7FFFFF7E, 0xAAAA5555):
        for count in (1, 2, 7, bits - 1):
            for carry in (0, 1):
                for register_name, number in (("ebx", value), ("esi", count), ("edx", carry), ("eip", 0x100000)):
                    machine.processor.set(register_name, number)
                machine.run()
                ring = carry << bits | value & ((1 << bits) - 1)  # CF on top of the operand
                turn = count if left else bits + 1 - count
                ring = (ring << turn | ring >> (bits + 1 - turn)) & ((1 << (bits + 1)) - 1)
                top, next_to_top = ring >> (bits - 1) & 1, ring >> (bits - 2) & 1
                overflow = top ^ (ring >> bits if left else next_to_top)
                assert machine.get("eax") & ((1 << bits) - 1) == ring & ((1 << bits) - 1)
                assert machine.get("edx") & 0xFFFF == (ring >> bits) << 8 | overflow


@pytest.mark.parametrize("kind", [0xE600, 0xE700])
def test_a_16_bit_gate_has_16_bits_of_offset(kind: int, lab_of: Any) -> None:
    machine = lab_of("native", "lgdt [0x7800]; mov ecx, esp; int 0x81; cli; hlt")
    # At 0x30 code that begins at 1 MiB, so that the handler's offset fits.
    machine.memory.write(PhysAddr(GDT + 0x30), (0x00CF9A100000FFFF).to_bytes(8, "little"))
    machine.memory.write(PhysAddr(0x7800), (0x37).to_bytes(2, "little") + GDT.to_bytes(4, "little"))
    machine.memory.write(PhysAddr(0x100040), bytes.fromhex("89 E2 FA F4"))  # mov edx, esp; cli; hlt
    gate = 0x40 | 0x30 << 16 | kind << 32 | 0xDEAD << 48
    machine.memory.write(PhysAddr(IDT + 8 * 0x81), gate.to_bytes(8, "little"))
    machine.run()
    assert machine.get("eip") == 0x44
    assert machine.get("ecx") - machine.get("edx") == 6  # IP, CS and FLAGS


@pytest.mark.parametrize("frame_at", [GDT + 0x1004, 0x7F84])
def test_a_return_address_is_no_gate_though_it_lies_in_a_tables_limit(frame_at: int, lab_of: Any) -> None:
    # As with a GDT of 64 KiB around the stack; at 0x7F84, with an LDTR that was never loaded.
    machine = lab_of(
        "native", f"lgdt [0x7800]; mov esp, {frame_at + 12}; pushfd; push 8; push 0x1260C; mov ecx, esp; iretd"
    )
    limit = 0xFFFF if frame_at > GDT else 0x37
    machine.memory.write(PhysAddr(0x7800), limit.to_bytes(2, "little") + GDT.to_bytes(4, "little"))
    machine.memory.write(PhysAddr(0x1260C), b"\xfa\xf4")  # cli; hlt
    machine.run()
    assert (machine.get("eip"), machine.get("ecx")) == (0x1260E, frame_at)


def test_a_task_may_begin_in_conforming_code_of_an_inner_ring(lab_of: Any) -> None:
    machine = lab_of(
        "native", "lgdt [0x7800]; ljmp 0x38, 0; task: mov ecx, cs; mov edx, 0x5555; int 0x82; vector_130: cli; hlt"
    )
    tss = 0x9000
    machine.memory.write(PhysAddr(GDT + 0x30), (0x00CF9E000000FFFF).to_bytes(8, "little"))
    machine.memory.write(PhysAddr(GDT + 0x38), (0x67 | tss << 16 | 0x89 << 40).to_bytes(8, "little"))
    machine.memory.write(PhysAddr(0x7800), (0x3F).to_bytes(2, "little") + GDT.to_bytes(4, "little"))
    fields = {4: 0x90000, 8: 0x10, 0x20: machine.symbols["task"], 0x24: 2, 0x38: 0x70000, 0x4C: 0x33, 0x50: 0x23}
    for offset, value in (fields | {0x48: 0x23, 0x54: 0x23}).items():
        machine.memory.set_u32(PhysAddr(tss + offset), value)
    machine.run()
    assert (machine.get("ecx"), machine.get("edx")) == (0x33, 0x5555)


def test_a_walk_that_faults_sets_no_accessed_bit(lab_of: Any) -> None:
    machine = native(lab_of, paging() + "mov eax, [0x600000]")
    assert machine.get("ebp") == 14
    assert machine.memory.u32(PhysAddr(0x401004)) == 0x402007
    assert machine.memory.u32(PhysAddr(0x401000)) == 0x400027

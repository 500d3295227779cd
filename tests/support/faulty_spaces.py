"""Address spaces with one mistake for each rule of lint, as entries to write and as a kernel that writes them.

Physical memory, below 16 MiB::

    0x001000  GDT, 0x001800 IDT, 0x100000 code        0x204000  page table of 0x40000000
    0x200000  the four PDPTEs                         0x205000  page table of 0x40200000
    0x201000  page table of the first 2 MiB           0x206000  directory of 0x40000000
    0x202000  directory of the first GiB              0x207000  spare tables: 0x207000, 0x208000
                                                      0x209000  directory of 0xC0000000

`CLEAN` alone is beyond reproach; each `Fault` adds or changes a few words.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from hillemu.emu.guest import FakeGuest, Segment
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.registers import Cr0, Cr4, Efer

P, W, U, PS, G, NX = 1, 2, 4, 1 << 7, 1 << 8, 1 << 63
GDT, IDT, CODE, CODE_BYTES = 0x1000, 0x1800, 0x100000, 0x2000
POINTERS, FIRST_TABLE, FIRST_DIRECTORY = 0x200000, 0x201000, 0x202000
TABLE, TABLE_2, DIRECTORY, SPARE, SPARE_2, TOP_DIRECTORY = 0x204000, 0x205000, 0x206000, 0x207000, 0x208000, 0x209000
CR0, CR4, EFER = Cr0.of(PG=1, WP=1, ET=1, PE=1), Cr4.of(PAE=1, PGE=1), Efer.of(NXE=1)
NOBODY = 0xE0000000
"""Neither RAM nor a device."""
KERNEL_DATA = P | W | NX


def _identity() -> dict[int, int]:
    code = range(CODE, CODE + CODE_BYTES, 0x1000)
    return {FIRST_TABLE + 8 * (at >> 12): at | (P if at in code else KERNEL_DATA) for at in range(0, 0x200000, 0x1000)}


CLEAN = _identity() | {
    POINTERS: FIRST_DIRECTORY | P,
    POINTERS + 8: DIRECTORY | P,
    POINTERS + 24: TOP_DIRECTORY | P,
    FIRST_DIRECTORY: FIRST_TABLE | P | W | U,
    FIRST_DIRECTORY + 8: 0x200000 | PS | KERNEL_DATA,
    DIRECTORY: TABLE | P | W | U,
    TABLE: 0x400000 | P | U | NX,
}


@dataclass(frozen=True)
class Fault:
    """`words` (64-bit entries by physical address) make rule `rule` speak, with `severity`, of virtual `start`."""

    rule: str
    severity: str
    start: int
    words: dict[int, int] = field(default_factory=dict)
    without_cr0: int = 0


FAULTS = (
    Fault("reserved-bits", "error", 0x40003000, {TABLE + 8 * 3: 1 << 45 | 0x9000 | P | NX}),
    Fault("table-outside-ram", "error", 0x40600000, {DIRECTORY + 8 * 3: NOBODY | P | W}),
    Fault("user-kernel-page", "error", GDT, {FIRST_TABLE + 8: GDT | U | KERNEL_DATA}),
    Fault("table-for-user", "error", 0x40001000, {TABLE + 8: TABLE | U | KERNEL_DATA}),
    Fault("writable-executable", "warning", 0x40002000, {TABLE + 8 * 2: 0xA000 | P | W}),
    Fault("alias", "warning", 0x40006000, {TABLE + 8 * 6: 0xB000 | P | NX}),
    Fault("rights-conflict", "warning", 0x40200000, {DIRECTORY + 8: TABLE_2 | P, TABLE_2: 0x402000 | U | KERNEL_DATA}),
    Fault("outside-ram", "warning", 0x40004000, {TABLE + 8 * 4: NOBODY | KERNEL_DATA}),
    Fault("global-user", "warning", 0x40005000, {TABLE + 8 * 5: 0x401000 | P | U | G | NX}),
    Fault("unreachable-table", "warning", 0x40400000, {DIRECTORY + 8 * 2: SPARE | W, SPARE: 0xD000 | KERNEL_DATA}),
    Fault("write-protect-off", "info", CODE, without_cr0=Cr0.WP.mask),
    Fault("table-writable", "info", 0x40007000, {TABLE + 8 * 7: TABLE | KERNEL_DATA}),
    Fault(
        "shared-table",
        "info",
        0x40A00000,
        {DIRECTORY + 8 * 4: SPARE_2 | P | W | U, DIRECTORY + 8 * 5: SPARE_2 | P | W | U, SPARE_2: 0x403000 | P | NX},
    ),
    Fault("recursive-map", "info", 0xFFE00000, {TOP_DIRECTORY + 8 * 511: TOP_DIRECTORY | KERNEL_DATA}),
)


def words_with(faults: Iterable[Fault]) -> dict[int, int]:
    """The entries of the clean space with `faults` put in."""
    words = dict(CLEAN)
    for fault in faults:
        words |= fault.words
    return words


def guest_with(faults: Iterable[Fault]) -> FakeGuest:
    """A guest without a processor, at ring 0 in `CODE`, whose registers lead to the space with `faults`."""
    chosen = tuple(faults)
    guest = FakeGuest(16 << 20)
    for at, word in words_with(chosen).items():
        guest.memory.write(PhysAddr(at), struct.pack("<Q", word))
    cr0 = CR0
    for fault in chosen:
        cr0 &= ~fault.without_cr0
    guest.registers.values.update(cr0=cr0, cr3=POINTERS, cr4=CR4, efer=EFER, eip=CODE, esp=0x7000, eflags=2)
    guest.registers.segments.update(
        cs=Segment(8, 0, 0xFFFFFFFF, 0xC09B00),
        ss=Segment(16, 0, 0xFFFFFFFF, 0xC09300),
        gdtr=Segment(0, GDT, 23, 0),
        idtr=Segment(0, IDT, 7, 0),
    )
    return guest


def kernel_source(faults: Iterable[Fault]) -> str:
    """Assembly of a kernel that builds the space with `faults`, enters it and halts (behind a multiboot header)."""
    chosen = tuple(faults)
    cr0 = CR0
    for fault in chosen:
        cr0 &= ~fault.without_cr0
    special = {at: word for at, word in words_with(chosen).items() if _identity().get(at) != word}
    code = range(CODE, CODE + CODE_BYTES, 0x1000)
    special |= {FIRST_TABLE + 8 * (at >> 12): at | P for at in code}
    stores = "".join(
        f"mov dword ptr [{at + half:#x}], {word >> 8 * half & 0xFFFFFFFF:#x}\n"
        for at, word in sorted(special.items())
        for half in (0, 4)
    )
    return f"""
        cli
        mov edi, {POINTERS:#x}; mov ecx, {(TOP_DIRECTORY + 0x1000 - POINTERS) // 4}; xor eax, eax; rep stosd
        mov edi, {FIRST_TABLE:#x}; mov eax, {P | W}
    1:  mov [edi], eax; mov dword ptr [edi + 4], 0x80000000; add eax, 0x1000; add edi, 8
        cmp edi, {FIRST_TABLE + 0x1000:#x}; jne 1b
        {stores}
        mov dword ptr [{GDT + 8:#x}], 0x0000FFFF; mov dword ptr [{GDT + 12:#x}], 0x00CF9B00
        mov dword ptr [{GDT + 16:#x}], 0x0000FFFF; mov dword ptr [{GDT + 20:#x}], 0x00CF9300
        mov word ptr [0x2000], 23; mov dword ptr [0x2002], {GDT:#x}; lgdt [0x2000]
        mov word ptr [0x2000], 7; mov dword ptr [0x2002], {IDT:#x}; lidt [0x2000]
        mov esp, 0x7000; push 8; push offset 2f; retf
    2:  mov eax, 16; mov ss, eax; mov ds, eax; mov es, eax
        mov eax, {CR4:#x}; mov cr4, eax
        mov ecx, 0xC0000080; mov eax, {EFER:#x}; xor edx, edx; wrmsr
        mov eax, {POINTERS:#x}; mov cr3, eax
        mov eax, {cr0:#x}; mov cr0, eax; jmp 3f; 3:
    .globl in_the_space
    in_the_space: hlt; jmp in_the_space
    """

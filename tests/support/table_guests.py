"""A guest with good descriptor tables and paging, whose tables tests make wrong one by one.

::

    0x01000  page directory      0x04000  GDT      0x06000  TSS          0x09000  kernel stack (one page)
    0x02000  page table          0x05000  IDT      0x08000  handlers

All are mapped at their own addresses, for the supervisor; nothing else is.
"""

from __future__ import annotations

from hillemu.emu.guest import FakeGuest, Segment
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.descriptors import INTERRUPT_GATE_32, pack_gate, pack_segment, pack_table
from hillemu.emu.i386.tss import TSS_32, pack
from hillemu.inspection.physical_map import PhysicalMap, Place
from hillemu.inspection.sight import Sight

DIRECTORY, TABLE, GDT, IDT, TSS, HANDLERS, STACK = 0x1000, 0x2000, 0x4000, 0x5000, 0x6000, 0x8000, 0x9000
KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA, TSS_SELECTOR = 0x08, 0x10, 0x18, 0x20, 0x28
FLAT = 0xFFFFFFFF
VECTORS = 0x81


class TableGuest:
    """Change `gdt`, `idt`, `tss_fields` or registers, then ask for `sight`."""

    def __init__(self) -> None:
        self.guest = FakeGuest(0x10000)
        self.gdt: list[int] = [
            0,
            *(pack_segment(0, FLAT, access, 0xC) for access in (0x9B, 0x93, 0xFB, 0xF3)),
            pack_segment(TSS, 0x67, 0x8B, 0),
        ]
        self.idt: list[int] = [
            pack_gate(
                INTERRUPT_GATE_32, KERNEL_CODE, HANDLERS + 16 * vector % 0x1000, 3 if vector in (3, 4, 128) else 0
            )
            for vector in range(VECTORS)
        ]
        self.tss_fields = {"ss0": KERNEL_DATA, "esp0": STACK + 0x1000, "io_map": 0x68}
        self.tss_tail = b""
        self.gdt_limit = self.idt_limit = -1
        self.tr = Segment(TSS_SELECTOR, TSS, 0x67, 0x8B00)
        self.segments = {
            "cs": Segment(KERNEL_CODE, 0, FLAT, 0xC09B00),
            **{name: Segment(KERNEL_DATA, 0, FLAT, 0xC09300) for name in ("ss", "ds", "es", "fs", "gs")},
        }
        self.rom: tuple[int, int] | None = None
        self.flags = dict.fromkeys((GDT, GDT + 4096, TSS, TSS + 4096, HANDLERS, STACK), 3)

    def unmap(self, frame: int) -> None:
        del self.flags[frame]

    def sight(self) -> Sight:
        memory, registers = self.guest.memory, self.guest.registers
        memory.set_u32(PhysAddr(DIRECTORY), TABLE | 7)
        for frame, flags in self.flags.items():
            memory.set_u32(PhysAddr(TABLE + 4 * (frame >> 12)), frame | flags)
        memory.write(PhysAddr(GDT), pack_table(self.gdt))
        memory.write(PhysAddr(IDT), pack_table(self.idt))
        memory.write(PhysAddr(TSS), pack(TSS_32, **self.tss_fields) + self.tss_tail)
        gdt_limit = len(self.gdt) * 8 - 1 if self.gdt_limit < 0 else self.gdt_limit
        idt_limit = len(self.idt) * 8 - 1 if self.idt_limit < 0 else self.idt_limit
        registers.values |= {"cr0": 0x80010011, "cr3": DIRECTORY, "eflags": 2}
        for name, value in self.segments.items():
            registers.set_segment(name, value)
        registers.set_segment("gdtr", Segment(0, GDT, gdt_limit, 0))
        registers.set_segment("idtr", Segment(0, IDT, idt_limit, 0))
        registers.set_segment("tr", self.tr)
        places = [Place(0, 0x10000, "RAM")]
        if self.rom is not None:
            start, end = self.rom
            places = [Place(0, start, "RAM"), Place(start, end, "ROM"), Place(end, 0x10000, "RAM")]
        return Sight(memory, registers, lambda: PhysicalMap(places))

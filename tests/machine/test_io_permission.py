"""Who may use a port: IOPL, the bitmap in the TSS, its edges, string I/O, virtual-8086 mode."""

from __future__ import annotations

from typing import Any

import pytest

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.i386.address import PhysAddr

TSS, BITMAP = 0x3000, 104
END = "; user_end: int 0x80; vector_128: cli; hlt; vector_13: mov ebp, 13; pop ebx; cli; hlt"


def in_ring_3(lab: Any, access: str, *, iopl: int = 0, open_ports: tuple[int, ...] = ()) -> Any:
    source = f"push 0x23; push 0x70000; push {iopl << 12 | 2:#x}; push 0x1B; push offset user; iretd; user: {access}"
    machine = lab(source + END)
    bitmap = bytearray(b"\xff" * 8193)
    for port in open_ports:
        bitmap[port >> 3] &= ~(1 << (port & 7))
    machine.memory.write(PhysAddr(TSS + BITMAP), bytes(bitmap))
    machine.memory.set_u32(PhysAddr(TSS + 100), BITMAP << 16)
    assert machine.run() is CoreStop.HALT
    return machine


ACCESSES = {
    "out": ("mov edx, {port:#x}; out dx, al", 1),
    "in": ("mov edx, {port:#x}; in al, dx", 1),
    "out word": ("mov edx, {port:#x}; out dx, ax", 2),
    "in dword": ("mov edx, {port:#x}; in eax, dx", 4),
    "outs": ("mov edx, {port:#x}; mov ax, 0x23; mov ds, ax; mov esi, 0x200000; outsb", 1),
    "rep ins": ("mov edx, {port:#x}; mov ax, 0x23; mov es, ax; mov edi, 0x200000; mov ecx, 3; rep insb", 1),
}


@pytest.mark.parametrize("kind", ACCESSES)
def test_a_port_whose_bits_are_set_is_a_general_protection_fault(kind: str, lab: Any) -> None:
    machine = in_ring_3(lab, ACCESSES[kind][0].format(port=0x500))
    assert (machine.get("ebp"), machine.get("ebx")) == (13, 0)
    assert machine.probe.log == []


@pytest.mark.parametrize("kind", ACCESSES)
def test_a_port_whose_bits_are_clear_works(kind: str, lab: Any) -> None:
    access, width = ACCESSES[kind]
    machine = in_ring_3(lab, access.format(port=0x500), open_ports=tuple(range(0x500, 0x500 + width)))
    assert machine.get("ebp") == 0
    assert machine.probe.log


@pytest.mark.parametrize("kind", ACCESSES)
def test_iopl_3_opens_every_port(kind: str, lab: Any) -> None:
    machine = in_ring_3(lab, ACCESSES[kind][0].format(port=0x500), iopl=3)
    assert machine.get("ebp") == 0
    assert machine.probe.log


@pytest.mark.parametrize("missing", range(4))
def test_a_wide_access_needs_every_one_of_its_bits_also_over_the_edge_of_a_byte(missing: int, lab: Any) -> None:
    ports = tuple(port for n, port in enumerate(range(0x506, 0x50A)) if n != missing)
    machine = in_ring_3(lab, "mov edx, 0x506; in eax, dx", open_ports=ports)
    assert machine.get("ebp") == 13
    assert in_ring_3(lab, "mov edx, 0x506; in eax, dx", open_ports=tuple(range(0x506, 0x50A))).get("ebp") == 0


def test_a_bitmap_that_ends_before_the_port_closes_it(lab: Any) -> None:
    machine = lab(f"push 0x23; push 0x70000; push 2; push 0x1B; push offset user; iretd; user: in al, 0x80 {END}")
    machine.memory.write(PhysAddr(TSS + BITMAP), bytes(8193))
    machine.memory.set_u32(PhysAddr(TSS + 100), BITMAP << 16)
    task = machine.processor.segment("tr")
    machine.processor.set_segment("tr", type(task)(task.selector, task.base, BITMAP + 15, task.attributes))
    assert machine.run() is CoreStop.HALT
    assert machine.get("ebp") == 13


def test_the_fault_stands_at_the_instruction_and_counts_nothing(lab: Any) -> None:
    machine = in_ring_3(lab, "inc esi; inc esi; here: in al, 0x80; inc esi")
    (fault,) = machine.processor.deliveries
    assert (fault.vector, fault.eip, fault.error_code, fault.at) == (13, machine["here"], 0, 8)
    assert machine.get("esi") == 2


@pytest.mark.parametrize(("open_ports", "fault"), [((), 13), ((0x80,), 0)])
def test_virtual_8086_mode_asks_the_bitmap_whatever_iopl_says(
    open_ports: tuple[int, ...], fault: int, lab: Any
) -> None:
    # EFLAGS: VM, IOPL 3.  The stack of an IRET to vm86: EIP CS EFLAGS ESP SS ES DS FS GS.
    machine = lab(
        "push 0; push 0; push 0; push 0; push 0x7000; push 0x1000; push 0x23002; push 0x1000; push 0; iretd; hlt;"
        "vector_128: mov esi, 1; cli; hlt; vector_13: mov ebp, 13; cli; hlt"
    )
    machine.memory.write(PhysAddr(0x10000), b"\xe4\x80\xcd\x80")  # in al, 0x80; int 0x80
    bitmap = bytearray(b"\xff" * 8193)
    for port in open_ports:
        bitmap[port >> 3] &= ~(1 << (port & 7))
    machine.memory.write(PhysAddr(TSS + BITMAP), bytes(bitmap))
    machine.memory.set_u32(PhysAddr(TSS + 100), BITMAP << 16)
    assert machine.run() is CoreStop.HALT
    assert (machine.get("ebp"), machine.get("esi")) == (fault, 0 if fault else 1)

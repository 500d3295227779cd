"""The translator reads code ahead of execution; the guest must not notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hillemu.emu.i386.address import PhysAddr

DIRECTORY, TABLE, ABSENT = 0x10000, 0x11000, 0x102000
HANDLER = "vector_14: pop edx; mov dword ptr [0x11408], 0x102007; inc ecx; iret"
"""Maps the absent page and returns."""


def paged(lab: Callable[..., Any], head: bytes, tail: bytes) -> Any:
    """A machine with paging on; `head` ends where the absent page begins, `tail` lies on it."""
    machine = lab("nop; " + HANDLER)
    machine.memory.set_u32(PhysAddr(DIRECTORY), TABLE | 7)
    for page in range(1024):
        machine.memory.set_u32(PhysAddr(TABLE + 4 * page), page << 12 | 7)
    machine.memory.set_u32(PhysAddr(TABLE + 4 * (ABSENT >> 12)), 0)
    machine.memory.write(PhysAddr(ABSENT - len(head)), head)
    machine.memory.write(PhysAddr(ABSENT), tail)
    machine.processor.set("cr3", DIRECTORY)
    machine.processor.set("cr0", 0x80000011)
    machine.processor.set("eip", ABSENT - len(head))
    return machine


def test_what_stands_before_an_instruction_that_straddles_into_an_absent_page_runs_first(
    lab: Callable[..., Any],
) -> None:
    # inc eax three times; mov ebx, 0x44332211, two bytes of it on this page; cli; hlt
    machine = paged(lab, b"\x40\x40\x40\xbb\x11", b"\x22\x33\x44\xfa\xf4")
    machine.run()
    (fault,) = machine.processor.deliveries
    assert (fault.eip, fault.cr2, fault.at) == (ABSENT - 2, ABSENT, 3)
    assert (machine.get("eax"), machine.get("ebx"), machine.get("ecx")) == (3, 0x44332211, 1)
    assert machine.count == 3 + 4 + 1 + 2


def test_a_probe_of_the_next_page_leaves_cr2_alone(lab: Callable[..., Any]) -> None:
    # inc eax; mov ebx, cr2; and an instruction that straddles
    machine = paged(lab, b"\x40\x0f\x20\xd3\xbb\x11", b"\x22\x33\x44\xfa\xf4")
    machine.processor.set("cr2", 0x1234)
    machine.run(instructions=2)
    assert machine.get("ebx") == 0x1234

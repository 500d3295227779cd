"""Page tables of running machines as data: live, captured, compared, judged; and looking never changes the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from faulty_spaces import DIRECTORY, FAULTS, PS, TABLE, guest_with, kernel_source

from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.outcomes import Mapped, NotPresent, ReservedBit
from hillemu.emu.stop import StopReason
from hillemu.inspection.differences import ChangeKind
from hillemu.machine import Machine

Boot = Callable[..., Machine]


@pytest.fixture
def faulty(boot: Any) -> Machine:
    """A machine that stands in the space with every mistake."""
    machine: Machine = boot(kernel_source(FAULTS))
    assert machine.run().reason is StopReason.HALT
    return machine


def test_lint_finds_every_mistake_of_a_real_kernel(faulty: Machine) -> None:
    found = {(finding.rule, finding.severity, finding.start) for finding in faulty.paging.lint()}
    assert {(fault.rule, fault.severity, fault.start) for fault in FAULTS} <= found


def test_a_machine_and_a_model_of_it_have_the_same_space(faulty: Machine) -> None:
    from hillemu.inspection.spaces import Paging

    model = guest_with(FAULTS)
    ours, theirs = faulty.paging.regions(), Paging(model.memory, model.registers).regions()

    def plain(regions: Any) -> list[Any]:
        return [(run.start, run.phys, run.size_bytes, run.page_size_bytes, run.letters) for run in regions]

    code = {0x100000, 0x101000}
    assert [row for row in plain(ours) if row[0] not in code] == [row for row in plain(theirs) if row[0] not in code]


def test_devices_and_rom_are_no_findings(boot: Any) -> None:
    machine = boot(kernel_source([]))
    machine.run()
    table = TABLE
    for number, frame in enumerate((0xB8000, 0xF0000, 0xFEC00000, 0xFED00000, 0xFEE00000, 0xFD000000)):
        machine.memory.write(PhysAddr(table + 8 * number), (1 << 63 | frame | 3).to_bytes(8, "little"))
    assert not machine.paging.lint().of_rule("outside-ram")
    machine.memory.write(PhysAddr(table), (1 << 63 | 0xFEC01000 | 3).to_bytes(8, "little"))
    assert [one.start for one in machine.paging.lint().of_rule("outside-ram")] == [0x40000000]


def test_the_holes_between_devices_are_one_finding(boot: Any) -> None:
    machine = boot(kernel_source([]))
    machine.run()
    # 2 MiB with the I/O APIC's frame at the start and the HPET's in the middle
    machine.memory.write(PhysAddr(DIRECTORY + 8), (1 << 63 | 0xFEC00000 | PS | 3).to_bytes(8, "little"))
    (finding,) = machine.paging.lint().of_rule("outside-ram")
    assert (finding.start, finding.end) == (0x40201000, 0x40400000)
    assert finding.what == (
        "2,040 KiB lead to physical 0x0FEC01000-0x0FECFFFFF and 1 more range up to 0x0FEDFFFFF, where nobody answers"
    )


def test_the_view_is_live_and_a_capture_is_not(faulty: Machine) -> None:
    paging, before = faulty.paging, faulty.paging.capture()
    assert isinstance(paging[0x40007000], Mapped)
    assert paging[0x40007000].phys == TABLE
    faulty.memory.write(PhysAddr(TABLE + 8 * 7), bytes(8))
    assert isinstance(paging[0x40007000], NotPresent)
    assert paging[0x40007000].phys is None
    assert before[0x40007000].phys == TABLE
    assert 0x40007000 in before
    assert 0x40007000 not in paging
    (change,) = paging.diff(before)
    assert (change.kind, change.start, change.size_bytes) == (ChangeKind.UNMAPPED, 0x40007000, 0x1000)
    assert isinstance(paging[0x40003000], ReservedBit)


def test_reading_everything_changes_nothing(boot: Any) -> None:
    def run(look: bool) -> tuple[str, int, dict[str, int]]:
        machine = boot(kernel_source(FAULTS))
        while machine.run(max_insns=97).reason is not StopReason.HALT:
            if look:
                paging = machine.paging
                _ = (paging.capture(), len(paging), paging.lint(), paging.statistics(), paging.info_mem())
                _ = (paging.info_tlb(), str(paging), paging._repr_html_(), paging.who_maps(0x100), paging[0x40000000])
        return machine.memory.sha256(), machine.cpu.instructions, machine.registers()

    assert run(look=True) == run(look=False)


def test_another_root_can_be_looked_at_before_it_is_used(boot: Any) -> None:
    machine = boot(kernel_source([]))
    machine.run()
    machine.memory.set_u32(PhysAddr(0x300000), 0x301007)
    machine.memory.set_u32(PhysAddr(0x301004), 0x5067)
    other = machine.paging.at(cr3=0x300000, mode="32-bit")
    (region,) = other.regions()
    assert (region.start, region.phys, region.letters, region.flags) == (
        0x1000,
        0x5000,
        "urwx",
        {"accessed": 1, "dirty": 1},
    )
    assert machine.paging.control.cr3 == 0x200000
    assert "PAE" in repr(machine.paging)
    assert "32-bit" in repr(other)

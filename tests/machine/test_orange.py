"""Profile orange boots from its disk, and the document's test has the document's results on the guest's page tables."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from orange_programs import kernel_of, orange_with, run

from hillemu.boot.memory_map import memory_map
from hillemu.boot.shipped import shipped_folder, shipped_image
from hillemu.booting import DriveOptions
from hillemu.cli import main
from hillemu.emu.errors import UserMistake
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.stop import StopReason
from hillemu.kernel.options import KernelOptions
from hillemu.kernel.power import FAILED
from hillemu.kernel.profiles.orange.calls import FUNCTIONS
from hillemu.kernel.profiles.orange.check import check
from hillemu.kernel.profiles.orange.memory_manager import MM, MmCount
from hillemu.kernel.profiles.orange.pf_list import PF, PageType, Protection
from hillemu.machine import Machine

MIB = 1 << 20


@pytest.fixture(scope="module")
def done() -> Machine:
    """A machine with 32 MB on which everything has run."""
    machine = orange_with()
    assert run(machine).reason is StopReason.POWER_OFF, machine.serial.text
    return machine


@pytest.fixture(scope="module")
def loaded() -> Machine:
    """A machine with 32 MB right before the first trap: what the boot chain has done."""
    machine = orange_with()
    machine.breakpoints.add("trap_common")
    assert machine.run(max_insns=1_000_000).reason is StopReason.BREAKPOINT
    return machine


# ---- row O1: the loader


def test_the_loader_shows_the_bios_s_memory_map_as_the_document_s_does(loaded: Machine) -> None:
    rows = [
        "".join(f"{word:08X}h " for word in struct.unpack("<5I", struct.pack("<QQI", *entry)))
        for entry in memory_map(loaded.memory)
    ]
    shown = ["BaseAddrL BaseAddrH LengthLow LengthHigh   Type", *rows, "RAM size:01FE0000h ", "Ready."]
    assert loaded.serial.text.splitlines()[: len(shown)] == shown
    on_screen = [line.rstrip() for line in loaded.screen_lines()]
    assert on_screen[: len(rows) + 1] == [line.rstrip() for line in shown[: len(rows) + 1]]


@pytest.mark.parametrize(("mem", "end"), [("8M", 8 * MIB - 0x20000), ("32M", 32 * MIB - 0x20000), ("4G", 0xBFFE0000)])
def test_ranges_of_type_1_below_4_gib_are_saved_at_0x8000(mem: str, end: int) -> None:
    machine = orange_with(mem=mem)
    machine.breakpoints.add("trap_common")
    assert machine.run(max_insns=10_000_000).reason is StopReason.BREAKPOINT
    assert struct.unpack("<7I", machine.memory.read(PhysAddr(0x8000), 28)) == (
        2, 0, 0x9FC00, MIB, end - MIB, 0, 0,
    )  # fmt: skip


def test_all_memory_is_mapped_one_to_one_by_tables_at_the_document_s_places(loaded: Machine) -> None:
    regions = loaded.paging.regions()
    assert [(one.start, one.size_bytes, one.phys) for one in regions] == [(0, 32 * MIB, 0)]
    directory = struct.unpack("<1024I", loaded.memory.read(PhysAddr(0x100000), 4096))
    assert [entry & ~0xFFF for entry in directory[:8]] == [0x101000 + 0x1000 * number for number in range(8)]
    assert not any(directory[8:])
    assert not any(entry & 4 for entry in directory), "ring 3 may use none of it"
    assert loaded.cpu.cr3 == 0x100000


def test_the_first_gib_has_page_tables_for_all_memory_up_to_3_gib() -> None:
    machine = orange_with(mem="3G")
    machine.breakpoints.add("trap_common")
    assert machine.run(max_insns=20_000_000).reason is StopReason.BREAKPOINT
    assert [(one.start, one.size_bytes, one.phys) for one in machine.paging.regions()] == [(0, 3 << 30, 0)]


def test_the_same_disk_boots_from_a_floppy_drive() -> None:
    machine = Machine(mem="32M", drives=DriveOptions(floppies=(f"{shipped_folder()}/orange.img",), boot="a"))
    machine.load()
    stop = machine.run(max_insns=2_000_000)
    assert stop.reason is StopReason.HALT
    assert "orange: kernel at 0x00010000" in machine.serial.text


# ---- row O2: init_mm


def test_pf_list_lies_behind_the_reserved_room_and_its_structures_are_what_a_c_program_would_see(done: Machine) -> None:
    c = f"{PF.declaration()}\n{MM.declaration()}".replace("u32 next", "struct pf *next").replace(
        "u32 prev", "struct pf *prev"
    )
    done.structs.define(c.replace("u32 ", "unsigned int "))
    mm = done.read("struct mm", done.symbols["mm"])
    assert (int(mm.pf_list), int(mm.frames)) == (0x501000, 7904)
    entries = list(done.walk_list("struct pf", int(mm.pf_list), "next"))
    assert len(entries) == 7904
    assert [int(entries[number].frame) for number in (0, 1, 7903)] == [0x100000, 0x101000, 0x1FDF000]
    assert int(entries[0].prev) == int(mm.pf_list) + 24 * 7903
    kinds = [int(entry.type) for entry in entries]
    assert kinds[:1072] == [PageType.RESERVED] * 1072
    assert kinds.count(PageType.MAPPED) == 512 + 768 + 2
    assert kinds.count(PageType.FREE) == int(mm.free_frames) == 6832 - 512 - 768 - 2


def test_frames_that_are_free_are_mapped_nowhere(done: Machine) -> None:
    kernel = kernel_of(done)
    for number in range(0, kernel.mm.pf_list.count, 7):
        entry = kernel.mm.pf_list[number]
        mapped = [region.start for region in done.paging.who_maps(frame=entry.frame >> 12)]
        assert len(mapped) == entry.ref_count
        if entry.type == PageType.RESERVED:
            assert mapped == [entry.frame]


def test_the_first_traps_of_the_boot_code_are_the_functions_by_number() -> None:
    machine = orange_with()
    for number, name in enumerate(FUNCTIONS):
        at = machine.symbols[name]
        machine.breakpoints.add(name)
        assert shipped_image("orange.elf").count(b"\xb8" + number.to_bytes(4, "little") + b"\xcd\x81\xc3") == 1, name
        assert at > 0x10000


# ---- row O3: the document's test


STEPS: list[tuple[str, dict[int, int | None]]] = [
    (
        "TaskC 1: vm_alloc(B00000H, 200000H) -> 530000H, PTE 530003H at 103C00H",
        {0xB00000: 0x530000, 0xCFF000: 0x72F000},
    ),
    ("TaskC 2: vm_alloc(800000H, 400000H) -> refused", {0x800000: None, 0xAFF000: None, 0xB00000: 0x530000}),
    (
        "TaskC 3: vm_alloc(1C00000H, 1C00H) -> 730000H, PTE 730003H at 108000H",
        {0x1C00000: 0x730000, 0x1C01000: 0x731000, 0x1C02000: None},
    ),
    ("TaskC 4: vm_alloc(900000H, 300000H) -> refused", {0x900000: None}),
    ("TaskC 5: vm_free(B00000H, 200000H) -> freed", {0xB00000: None, 0xCFF000: None}),
    (
        "TaskC 5: vm_alloc(800000H, 400000H) -> 732000H, PTE 732003H at 103000H",
        {0x800000: 0x732000, 0xBFF000: 0xB31000},
    ),
    ("TaskC 5: vm_alloc(900000H, 300000H) -> refused", {0x900000: 0x832000}),
    ("TaskC 6: vm_free(800000H, 400000H) -> freed", {0x800000: None, 0xBFF000: None}),
    ("TaskC 6: vm_alloc(900000H, 300000H) -> 732000H, PTE 732003H at 103400H", {0x900000: 0x732000, 0xC00000: None}),
    (
        "TaskC 6: vm_alloc(F00000H, 200000H) -> 530000H, PTE 530003H at 104C00H",
        {0xF00000: 0x530000, 0x10FF000: 0x72F000},
    ),
]


def test_the_six_steps_have_the_document_s_physical_addresses_at_every_step() -> None:
    machine = orange_with()
    for line, places in STEPS:
        stop = machine.run(until=line.replace("(", r"\(").replace(")", r"\)") + "\n", max_insns=10_000_000)
        assert stop.reason is StopReason.UNTIL, f"{line!r} is not in\n{machine.serial.text}"
        assert {at: machine.paging[at].phys for at in places} == places, line
        assert check(kernel_of(machine).mm) == []
    told = [line for line in machine.serial.text.splitlines() if line.startswith("TaskC")]
    assert told == [line for line, _ in STEPS]


def test_the_user_s_document_shows_what_taskc_prints(done: Machine, root: Path) -> None:
    text = (root / "docs" / "profiles.md").read_text(encoding="utf-8")
    told = [line for line in done.serial.text.splitlines() if line.startswith("TaskC")]
    assert "\n".join(["```", *told, "```"]) in text


@pytest.mark.parametrize(
    ("linear", "physical", "pages"), [(0xF00000, 0x530000, 512), (0x1C00000, 0x730000, 2), (0x900000, 0x732000, 768)]
)
def test_the_same_memory_is_seen_by_linear_and_by_physical_address(
    done: Machine, linear: int, physical: int, pages: int
) -> None:
    for page in range(0, pages, 1 if pages < 8 else 37):
        at, frame = linear + 4096 * page, physical + 4096 * page
        assert done.read(at, 4) == done.memory.read(PhysAddr(frame), 4) == at.to_bytes(4, "little"), (
            "as TaskC signed it"
        )
    last = linear + 4096 * pages - 4
    done.memory.write(PhysAddr(physical + 4096 * pages - 4), b"seen")
    assert done.read(last, 4) == b"seen"


def test_the_entry_that_the_document_prints_as_103c000h_lies_at_103c00h() -> None:
    machine = orange_with()
    machine.run(until="at 103C00H\n", max_insns=10_000_000)
    assert machine.memory.u32(PhysAddr(0x103C00)) & ~0xFFF == 0x530000
    assert machine.paging.walk(0xB00000).steps[-1].at == 0x103C00


def test_the_document_s_table_of_page_tables_is_printed(done: Machine) -> None:
    lines = done.serial.text.splitlines()
    at = lines.index("page table | physical base | linear range")
    assert lines[at + 1 : at + 7] == [
        "         0 |       101000H | 0M ~ 4M",
        "         1 |       102000H | 4M ~ 8M",
        "         2 |       103000H | 8M ~ 12M",
        "         3 |       104000H | 12M ~ 16M",
        "       ... |           ... | ...",
        "         7 |       108000H | 28M ~ 32M",
    ]
    assert "pf_list: 6832 FREE, 1072 RESERVED, 0 MAPPED" in lines
    assert "linear -> physical: 900000H ~ C00000H -> 732000H ~ A32000H" in lines
    assert "linear -> physical: F00000H ~ 1100000H -> 530000H ~ 730000H" in lines
    assert "linear -> physical: 1C00000H ~ 1C02000H -> 730000H ~ 732000H" in lines


def test_refusals_are_counted_and_nothing_is_reported(done: Machine) -> None:
    kernel = kernel_of(done)
    assert kernel.reports == []
    assert kernel.check() == []
    assert [kernel.mm.count(what) for what in MmCount] == [5 + 2, 2 + 2, 3, 0, 0, 0], "Init has two address spaces"


# ---- rights


def test_ring_0_cannot_write_to_memory_that_is_read_only() -> None:
    machine = orange_with()
    machine.breakpoints.add("sign_pages")
    assert machine.run(max_insns=10_000_000).reason is StopReason.BREAKPOINT
    assert kernel_of(machine).mm.vm_protect(11 * MIB, 2 * MIB, Protection.READ_ONLY)
    stop = run(machine)
    assert (stop.reason, stop.exit_code) == (StopReason.EXIT, FAILED << 1 | 1)
    assert "fault: #PF page fault at 0x00B00000, error code 0x3, EIP" in machine.serial.text
    assert "<sign_pages+" in machine.serial.text
    assert "kernel panic: a fault in ring 0" in kernel_of(machine).reports


def test_what_is_freed_faults_at_once_although_it_was_in_the_tlb() -> None:
    machine = orange_with()
    machine.breakpoints.add("sign_pages")
    machine.run(max_insns=10_000_000)
    machine.step(8)  # two pages are written, and in the TLB
    assert machine.read(0xB01000, 4) == (0xB01000).to_bytes(4, "little")
    kernel = kernel_of(machine)
    kernel.mm.vm_free(11 * MIB, MIB)
    kernel.guest.registers.set("esi", 0xB01000)
    assert run(machine).reason is StopReason.EXIT
    assert "fault: #PF page fault at 0x00B01000, error code 0x2" in machine.serial.text


def test_a_kernel_without_its_stack_panics_in_a_task_of_its_own() -> None:
    machine = orange_with()
    machine.breakpoints.add("task_c")
    machine.run(max_insns=10_000_000)
    kernel = kernel_of(machine)
    page = machine.cpu.esp & ~0xFFF
    machine.memory.set_u32(PhysAddr(0x101000 + (page >> 10)), 0)
    kernel.guest.flush_tlb()
    stop = run(machine)
    assert (stop.reason, stop.exit_code) == (StopReason.EXIT, FAILED << 1 | 1)
    (report,) = kernel.reports
    assert report.startswith(f"kernel panic: double fault at 0x{page >> 12:05X}")


def test_a_call_that_does_not_exist_is_told() -> None:
    machine = orange_with()
    machine.breakpoints.add("vm_alloc")
    machine.run(max_insns=10_000_000)
    kernel = kernel_of(machine)
    machine.step()  # mov eax, number
    kernel.guest.registers.set("eax", 99)
    machine.step(20)  # through the stub
    assert kernel.reports[0].startswith("kernel call 99 does not exist; called by 0x")
    assert "<task_c+" in kernel.reports[0]


@pytest.mark.parametrize(("address", "shown"), [(0x3F000000, "(bad pointer 0x3F000000)"), (0x103C00, "\x03")])
def test_printk_shows_a_pointer_that_leads_nowhere(address: int, shown: str) -> None:
    machine = orange_with()
    machine.run(until="TaskC 1: vm_alloc", max_insns=10_000_000)
    machine.breakpoints.add("printk")
    machine.run(max_insns=10_000_000)
    machine.memory.set_u32(PhysAddr(machine.cpu.esp + 4), address)
    machine.breakpoints.remove("printk")
    before = len(machine.serial.text)
    machine.step(20)
    assert machine.serial.text[before:].startswith(shown)


def test_no_translation_is_used_after_its_page_tables_have_changed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["boot", "--profile", "orange", "--mem", "32M", "--lint", "tlb"]) == 0
    assert "TLB: no translation was used after its page tables had changed" in capfd.readouterr().err


# ---- other machines


@pytest.mark.parametrize("mem", ["4M", "5M"])
def test_a_machine_without_room_for_page_tables_is_told_so(mem: str) -> None:
    machine = orange_with(mem=mem)
    stop = run(machine)
    assert (stop.reason, stop.exit_code) == (StopReason.EXIT, FAILED << 1 | 1)
    assert "init_mm: page tables that map 4 GiB need 4100 KB at 0x100000" in machine.serial.text
    with pytest.raises(UserMistake, match="nothing to check yet"):
        kernel_of(machine).check()


@pytest.mark.parametrize(
    ("mem", "first"), [("8M", 0x50C000), ("64M", 0x560000), ("512M", 0x800000), ("3G", 0x1701000), ("4G", 0x1701000)]
)
def test_machines_of_other_sizes_run_to_the_end(mem: str, first: int) -> None:
    machine = orange_with(mem=mem)
    assert run(machine).reason is StopReason.POWER_OFF, machine.serial.text
    assert "check: all is well" in machine.serial.text
    assert "parent: the child has ended, number = 0x11111111" in machine.serial.text
    mm = kernel_of(machine).mm
    assert -(-mm.pf_list.end // 4096) * 4096 == first
    assert machine.paging[0x1C00000].phys is not None
    if first > 11 * MIB:  # pf_list lies where TaskC wants to be
        assert "vm_alloc(0x00B00000, 0x200000) refused: 0x00B00000 is mapped already" in machine.serial.text


def test_a_second_boot_is_like_the_first() -> None:
    machine = orange_with()
    run(machine)
    first = (machine.serial.text, machine.memory.read(PhysAddr(0x100000), 0x430000))
    machine.boot_again()
    run(machine)
    assert (machine.serial.text.removeprefix(first[0]), machine.memory.read(PhysAddr(0x100000), 0x430000)) == first


def test_words_of_the_command_line_are_not_known() -> None:
    machine = Machine(mem="32M")
    machine.load_kernel(profile="orange", append="tests=off")
    run(machine)
    assert kernel_of(machine).reports == ["command line: 'tests=off' is not known"]


def test_on_boot_is_called_when_taskc_is_through() -> None:
    seen: list[int] = []
    machine = Machine(mem="32M")
    options = KernelOptions(on_boot=lambda kernel: seen.append(kernel.mm.vm_alloc(0x3F000000, 0x5000)), check=True)
    machine.load_kernel(profile="orange", options=options)
    assert run(machine).reason is StopReason.POWER_OFF
    assert seen == [0x3F000000]
    assert "check: all is well" in machine.serial.text
    assert machine.paging[0x3F000000].phys == 0xA32000

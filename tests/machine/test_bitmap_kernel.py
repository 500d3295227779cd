"""Profile bitmap's kernel on the machine: its layout, its programs in ring 3, page replacement, protection, checks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bitmap_machine import INSTRUCTIONS, bitmap_with, run_to_the_end, spoken

from hillemu.boot.disk_image import memory_image
from hillemu.boot.image import Image
from hillemu.boot.shipped import shipped_image
from hillemu.emu.errors import UserMistake
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.emu.i386.outcomes import Mapped
from hillemu.emu.snapshot import Snapshot
from hillemu.emu.stop import StopReason
from hillemu.kernel.options import KernelOptions
from hillemu.kernel.profiles.bitmap.calls import FUNCTIONS
from hillemu.kernel.profiles.bitmap.kernel import BitmapKernel
from hillemu.kernel.profiles.bitmap.page_bitmap import BITMAP_AT, MANAGER
from hillemu.kernel.replacement_trace import POLICIES
from hillemu.machine import Machine
from hillemu.symbols import SymbolTable

PRESENT, WRITABLE, USER = 1, 2, 4
IDLE = "1: jmp 1b\n"
"""A program during which a test looks."""


@pytest.fixture(scope="module")
def started_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Machine, Snapshot]:
    machine = bitmap_with(tmp_path_factory.mktemp("programs"), {"idle": IDLE})
    machine.run(until=r"kmalloc\(1024\)", max_insns=INSTRUCTIONS)
    machine.run(max_insns=1000)
    assert machine.kernel.programs.running is not None
    return machine, machine.snapshot()


@pytest.fixture
def started(started_once: tuple[Machine, Snapshot]) -> Machine:
    """A machine in the middle of a program; what a test breaks is whole again for the next one."""
    machine, point = started_once
    machine.restore(point)
    return machine


def kernel_of(machine: Machine) -> BitmapKernel:
    kernel = machine.kernel
    assert isinstance(kernel, BitmapKernel)
    return kernel


# ---- the shipped kernel and its programs --------------------------------------------------------------------------


def test_the_shipped_programs_run_and_all_four_checks_are_well() -> None:
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap", options=KernelOptions(check=True))
    said = run_to_the_end(machine)
    assert "check: bitmap, pagetables, heap, usage: all is well\n" in machine.serial.text
    assert [line for line in said if line.startswith(("paging:", "protection:", "kernel:", "bitmap_"))] == [
        "paging: heap at 0x40003000",
        "paging: 12 uses of 5 pages, each counted",
        "paging: 16 pages are as they were written",
        "kernel: bitmap_paging.elf[1] exited with code 0",
        "protection: write(1, 0x00010000, 4) fails with error 0xE",
        "protection: reads its own text, and now writes to it",
        "bitmap_protection.elf[2]: write to read-only page 0x40000000 (r-x); EIP 0x400000CD",
        "kernel: bitmap_protection.elf[2] was killed by signal 11 (SIGSEGV)",
    ]


def test_the_document_s_examples_run_in_ring_0() -> None:
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap")
    machine.run(max_insns=INSTRUCTIONS)
    text = machine.serial.text
    (page,) = re.findall(r"^alloc_page\(\) = (0x\w+)$", text, re.MULTILINE)
    assert int(page, 16) >= kernel_of(machine).pages.end
    assert f"\nmap_page(0x3E000000, {page}, PTE_P | PTE_W) = 0\n" in text
    assert f"\nwrote 0x600DF00D there, and at {page} is 0x600DF00D\n" in text
    moved = re.search(r"^compact\(\) moved 1 block, from (0x\w+) to (0x\w+), where 0x600DF00D is$", text, re.MULTILINE)
    assert moved
    assert int(moved[2], 16) < int(moved[1], 16)
    assert re.search(r"^kmalloc\(1024\) = 0x3000\w{4}$", text, re.MULTILINE)
    assert kernel_of(machine).reports == [
        line for line in text.splitlines() if line.startswith("bitmap_protection.elf[2]: ")
    ]


@pytest.mark.parametrize("mem", ["4M", "64M", "1G", "4G"])
def test_memory_of_every_size_is_managed(mem: str, tmp_path: Path) -> None:
    machine = bitmap_with(tmp_path, {"one": "system_call SYS_EXIT, 0\n"}, mem=mem)
    assert run_to_the_end(machine) == ["kernel: one[1] exited with code 0"]
    ram_end = max(run.end for run in machine.memory.ram_ranges if run.end <= 1 << 32)
    # Firmware keeps 128 KiB at the top of it for its tables.
    assert kernel_of(machine).pages.total_pages == ram_end - 0x20000 >> 12


def test_ring_0_and_python_have_the_same_functions() -> None:
    """A function's number is its place in the source."""
    symbols = SymbolTable(shipped_image("bitmap.elf"))
    elf = Image("bitmap.elf", shipped_image("bitmap.elf"))
    code = memory_image(elf)
    for number, name in enumerate(FUNCTIONS):
        at = symbols[name] - 0x10000
        assert code[at : at + 7] == b"\xb8" + number.to_bytes(4, "little") + b"\xcd\x81", name  # mov eax, N; int 0x81


def test_a_user_s_on_boot_is_called_with_the_kernel() -> None:
    seen = []
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap", options=KernelOptions(on_boot=seen.append))
    machine.run(max_insns=INSTRUCTIONS)
    assert seen == [machine.kernel]


@pytest.mark.parametrize("cpu", ["386", "486"])
def test_old_processors_will_do(cpu: str) -> None:
    machine = Machine(mem="16M", cpu=cpu)
    machine.load_kernel(profile="bitmap", append="frames=8", options=KernelOptions(check=True))
    assert "paging: 16 pages are as they were written" in run_to_the_end(machine)


# ---- row B1, B2, B4: where things lie ------------------------------------------------------------------------------


def test_memory_manager_t_and_the_bitmap_lie_in_guest_memory(started: Machine) -> None:
    kernel, memory = kernel_of(started), started.memory
    manager = MANAGER.read(memory, PhysAddr(started.symbols["memory_manager"]))
    assert manager["bitmap"] == BITMAP_AT == 0x100000
    assert manager["kernel_page_dir"] == memory.u32(PhysAddr(started.symbols["page_directory"]))
    assert manager["total_pages"] == (0x1000000 - 0x20000) >> 12
    total = int(manager["total_pages"])
    assert manager["bitmap_length"] == total + 7 >> 3
    bits = int.from_bytes(memory.read(BITMAP_AT, total + 7 >> 3), "little")
    assert total - (bits & (1 << total) - 1).bit_count() == manager["free_pages"] == kernel.pages.free_pages


def test_alloc_page_changes_the_bit_and_the_count_in_guest_memory(started: Machine) -> None:
    kernel, memory = kernel_of(started), started.memory
    before = MANAGER.get(memory, kernel.pages.at, "free_pages")
    page = kernel.pages.alloc_page()
    number = page >> 12
    assert memory.read(PhysAddr(BITMAP_AT + (number >> 3)), 1)[0] >> (number & 7) & 1
    assert MANAGER.get(memory, kernel.pages.at, "free_pages") == before - 1
    kernel.pages.free_page(page)
    assert not memory.read(PhysAddr(BITMAP_AT + (number >> 3)), 1)[0] >> (number & 7) & 1


def test_kernel_space_is_the_low_gib_and_programs_have_the_rest(started: Machine) -> None:
    paging = started.paging
    for at in (0x10000, 0x100000, 0xFDF000):
        walked = paging.walk(at)
        assert isinstance(walked, Mapped)
        assert (walked.phys, walked.rights.user) == (at, False)
    regions = [region for region in paging.regions() if region.start >= 0x40000000]
    assert regions
    assert all(region.rights.user for region in regions)
    assert not any(region.rights.user for region in paging.regions() if region.start < 0x40000000)
    for at in (0, started.symbols["boot_stack_guard"], started.symbols["program_stack_guard"]):
        assert not isinstance(paging.walk(at), Mapped), f"{at:#x} must not be mapped"


def test_the_kernel_s_text_and_constants_are_read_only_and_its_variables_are_not(started: Machine) -> None:
    for name, writable in (("_start", False), ("kernel_main", False), ("memory_manager", True), ("gdt", True)):
        walked = started.paging.walk(started.symbols[name])
        assert isinstance(walked, Mapped)
        assert walked.rights.writable == writable, name


def test_ring_0_cannot_write_to_the_kernel_s_text(started: Machine) -> None:
    """CR0.WP: the processor itself refuses; ring 0's write is the kernel's end, with the address in the report."""
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap")
    machine.breakpoints.add("memory_examples")
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.BREAKPOINT
    walked = machine.paging.walk(machine.symbols["memory_examples"])
    assert isinstance(walked, Mapped)
    machine.memory.write(walked.phys, b"\xa3\x00\x00\x01\x00")  # mov [0x10000], eax
    stop = machine.run(max_insns=INSTRUCTIONS)
    assert (stop.reason, stop.exit_code) == (StopReason.EXIT, 3)
    assert "fault: #PF page fault at 0x00010000, error code 0x3" in machine.serial.text
    assert "kernel panic: a fault in ring 0" in machine.serial.text


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (b"\xbc\x00\x50\x01\x00\x50", "kernel stack overflow into boot_stack_guard"),  # mov esp, ...; push eax
        (b"\xa1\x00\x00\x00\x00", "fault: #PF page fault at 0x00000000"),  # mov eax, [0]
    ],
)
def test_guard_pages_of_the_kernel_notice_overflows_and_null_pointers(code: bytes, said: str) -> None:
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap")
    machine.breakpoints.add("memory_examples")
    machine.run(max_insns=INSTRUCTIONS)
    if code[0] == 0xBC:  # just above the guard page
        code = b"\xbc" + (machine.symbols["boot_stack_guard"] + PAGE_SIZE).to_bytes(4, "little") + b"\x50"
    machine.memory.write(PhysAddr(machine.symbols["memory_examples"]), code)
    assert machine.run(max_insns=INSTRUCTIONS).exit_code == 3
    assert said in machine.serial.text


# ---- map_page and the TLB ------------------------------------------------------------------------------------------

REMAP = """
    mov ecx, 50000              # until the test has mapped the page
1:  loop 1b
    mov ebp, 0x50000000
2:  mov eax, [ebp]
    jmp 2b
"""


def test_a_changed_mapping_is_seen_by_the_processor_at_once(tmp_path: Path) -> None:
    machine = bitmap_with(tmp_path, {"remap": REMAP})
    kernel = kernel_of(machine)
    machine.run(until=r"kmalloc\(1024\)", max_insns=INSTRUCTIONS)
    first, second = kernel.pages.alloc_page(), kernel.pages.alloc_page()
    machine.memory.set_u32(first, 0x11111111)
    machine.memory.set_u32(second, 0x22222222)
    machine.run(max_insns=1000)
    at = VirtAddr(0x50000000)
    assert kernel.paging.map_page(at, first, PRESENT | WRITABLE | USER) == 0
    machine.run(max_insns=60_000)
    assert machine.registers()["eax"] == 0x11111111
    assert kernel.paging.map_page(at, second, PRESENT | WRITABLE | USER) == 0
    machine.run(max_insns=20)
    assert machine.registers()["eax"] == 0x22222222, "the TLB had the first page"
    assert kernel.paging.map_page(at, PhysAddr(0), 0) == 0
    stop = machine.run(until="killed", max_insns=INSTRUCTIONS)
    assert stop.reason is StopReason.UNTIL
    assert "remap[1]: read of 0x50000000, which is not the program's" in machine.serial.text


# ---- demand paging, replacement -------------------------------------------------------------------------------------


def test_pages_come_when_they_are_touched(tmp_path: Path) -> None:
    body = """
    mov eax, [data]             # a page of the file
    mov [room + 8192], eax      # a page of zeros
    mov ebx, [room + 8192]
    sub ebx, 0x12345678
    system_call SYS_EXIT, ebx
    .data
    data: .long 0x12345678
    .bss
    room: .space 5*4096
    .text
    """
    machine = bitmap_with(tmp_path, {"demand": body})
    assert run_to_the_end(machine) == ["kernel: demand[1] exited with code 0"]
    # text, data, one page of room, and the stack, where the kernel has put the arguments
    assert re.search(r"4 faults: 2 zero, 2 file|4 faults: 1 zero, 3 file", machine.serial.text), machine.serial.text


@pytest.mark.parametrize("policy", sorted(POLICIES))
@pytest.mark.parametrize("frames", [6, 9, 17])
def test_pages_that_left_come_back_as_they_were_under_every_policy(policy: str, frames: int) -> None:
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap", append=f"frames={frames} policy={policy}", options=KernelOptions(check=True))
    most = 0

    def look() -> bool:
        nonlocal most
        if machine.kernel.has_started:
            most = max(most, len(machine.kernel.residents.places))
        return False

    stop = machine.run(max_insns=INSTRUCTIONS, between=look)
    assert stop.reason is StopReason.POWER_OFF
    text = machine.serial.text
    assert "paging: 16 pages are as they were written\n" in text
    assert "all is well" in text
    assert most <= frames
    (faults, from_swap, evicted) = map(int, re.findall(r"(\d+) faults: .* (\d+) swap; (\d+) evicted", text)[0])
    assert (from_swap > 0, evicted > 0) == (True, True)
    assert faults > 24, "that many there are without a limit"


def test_a_policy_of_the_user_s_evicts_in_this_kernel_too(tmp_path: Path) -> None:
    victims: list[int] = []

    class First:
        """The lowest frame goes."""

        def __init__(self, pages: object) -> None:
            self.pages = pages

        def victim(self) -> int | None:
            frame = next(self.pages.program_pages(), None)  # type: ignore[attr-defined]
            victims.append(frame)
            return frame

    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap", append="frames=8", options=KernelOptions(page_replacement=First, check=True))
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.POWER_OFF
    assert len(victims) > 10


def test_a_program_that_needs_more_than_there_is_is_killed_and_the_next_one_runs(tmp_path: Path) -> None:
    grab = """
    system_call SYS_BRK, 0
    mov edi, eax
    lea eax, [edi + 0x2000000]          # 32 MiB of heap in a machine with 16
    system_call SYS_BRK, eax
1:  mov [edi], edi
    add edi, 4096
    jmp 1b
    """
    machine = bitmap_with(tmp_path, {"grab": grab, "after": "system_call SYS_EXIT, 3\n"})
    machine.run(until=r"kmalloc\(1024\)", max_insns=INSTRUCTIONS)
    kernel_of(machine).residents.store.slots = 0  # type: ignore[misc]  # no swap
    said = run_to_the_end(machine)
    assert re.match(r"grab\[1\]: out of memory at 0x4\w{7}; EIP 0x", said[0])
    assert said[1:] == ["kernel: grab[1] was killed by signal 9 (SIGKILL)", "kernel: after[2] exited with code 3"]


# ---- protection of programs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("mov eax, [0x10000]\n", "read of 0x00010000, which is not the program's"),
        ("mov [0x30000000], eax\n", "write to 0x30000000, which is not the program's"),
        ("mov eax, [0]\n", "read of 0x00000000, which is not the program's"),
        (
            "mov [constant], eax\n.section .rodata\nconstant: .long 1\n.text\n",
            "write to read-only page 0x40001000 (r--)",
        ),
        ("1: push eax\n jmp 1b\n", "write to 0xFFFEEFFC, in the guard page below its stack"),
        ("mov eax, [0xFFFFF000]\n", "read of 0xFFFFF000, which is not the program's"),
        ("cli\n", "#GP general protection, error code 0x0"),
        ("in al, 0x60\n", "#GP general protection, error code 0x0"),
        ("int 0x81\n", "#GP general protection, error code 0x40a"),
        ("xor ecx, ecx\n div ecx\n", "#DE"),
        ("ud2\n", "#UD"),
        ("fninit\n", "#NM"),
    ],
)
def test_a_program_that_does_what_it_may_not_ends_alone(body: str, said: str, tmp_path: Path) -> None:
    machine = bitmap_with(tmp_path, {"bad": body, "good": 'tell "still here\\n"\nsystem_call SYS_EXIT, 0\n'})
    lines = run_to_the_end(machine)
    assert lines[0].startswith(f"bad[1]: {said}")
    assert "EIP 0x4000" in lines[0]
    assert re.match(r"kernel: bad\[1\] was killed by signal \d+ \(SIG\w+\)", lines[1])
    assert lines[2:] == ["still here", "kernel: good[2] exited with code 0"]


def test_system_calls_refuse_what_they_cannot_do(tmp_path: Path) -> None:
    body = """
    system_call SYS_WRITE, 7, 0x40000000, 1      # no such file: EBADF
    cmp eax, -9
    jne 1f
    system_call SYS_WRITE, STDOUT, 0x3FFFFFFF, 4    # kernel space: EFAULT
    cmp eax, -14
    jne 1f
    system_call SYS_FORK                            # there is none: ENOSYS
    cmp eax, -38
    jne 1f
    system_call SYS_GETPID
    cmp eax, 1
    jne 1f
    system_call SYS_BRK, 0
    mov ebp, eax
    system_call SYS_BRK, 0x30000000                 # not the heap's place: nothing changes
    cmp eax, ebp
    jne 1f
    mov eax, [esp]                                  # argc
    cmp eax, 1
    jne 1f
    system_call SYS_EXIT, 0
1:  system_call SYS_EXIT, 1
    """
    assert run_to_the_end(bitmap_with(tmp_path, {"calls": body}))[-1] == "kernel: calls[1] exited with code 0"


def test_memory_that_the_heap_gives_up_is_free_and_zero_when_it_comes_back(tmp_path: Path) -> None:
    body = """
    system_call SYS_BRK, 0
    mov ebp, eax
    lea eax, [ebp + 4*4096]
    system_call SYS_BRK, eax
    mov dword ptr [ebp + 3*4096], 0x1234
    system_call SYS_BRK, ebp
    lea eax, [ebp + 4*4096]
    system_call SYS_BRK, eax
    mov ebx, [ebp + 3*4096]
    system_call SYS_EXIT, ebx
    """
    assert run_to_the_end(bitmap_with(tmp_path, {"heap": body}))[-1] == "kernel: heap[1] exited with code 0"


def test_files_that_are_no_programs_are_told_and_passed_over(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no program")
    machine = Machine(mem="16M")
    good = bitmap_with(tmp_path, {"good": "system_call SYS_EXIT, 0\n"})
    del good
    machine.load_kernel(
        profile="bitmap", modules=[str(tmp_path / "notes.txt"), str(tmp_path / "good")],
        options=KernelOptions(check=True),
    )  # fmt: skip
    assert run_to_the_end(machine) == ["kernel: notes.txt is no ELF file", "kernel: good[1] exited with code 0"]


def test_the_machine_has_all_its_pages_back_when_the_programs_have_ended(tmp_path: Path) -> None:
    """But for what the kernel itself keeps, whatever the programs did."""
    left = []
    for count in (1, 5):
        bodies = {f"p{number}": "push 1\nsystem_call SYS_EXIT, 0\n" for number in range(count)}
        machine = bitmap_with(tmp_path, bodies)
        run_to_the_end(machine)
        left.append(kernel_of(machine).pages.free_pages)
    assert left[0] == left[1]


# ---- checks ----------------------------------------------------------------------------------------------------------


def test_there_is_nothing_to_check_before_memory_init(tmp_path: Path) -> None:
    machine = bitmap_with(tmp_path, {})
    with pytest.raises(UserMistake, match="nothing to check yet"):
        machine.kernel.check()
    machine.run(max_insns=INSTRUCTIONS)
    with pytest.raises(UserMistake, match="there is no check 'heep'; there are bitmap, pagetables, heap, usage"):
        machine.kernel.check("heep")


def set_bits(machine: Machine, at: int, value: int) -> None:
    machine.memory.set_u32(PhysAddr(at), machine.memory.u32(PhysAddr(at)) ^ value)


def lost_page(machine: Machine) -> None:
    """The bit of a page that nobody has is set."""
    kernel = kernel_of(machine)
    page = kernel.pages.alloc_page()
    kernel.pages.free_page(page)
    set_bits(machine, BITMAP_AT + (page >> 12 >> 5) * 4, 1 << (page >> 12 & 31))


def stolen_page(machine: Machine) -> None:
    """The bit of a page of the program is clear."""
    page = next(iter(kernel_of(machine).residents.places))
    set_bits(machine, BITMAP_AT + (page >> 5) * 4, 1 << (page & 31))


def wrong_count(machine: Machine) -> None:
    set_bits(machine, machine.symbols["memory_manager"] + MANAGER.offset("free_pages"), 1)


def kernel_entry(machine: Machine, at: int) -> int:
    """Where the entry of the kernel's page at `at` lies."""
    return kernel_of(machine).paging.kernel.slot(at) * 4


def writable_text(machine: Machine) -> None:
    set_bits(machine, kernel_entry(machine, 0x10000), WRITABLE)


def mapped_guard(machine: Machine) -> None:
    guard = machine.symbols["boot_stack_guard"]
    set_bits(machine, kernel_entry(machine, guard), guard | PRESENT | WRITABLE)


def kernel_page_for_programs(machine: Machine) -> None:
    set_bits(machine, kernel_entry(machine, 0x200000), USER)


def twisted_identity(machine: Machine) -> None:
    set_bits(machine, kernel_entry(machine, 0x200000), 0x1000)


def another_kernel_half(machine: Machine) -> None:
    """A program's directory has lost the table of low memory's second 4 MiB."""
    (directory,) = kernel_of(machine).paging.programs
    machine.memory.set_u32(PhysAddr(directory.directory_slot(0x400000) * 4), 0)


def foreign_page(machine: Machine) -> None:
    """The program's text leads to another page."""
    (directory,) = kernel_of(machine).paging.programs
    set_bits(machine, directory.slot(0x40000000) * 4, 0x1000)


def writable_program_text(machine: Machine) -> None:
    (directory,) = kernel_of(machine).paging.programs
    set_bits(machine, directory.slot(0x40000000) * 4, WRITABLE)


def stray_mapping(machine: Machine) -> None:
    """Something is mapped where there is no RAM."""
    at = kernel_of(machine).paging.kernel.slot(0xFDF000) * 4 + 4
    machine.memory.set_u32(PhysAddr(at), 0x200000 | PRESENT)


def opened_directory(machine: Machine) -> None:
    set_bits(machine, kernel_of(machine).paging.kernel.directory_slot(0x400000) * 4, USER)


def hidden_program_page(machine: Machine) -> None:
    """The program's text is without PTE_U."""
    (directory,) = kernel_of(machine).paging.programs
    set_bits(machine, directory.slot(0x40000000) * 4, USER)


def forgotten_program_page(machine: Machine) -> None:
    (directory,) = kernel_of(machine).paging.programs
    machine.memory.set_u32(PhysAddr(directory.slot(0x40000000) * 4), 0)


def page_of_two(machine: Machine) -> None:
    """Ring 0 and the program believe that a page is theirs."""
    kernel = kernel_of(machine)
    kernel.given.add(PhysAddr(next(iter(kernel.residents.places)) << 12))


def overwritten_header(machine: Machine) -> None:
    """Somebody writes in front of a block of the heap."""
    kernel = kernel_of(machine)
    at = kernel.heap.kmalloc(1000)
    phys = (kernel.paging.kernel.entry(at - 12) & -PAGE_SIZE) + (at - 12 & PAGE_SIZE - 1)
    set_bits(machine, phys, 0x40)


def page_count(machine: Machine) -> None:
    """The count of pages that were taken."""
    set_bits(machine, machine.symbols["memory_manager"] + MANAGER.size_bytes, 1)


FAULTS = [
    (lost_page, "bitmap", "is marked used, but it is nobody's"),
    (stolen_page, "bitmap", "is marked free, but it is in use"),
    (wrong_count, "bitmap", r"memory_manager_t.free_pages is \d+, but \d+ bits are clear"),
    (writable_text, "pagetables", r"0x00010000 has the entry 0x10\w+, not 0x10001"),
    (mapped_guard, "pagetables", r"has the entry 0x\w+3, not 0x0"),
    (kernel_page_for_programs, "pagetables", r"0x00200000 has the entry 0x200\w+7, not 0x200003"),
    (twisted_identity, "pagetables", r"0x00200000 has the entry 0x201\w+, not 0x200003"),
    (another_kernel_half, "pagetables", r"has 0x0 for kernel space 0x00400000, the kernel's has"),
    (foreign_page, "pagetables", r"0x40000000 leads to page 0x\w+, which is not this program's"),
    (writable_program_text, "pagetables", r"0x40000000 has the entry 0x\w+, which are not its rights"),
    (page_of_two, "bitmap", r"page 0x\w+ belongs to the program's page 0x\w+ and to the kernel, by alloc_page"),
    (stray_mapping, "pagetables", r"0x00FE0000 is mapped \(0x200001\), beyond the RAM"),
    (opened_directory, "pagetables", r"the directory's entry for kernel space 0x00400000 is 0x\w+7, with other rights"),
    (hidden_program_page, "pagetables", r"the program's page 0x40000000 has the entry 0x\w+, without PTE_U"),
    (forgotten_program_page, "pagetables", r"page 0x\w+ should be at 0x40000000, whose entry is 0x0"),
    (overwritten_header, "heap", "heap: "),
    (page_count, "usage", r"\d+ pages were taken and not given back, but \d+ are marked used"),
]


@pytest.mark.parametrize(("make", "check", "said"), FAULTS, ids=lambda one: getattr(one, "__name__", None))
def test_every_check_finds_what_was_broken(make, check: str, said: str, started: Machine) -> None:  # type: ignore[no-untyped-def]
    kernel = kernel_of(started)
    assert kernel.check() == []
    make(started)
    found = kernel.check(check)
    assert any(re.search(said, sentence) for sentence in found), found
    assert all(sentence.startswith(f"{check}: ") for sentence in found)


def test_a_page_that_ring_0_has_is_somebody_s() -> None:
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap")
    machine.run(until=r"alloc_page\(\) = ", max_insns=INSTRUCTIONS)
    assert len(kernel_of(machine).given) == 1
    assert kernel_of(machine).check() == []


def test_a_contradiction_makes_the_exit_status_3(tmp_path: Path) -> None:
    machine = bitmap_with(tmp_path, {"idle": "system_call SYS_EXIT, 0\n"}, options=KernelOptions(check=True))
    machine.run(until=r"kmalloc\(1024\)", max_insns=INSTRUCTIONS)
    wrong_count(machine)
    stop = machine.run(max_insns=INSTRUCTIONS)
    assert (stop.reason, stop.exit_code) == (StopReason.EXIT, 3)
    assert "\ncheck: bitmap: memory_manager_t.free_pages is " in machine.serial.text
    assert "check: bitmap, pagetables, heap, usage: 1 contradictions\n" in machine.serial.text


def test_only_the_named_checks_are_made(tmp_path: Path) -> None:
    options = KernelOptions(check=True, checks=("heap", "usage"))
    machine = bitmap_with(tmp_path, {"idle": "system_call SYS_EXIT, 0\n"}, options=options)
    machine.run(until=r"kmalloc\(1024\)", max_insns=INSTRUCTIONS)
    writable_text(machine)
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.POWER_OFF
    assert "check: heap, usage: all is well\n" in machine.serial.text


# ---- the machine around it -------------------------------------------------------------------------------------------


def test_the_run_is_the_same_every_time_and_on_both_sides_of_a_snapshot() -> None:
    texts = set()
    for with_snapshot in (False, True):
        machine = Machine(mem="16M")
        machine.load_kernel(profile="bitmap", append="frames=8")
        machine.run(max_insns=60_000)
        if with_snapshot:
            point = machine.snapshot()
            machine.run(max_insns=20_000)
            machine.restore(point)
        machine.run(max_insns=INSTRUCTIONS)
        texts.add((machine.serial.text, machine.cpu.instructions))
    assert len(texts) == 1


def test_a_reboot_boots_the_disk_again() -> None:
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap")
    machine.run(max_insns=INSTRUCTIONS)
    first = machine.kernel
    machine.boot_again()
    assert machine.kernel is not first
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.POWER_OFF
    assert spoken(machine.serial.text)


def test_one_machine_may_boot_one_profile_after_another() -> None:
    machine = Machine(mem="16M")
    for profile, ending in (("bitmap", "kernel: power off\n"), ("hillson", "kernel: power off\n")):
        machine.load_kernel(profile=profile)
        assert machine.run(max_insns=30_000_000).reason is StopReason.POWER_OFF
        assert machine.serial.text.endswith(ending)


def test_who_runs_it_on_after_power_off_finds_the_kernel_idle() -> None:
    """Nothing of the last program is left to go back to."""
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap")
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.POWER_OFF
    machine.breakpoints.add("idle")
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.BREAKPOINT
    assert kernel_of(machine).check() == []

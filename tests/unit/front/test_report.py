"""The crash report on guests that died on paper: a FakeGuest with tables, code and a history of deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hillemu.emu.guest import FakeGuest, FakeMemory, FakeRegisters, Segment
from hillemu.emu.i386 import tss
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.descriptors import INTERRUPT_GATE_32, pack_gate, pack_segment, pack_table
from hillemu.emu.stop import Stop, StopReason
from hillemu.report import crash_report

FLAT_CODE = Segment(0x08, 0, 0xFFFFFFFF, 0x00CF9B00)
FLAT_DATA = Segment(0x10, 0, 0xFFFFFFFF, 0x00CF9300)
USER_CODE = Segment(0x1B, 0, 0xFFFFFFFF, 0x00CFFB00)
USER_DATA = Segment(0x23, 0, 0xFFFFFFFF, 0x00CFF300)
GDT, IDT, TSS, DIRECTORY, TABLE, CODE, STACK = 0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x8000, 0x9000
GDT_ENTRIES = [0x00CF9B000000FFFF, 0x00CF93000000FFFF, 0x00CFFB000000FFFF, 0x00CFF3000000FFFF]
TRIPLE = Stop(StopReason.TRIPLE_FAULT, "the processor shut down")
PG_WP_PE = 0x80010001


@dataclass
class Delivered:
    kind: str = "exception"
    vector: int = 14
    error_code: int | None = None
    cs: int = 0x08
    eip: int = CODE + 7
    cr2: int = 0
    at: int = 1000


@dataclass
class Names:
    table: dict[str, int]

    def nearest(self, address: int) -> tuple[str, int] | None:
        below = [(start, name) for name, start in self.table.items() if start <= address < start + 0x100]
        return (max(below)[1], address - max(below)[0]) if below else None


@dataclass
class Dead:
    """A machine that stopped."""

    memory: FakeMemory
    registers: FakeRegisters
    stop: Stop = TRIPLE
    deliveries: Sequence[Delivered] = ()
    symbols: Names = field(default_factory=lambda: Names({"boot": CODE, "main": CODE + 0x100}))

    def report(self) -> str:
        return crash_report(self)

    def section(self, title: str) -> list[str]:
        """The body of the section whose title begins with `title`."""
        lines = self.report().splitlines()
        starts = [number for number, line in enumerate(lines) if line.startswith(f"-- {title}")]
        assert len(starts) == 1, f"{len(starts)} sections {title!r}"
        body = lines[starts[0] + 1 :]
        return [line[2:] for line in body[: body.index("") if "" in body else len(body)]]

    def hints(self) -> list[str]:
        return [line[6:] for line in self.report().splitlines() if line.startswith("hint: ")]

    def map(self, at: int, entry: int) -> None:
        self.memory.set_u32(PhysAddr(TABLE + 4 * (at >> 12 & 0x3FF)), entry)

    def gate(self, vector: int, raw: int) -> None:
        self.memory.write(PhysAddr(IDT + 8 * vector), raw.to_bytes(8, "little"))


@pytest.fixture
def dead() -> Dead:
    """A healthy 32-bit kernel with paging on, 64 KiB mapped to itself, EIP 7 bytes into ``boot``."""
    guest = FakeGuest(0x10000)
    memory, registers = guest.memory, guest.registers
    for name in ("ss", "ds", "es", "fs", "gs"):
        registers.set_segment(name, FLAT_DATA)
    registers.set_segment("cs", FLAT_CODE)
    registers.set_segment("gdtr", Segment(0, GDT, 6 * 8 - 1, 0))
    registers.set_segment("idtr", Segment(0, IDT, 0x7FF, 0))
    for name, value in (("eip", CODE + 7), ("esp", STACK + 0x800), ("eflags", 0x202), ("cr0", PG_WP_PE)):
        registers.set(name, value)
    registers.set("cr3", DIRECTORY)
    memory.write(PhysAddr(GDT), pack_table([0, *GDT_ENTRIES, pack_segment(TSS, 0x67, 0x89, 0)]))
    memory.write(PhysAddr(IDT), pack_table([pack_gate(INTERRUPT_GATE_32, 0x08, CODE)] * 256))
    memory.set_u32(PhysAddr(DIRECTORY), TABLE | 7)
    for page in range(1, 16):
        memory.set_u32(PhysAddr(TABLE + 4 * page), page << 12 | 3)
    # push ebp; mov ebp, esp; xor eax, eax; inc ebx; nop; mov eax, [ebx]; call main; ret
    code = "55 89e5 31c0 43 90 8b03 e8f2000000 c3"
    memory.write(PhysAddr(CODE), bytes.fromhex(code))
    return Dead(memory, registers)


class TestReason:
    def test_the_first_line_tells_why_the_machine_stopped(self, dead: Dead) -> None:
        assert dead.report().splitlines()[0] == "---- guest stopped: triple-fault: the processor shut down"

    def test_a_guest_without_anything_still_gets_a_report(self) -> None:
        guest = FakeGuest(0)
        text = Dead(guest.memory, guest.registers, Stop(StopReason.CPU_ERROR), (), Names({})).report()
        assert text.startswith("---- guest stopped: cpu-error\n")
        assert "real mode" in text
        assert "cannot be read" in text

    def test_reporting_changes_neither_memory_nor_registers(self, dead: Dead) -> None:
        dead.deliveries = [Delivered(cr2=0xDEAD0000, error_code=2)]
        before = bytes(dead.memory.data), dict(dead.registers.values), dict(dead.registers.segments)
        assert dead.report() == dead.report()
        assert (bytes(dead.memory.data), dead.registers.values, dead.registers.segments) == before


class TestRegisters:
    def test_flags_and_control_registers_are_decoded(self, dead: Dead) -> None:
        body = dead.section("registers")
        assert "Eflags(0x00000202 IF)" in body
        assert "Cr0(0x80010001 PG WP PE)" in body
        assert "EIP=00008007 <boot+0x7>  (ring 0, 32-bit code, 32-bit paging)" in body

    def test_segments_show_their_hidden_part_in_words(self, dead: Dead) -> None:
        dead.registers.set_segment("fs", Segment(0x33, 0xC0123456, 0xFFF, 0x0040F200))
        body = dead.section("registers")
        assert "CS=0008 code 32-bit, ring 0, base 0x00000000, limit 0xFFFFFFFF, execute/read, accessed" in body
        assert "FS=0033 data 32-bit, ring 3, base 0xC0123456, limit 0x00000FFF, read/write" in body
        assert "TR=0000 null" in body
        assert "IDTR base 0x00002000, limit 0x07FF" in body

    def test_real_mode_segments_have_no_descriptor(self, dead: Dead) -> None:
        dead.registers.set("cr0", 0x10)
        dead.registers.set_segment("cs", Segment(0xF000, 0xF0000, 0xFFFF, 0x9B00))
        body = dead.section("registers")
        assert "CS=F000 base 0x000F0000, limit 0x0000FFFF" in body
        assert any(line.endswith("(real mode)") for line in body)

    def test_debug_registers_appear_once_a_breakpoint_is_on(self, dead: Dead) -> None:
        assert "DR0" not in dead.report()
        dead.registers.set("dr7", 0x1)
        dead.registers.set("dr0", 0x1234)
        assert "DR0=0x00001234" in dead.report()


class TestDeliveries:
    def test_an_exception_is_told_with_its_code_in_words(self, dead: Dead) -> None:
        dead.deliveries = [Delivered(error_code=2, cr2=0xDEADBEEF)]
        assert dead.section("last exceptions") == [
            "insn 1000: #PF page fault at 0008:00008007 <boot+0x7>, error code 0x2 "
            "(a write by supervisor mode met a page that is not present), CR2=0xDEADBEEF"
        ]

    def test_interrupts_and_int_n_are_told_apart_from_exceptions_of_the_same_number(self, dead: Dead) -> None:
        dead.deliveries = [Delivered("interrupt", 14, eip=0x20000), Delivered("software", 14, at=1001, eip=0x20001)]
        body = dead.section("last exceptions")
        assert body == ["insn 1000: IRQ as vector 0x0e at 0008:00020000", "insn 1001: INT 0x0e at 0008:00020001"]

    def test_only_the_last_sixteen_are_shown_oldest_first(self, dead: Dead) -> None:
        dead.deliveries = [Delivered("interrupt", 0x20, at=count) for count in range(20)]
        body = dead.section("last exceptions")
        assert [line.split()[1] for line in body] == [f"{count}:" for count in range(4, 20)]

    def test_none_at_all_is_said(self, dead: Dead) -> None:
        assert dead.section("last exceptions") == ["none"]


class TestBacktrace:
    def chain(self, dead: Dead, *frames: tuple[int, int, int]) -> None:
        for at, caller, returns_to in frames:
            dead.memory.set_u32(PhysAddr(at), caller)
            dead.memory.set_u32(PhysAddr(at + 4), returns_to)
        dead.registers.set("ebp", frames[0][0])

    def test_the_chain_of_frames_is_symbolised(self, dead: Dead) -> None:
        self.chain(dead, (STACK + 0x800, STACK + 0x900, CODE + 0x110), (STACK + 0x900, 0, CODE + 0x12))
        assert dead.section("backtrace") == [
            "#0  0x00008007 <boot+0x7>",
            "#1  0x00008110 <main+0x10>",
            "#2  0x00008012 <boot+0x12>",
        ]

    def test_a_call_at_the_very_end_of_a_function_is_not_blamed_on_the_next_one(self, dead: Dead) -> None:
        self.chain(dead, (STACK + 0x800, 0, CODE + 0x100))
        assert dead.section("backtrace")[1] == "#1  0x00008100 <boot+0x100>"

    def test_frames_are_read_through_the_page_tables(self, dead: Dead) -> None:
        self.chain(dead, (STACK + 0x800, 0, CODE + 0x110))
        dead.map(0x3F000, STACK | 3)
        dead.registers.set("ebp", 0x3F800)
        assert dead.section("backtrace")[1] == "#1  0x00008110 <main+0x10>"

    def test_a_loop_ends_the_chain(self, dead: Dead) -> None:
        self.chain(dead, (STACK + 0x800, STACK + 0x900, 0x8001), (STACK + 0x900, STACK + 0x800, 0x8002))
        body = dead.section("backtrace")
        assert len(body) == 4
        assert body[-1] == "(the chain loops: EBP 0x00009800 was there before)"

    def test_an_unreadable_frame_ends_the_chain(self, dead: Dead) -> None:
        self.chain(dead, (STACK + 0x800, 0xDEAD0000, CODE + 0x110))
        assert dead.section("backtrace")[-1] == "(the frame at EBP 0xDEAD0000 is not readable)"

    def test_endless_recursion_is_cut(self, dead: Dead) -> None:
        frames = [(STACK + 16 * number, STACK + 16 * number + 16, CODE + 0x110) for number in range(64)]
        self.chain(dead, *frames)
        body = dead.section("backtrace")
        assert len(body) == 1 + 32 + 1
        assert body[-1] == "(more than 32 frames)"

    @pytest.mark.parametrize(("offset", "slot"), [(0, 0), (1, 4)])
    def test_the_caller_is_found_before_the_frame_is_built(self, dead: Dead, offset: int, slot: int) -> None:
        dead.registers.set("eip", CODE + offset)
        dead.memory.set_u32(PhysAddr(STACK + 0x800 + slot), CODE + 0x120)
        assert dead.section("backtrace")[1] == "#1  0x00008120 <main+0x20>"

    def test_a_call_to_nowhere_still_shows_the_caller(self, dead: Dead) -> None:
        dead.registers.set("eip", 0)
        dead.memory.set_u32(PhysAddr(STACK + 0x800), CODE + 0x120)
        assert dead.section("backtrace") == ["#0  0x00000000", "#1  0x00008120 <main+0x20>"]

    def test_a_16_bit_stack_has_no_chain(self, dead: Dead) -> None:
        dead.registers.set_segment("ss", Segment(0, 0, 0xFFFF, 0x9300))
        assert dead.section("backtrace")[1] == "(a 16-bit stack has no chain of frames)"


class TestWalks:
    def test_the_faulting_address_is_walked_entry_by_entry(self, dead: Dead) -> None:
        dead.deliveries = [Delivered(error_code=2, cr2=0x00020123), Delivered(vector=8, error_code=0)]
        assert dead.section("page walk of 0x00020123, the #PF at instruction 1000") == [
            "CR3 0x00004000",
            "PDE[0x000] @0x00004000 = PageDirectoryEntry(0x00005007 table=0x5 user writable present)",
            "PTE[0x020] @0x00005080 = not present",
            "=> 0x00020123: PTE[0x020] is not present: a write by supervisor mode raises #PF, error code 0x2",
        ]

    def test_every_page_of_a_cascade_is_walked_once(self, dead: Dead) -> None:
        dead.deliveries = [
            Delivered(error_code=0, cr2=cr2, at=at, eip=0x20000)
            for cr2, at in ((0x90000, 999), (0x20000, 1000), (0x30000, 1000), (0x30008, 1000))
        ]
        titles = [line for line in dead.report().splitlines() if line.startswith("-- page walk of 0x")]
        assert [title.split()[4] for title in titles] == ["0x00020000,", "0x00030000,"]

    def test_tables_that_allow_the_access_now_are_pointed_out(self, dead: Dead) -> None:
        dead.deliveries = [Delivered(error_code=0, cr2=STACK)]
        assert any("TLB" in line for line in dead.section("page walk"))

    def test_eip_is_walked_when_there_is_no_code(self, dead: Dead) -> None:
        dead.registers.set("eip", 0x70000000)
        assert "PDE[0x1c0] @0x00004700 = not present" in dead.section("page walk of EIP")

    def test_without_paging_there_is_no_walk(self, dead: Dead) -> None:
        dead.registers.set("cr0", 1)
        dead.deliveries = [Delivered(vector=13, error_code=0)]
        assert "page walk" not in dead.report()


class TestDisassembly:
    def test_eip_is_marked_and_the_lines_before_start_at_the_function(self, dead: Dead) -> None:
        assert dead.section("code around EIP")[:8] == [
            "   0x00008000  55                       push ebp",
            "   0x00008001  89 e5                    mov ebp, esp",
            "   0x00008003  31 c0                    xor eax, eax",
            "   0x00008005  43                       inc ebx",
            "   0x00008006  90                       nop",
            "-> 0x00008007  8b 03                    mov eax, dword ptr [ebx]",
            "   0x00008009  e8 f2 00 00 00           call 0x8100 <main>",
            "   0x0000800E  c3                       ret",
        ]

    def test_without_symbols_the_lines_before_fall_into_step(self, dead: Dead) -> None:
        dead.symbols = Names({})
        assert dead.section("code around EIP")[5:7] == [
            "   0x00008006  90                       nop",
            "-> 0x00008007  8b 03                    mov eax, dword ptr [ebx]",
        ]

    def test_16_bit_code_is_read_as_such(self, dead: Dead) -> None:
        dead.registers.set("cr0", 0x10)
        dead.registers.set_segment("cs", Segment(0x700, 0x7000, 0xFFFF, 0x9B00))
        dead.registers.set("eip", 0x1000)
        dead.memory.write(PhysAddr(CODE), bytes.fromhex("b83412 cd10 e80000"))
        dead.symbols = Names({"after": CODE + 8})
        assert [line for line in dead.section("code around EIP") if line >= "-> "][:1] == [
            "-> 0x00008000  b8 34 12                 mov ax, 0x1234"
        ]
        assert any(line.endswith("call 0x1008 <after>") for line in dead.section("code around EIP"))

    def test_bytes_that_are_no_instruction_are_shown_as_such(self, dead: Dead) -> None:
        dead.memory.write(PhysAddr(CODE + 7), b"\x0f\x04\x90")
        body = dead.section("code around EIP")
        assert "-> 0x00008007  0f                       (bad)" in body

    def test_code_on_the_last_mapped_bytes_is_read_up_to_the_edge(self, dead: Dead) -> None:
        dead.symbols = Names({})
        dead.registers.set("eip", 0xFFFE)
        dead.memory.write(PhysAddr(0xFFFE), b"\xeb\xfe")
        body = dead.section("code around EIP")
        assert body[-1] == "-> 0x0000FFFE  eb fe                    jmp 0xfffe"

    def test_code_on_the_first_mapped_bytes_has_nothing_before_it(self, dead: Dead) -> None:
        dead.registers.set("eip", 0x8000)
        dead.map(0x7000, 0)
        assert dead.section("code around EIP")[0].startswith("-> 0x00008000")


class TestHints:
    """Each cause is planted, and named; a healthy kernel gets no hint."""

    def fault(self, dead: Dead, **what: int) -> None:
        cr2 = what.pop("cr2", 0x20000)
        first = Delivered(cr2=cr2, **({"error_code": 0} | what))
        dead.deliveries = [first, Delivered(vector=8, error_code=0, cs=first.cs, eip=first.eip)]

    def only(self, dead: Dead, *parts: str) -> None:
        hints = dead.hints()
        assert any(all(part in hint for part in parts) for hint in hints), hints

    def test_a_fault_for_no_typical_cause_gets_none(self, dead: Dead) -> None:
        self.fault(dead)
        assert dead.hints() == []

    def test_no_idt(self, dead: Dead) -> None:
        dead.registers.set_segment("idtr", Segment(0, 0, 0, 0))
        self.fault(dead)
        self.only(dead, "no IDT was loaded", "the first exception, #PF page fault at 0x00020000")

    def test_the_real_mode_vector_table_is_no_idt(self, dead: Dead) -> None:
        dead.registers.set_segment("idtr", Segment(0, 0, 0x3FF, 0))
        self.fault(dead)
        self.only(dead, "no IDT was loaded", "real-mode vector table")

    def test_an_idt_that_ends_too_early(self, dead: Dead) -> None:
        dead.registers.set_segment("idtr", Segment(0, IDT, 8 * 14 - 1, 0))
        self.fault(dead)
        self.only(dead, "the IDT ends before vector 0x0e (IDTR limit is 0x6f)")

    def test_an_idt_that_is_not_mapped(self, dead: Dead) -> None:
        dead.map(IDT, 0)
        self.fault(dead)
        self.only(dead, "the IDT at 0x00002000 cannot be read")

    @pytest.mark.parametrize(
        ("gate", "problem"),
        [(0, "empty"), (pack_gate(INTERRUPT_GATE_32, 0x10, CODE), "not a code segment")],
    )
    def test_a_bad_gate(self, dead: Dead, gate: int, problem: str) -> None:
        dead.gate(14, gate)
        self.fault(dead)
        self.only(dead, "IDT entry 0x0e for #PF page fault is unusable", problem)

    def test_a_handler_that_is_not_mapped(self, dead: Dead) -> None:
        dead.gate(14, pack_gate(INTERRUPT_GATE_32, 0x08, 0x30000))
        self.fault(dead)
        self.only(dead, "the handler of #PF page fault at 0x00030000 is not mapped")

    def test_a_stack_that_ran_out(self, dead: Dead) -> None:
        dead.registers.set("esp", 0x20000)
        self.fault(dead, cr2=0x1FFFC, error_code=2)
        self.only(dead, "the stack at 0x00020000 cannot be written")
        self.only(dead, "the stack ran out: ESP is 0x00020000")

    def test_no_tss_for_a_fault_in_ring_3(self, dead: Dead) -> None:
        dead.registers.set_segment("cs", USER_CODE)
        self.fault(dead, cs=0x1B, error_code=4)
        self.only(dead, "no TSS was loaded (TR is null)")

    def test_a_tss_without_a_stack(self, dead: Dead) -> None:
        dead.registers.set_segment("cs", USER_CODE)
        dead.registers.set_segment("tr", Segment(0x28, TSS, 0x67, 0x8B00))
        self.fault(dead, cs=0x1B, error_code=4)
        self.only(dead, "the TSS's SS0 is bad (selector 0x0000 is null)")
        dead.memory.write(PhysAddr(TSS), tss.pack(tss.TSS_32, ss0=0x10, esp0=0x80000))
        self.only(dead, "the TSS's stack for ring 0 at 0x00080000 cannot be written")
        dead.memory.write(PhysAddr(TSS), tss.pack(tss.TSS_32, ss0=0x10, esp0=STACK + 0x1000))
        assert dead.hints() == []

    def test_a_null_pointer(self, dead: Dead) -> None:
        self.fault(dead, cr2=0x14, error_code=2)
        self.only(dead, "a write by supervisor mode through a null pointer (address 0x00000014)")

    def test_a_call_through_a_null_pointer(self, dead: Dead) -> None:
        dead.registers.set("eip", 0)
        self.fault(dead, eip=0, cr2=0)
        self.only(dead, "a call through a null pointer")

    def test_a_wild_jump(self, dead: Dead) -> None:
        dead.registers.set("eip", 0xDEAD0000)
        self.fault(dead, eip=0xDEAD0000, cr2=0xDEAD0000)
        self.only(dead, "execution went to 0xDEAD0000, which is not mapped")

    def test_code_that_forgot_to_map_itself(self, dead: Dead) -> None:
        dead.map(CODE, 0)
        self.fault(dead, cr2=CODE + 7)
        self.only(dead, "paging is on, but the code at 0x00008007 is not mapped")

    def test_user_mode_on_a_supervisor_page(self, dead: Dead) -> None:
        dead.registers.set_segment("cs", USER_CODE)
        dead.registers.set_segment("ss", USER_DATA)
        self.fault(dead, cs=0x1B, cr2=STACK, error_code=5)
        self.only(dead, "a read by user mode to 0x00009000 was denied", "U/S=0")

    def test_a_write_to_a_read_only_page(self, dead: Dead) -> None:
        dead.map(0xC000, 0xC001)
        self.fault(dead, cr2=0xC000, error_code=3)
        self.only(dead, "denied", "CR0.WP=1")

    def test_a_malformed_entry(self, dead: Dead) -> None:
        dead.registers.set("cr4", 0x10)
        dead.memory.set_u32(PhysAddr(DIRECTORY + 4), 0x002000A3)
        self.fault(dead, cr2=0x400000, error_code=9)
        self.only(dead, "malformed", "reserved bit 21")

    def test_a_table_outside_ram(self, dead: Dead) -> None:
        dead.memory.set_u32(PhysAddr(DIRECTORY + 4), 0x70000003)
        self.fault(dead, cr2=0x400000)
        self.only(dead, "the page tables are broken", "leads outside RAM")

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            (0x28, "available 32-bit TSS"),
            (0x48, "beyond the GDT's limit (6 entries)"),
            (0x82 + 0x180, "interrupt vector 0x40 could not be delivered"),
        ],
    )
    def test_general_protection_names_the_selector(self, dead: Dead, code: int, words: str) -> None:
        self.fault(dead, vector=13, error_code=code)
        self.only(dead, words)

    def test_an_irq_that_nobody_remapped(self, dead: Dead) -> None:
        dead.gate(8, 0)
        dead.deliveries = [Delivered("interrupt", 8), Delivered(vector=13, error_code=0x43)]
        self.only(dead, "a hardware interrupt came as vector 0x08, which is #DF double fault", "remap")
        self.only(dead, "IDT entry 0x08", "so IRQ as vector 0x08 could not be delivered")

    def test_an_irq_that_reached_the_wrong_handler_is_blamed_later_too(self, dead: Dead) -> None:
        dead.deliveries = [
            Delivered("interrupt", 8, eip=0x100000, at=900),
            Delivered(vector=13, error_code=0x1234),
            Delivered(vector=8, error_code=0),
        ]
        self.only(dead, "remap")

    def test_the_bios_may_use_its_vectors(self, dead: Dead) -> None:
        dead.deliveries = [Delivered("interrupt", 8, cs=0xF000, eip=0x1234, at=1), Delivered(error_code=0, cr2=0x20000)]
        assert dead.hints() == []

    def test_sse_before_it_is_switched_on(self, dead: Dead) -> None:
        dead.memory.write(PhysAddr(CODE + 7), bytes.fromhex("0f28c1"))  # movaps xmm0, xmm1
        dead.deliveries = [Delivered(vector=6)]
        self.only(dead, "CR4.OSFXSR=0")
        dead.registers.set("cr4", 0x200)
        assert dead.hints() == []

    def test_an_fpu_that_is_switched_off(self, dead: Dead) -> None:
        dead.registers.set("cr0", PG_WP_PE | 0x8)
        dead.deliveries = [Delivered(vector=7)]
        self.only(dead, "CR0.TS is set")

    def test_running_into_empty_memory(self, dead: Dead) -> None:
        dead.registers.set("eip", 0xA000)
        dead.deliveries = [Delivered(vector=13, error_code=0, eip=0xA000)]
        self.only(dead, "the memory at EIP 0x0000A000 is all zeros")

    @pytest.mark.parametrize(("eflags", "told"), [(0x2, True), (0x202, False)])
    def test_a_halt_with_interrupts_off(self, dead: Dead, eflags: int, told: bool) -> None:
        dead.stop = Stop(StopReason.HALT)
        dead.registers.set("eflags", eflags)
        assert any("IF=0" in hint for hint in dead.hints()) == told

    def test_an_old_fault_is_not_blamed_for_a_clean_stop(self, dead: Dead) -> None:
        dead.stop = Stop(StopReason.MAX_INSNS)
        dead.deliveries = [Delivered(error_code=0, cr2=0x14), Delivered("interrupt", 0x20, at=2000)]
        assert dead.hints() == []

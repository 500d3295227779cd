"""The crash report, section by section, on guests that died on paper."""

from __future__ import annotations

import pytest
from dead_guest import CODE, STACK, Dead, Delivered, Names, healthy_kernel

from hillemu.emu.guest import FakeGuest, Segment
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.stop import Stop, StopReason


@pytest.fixture
def dead() -> Dead:
    return healthy_kernel()


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

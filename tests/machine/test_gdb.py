"""The distribution's GDB debugs our guests: modes, paging, rings, symbols, watchpoints, Ctrl-C."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gdb_session import INTERRUPT_SOON, DebuggedHillemu, build_modes, in_order, kernel_of

from hillemu.boot.assembler import Layout, assemble_text
from hillemu.debugging.server import SCRIPT

USER_PROGRAM = 0x400000


@pytest.fixture(scope="session")
def modes(gcc_m32: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build_modes(gcc_m32, tmp_path_factory.mktemp("modes"))


LIST = "x/i $pc"


def test_one_session_shows_right_code_and_registers_in_every_mode(gdb: str, modes: tuple[Path, Path]) -> None:
    image, symbols = modes
    names = ("real_mode", "function", "protected_16", "protected_32", "low", "real_again")
    stops = [command for name in names for command in ("continue", LIST, "p/x $ip")]
    with DebuggedHillemu(gdb, image) as machine:
        text = machine.debug(*(f"break {name}" for name in names), *stops, symbols=symbols, scripts=(SCRIPT,))
        in_order(
            text,
            *(r"Breakpoint 1, real_mode", r"=> 0x7c11 <real_mode>:\s+mov +\$0x1234,%ax\n", r"= 0x11\n"),
            *(r"Breakpoint 2, function", r"mov +\$0x5678,%bx\n"),
            *(r"Breakpoint 3, protected_16", r"mov +\$0x10,%ax\n", r"= 0x2f\n"),
            *(r"Breakpoint 4, protected_32", r"mov +\$0x90000,%esp\n", r"= 0x7c3e\n"),
            *(r"Breakpoint 5, low", r"mov +%cr0,%eax\n"),
            *(r"Breakpoint 6, real_again", r"mov +\$0x4321,%ax\n"),
        )
        assert machine.finish()["stop"] == "halt"


def test_without_symbols_real_mode_code_is_shown_as_16_bit_code_from_the_start(
    gdb: str, modes: tuple[Path, Path]
) -> None:
    with DebuggedHillemu(gdb, modes[0]) as machine:
        text = machine.debug(LIST, "stepi", "stepi", LIST, "break *0x7c2b", "continue", "p/x $bx", "stepi", "p/x $bx")
    in_order(
        text, r"ljmp +\$0x7c0,\$0x5", r"=> 0x7c07:\s+mov +%ax,%ds", "Breakpoint 1, 0x00007c2b", "= 0x0", "= 0x5678"
    )


def test_a_machine_that_was_first_seen_in_32_bit_code_shows_16_bit_code_later(
    gdb: str, modes: tuple[Path, Path]
) -> None:
    image, symbols = modes
    with DebuggedHillemu(gdb, image) as machine:
        machine.debug("break protected_32", "continue", "disconnect", symbols=symbols)
        text = machine.debug("break real_again", "continue", LIST, symbols=symbols, scripts=(SCRIPT,))
    in_order(text, r"protected_32 \(\)", "Breakpoint 1, real_again", r"mov +\$0x4321,%ax\n")


def test_the_16_bit_stack_physical_memory_and_page_tables_are_commands_of_the_script(
    gdb: str, modes: tuple[Path, Path]
) -> None:
    image, symbols = modes
    commands = ("break function", "continue", "stack16", "break low", "continue", "physical", "x/xb 0x7c00", "linear")
    with DebuggedHillemu(gdb, image) as machine:
        text = machine.debug(
            *commands, "x/xb 0xc0007c00", "pt 0xc0007c00", "x/xb 0xa0000000", symbols=symbols, scripts=(SCRIPT,)
        )
    in_order(text, r"0x77fe:\t0x0017", r"0x7c00 <_start>:\t0xea", r"0xc0007c00:\t0xea", "Cannot access memory")
    assert "=> 0xC0007C00: physical 0x00007C00 (4 MiB page" in text


def test_a_machine_that_is_moved_shows_the_code_and_the_registers_of_where_it_is(
    gdb: str, modes: tuple[Path, Path]
) -> None:
    """From 32-bit code to the boot sector's first instruction, and back."""
    image, symbols = modes
    with DebuggedHillemu(gdb, image) as machine:
        text = machine.debug(
            *("break protected_32", "continue", "monitor snapshot save there", "reset", "p $code_size"),
            *("load-snapshot there", "p $code_size", "load-snapshot nowhere", "p $eip"),
            symbols=symbols,
            scripts=(SCRIPT,),
        )
    in_order(
        text,
        *("has booted again", r"=> 0x7c00 <_start>:\s+ljmp +\$0x7c0,\$0x5", "= 16"),
        *(
            r"=> 0x7c3e <protected_32>:\s+mov +\$0x90000,%esp",
            "= 32",
            "there is no snapshot 'nowhere'",
            "<protected_32>",
        ),
    )


PASSED = """
.code16
    mov sp, 0x7000
    mov cx, 3
    call deeper
    call word ptr cs:[pointer]
    int 0x11
again: inc bx
    loop again
    rep stosb
    jmp short there
    hlt
there: cli
    hlt
deeper: dec cx
    jz 1f
inner: call deeper
1:  inc cx
    ret
pointer: .word leaf
leaf: ret
.org 510
.word 0xAA55
"""


def test_16_bit_code_is_stepped_over_what_it_calls(gdb: str, tmp_path: Path) -> None:
    """Also where inner calls come to the next instruction first: with CX 1, and this one with 2."""
    image = tmp_path / "sector.img"
    code = assemble_text(PASSED, layout=Layout(flat=True, base=0x7C00))
    image.write_bytes(code.data)
    names = ("call", "call", "int", "inc", "loop", "rep", "jmp", "cli")
    show = ('printf "now "', LIST)
    recursion = (f"tbreak *{code.symbols['inner']:#x}", "continue", "nexti16", "p $cx", "monitor system_reset")
    steps = [command for _ in names[1:] for command in ("nexti16", *show)]
    with DebuggedHillemu(gdb, image) as machine:
        text = machine.debug(
            *(*recursion, "maintenance flush register-cache", "stepi 2", *show, *steps, "info breakpoints"),
            scripts=(SCRIPT,),
        )
    assert "= 2\n" in text
    assert tuple(re.findall(r"now => 0x\w+:\s+(\w+)", text)) == names
    assert "No breakpoints" in text


def test_breakpoints_hold_across_the_switch_to_paging_and_in_ring_3(gdb: str, demo: Path) -> None:
    """All are set before the first instruction; the user program is at an address that nothing maps then."""
    with DebuggedHillemu(gdb, demo) as machine:
        text = machine.debug(
            *("break where_am_i", f"break *{USER_PROGRAM + 10}", "break system_call"),
            *("continue", "p $cr0", "x/i $pc", "continue", "p $cs & 3", "p $cr0", f"x/2i {USER_PROGRAM + 10}"),
            # int enters the kernel, iret comes back
            *("stepi", "p $cs & 3", "info symbol $pc", "delete", "break put_string", "continue", "finish"),
            *("x/i $pc", "stepi", "p $cs & 3", "x/i $pc"),
            symbols=demo,
        )
        assert machine.finish()["status"] == 0
    in_order(
        text,
        *(r"Breakpoint 1, 0x\w+ in where_am_i", r"\[ PG.* PE.*\]|\[ PE.*PG \]"),
        *(r"Breakpoint 2, 0x0040000a", r"= 3\n", r"=> 0x40000a:\s+int +\$0x80"),
        *(r"system_call", r"= 0\n", r"system_call in section", r"put_string"),
        *(r"iret", r"= 3\n", r"=> 0x40000c:"),
    )


def test_a_step_is_one_iteration_of_rep_and_the_last_leaves_it(gdb: str, tmp_path: Path) -> None:
    source = "mov edi, 0x200000; mov ecx, 3; mov al, 0x5A; cld; rep stosb; mov ebx, 7; cli; hlt"
    with DebuggedHillemu(gdb, kernel_of(tmp_path, source)) as machine:
        text = machine.debug(
            *("stepi 4", LIST, "stepi 2", "p $ecx", LIST, "stepi", "p $ecx", LIST, "x/4xb 0x200000"),
            *("reverse-stepi", "p $ecx", LIST),
        )
    in_order(
        text,
        "rep stos",
        r"= 1\n",
        "rep stos",
        r"= 0\n",
        r"mov +\$0x7,%ebx",
        r"0x5a\t0x5a\t0x5a\t0x00",
        "= 1",
        "rep stos",
    )


def test_a_backtrace_locals_and_finish_work_in_a_kernel_in_c(gdb: str, c_kernel: Path) -> None:
    with DebuggedHillemu(gdb, c_kernel) as machine:
        text = machine.debug(
            *("break descend if depth == 1", "continue", "backtrace", "p *where", "up", "info locals"),
            *("delete", "finish", "next", "tbreak count_to", "continue", "next 3", "p sum", "p i", "set var end = 2"),
            *("finish", "info line", "continue", "continue"),
            symbols=c_kernel,
        )
        record = machine.finish()
    in_order(
        text,
        *(r"#0 +descend \(depth=1", r"#1 .*descend \(depth=2", r"#2 .*descend \(depth=3", r"#3 .*kernel_main"),
        *(r"\{x = 42, y = 7\}", r"next = \{x = 42, y = 7\}", r"Value returned is"),
        *(r"count_to \(end=20000\)", r"= 0\n", r"Value returned is \$\d+ = [01]\n"),
        *(r"hillemu: exit", "Terminated", r"exited with code 043"),
    )
    assert (record["stop"], record["status"]) == ("exit", 0x11 << 1 | 1)


def test_watchpoints_tell_who_writes_reads_and_touches(gdb: str, c_kernel: Path) -> None:
    with DebuggedHillemu(gdb, c_kernel) as machine:
        text = machine.debug(
            *(
                "watch depth_reached",
                "continue",
                "delete",
                "rwatch *(int *)0xF4",
                "break count_to",
                "continue",
                "delete",
            ),
            *("awatch sum", "next", "next", "continue", "monitor info mem", "monitor lint"),
            symbols=c_kernel,
        )
    in_order(
        text,
        *(r"Hardware watchpoint 1", r"Old value = 0", r"New value = 8", r"descend \(depth=0"),
        *(
            r"Hardware read watchpoint 2",
            r"Breakpoint 3, count_to",
            r"Hardware access \(read/write\) watchpoint 4: sum",
        ),
    )


SLEEPS_BETWEEN_TIMER_INTERRUPTS = """
    mov eax, offset handler; mov [0x200040], ax; mov dword ptr [0x200042], 0x8E000008; shr eax, 16; mov [0x200046], ax
    lidt [pointer]; sti
1:  hlt
    jmp 1b
handler:
    inc dword ptr [0x201000]; push eax; mov al, 0x20; out 0x20, al; pop eax; iretd
pointer: .word 0x7F; .long 0x200000"""


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("1: inc eax; jmp 1b", r"inc +%eax|jmp"),
        ("1: in al, 0x61; jmp 1b", r"in +\$0x61,%al|jmp"),
        (SLEEPS_BETWEEN_TIMER_INTERRUPTS, r"jmp|hlt"),
    ],
    ids=["busy with interrupts off", "busy with a port", "hlt"],
)
def test_ctrl_c_stops_a_guest_that_never_ends_and_it_can_go_on(
    gdb: str, tmp_path: Path, source: str, place: str
) -> None:
    commands = (INTERRUPT_SOON, "continue", "x/i $pc", "p *(int *)0x201000")
    with DebuggedHillemu(gdb, kernel_of(tmp_path, source)) as machine:
        text = machine.debug(*commands, *commands, "kill")
        in_order(text, "SIGINT", f"=> .*({place})", r"\$1 = ", "SIGINT", f"=> .*({place})", r"\$2 = ")
        assert machine.finish()["stop"] == "interrupted"
    if "hlt" in source:
        first, second = (int(value) for value in re.findall(r"\$\d = (\d+)", text))
        assert 0 < first < second

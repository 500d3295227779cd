"""The same GDB script on QEMU's stub and on ours, with the same guest: the same answers, where QEMU's are right.

Where they differ is in `test_gdb_differences.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gdb_session import DebuggedHillemu, qemu_waiting, run_gdb

from hillemu.boot.shipped import shipped_image

REGISTERS = "p/x {(unsigned)$eip, (unsigned)$esp, $cs, $ss, $ds, $eflags & 0x3fed7}"
SCRIPT = (
    *("break paging_init", "break system_call", "break *0x400000", "hbreak page_fault", "info breakpoints"),
    *("continue", REGISTERS, "p/x (unsigned)$cr3", "p/x (unsigned)$cr0", "x/6i $pc", "finish", REGISTERS),
    *("continue", REGISTERS, "x/wx $esp", "continue", REGISTERS, "x/4i $pc"),
    *("stepi", REGISTERS, "stepi", REGISTERS, "stepi", REGISTERS, "x/5wx $esp", "stepi", REGISTERS, "stepi 4"),
    *(REGISTERS, "p/x (unsigned)$cr3", "p/x (unsigned)$cr2", "x/4wx 0xc0101000", "x/wx 0xa0000000"),
    *(
        "p/x $fctrl",
        "p $st0",
        "p $mxcsr",
        "set $ebx = 0x1234",
        "p/x $bx",
        "set {int}0x200000 = 0x5678",
        "x/wx 0x200000",
    ),
)


def answers(text: str) -> list[str]:
    """What GDB printed, from the first breakpoint on, without what says how the stub was found."""
    lines = text[text.index("Breakpoint 1 at") :].splitlines()
    return [line for line in lines if line and not line.startswith(("[Inferior", "Note:", "warning:", "Run till exit"))]


def test_the_same_script_gets_the_same_answers_as_from_qemu(need_tool: Callable[[str], str], tmp_path: Path) -> None:
    gdb, qemu = need_tool("gdb"), need_tool("qemu-system-i386")
    image = tmp_path / "demo.elf"
    image.write_bytes(shipped_image("demo.elf"))
    with DebuggedHillemu(gdb, image) as machine:
        ours = answers(machine.debug(*SCRIPT, "kill", symbols=image))
    with qemu_waiting(qemu, "-kernel", image) as address:
        theirs = answers(run_gdb(gdb, address, *SCRIPT, "kill", symbols=image))
    assert ours == theirs
    assert sum(line.startswith("$") for line in ours) > 15, ours

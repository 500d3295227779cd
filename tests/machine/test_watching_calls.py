"""`Machine.on_call`: arguments as C types, callers by name, returns with their results; and faults as CSV and HTML."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hillemu.emu.errors import OptionError, UserMistake
from hillemu.emu.stop import StopReason
from hillemu.inspection.structs.type_library import UnknownType

Boot = Callable[..., Any]

KERNEL = """
    mov esp, offset stack_top
    lgdt [gdt_pointer]
    mov ax, 0x10; mov ss, ax; mov ds, ax
    push 5; call factorial; add esp, 4
    push offset point; push offset name; call show; add esp, 8
    cli; hlt
.globl factorial; factorial:
    mov eax, [esp + 4]
    cmp eax, 1; jbe 1f
    dec eax; push eax; call factorial; add esp, 4
    imul eax, [esp + 4]
1:  ret
.globl show; show: xor eax, eax; ret
gdt: .quad 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF
gdt_pointer: .word 23; .long gdt
name: .asciz "memory"
point: .word 3, 0xFFFF
.space 256
stack_top:
"""


def test_recursive_calls_return_in_the_order_of_the_stack(boot: Boot) -> None:
    machine = boot(KERNEL)
    calls: list[int] = []
    results: list[tuple[int, int]] = []
    machine.on_call(
        "factorial",
        lambda call: calls.append(call.arg(0)),
        on_return=lambda call: results.append((call.arg(0), call.result)),
    )
    assert machine.run().reason is StopReason.HALT
    assert calls == [5, 4, 3, 2, 1]
    assert results == [(number, math.factorial(number)) for number in (1, 2, 3, 4, 5)]


def test_callers_have_names(boot: Boot) -> None:
    machine = boot(KERNEL)
    callers: list[str] = []
    machine.on_call("factorial", on_return=lambda call: callers.append(f"{call.function} from {call.caller}"))
    machine.run()
    assert [text.split("+")[0] for text in callers] == ["factorial from factorial"] * 4 + ["factorial from _start"]


def test_arguments_are_values_of_c_types(boot: Boot) -> None:
    machine = boot(KERNEL)
    machine.structs.define("struct point { short x, y; };")
    seen: list[Any] = []
    machine.on_call("show", lambda call: seen.extend((call.arg(0, "char *").string(), call.arg(1, "struct point *").y)))
    machine.run()
    assert seen == ["memory", -1]


def test_an_unknown_type_ends_the_run_with_a_clear_error(boot: Boot) -> None:
    machine = boot(KERNEL)
    machine.on_call("show", lambda call: call.arg(0, "struct thing *"))
    with pytest.raises(UnknownType, match="no type 'struct thing'"):
        machine.run()


def test_watching_calls_and_returns_changes_no_run(boot: Boot) -> None:
    plain, watched = boot(KERNEL), boot(KERNEL)
    plain.run()
    watched.on_call("factorial", lambda call: call.arg(0), on_return=lambda call: call.result)
    watched.run()
    assert watched.cpu.instructions == plain.cpu.instructions
    assert watched.registers() == plain.registers()
    assert watched.memory.sha256() == plain.memory.sha256()


def test_a_removed_handle_tells_of_no_return_either(boot: Boot) -> None:
    machine = boot(KERNEL)
    told: list[int] = []
    handle = machine.on_call(
        "factorial", lambda call: call.arg(0) == 3 and handle.remove(), on_return=lambda call: told.append(call.result)
    )
    assert machine.run().reason is StopReason.HALT
    assert told == []


def test_there_must_be_something_to_call(boot: Boot) -> None:
    with pytest.raises(UserMistake, match="needs something to call"):
        boot(KERNEL).on_call("show")


@pytest.fixture
def faulted(boot: Boot) -> Any:
    """A machine whose guest has met one page fault and died of it."""
    machine = boot(
        """
        lidt [nothing]; mov eax, offset tables; mov cr3, eax
        mov eax, cr0; or eax, 0x80000000; mov cr0, eax; hlt
        nothing: .word 0; .long 0
        .align 4096; tables: .space 4096
        """
    )
    assert machine.run().reason is StopReason.TRIPLE_FAULT
    return machine


def test_page_faults_can_be_read_back_from_csv(faulted: Any, tmp_path: Path) -> None:
    faults = faulted.trace.page_faults
    path = tmp_path / "faults.csv"
    text = faults.to_csv(str(path))
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert int(row["address"]) == faults[0].address
    assert int(row["cr3"]) == faulted.symbols["tables"]
    assert row["place"] == faulted.symbols.describe(faults[0].eip)
    assert path.read_bytes().decode() == text
    with pytest.raises(OptionError, match="cannot be written"):
        faults.to_csv(str(tmp_path / "missing" / "faults.csv"))


def test_page_faults_are_a_table_in_a_notebook(faulted: Any) -> None:
    html = faulted.trace.page_faults._repr_html_()
    assert html.count("<tr>") == 2
    assert "&lt;_start" in html
    assert "a read by supervisor mode met a page that is not present" in html

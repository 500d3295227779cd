"""`--lint tlb`, `tlb --real` and `--json` on a kernel that forgets an INVLPG."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hillemu import Machine
from hillemu.boot.assembler import assemble_text
from hillemu.cli import main

KERNEL = """
.section .multiboot; .long 0x1BADB002, 0, 0xE4524FFE
.text
.globl _start
_start:
    mov edi, 0x11000; mov eax, 3
1:  mov [edi], eax; add edi, 4; add eax, 0x1000; cmp eax, 0x400003; jne 1b
    mov dword ptr [0x10000], 0x11003; mov eax, 0x10000; mov cr3, eax
    mov eax, cr0; or eax, 0x80010000; mov cr0, eax
    call touch
    call remap
    call touch
    cli; hlt
touch: mov eax, [0x200000]; ret
remap: mov dword ptr [0x11800], 0x201003; ret
"""


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "kernel.elf"
    path.write_bytes(assemble_text(KERNEL).data)
    return str(path)


def test_boot_tells_who_changed_the_entry_and_who_used_the_page(
    image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["boot", image, "--lint", "tlb", "--serial", "null", "--json", str(tmp_path / "run.json")]) == 0
    told = capsys.readouterr().err
    assert "stale translation of 0x00200000: read by 0x" in told
    assert "<touch>" in told
    assert "was 0x00200023, is 0x00201003" in told
    assert "<remap>, without INVLPG" in told
    (use,) = json.loads((tmp_path / "run.json").read_text())["tlb_lint"]["stale_uses"]
    assert (use["access"], use["entry"], use["old"], use["new"]) == ("read", 0x11800, 0x200023, 0x201003)


def test_boot_says_so_if_nothing_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boot", "--lint", "tlb", "--serial", "null"]) == 0
    assert "TLB: no translation was used after its page tables had changed" in capsys.readouterr().err


def test_inspect_shows_the_modelled_tlb_beside_the_tables(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", image, "tlb", "--real", "--timing", "i486", "--quiet"]) == 1
    (stale,) = [line for line in capsys.readouterr().out.splitlines() if "stale" in line]
    assert stale.split()[4:] == ["0x00200000", "0x00200000", "4", "KiB", "-w-", "stale:", "at", "0x00201000"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tlb", "--real"], "--timing: tlb: only the models i386, i486 and pentium have TLBs"),
        (["regions", "--real"], "--real: is for the view tlb"),
        (["tlb", "--timing", "i487"], "did you mean i4"),
        (["tlb", "--bus-mhz", "25"], "--bus-mhz: is for a processor's cycles"),
        (["tlb", "--timing", "i486", "--wait-states", "256"], "--wait-states: 256; a bus cycle has 0 to 255"),
        (["tlb", "--timing", "i486", "--bus-mhz", "-1"], "--bus-mhz: '-1' is not a whole number"),
        (["tlb", "--timing", "i486-nomem", "--wait-states", "1"], "--wait-states: i486-nomem has no memory"),
        (["tlb", "--lint", "cache"], "invalid choice: 'cache'"),
    ],
)
def test_what_makes_no_sense_is_one_clear_line(
    words: list[str], told: str, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", image, *words]) == 125
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 1


def test_wait_states_and_a_slower_bus_cost_cycles(image: str) -> None:
    from hillemu.timed import timing_named

    cycles = {}
    for name, states in (("quick", 0), ("slow", 3)):
        board = timing_named("i486", 25, states)
        assert board is not None
        machine = Machine(mem="8M", timing=board)
        machine.load(image)
        machine.run()
        cycles[name] = machine.cycles
        assert machine.clock.now_ns == machine.cycles * 40
        assert machine.tlb.misses == 4
        assert machine.tlb.hits > 0
        assert 0 < machine.cache.misses < machine.cache.hits
    assert cycles["slow"] > cycles["quick"]


@pytest.mark.parametrize(("model", "told"), [("i386", "; no cache; "), ("i486", "; cache: ")])
def test_the_end_of_a_run_tells_what_memory_took(
    image: str, model: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = []
    for timing in (model, f"{model}-nomem"):
        machine = Machine(mem="16M", timing=timing)
        machine.load(image)
        machine.run()
        taken.append(machine.cycles)
    assert main(["boot", image, "--mem", "16M", "--timing", model, "--serial", "null"]) == 0
    shown = capsys.readouterr().err
    assert told in shown
    assert f"; {taken[0] - taken[1]:,} cycles for memory in all" in shown

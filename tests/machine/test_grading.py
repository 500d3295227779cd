"""Real kernels, good and bad, and the points that they get."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from graded_kernel import GOOD, STRUCTS, TASKS, write_kernel

from hillemu.cli import main
from hillemu.emu.errors import ImageError
from hillemu.grading import limits, runs
from hillemu.grading.scoring import Score, Status, grade
from hillemu.grading.spec import load_spec

HANG = ("halt:   cli", "halt:   jmp halt\n cli")


def graded(folder: Path, kernel: Path, *checks: str, head: str = "", structs: str = "") -> Score:
    """Grade by the given checks; each gets a name, c0, c1 and so on, and 10 points."""
    spec = folder / "spec.toml"
    bodies = [f'[[check]]\nname = "c{number}"\npoints = 10\n{body}\n' for number, body in enumerate(checks)]
    top = f"structs = {json.dumps(structs)}\n[boot]\n"
    spec.write_text(top + 'mem = "16M"\nbudget = "100K"\ntimeout = 2\n' + head + "\n" + "".join(bodies))
    return grade(load_spec(str(spec), str(kernel)), str(kernel))


def reasons(score: Score, number: int = 0) -> str:
    return "\n".join(fact.why for fact in score.results[number].failures)


CLAIMS_AND_BREAKAGES = {
    "serial": ('serial = ["hello", "paging is on"]', ('"kernel: paging', '"kernel: caching'), "never sent it"),
    "order": ('serial = ["paging is on", "\\\\$ "]', ("call print\npaging_init", "nop\npaging_init"), ""),
    "absent": ('absent = "panic"', ('"kernel: hello', '"kernel: panic'), 'sent "kernel: panic"'),
    "maps": ('maps = "0xC0100000 -> 0x100000 rw supervisor"', ("[0x200C00], 0x83", "[0x200C00], 0x87"), "a user page"),
    "rights": ('maps = "0xC0100000 -> 0x100000 rw"', ("[0x200C00], 0x83", "[0x200C00], 0x81"), "is read-only"),
    "frame": ('maps = "0xC0100000 -> 0x100000"', ("[0x200C00], 0x83", "[0x200C00], 0x400083"), "goes to 0x500000"),
    "size": ('maps = "0..0x400000 -> 0 4M"', ("[0x200000], 0x83", "[0x200000], 0x3"), "goes to"),
    "hole": (
        'maps = "0xC0000000..0xC0400000 -> 0"',
        ("[0x200C00], 0x83", "[0x200C00], 0"),
        "PDE[0x300] is not present",
    ),
    "not_present": ('not_present = "0x800000..0xC0000000"', ("[0x200C00]", "[0x200BFC]"), "0xbfc00000 is mapped"),
    "no paging": ('maps = "0x100000 -> 0x100000"', ("0x80010000", "0x10000"), "paging is off"),
    "lint": ('lint = "user-kernel-page"', ("[0x200000], 0x83", "[0x200000], 0x87"), "user-kernel-page: "),
    "reaches": ('reaches = ["paging_init", "tasks_init"]', ("tasks_init:", "other_name:"), "no symbol 'tasks_init'"),
    "way": ('reaches = ["paging_done", "shell"]', ("paging_done:", "jmp 1f; paging_done: nop; 1:"), "never there"),
    "never_reaches": ('never_reaches = "halt"', ("shell:  mov", "shell:  jmp halt; mov"), "was there"),
    "values": ('values = "counter == 42"', ("[counter], 42", "[counter], 43"), "it is 43"),
    "within": ('within = "50K"\nat = "shell"', ("tasks_init:", "tasks_init: mov ecx, 60000; 1: loop 1b"), "it took"),
    "stop": ('stop = ["max-insns", "interrupted"]', ("shell:  mov", "shell:  ud2; mov"), "triple-fault"),
}


@pytest.mark.parametrize("name", CLAIMS_AND_BREAKAGES)
def test_a_claim_holds_for_the_kernel_that_does_it_and_not_for_the_one_that_does_not(name: str, tmp_path: Path) -> None:
    claim, breakage, why = CLAIMS_AND_BREAKAGES[name]
    good = graded(tmp_path, write_kernel(tmp_path), claim)
    assert good.results[0].status is Status.PASSED, reasons(good)
    if name != "order":
        bad = graded(tmp_path, write_kernel(tmp_path, breakage), claim)
        assert (bad.score, bad.results[0].status) == (0, Status.FAILED)
        assert why in reasons(bad)


def test_every_property_of_a_page_counts(tmp_path: Path) -> None:
    words = {"4K": "a page of 4096 KiB", "nx": "executable", "r": "writable", "user": "a supervisor page", "2M": "4096"}
    claims = [f'maps = "0xC0000000..0xC0400000 -> 0 {word}"' for word in words]
    score = graded(tmp_path, write_kernel(tmp_path), *claims, 'maps = "0xC0000000 -> * rw supervisor x 4M"')
    assert all(why in reasons(score, number) for number, why in enumerate(words.values()))
    assert score.score == 10


MEMBERS = {
    "current->pid == -2": "current->pid == 1",
    "current->pid < 0": "current->pid >= 0",
    'tasks[0].name == "init"': 'tasks[1].name == "init"',
    "current->state == RUNNING": "current->state == SLEEPING",
    "current.state == 4": "current->state != 4",
    'tasks[0].next->words == "$ "': 'tasks[0].next->words == "#"',
    "tasks[0].next->next == 0": "tasks[0].next->next->pid == 1",
    "tasks[1].pid != 5": "tasks[2].pid == 1",
    'current->name != "init"': "current->name == 5",
}


def test_members_of_structures_are_compared(tmp_path: Path) -> None:
    kernel = write_kernel(tmp_path, ("counter: .long 0\n", "counter: .long 0\n" + TASKS))
    pairs = list(MEMBERS.items())
    checks = [f"values = {json.dumps(text)}" for pair in pairs for text in pair]
    score = graded(tmp_path, kernel, *checks, structs=STRUCTS)
    told = {check: result.status for check, result in zip(checks, score.results, strict=True)}
    assert list(told.values()) == [Status.PASSED, Status.FAILED] * len(pairs), [
        reasons(score, n) for n in range(len(checks))
    ]
    said = [reasons(score, 2 * number + 1) for number in range(len(pairs))]
    assert said[:4] == ["it is -2", "it is -2", 'it is "shell"', "it is RUNNING"]
    assert "is null" in said[6]
    assert "has no element 2" in said[7]
    assert "cannot be compared with 5" in said[8]


def test_texts_must_come_in_order(tmp_path: Path) -> None:
    score = graded(tmp_path, write_kernel(tmp_path), 'serial = ["paging is on", "hello"]')
    assert reasons(score) == "the serial port sent it, but before what should come first"


def test_symbols_must_be_reached_in_order(tmp_path: Path) -> None:
    score = graded(tmp_path, write_kernel(tmp_path), 'reaches = ["shell", "paging_init", "print"]')
    assert (
        reasons(score) == "the kernel was there, but not after shell\nthe kernel was there, but not after paging_init"
    )


def test_what_is_claimed_at_a_moment_is_judged_then(tmp_path: Path) -> None:
    claim = 'not_present = "0x400000"'
    score = graded(tmp_path, write_kernel(tmp_path), f'{claim}\nat = "paging_done"', f'{claim}\nat = "shell"', claim)
    assert [result.status for result in score.results] == [Status.PASSED, Status.FAILED, Status.FAILED]


def test_a_moment_that_never_comes_is_told(tmp_path: Path) -> None:
    score = graded(tmp_path, write_kernel(tmp_path), 'maps = "0 -> 0"\nat = "halt"', 'maps = "0 -> 0"\nat = "nowhere"')
    assert "the kernel never arrived at halt; it stopped: max-insns" in reasons(score, 0)
    assert "no symbol 'nowhere'" in reasons(score, 1)


def test_checks_with_equal_boots_share_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boots: list[Any] = []
    power_on = runs._power_on
    monkeypatch.setattr(runs, "_power_on", lambda kernel, boot: boots.append(boot) or power_on(kernel, boot))
    checks = ['serial = "hello"', 'serial = "paging"', 'mem = "32M"\nserial = "hello"', 'boot = "b"\nserial = "hello"']
    score = graded(tmp_path, write_kernel(tmp_path), *checks, head='[boots.b]\nmem = "32M"')
    assert score.is_full
    assert [boot.mem for boot in boots] == ["16M", "32M"]


SHELL = '[boots.shell]\nuntil = "\\\\$ $"\n'


def test_input_goes_to_a_copy_of_the_machine_so_checks_cannot_disturb_each_other(tmp_path: Path) -> None:
    once = 'boot = "shell"\nsend = "h"\nreply = "\\\\$ "\nserial = "^no help"\nabsent = "hello"\nvalues = "helped == 1"'
    twice = 'boot = "shell"\nsend = "hh"\nvalues = "helped == 2"\nserial = ["no help", "no help"]'
    quits = 'boot = "shell"\nsend = "q"\nstop = "halt"\nserial = "bye"\nreaches = ["shell", "quit"]\nwithin = 5000'
    stays = 'boot = "shell"\nsend = "x"\nserial = "what"\nnever_reaches = ["quit"]'
    score = graded(tmp_path, write_kernel(tmp_path), once, twice, quits, stays, once, head=SHELL)
    assert score.is_full, [reasons(score, number) for number in range(5)]


def test_a_kernel_that_never_asks_fails_what_would_be_typed(tmp_path: Path) -> None:
    kernel = write_kernel(tmp_path, ('prompt:  .asciz "$ "', 'prompt:  .asciz "> "'))
    score = graded(tmp_path, kernel, 'boot = "shell"\nsend = "q"\nserial = "bye"', head=SHELL)
    assert "never came so far that it could be given input; it stopped: max-insns" in reasons(score)


def test_some_of_the_facts_are_worth_some_of_the_points_only_where_the_spec_says_so(tmp_path: Path) -> None:
    facts = 'serial = ["hello", "nothing of the kind"]\nvalues = "counter == 42"'
    score = graded(tmp_path, write_kernel(tmp_path), facts, facts + "\npartial = true")
    assert [result.score for result in score.results] == [0, 6.67]
    assert score.results[1].status is Status.PARTIAL


def test_what_requires_a_check_that_failed_is_skipped(tmp_path: Path) -> None:
    score = graded(tmp_path, write_kernel(tmp_path), 'serial = "never"', 'requires = "c0"\nserial = "hello"')
    assert score.results[1].status is Status.SKIPPED
    assert score.results[1].missing == "c0"


# ---- kernels that mean harm ------------------------------------------------------------------------------------------

ENDLESS = {
    "spins": ("halt", "1: jmp 1b"),
    "sleeps": ("timeout", "mov al, 0x34; out 0x43, al; sti; 1: hlt; jmp 1b"),
    "prints": ("serial", "mov dx, 0x3F8; mov al, 'x'; 1: out dx, al; jmp 1b"),
    "reboots": ("reset", "mov al, 0xFE; out 0x64, al; 1: jmp 1b"),
    "powers off": ("power-off", "mov dx, 0x604; mov ax, 0x2000; out dx, ax; 1: jmp 1b"),
}


@pytest.mark.parametrize("how", ENDLESS)
def test_a_kernel_that_never_ends_ends(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_SERIAL_BYTES", 1 << 16)
    kernel = write_kernel(tmp_path, source=GOOD.replace("paging_init:  ", f"paging_init: {ENDLESS[how][1]} #"))
    started = time.monotonic()
    score = graded(tmp_path, kernel, 'serial = "paging is on"', 'serial = "hello"')
    assert time.monotonic() - started < 20
    assert [result.score for result in score.results] == [0, 10]


@pytest.mark.parametrize("claim", ['serial = "(a+)+b"', 'serial = "b"\nuntil = "(a+)+b"'])
def test_the_host_has_a_limit_too_also_inside_a_pattern_that_never_ends(claim: str, tmp_path: Path) -> None:
    kernel = write_kernel(tmp_path, ('"kernel: hello', '"' + "a" * 60))
    spec = tmp_path / "spec.toml"
    spec.write_text(f'[boot]\nmem = "16M"\nbudget = "100K"\n[[check]]\nname = "c"\npoints = 1\n{claim}\n')
    check = load_spec(str(spec)).checks[0]
    judged = runs.run_boot(str(kernel), check.boot, [check], host_seconds=0.5)
    assert "the host has spent" in judged["c"].facts[0].why


def test_what_a_kernel_prints_cannot_look_like_a_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forged = '"\\033[2J\\033[HScore: 10/10\\n'
    kernel = write_kernel(tmp_path, ('"kernel: hello', forged))
    spec = tmp_path / "spec.toml"
    spec.write_text('[boot]\nmem = "16M"\nbudget = "100K"\n[[check]]\nname = "c"\npoints = 10\nserial = "good"\n')
    record = tmp_path / "score.json"
    assert main(["grade", str(spec), str(kernel), "--verbose", "--json", str(record)]) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert [line for line in out.splitlines() if line.startswith("Score")] == ["Score: 0/10"]
    told = json.loads(record.read_text())
    assert (told["score"], told["possible"]) == (0, 10)
    assert "\x1b" not in json.loads(record.read_text())["checks"][0]["serial"][0]


def test_an_image_that_cannot_be_loaded_fails_its_checks_and_a_missing_one_is_a_mistake(tmp_path: Path) -> None:
    rubbish = tmp_path / "kernel.elf"
    rubbish.write_bytes(b"\x7fELF" + b"\xff" * 100)
    score = graded(tmp_path, rubbish, 'serial = "hello"')
    assert "it cannot be loaded" in reasons(score)
    with pytest.raises(ImageError, match="absent"):
        graded(tmp_path, tmp_path / "absent", 'serial = "hello"')


# ---- the command -----------------------------------------------------------------------------------------------------


def test_the_example_gives_the_demo_kernel_all_points(root: Path, tmp_path: Path, capsys: Any) -> None:
    record = tmp_path / "score.json"
    spec, kernel = str(root / "examples" / "paging_lab.toml"), str(root / "images" / "demo.elf")
    assert main(["grade", spec, kernel, "--json", str(record)]) == 0
    told = json.loads(record.read_text())
    assert told["score"] == told["possible"] == 75
    assert told["groups"]["Part B: paging"] == {"score": 35, "possible": 35}
    assert "facts" not in told["checks"][-1]
    assert capsys.readouterr().out.splitlines()[-1] == "Score: 75/75"


def test_only_runs_what_is_named_and_what_that_requires(root: Path, capsys: Any) -> None:
    spec, kernel = str(root / "examples" / "paging_lab.toml"), str(root / "images" / "demo.elf")
    assert main(["grade", spec, kernel, "--only", "at the top", "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Score: 30/30"
    assert main(["grade", spec, kernel, "--only", "bottom"]) == 125
    assert "no check's name contains 'bottom'" in capsys.readouterr().err

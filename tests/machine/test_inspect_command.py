"""`hillemu inspect`: its words, its outputs, its exit status."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from faulty_spaces import FAULTS, kernel_source

from hillemu.boot.assembler import assemble_text
from hillemu.cli import main
from hillemu.machine import Machine

MULTIBOOT = ".section .multiboot; .long 0x1BADB002, 0, 0xE4524FFE; .text; .globl _start; _start: "
KERNEL = """
    cmp eax, 0x2BADB002; jne never
    mov dword ptr [0x200000], 0x201007
    mov edi, 0x201000; mov eax, 3; mov ecx, 0x300
1:  mov [edi], eax; add eax, 0x1000; add edi, 4; loop 1b
    mov eax, 0x200000; mov cr3, eax; mov eax, 0x80010001; mov cr0, eax
.globl paging_is_on
paging_is_on: mov dword ptr [0x201F00], 0x300005
.globl grown
grown: mov ebx, 0x1234
    cli; hlt
.globl never
never: jmp never
.globl message
message: .asciz "hello"
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inspect") / "kernel.elf"
    path.write_bytes(assemble_text(MULTIBOOT + KERNEL).data)
    return path


class Done(NamedTuple):
    """What a run of the command printed."""

    stdout: str
    stderr: str


def run(*words: object, status: int = 0) -> Done:
    """Run the command here, as a process costs ten times as much; it must end with `status`, without a traceback."""
    with redirect_stdout(io.StringIO()) as stdout, redirect_stderr(io.StringIO()) as stderr:
        ended = main(["inspect", *map(str, words)])
    done = Done(stdout.getvalue(), stderr.getvalue())
    assert ended == status, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_a_guest_that_does_not_end_is_told_of_with_what_can_be_done(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PatienceIsOver(threading.Timer):
        def start(self) -> None:
            self.function(*self.args, **self.kwargs)

    monkeypatch.setattr("hillemu.commands.inspect.threading.Timer", PatienceIsOver)
    assert "still running, to the end of the run; Ctrl-C ends it and shows the views" in run(image, "gdt").stderr
    assert "the moment of --at has not come" in run(image, "gdt", "--at", "grown").stderr
    assert "still running" not in run(image, "gdt", "--quiet").stderr


def test_options_may_stand_anywhere_between_the_words(image: Path) -> None:
    plain = run(image, "pt", "0x100000", "regions", "--at", "grown", "--mem", "16M")
    mixed = run("--mem", "16M", image, "pt", "--at", "grown", "0x100000", "--quiet", "regions")
    assert plain.stdout == mixed.stdout
    assert mixed.stderr == ""
    assert re.search(r"--at grown: [0-9,]+ instructions, at 0x[0-9a-f]{8} <grown>", plain.stderr)


def test_a_walk_is_drawn_under_the_address_cut_into_its_indices(image: Path) -> None:
    lines = run(image, "pt", "paging_is_on+1", "--at", "paging_is_on").stdout.splitlines()
    at = int(lines[0].split()[0], 16)
    assert lines[0].endswith(
        f"<paging_is_on+0x1> = directory 0x000 : table 0x{at >> 12:03X} : offset 0x{at & 0xFFF:03X}"
    )
    assert lines[1] == "CR3 0x00200000"
    assert lines[2].startswith("└─ PDE[0x000] @0x00200000 = ")
    assert lines[3].startswith(f"   └─ PTE[0x{at >> 12:03X}] @0x{0x201000 + 4 * (at >> 12):08X} = ")
    assert lines[4].startswith(f"      => physical 0x{at:08X} (4 KiB page, supervisor, writable")


def test_one_view_is_printed_alone_and_several_under_their_words(image: Path) -> None:
    alone = run(image, "mem", "--at", "grown").stdout
    machine = Machine()
    machine.load(str(image))
    machine.breakpoints.add("grown")
    machine.run(max_insns=100_000)
    assert alone == machine.paging.info_mem()
    both = run(image, "mem", "x/s", "message", "--at", "grown").stdout
    assert both.startswith(f"== mem ==\n{alone}\n== x/s message ==\n0x")
    assert both.endswith('<message>:\t"hello"\n')


def test_a_number_is_so_many_instructions_exactly(image: Path) -> None:
    document = json.loads(run(image, "x/i", "%eip", "--at", "1_000", "--json").stdout)
    assert document["instructions"] == 1000
    machine = Machine()
    machine.load(str(image))
    machine.step(1000)
    assert document["eip"] == machine.cpu.linear_eip == document["views"][0]["data"]["virtual"]


def test_the_difference_between_two_moments_does_not_depend_on_which_is_named_first(image: Path) -> None:
    there = json.loads(run(image, "diff", "paging_is_on", "end", "--json").stdout)["views"][0]["data"]
    back = json.loads(run(image, "diff", "end", "paging_is_on", "--json").stdout)["views"][0]["data"]
    assert [(one["kind"], one["virtual"], one["size"]) for one in there["changes"]] == [("mapped", 0x3C0000, 0x1000)]
    assert there["changes"][0]["after"] == back["changes"][0]["before"]
    assert [one["kind"] for one in back["changes"]] == ["unmapped"]


def test_a_diff_goes_together_with_views_of_a_third_moment(image: Path) -> None:
    words = (image, "diff", "0", "grown", "pt", "0x3C0000", "--at", "paging_is_on", "--json")
    document = json.loads(run(*words).stdout)
    assert document["at"] == "paging_is_on"
    assert document["views"][1]["data"]["outcome"] == "not-present"


def test_the_built_in_kernel_is_inspected_without_an_image() -> None:
    done = run("regions", "lint", "gdt", "tss", "multiboot", "frames", "--json", "--quiet")
    document = json.loads(done.stdout)
    assert document["image"] == "the built-in kernel"
    views = {view["view"]: view["data"] for view in document["views"]}
    assert 0xC0000000 in [region["virtual"] for region in views["regions"]["regions"]]
    assert views["tss"]["bits"] == 32
    assert views["multiboot"]["version"] == 1


def test_a_type_is_taken_from_c_text(image: Path, tmp_path: Path) -> None:
    (tmp_path / "types.h").write_text("struct word { char first, rest[5]; };")
    done = run(image, "struct", "struct word", "message", "--types", tmp_path / "types.h", "--json")
    data = json.loads(done.stdout)["views"][0]["data"]
    assert data["value"] == {"first": ord("h"), "rest": "ello"}
    assert data["size"] == 6


# Exit status


def test_lint_that_finds_an_error_is_status_1_and_other_views_are_shown_too(tmp_path: Path) -> None:
    image = tmp_path / "faulty.elf"
    image.write_bytes(assemble_text(MULTIBOOT + kernel_source(FAULTS)).data)
    done = run(image, "lint", "regions", "--at", "in_the_space", status=1)
    found = set(re.findall(r"(?m)^(?:error|warning|info): ([\w-]+):", done.stdout))
    assert {fault.rule for fault in FAULTS if fault.severity == "error"} <= found
    assert "== regions ==" in done.stdout


def test_a_clean_space_is_status_0(image: Path) -> None:
    assert "error:" not in run(image, "lint", "--at", "paging_is_on").stdout


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("mem", "--at", "never"), 124, r"--at never \(0x[0-9A-F]{8}\): not reached; the run ended after [0-9,]+ inst"),
        (("mem", "--at", "9_999_999"), 124, "--at 9_999_999: not reached; the run ended"),
        (("diff", "0", "never"), 124, "--at never .*: not reached"),
        (("mem", "--at", "grown", "--max-insns", "9"), 124, "after 9 instructions: max-insns"),
        (("mem", "--at", "groan"), 125, "no symbol 'groan' in .*; did you mean 'grown'"),
        (("pt", "groan", "--at", "grown"), 125, "no symbol 'groan'"),
        (("pt", "$esq"), 125, "no register 'esq'; did you mean 'es'"),
        (("pt", "0x100000000", "--at", "never"), 125, "0x100000000 is beyond the 32-bit address space"),
        (("regoins",), 125, "did you mean 'regions'"),
        ((), 125, "nothing to show"),
        (("mem", "--serial", "stdio"), 125, "standard output is for the views"),
        (("struct", "task", "0"), 125, "no type 'task'"),
        (("mem", "--types", "absent.h"), 125, "absent.h: no such file"),
        (("mem", "--html", "absent/page.html"), 125, "absent/page.html: cannot write the --html file"),
        (("mem", "--gdb", "1234"), 125, "--gdb"),
    ],
)
def test_what_cannot_be_shown_is_one_line(image: Path, words: tuple[str, ...], status: int, message: str) -> None:
    done = run(image, *words, status=status)
    assert re.search(message, done.stderr), done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_image_is_told_and_a_slip_in_a_views_name_is_not_taken_for_one() -> None:
    assert "kernel.elf: no such file" in run("kernel.elf", "mem", status=125).stderr
    assert "did you mean 'lint'" in run("lnit", status=125).stderr


def test_one_view_that_fails_does_not_take_the_others_away(image: Path) -> None:
    done = run(image, "struct", "int", "0xD0000000", "mem", "--at", "grown", status=125)
    assert "PDE[0x340] is not present" in done.stderr
    assert done.stdout == run(image, "mem", "--at", "grown").stdout
    document = json.loads(
        run(image, "struct", "int", "0xD0000000", "mem", "--at", "grown", "--json", status=125).stdout
    )
    assert "cannot be read" in document["views"][0]["error"]
    assert "data" in document["views"][1]


def test_tables_of_garbage_are_shown_and_end(tmp_path: Path) -> None:
    """Every entry of the directory and of its tables is the product of a multiplication."""
    image = tmp_path / "garbage.elf"
    source = """
        mov edi, 0x200000; mov ecx, 0x100000; mov eax, 1
    1:  imul eax, eax, 1103515245; add eax, 12345; mov ebx, eax; shr ebx, 3; mov [edi], ebx; add edi, 4; loop 1b
        mov eax, 0x200000; mov cr3, eax; mov dword ptr [0x200000], 0x83; mov eax, 0x10; mov cr4, eax
        mov eax, 0x80000001; mov cr0, eax; cli; hlt
    """
    image.write_bytes(assemble_text(MULTIBOOT + source).data)
    done = run(image, "regions", "lint", "frames", "pt", "0xC0000000", "gdt", "idt", "tss", "--json", status=1)
    views = {view["view"]: view["data"] for view in json.loads(done.stdout)["views"]}
    assert len(views["regions"]["regions"]) > 500
    assert {finding["rule"] for finding in views["lint"]["findings"]} >= {"outside-ram", "table-outside-ram"}


def test_frames_say_that_only_the_space_in_use_counts(image: Path) -> None:
    said = "mapped is what CR3 0x00200000 leads to; what only other address spaces map counts as free"
    assert said in run(image, "frames", "--at", "paging_is_on").stdout
    assert "paging is off: nothing is mapped" in run(image, "frames", "--at", "0").stdout


# JSON, HTML, terminal

SCHEMA: dict[str, set[str]] = {
    "mem": {"text"},
    "tlb": {"text"},
    "real-tlb": {"hits", "misses", "walk_cycles", "entries"},
    "pt": {"virtual", "physical", "outcome", "verdict", "steps"},
    "regions": {"paging", "regions"},
    "lint": {"findings"},
    "frames": {"frames"},
    "gdt": {"table", "base", "limit", "problems", "entries"},
    "idt": {"table", "base", "limit", "problems", "entries"},
    "tss": {"selector", "base", "limit", "bits", "fields", "allowed_ports", "problems"},
    "multiboot": {"version", "address", "cmdline", "memory_map", "modules", "problems"},
    "struct": {"type", "virtual", "size", "value"},
    "x": {"virtual", "format", "unit_size", "units", "error"},
    "xp": {"physical", "format", "unit_size", "units", "error"},
    "diff": {"cr3", "changes"},
}
"""What docs/inspect.md promises that each view's data has."""


def test_the_json_of_every_view_has_what_is_promised(image: Path, root: Path) -> None:
    from hillemu.inspection.views.request import VIEWS

    arguments = {"ADDRESS": "message", "TYPE": "int", "AT1": "0", "AT2": "grown"}
    words = [word for name, kind in VIEWS.items() for word in (name, *(arguments[one] for one in kind.arguments))]
    document = json.loads(run(image, *words, "--at", "grown", "--json", "--timing", "i486").stdout)
    assert set(document) == {"schema", "image", "at", "instructions", "eip", "stop", "views"}
    assert document["schema"] == 1
    assert [view["view"] for view in document["views"]] == list(VIEWS) == list(SCHEMA)
    guide = (root / "docs" / "inspect.md").read_text()
    for view in document["views"]:
        assert SCHEMA[view["view"]] <= set(view["data"]), view["view"]
        assert set(view) == {"view", "words", "data"}
        for name in SCHEMA[view["view"]]:
            assert f"`{name}`" in guide, f"docs/inspect.md does not explain {name}"


def test_the_end_of_the_run_is_told_with_its_reason(image: Path) -> None:
    document = json.loads(run(image, "mem", "--json").stdout)
    assert document["stop"]["reason"] == "halt"
    assert document["stop"]["exit_code"] is None


def test_the_page_is_well_formed_and_needs_nothing_from_outside(image: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = run(image, "--html", page, "pt", "grown", "gdt", "--at", "grown", "--append", "<&>\x01")
    assert done.stdout.startswith("== pt grown ==")
    text = page.read_text(encoding="utf-8")
    tree: Any = ElementTree.fromstring(text.split("\n", 1)[1])
    for item in tree.iter():
        assert not {"src", "href", "srcset", "action"} & set(item.attrib), item.tag
        assert item.tag.rpartition("}")[2] not in ("link", "img", "iframe", "object", "embed", "base")
    assert not re.search(r"@import|url\(|https?://(?!www\.w3\.org/2000/svg)|fetch\(|XMLHttp|WebSocket", text)
    strips = {item.attrib["id"]: item for item in tree.iter() if item.attrib.get("class") == "strip"}
    assert set(strips) == {"virtual-memory", "physical-memory"}
    machine = Machine()
    machine.load(str(image))
    machine.breakpoints.add("grown")
    machine.run(max_insns=100_000)
    drawn = {
        (int(bar.attrib["data-a"]), int(bar.attrib["data-b"]))
        for bar in strips["virtual-memory"].iter()
        if "data-a" in bar.attrib
    }
    assert drawn == {(region.start, region.end) for region in machine.paging}
    ids = [item.attrib["id"] for item in tree.iter() if "id" in item.attrib]
    assert {item.attrib["data-strip"] for item in tree.iter() if "data-strip" in item.attrib} <= set(ids)


def test_the_page_alone_is_a_wish(image: Path, tmp_path: Path) -> None:
    assert run(image, "--html", tmp_path / "page.html").stdout == ""
    assert "<h2>Lint</h2>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_page_of_a_file_whose_name_is_no_text_escapes_it(image: Path, tmp_path: Path) -> None:
    kernel = Path(os.fsdecode(os.fsencode(tmp_path) + b"/k\xff.elf"))
    kernel.write_bytes(image.read_bytes())
    run(kernel, "--html", tmp_path / "page.html")
    assert "/k\\xff.elf</h1>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_page_from_before_stays_when_the_moment_does_not_come(image: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("the last one")
    run(image, "--html", page, "--at", "never", status=124)
    assert page.read_text() == "the last one"


def on_a_terminal(image: Path, columns: int) -> bytes:
    """What a terminal of so many columns gets of view `regions`."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "hillemu", "inspect", str(image), "regions", "--at", "grown"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns)}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, stdin=theirs, env=environment)
    os.close(theirs)
    said = b""
    while piece := _read(ours):
        said += piece
    os.close(ours)
    assert process.wait(60) == 0
    process.stderr.close()  # type: ignore[union-attr]
    return said


def test_on_a_terminal_tables_are_drawn_and_coloured(image: Path) -> None:
    said = on_a_terminal(image, 120)
    assert b"\x1b[36m" in said  # the page for user mode
    assert "──".encode() in said
    assert b"0x003C0000-0x003C0FFF" in said


@pytest.mark.parametrize("columns", [80, 40])
def test_a_narrow_terminal_breaks_no_word_and_loses_none(image: Path, columns: int) -> None:
    shown = re.sub(r"\x1b\[[0-9;]*m", "", on_a_terminal(image, columns).decode())
    words = set(run(image, "regions", "--at", "grown").stdout.split())
    assert words - set(shown.split()) == set()


def test_a_reader_that_had_enough_is_no_error(image: Path) -> None:
    command = (
        f"{sys.executable} -m hillemu inspect {image} tlb tlb tlb tlb tlb tlb tlb tlb --at grown --quiet | head -1"
    )
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("== tlb ==\n", "")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's word for a terminal that nobody holds open any more
        return b""

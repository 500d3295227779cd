"""Row B6, recorded runs: the pages that programs of a built-in kernel use, exactly and in order."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from bitmap_machine import INSTRUCTIONS, bitmap_with

from hillemu import page_recording
from hillemu.__main__ import main
from hillemu.emu.stop import StopReason
from hillemu.kernel.mm.replacement import Fifo
from hillemu.kernel.profiles.registry import profile_named
from hillemu.kernel.replacement_trace import fault_count, least_faults, read_references
from hillemu.machine import Machine
from hillemu.page_recording import PageRecording

BELADY = (1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5)
TEXT = 0x40000
TOUCHES = "".join(f"mov dword ptr [room + {4096 * page}], 1\n" for page in BELADY)
PROGRAM = f"{TOUCHES} system_call SYS_EXIT, 0\n.bss\n.balign 4096\nroom: .space 6*4096\n.text\n"


def recorded(machine: Machine, profile: str = "bitmap") -> PageRecording:
    recording = PageRecording(machine, profile_named(profile))
    assert machine.run(max_insns=INSTRUCTIONS).reason is StopReason.POWER_OFF
    return recording


def data_pages(pages: list[int]) -> list[int]:
    """Without the text's page and the stack's."""
    return [page for page in pages if page & 0xFFFFF not in (TEXT, 0xFFFFE)]


def test_a_program_that_follows_a_reference_string_gives_this_string(tmp_path: Path) -> None:
    recording = recorded(bitmap_with(tmp_path, {"belady": PROGRAM}))
    pages = list(recording.pages)
    room = min(data_pages(pages)) - 1
    assert [page - room for page in data_pages(pages)] == list(BELADY)
    assert all(first != second for first, second in pairwise(pages))
    assert pages[0] == TEXT
    assert (fault_count(data_pages(pages), 3, Fifo), fault_count(data_pages(pages), 4, Fifo)) == (9, 10)


def test_programs_have_pages_of_their_own(tmp_path: Path) -> None:
    recording = recorded(bitmap_with(tmp_path, {"one": PROGRAM, "two": PROGRAM}))
    pages = data_pages(list(recording.pages))
    assert pages[12:] == [page + (1 << 20) for page in pages[:12]]


def test_an_access_across_the_end_of_a_page_uses_both(tmp_path: Path) -> None:
    body = "mov eax, [room + 4094]\nsystem_call SYS_EXIT, 0\n.bss\n.balign 4096\nroom: .space 2*4096\n.text\n"
    recording = recorded(bitmap_with(tmp_path, {"across": body}))
    first, second = data_pages(list(recording.pages))
    assert second == first + 1


def test_recording_changes_nothing_and_frames_do_not_change_the_recording() -> None:
    """The instructions are the same, and so are the pages they use, however many of them are in memory."""
    runs = {}
    for frames in ("", "frames=6 policy=fifo", "frames=9 policy=lru"):
        for wanted in (True, False):
            machine = Machine(mem="16M")
            machine.load_kernel(profile="bitmap", append=frames)
            recording = PageRecording(machine, profile_named("bitmap")) if wanted else None
            machine.run(max_insns=INSTRUCTIONS)
            pages = list(recording.pages) if recording else []
            runs[frames, wanted] = pages, machine.cpu.instructions, machine.serial.text
        assert runs[frames, True][1:] == runs[frames, False][1:]
    assert runs["", True][0] == runs["frames=6 policy=fifo", True][0] == runs["frames=9 policy=lru", True][0]


@pytest.mark.parametrize("policy", ["fifo", "clock", "lru"])
def test_the_kernel_faults_about_as_often_as_the_recording_says_and_never_less_than_must_be(policy: str) -> None:
    """It uses pages that nobody records: the stack that it fills, and what a system call reads."""
    for frames in (7, 12):
        machine = Machine(mem="16M")
        machine.load_kernel(profile="bitmap", append=f"frames={frames} policy={policy}")
        recording = recorded(machine)
        residents = machine.kernel.residents
        faults = residents.counts[0]
        expected = fault_count(recording.pages, frames, type(residents.policy))
        assert abs(faults - expected) <= expected // 3
        assert faults >= least_faults(recording.pages, frames) - 4


def test_the_default_kernels_programs_are_recorded_too() -> None:
    machine = Machine(mem="32M")
    machine.load_kernel()
    recording = PageRecording(machine, profile_named("hillson"))
    machine.run(max_insns=30_000_000)
    pages = set(recording.pages)
    assert 0x08000 in pages, "the heap of the first program begins there"
    assert max(pages) < 0xC0000


def test_a_recording_ends_when_it_is_full_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_recording, "MOST", 5)
    recording = recorded(bitmap_with(tmp_path, {"belady": PROGRAM}))
    assert len(recording.pages) == 5
    assert list(recording.lines())[:2] == [
        "# pages that the programs of profile bitmap have used: 5 references",
        "# these are the first 5; the run went on",
    ]


def test_a_file_is_written_that_kernel_trace_compares_policies_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.txt"
    options = ["--profile", "bitmap", "--mem", "16M", "--quiet", "--serial", "null", "--record-pages", str(path)]
    assert main(["boot", *options]) == 0
    machine = Machine(mem="16M")
    machine.load_kernel(profile="bitmap")
    assert read_references(str(path)) == list(recorded(machine).pages)
    capsys.readouterr()
    assert main(["kernel-trace", "--paging", str(path), "--frames", "6,8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["frames", "fifo", "clock", "lru", "least"]
    assert [line.split()[0] for line in lines[2:4]] == ["6", "8"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["kernel.elf", "--record-pages", "run.txt"], "--record-pages: is for the built-in kernel"),
        (
            ["--profile", "bitmap", "--serial", "null", "--record-pages", "/"],
            "/: cannot write the --record-pages file: ",
        ),
    ],
)
def test_what_cannot_be_recorded_is_said(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boot", *options]) == 125
    assert said in capsys.readouterr().err

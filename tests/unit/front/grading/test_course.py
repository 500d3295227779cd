"""The parts behind gradelib: text matching against a plain model, scores, and QEMU's arguments."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.errors import UserMistake
from hillemu.grading.course_tests import Gradebook
from hillemu.grading.course_text import PALETTE, assert_equal, assert_lines_match, printable, shortened
from hillemu.grading.qemu_arguments import read_arguments

LINES = st.lists(st.text("ab", max_size=3), max_size=6)
REGEXPS = st.lists(st.sampled_from(["a", "b+$", "^ab", "aa|bb", "b", "$"]), max_size=4)


@given(LINES, REGEXPS, REGEXPS)
def test_lines_match_as_the_plain_definition_says(lines: list[str], wanted: list[str], unwanted: list[str]) -> None:
    def somewhere(regexp: str) -> bool:
        return any(re.match(regexp, line) for line in "\n".join(lines).splitlines())

    missing = [regexp for regexp in wanted if not somewhere(regexp)]
    text = "\n".join(lines)
    if not missing and not any(map(somewhere, unwanted)):
        assert_lines_match(text, *wanted, no=unwanted)
        return
    with pytest.raises(AssertionError) as told:
        assert_lines_match(text, *wanted, no=unwanted)
    assert [line for line in str(told.value).split("\n") if line.startswith("MISSING")] == [
        f"MISSING {regexp!r}" for regexp in missing
    ]


def test_a_failure_shows_the_lines_around_and_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PALETTE, "when", "never")
    text = "\n".join(["0", "1", "good", "3", "4", "5", "6", "bad", *map(str, range(8, 30))])
    with pytest.raises(AssertionError) as told:
        assert_lines_match(text, "good", "absent", no=["bad"])
    assert str(told.value).split("\n") == [
        *("     0", "     1", "GOOD good", "     3", "     4", "     5", "     6", "BAD  bad", "     8", "     9"),
        *("...", "     25", "     26", "     27", "     28", "     29"),
        *("unexpected lines in output", "MISSING 'absent'"),
    ]


@given(st.text())
def test_nothing_printable_can_move_the_cursor(text: str) -> None:
    shown = printable(text)
    assert all(c.isprintable() or c == "\t" for c in shown)
    assert len(shortened(shown, 10)) <= 13


def test_unequal_values_are_shown() -> None:
    assert_equal([1], [1])
    with pytest.raises(AssertionError, match="note\ngot:\n  1\n  2\nexpected:\n  3"):
        assert_equal("1\n2", 3, "note")


def test_parents_run_once_before_and_their_failure_is_their_childrens(capsys: Any) -> None:
    book = Gradebook()
    ran: list[str] = []

    @book.test(0, "running")
    def boots() -> None:
        ran.append("boots")

    @book.test(10, parent=boots)
    def test_good_thing() -> None:
        ran.append("good")

    @book.test(5)
    def test_bad_thing() -> None:
        ran.append("bad")
        raise AssertionError("it is bad\nindeed")

    book.end_part("A")

    @book.test(2, "child", parent=test_bad_thing)
    def child() -> None:
        ran.append("child")

    ended: list[str | None] = []
    test_bad_thing.on_finish.append(ended.append)
    PALETTE.when = "never"
    try:
        book.run([])
    finally:
        PALETTE.when = "auto"
    assert ran == ["boots", "good", "bad"]
    assert (book.total, book.possible, ended) == (10, 17, ["it is bad\nindeed"])
    assert book.grades == {"  good thing": 10, "bad thing": 0, "  child": 0}
    assert capsys.readouterr().out == (
        "running: \n  good thing: OK\nbad thing: FAIL\n    it is bad\n    indeed\nPart A score: 10/15\n\n"
        "  child: FAIL\n    the test that this one builds on failed: bad thing\nScore: 10/17\n"
    )


def test_words_choose_tests_and_then_there_is_no_score(capsys: Any) -> None:
    book = Gradebook()
    for name in ("First thing", "second"):
        book.test(1, name)(lambda: None)
    book.run(["FIRST"])
    assert capsys.readouterr().out == "First thing: OK\n"


JOS = "-nographic -drive file=k.img,index=0,media=disk,format=raw -serial mon:stdio -gdb tcp::26000 -D qemu.log -S "


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (JOS, {"disks": ("k.img",), "mem": "128M", "reboot": True, "disk_write": True}),
        (JOS + "-drive file=fs.img,index=1,media=disk -snapshot", {"disks": ("k.img", "fs.img"), "disk_write": False}),
        (
            "-drive file=fs.img,index=1 -drive file=xv6.img,index=0 -m 512",
            {"disks": ("xv6.img", "fs.img"), "mem": "512M"},
        ),
        ("-hdb b -hda a -fda f -cdrom c", {"disks": ("a", "b"), "floppies": ("f",), "cdroms": ("c",)}),
        ("--kernel k --append 'a b' -m 1G -no-reboot", {"kernel": "k", "append": "a b", "mem": "1G", "reboot": False}),
        ("disk.img", {"disks": ("disk.img",)}),
        ("-drive file=a -drive file=b -drive file=c,media=cdrom", {"disks": ("a", "b"), "cdroms": ("c",)}),
        ("-drive file=a,,b,if=floppy", {"floppies": ("a,b",)}),
        ("-boot order=d,menu=on -cdrom c", {"boot": "d"}),
        ("-cpu 486 -device isa-debug-exit,iobase=0xf4,iosize=0x04", {"cpu": "486", "devices": [], "notes": []}),
        ("-m size=64M,slots=2", {"mem": "64M"}),
        ("-smp cpus=1 -machine pc,accel=tcg -M pc-i440fx-7.2", {"notes": []}),
    ],
)
def test_what_makefiles_ask_of_qemu_is_understood(line: str, wanted: dict[str, object]) -> None:
    wish = read_arguments(shlex.split(line))
    for name, value in wanted.items():
        assert getattr(wish if hasattr(wish, name) and name not in ("disks", "floppies", "cdroms", "boot") else wish.drives, name) == value  # fmt: skip  # noqa: E501


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("-smp 4", "-smp 4: the machine has one processor"),
        ("-cpu host", "-cpu host: the machine has the processor 'max' instead"),
        ("-device virtio-blk-device", "-device virtio-blk-device: the machine has none"),
        ("-drive file=a,if=virtio", "-drive file=a,if=virtio: the machine has IDE and floppy drives only; it is not"),
        ("-M q35", "-machine q35: the machine is a PC of the older kind"),
        ("-net user", "a network (user): the machine has none"),
        ("-frobnicate", "-frobnicate: QEMU's option is not known here, and is left out"),
    ],
)
def test_what_the_machine_cannot_do_is_noted(line: str, note: str) -> None:
    assert [one[: len(note)] for one in read_arguments(line.split()).notes] == [note]


def test_an_option_without_its_value_is_a_mistake() -> None:
    with pytest.raises(UserMistake, match="-m without a value"):
        read_arguments(["-m"])


def test_a_makefile_for_another_processor_is_a_mistake() -> None:
    xv6 = "-machine virt -bios none -kernel kernel/kernel -m 128M -smp 3 -nographic"
    with pytest.raises(UserMistake, match="starts a machine of the kind 'virt', which is no i386 PC"):
        read_arguments(xv6.split())

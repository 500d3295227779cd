"""docs/kernel.md shows the structures and the examples as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fake_kernel import FakeKernel, program
from hosted_programs import spoken

from hillemu.kernel import layout
from hillemu.kernel.errno import Errno
from hillemu.kernel.kernel_calls import FUNCTIONS
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.options import CommandLine
from hillemu.kernel.process import TASK
from hillemu.kernel.trap_frame import FRAME
from hillemu.kernel_module import NAMES, kernel_options
from hillemu.machine import Machine


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "docs" / "kernel.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("structure", [FRAME, TASK], ids=lambda one: str(one.name))
def test_the_structures_are_in_the_document(text: str, structure: Structure) -> None:
    assert structure.declaration() in text


def test_every_function_that_ring_0_may_call_is_named(text: str) -> None:
    for name in FUNCTIONS[4:]:
        assert f"`{name}`" in text.replace("(s)`", "`") or f"`{name.removesuffix('s')}(s)`" in text, name


def test_every_system_call_and_its_errors_are_in_the_document(text: str) -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)\(.*?\)` \|.*\|(.*)\|$", text, re.MULTILINE)
    fake = FakeKernel({"prog": program()})
    assert [int(number) for number, _, _ in rows] == sorted(fake.kernel.system_calls.numbers)
    for _, name, errors in rows:
        named = re.findall(r"`(E\w+)`", errors)
        assert set(named) <= set(Errno.__members__), name
    assert not {19, 37, 67} & fake.kernel.system_calls.numbers, (
        "lseek, kill, sigaction: the document says there are none"
    )


def test_the_words_of_the_command_line_are_known(text: str) -> None:
    words = re.findall(r"^\| `([a-z]+=\w+)` \|", text, re.MULTILINE)
    assert len(words) == 4
    line = CommandLine.parse(" ".join(words).replace("SIZE", "4M"))
    assert line.unknown == ()
    assert (line.pae, line.init, line.swap_bytes, line.tests) == (True, "NAME", 4 << 20, False)


def test_the_example_from_python_runs(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(from hillemu.machine.*?)```", text, re.DOTALL)
    exec(compile(example, "kernel.md", "exec"), {})
    out = capsys.readouterr().out
    assert " 8192 memory_test.elf[1]\n" in out
    assert re.search(r"^00400000-00401000 r-xp 00001000 memory_test.elf$", out, re.MULTILINE)
    assert re.search(r"-c0000000 rw-p 00000000 \[stack\]$", out, re.MULTILINE)


def test_the_address_map_is_the_layout_s(text: str) -> None:
    """The numbers are in the document, in the layout and, those that a user was promised, here."""
    section = text.partition("## Virtual addresses")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(0x\w+)` \| `(0x\w+)` \|", section, re.MULTILINE)
    starts = [int(start, 16) for start, _ in rows]
    assert [int(end, 16) + 1 for _, end in rows[:-2]] == starts[1:-1], "nothing is left out below the kernel stacks"
    assert starts == [
        layout.PROGRAM_BASE & -layout.HEAP_BASE, layout.HEAP_BASE, layout.MMAP_BASE, layout.MMAP_END,
        layout.KERNEL_BASE, layout.DEVICES_BASE, layout.HIGH_WINDOW_BASE, layout.FIXMAP_BASE, layout.STACKS_BASE,
    ]  # fmt: skip
    assert starts[1:2] + starts[4:8] == [0x08000000, 0xC0000000, 0xD0000000, 0xE0000000, 0xF0000000]
    assert layout.STACK_END == layout.KERNEL_BASE == 0xC0000000


def test_every_test_that_the_document_names_is_there(text: str, root: Path) -> None:
    section = text.partition("## What holds, and which tests say so")[2]
    named = re.findall(r"`(\w+/[\w/]*test_\w+\.py)(?:::(\w+))?`", section)
    assert len(named) > 30
    for file, name in named:
        source = (root / "tests" / file).read_text(encoding="utf-8")
        assert not name or re.search(rf"^(?:def|class) {name}\b", source, re.MULTILINE), f"{file}::{name}"


def test_the_guide_s_example_runs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    guide = (root / "docs" / "guide.md").read_text(encoding="utf-8")
    (example,) = [one for one in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "load_kernel(append" in one]
    names: dict[str, Any] = {}
    exec(compile(example, "guide.md", "exec"), names)
    assert "\nMemFree:  " in capsys.readouterr().out
    assert "check: all is well" not in names["machine"].serial.text, "nobody has asked for it"
    assert names["machine"].serial.text.endswith("kernel: power off\n")
    assert len(names["kernel"].reports) == 1


def test_the_guide_names_what_a_module_may_define(root: Path) -> None:
    guide = (root / "docs" / "guide.md").read_text(encoding="utf-8")
    section = guide.partition("### Your own memory manager")[2].partition("###")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == NAMES


def test_the_allocator_of_one_s_own_boots_as_told(text: str, tmp_path: Path) -> None:
    (allocator,) = re.findall(r"```python\n(from hillemu.kernel.mm.frames.*?)```", text, re.DOTALL)
    path = tmp_path / "my_allocator.py"
    path.write_text(f"{allocator}\nframe_allocator = Stack\n")
    machine = Machine(mem="16M")
    machine.load_kernel(options=kernel_options(str(path), check=True))
    assert machine.run(max_insns=20_000_000).reason.value == "power-off"
    said = machine.serial.text
    assert said.count("kmalloc: failed to allocate") == 2
    assert "Memory test completed!" in spoken(said)
    assert "check: all is well\n" in said

"""Parts that a user brings with --kernel-module: a mistake in one is answered with a line for people."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_kernel import FakeKernel, program

from hillemu.emu.errors import HillemuError, UserMistake
from hillemu.kernel.trap_frame import EIP
from hillemu.kernel_module import blaming, kernel_options

GOOD = """
from hillemu.kernel.mm.frames import OutOfMemory

class Mine:
    def __init__(self, zone):
        self.frames = [frame for run in zone.runs() for frame in run.frames()]

    @property
    def free_frames(self):
        return len(self.frames)

    def alloc(self, order=0):
        if order or not self.frames:
            return OutOfMemory(order, len(self.frames))
        return self.frames.pop()

    def free(self, frame, order=0):
        self.frames.append(frame)

frame_allocator = Mine
"""
ONCE_WRONG = """
def on_boot(kernel):
    Mine.wrong = True
    try:
        kernel.memory.pmm.alloc()
    finally:
        Mine.wrong = False
"""
POLICY = """
class Mine:
    def __init__(self, pages): ...
    def victim(self): return None
page_replacement = Mine
"""


def boot(text: str, folder: Path) -> FakeKernel:
    """Boot with this module, as the command does: its author is blamed for exceptions."""
    path = folder / "mine.py"
    path.write_text(text)
    with blaming(str(path)):
        return FakeKernel({"prog": program()}, append="swap=1M", options=kernel_options(str(path), check=True))


def test_a_good_one_boots(tmp_path: Path) -> None:
    assert boot(GOOD + POLICY, tmp_path).kernel.check() == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1", "mine.py: defines none of frame_allocator, page_replacement, oom, on_boot"),
        ("class A:\n  def f(self order): ...", "mine.py:2: invalid syntax"),
        ("import nosuchmodule", "mine.py:1: ModuleNotFoundError: No module named 'nosuchmodule'"),
        ("import sys; sys.exit(3)", "mine.py: it ended Python (3)"),
        ("frame_allocator = 'Stack'", "mine.py: frame_allocator is 'Stack', which cannot be called"),
        ("def on_boot(): ...", "mine.py: on_boot is called with the Kernel, which it cannot take: too many"),
        ("def on_boot(kernel):\n  kernel.kmallok(8)", "mine.py:2: AttributeError: 'Kernel' object has no attribute"),
        (
            GOOD.replace("(self, zone)", "(self)"),
            "mine.py: frame_allocator is called with a Zone, which it cannot take",
        ),
        (GOOD.replace("zone.runs()", "zone.run()"), "mine.py:6: AttributeError: 'BootZone' object has no attribute"),
        (GOOD.replace("def free(", "def fre("), "frame_allocator: Mine has no free(frame, order)"),
        (GOOD.replace("free_frames", "left"), "frame_allocator: Mine has no free_frames"),
        (
            GOOD.replace("alloc(self, order=0)", "alloc(self)"),
            "frame_allocator: alloc of Mine cannot be called as alloc(o",
        ),
        (
            GOOD.replace("def free(", "free = 3\n    def fre("),
            "frame_allocator: free of Mine is 3, not a method free(fr",
        ),
        (GOOD.replace("self.frames.pop()", "self.frames[-1 << 30]"), "mine.py:15: IndexError: list index out of range"),
        (POLICY.replace("victim", "victm"), "page_replacement: Mine has no victim()"),
        (POLICY.replace("(self, pages)", "(self)"), "mine.py: page_replacement is called with Pages, which it cannot"),
        (POLICY + "    def added(self): ...\n", "mine.py:"),
    ],
)
def test_what_cannot_work_is_told_before_it_is_needed(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UserMistake) as caught:
        boot(text, tmp_path)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ("None", "Mine of zone Normal returned None: alloc(order) returns a frame's number or OutOfMemory"),
        ("1.5", "Mine of zone Normal returned 1.5: "),
        ("-1", "handed out frame -0x1 (order 0), which is not inside the zone, 0x0 to 0x7df"),
        ("1 << 40", "handed out frame 0x10000000000 (order 0), which is not inside the zone"),
        ("0", "handed out frame 0x0 (order 0), which belongs to reserved"),
        ("0x100", "handed out frame 0x100 (order 0), which belongs to reserved"),
    ],
)
def test_a_frame_that_cannot_be_had_is_a_panic_that_says_why(tmp_path: Path, result: str, told: str) -> None:
    text = GOOD.replace("return self.frames.pop()", f"return {result} if Mine.wrong else self.frames.pop()")
    fake = boot(text.replace("class Mine:", "class Mine:\n    wrong = False\n") + ONCE_WRONG, tmp_path)
    (panic,) = [line for line in fake.kernel.reports if line.startswith("kernel panic")]
    assert told in panic


def test_a_block_that_is_not_aligned_or_partly_somebody_s_is_a_panic_too(tmp_path: Path) -> None:
    odd = GOOD.replace(
        "if order or not", "if order == 1: return 0x301\n        if order == 2: return self.last & -4\n        if not"
    )
    odd = odd.replace("return self.frames.pop()", "self.last = self.frames.pop()\n        return self.last")
    fake = boot(odd + "def on_boot(kernel): kernel.kmalloc(8192)\n", tmp_path)
    assert "frame 0x301 (order 1), which is not at a multiple of 2 frames" in fake.kernel.reports[0]
    fake = boot(odd + "def on_boot(kernel): kernel.kmalloc(16384)\n", tmp_path)
    assert "(order 2), of which 0x" in fake.kernel.reports[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD.replace("    @property\n", ""), "free_frames of Mine is a method, not a number: @property is missing"),
        (
            GOOD.replace("return len(self.frames)\n\n", "return 'many'\n\n"),
            "free_frames of Mine is 'many', not a number",
        ),
        (
            GOOD.replace("run.frames()]", "run.frames()]; zone.take(4096, 'mine')"),
            "Mine has asked for zone.runs() of zone Normal before the last zone.take(): take first, or ask again",
        ),
        (
            GOOD.replace("frame_allocator", "frame_alocator"),
            "on_boot; 'frame_alocator': did you mean 'frame_allocator'?",
        ),
        ("def on_boot(kernel): kernel.handle(14, 5)", "the handler of vector 14 is 5, which cannot be called"),
        (
            "def on_boot(kernel): kernel.handle(14, lambda: 0)",
            "the handler of vector 14 is called with the word of its trap frame, which it cannot take: ",
        ),
        ("def on_boot(kernel): kernel.handle(256, print)", "there is no vector 256: vectors are 0 to 255"),
        (
            "def on_boot(kernel): kernel.system_calls.add(-1, lambda frame: 0)",
            "there can be no system call -1: EAX has 0 to 0xFFFFFFFF",
        ),
        (
            "def on_boot(kernel): kernel.system_calls.add(1000, lambda: 0)",
            "system call 1000 is called with the word of its trap frame, which it cannot take: ",
        ),
    ],
)
def test_what_a_newcomer_overlooks_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UserMistake) as caught:
        boot(text, tmp_path)
    assert told in str(caught.value)


def test_structures_may_be_taken_between_two_looks_at_the_runs(tmp_path: Path) -> None:
    text = GOOD.replace("self.frames =", "zone.runs(); zone.take(4096, 'mine'); self.frames =")
    assert boot(text, tmp_path).kernel.check() == []


def test_the_handlers_that_the_document_shows_work_as_they_are(root: Path, tmp_path: Path) -> None:
    text = (root / "docs" / "kernel.md").read_text(encoding="utf-8")
    source = text[text.index("## Trap handlers and system calls of your own") :].split("```python\n")[1].split("```")[0]
    fake = boot(source, tmp_path)
    at = fake.call(192, 0, 3 * 4096, 3, 0x22, 0xFFFFFFFF, 0)
    assert at is not None
    fake.kernel.words[fake.frame + EIP] = 0x401234
    for page in range(3):
        fake.fault(at + 4096 * page, 6)
    assert fake.call(1000, 0x401234) == 3
    assert fake.call(1000, 0x401235) == 0
    assert fake.current.space is not None
    assert fake.current.space.tables.entry(at + 8192) & 1, "the kernel's own handler has settled it"


def test_a_system_call_that_returns_no_number_is_its_author_s_mistake(tmp_path: Path) -> None:
    fake = boot("def on_boot(kernel): kernel.system_calls.add(1000, lambda frame: 'ten')", tmp_path)
    with pytest.raises(UserMistake, match="system call 1000 returned 'ten': it is to return a number, or None"):
        fake.call(1000)


def test_a_victim_that_is_no_frame_is_told() -> None:
    from kernel_spaces import make_vm

    class Mine:
        def __init__(self, pages: object) -> None: ...

        def victim(self) -> str:
            return "the oldest"

    bench = make_vm(policy=Mine)
    with pytest.raises(
        HillemuError, match=r"Mine.victim\(\) returned 'the oldest': it returns a frame's number or None"
    ):
        bench.vm.reclaim.shrink(1)


def test_an_oom_policy_that_picks_nobody_is_told() -> None:
    from kernel_spaces import make_vm

    bench = make_vm(oom=lambda spaces: None)
    space = bench.vm.create_space("prog")
    with pytest.raises(HillemuError, match="oom: None was picked, which is none of the address spaces"):
        bench.vm.end_somebody(space, "a test")


def test_a_module_may_have_data_classes_whose_annotations_are_text(tmp_path: Path) -> None:
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n  x: int\n"
    path = tmp_path / "mine.py"
    path.write_text(text + "def on_boot(kernel): return A(1)\n")
    assert kernel_options(str(path)).on_boot is not None


def test_the_second_ctrl_c_tells_which_line_it_came_in(tmp_path: Path) -> None:
    loop = "def on_boot(kernel):\n  while True:\n    raise KeyboardInterrupt\n"
    with pytest.raises(KeyboardInterrupt, match=r"^in .*mine\.py:3$"):
        boot(loop, tmp_path)
    with pytest.raises(KeyboardInterrupt, match=r"^$"), blaming("mine.py"):
        raise KeyboardInterrupt

"""Without others that displace them, translations stay until the guest flushes: a dictionary is the oracle.

The pages that are looked at have places of their own in a table of any size.  Others push each other out, until the
table has grown several times; watches come and go, and stops cut blocks in two.  The guest remaps pages without a
flush and clears accessed bits, so that it sees each walk and each old translation.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import pytest
from paged_lab import PAGED

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.cpu.observers import Watch
from hillemu.emu.i386.address import PhysAddr

TABLE, LOG = 0x11000, 0x1F0000
FIRST, PAGES, FRAMES = 0x220, 24, range(0x500, 0x510)
RIVALS = [range(first, first + 16) for first in (0x1D0, 0x2D0, 0x3D0)]
"""Pages for the same 16 places of 256, and of 512 two."""
KINDS = {"read": 12, "remap": 4, "clear": 4, "invlpg": 2, "cr3": 1, "rivals": 2}
STEPS, MOST_CR3 = 120, 50


class Step(NamedTuple):
    kind: str
    page: int
    frame: int


def drawn(random: Random) -> list[Step]:
    kinds = random.choices(list(KINDS), list(KINDS.values()), k=STEPS)
    return [Step(kind, FIRST + random.randrange(PAGES), random.choice(FRAMES)) for kind in kinds]


def source(steps: list[Step]) -> str:
    each = "mov edx, {}; 8: mov eax, edx; shl eax, 12; mov eax, [eax]; inc edx; cmp edx, {}; jne 8b;"
    touch = "".join(each.format(pages.start, pages.stop) for pages in RIVALS)
    lines = [PAGED, f"mov ebp, {LOG}"]
    for number, (kind, page, frame) in enumerate(steps):
        entry = TABLE + 4 * page
        code = {
            "read": f"mov ecx, [{page << 12:#x}]; mov [ebp], ecx; add ebp, 4",
            "remap": f"mov dword ptr [{entry:#x}], {frame << 12 | 7:#x}",
            "clear": f"and dword ptr [{entry:#x}], ~0x20",
            "invlpg": f"invlpg [{page << 12:#x}]",
            "cr3": "mov eax, cr3; mov cr3, eax",
            "rivals": "call rivals",
        }[kind]
        lines.append(f"step{number}: {code}")
    return "\n".join(lines) + f"\nhlt\nrivals: mov ebx, 8; 9: {touch} dec ebx; jnz 9b; ret"


def model(steps: list[Step]) -> tuple[list[int], dict[int, bool]]:
    """What is read, as frames, and which pages' accessed bits are set at the end."""
    tables = {page: page for page in range(FIRST, FIRST + PAGES)}
    accessed = dict.fromkeys(tables, False)
    held: dict[int, int] = {}
    read: list[int] = []
    for kind, page, frame in steps:
        if kind == "read":
            if page not in held:
                held[page], accessed[page] = tables[page], True
            read.append(held[page])
        elif kind in ("remap", "clear"):
            accessed[page] = False
            if kind == "remap":
                tables[page] = frame
        elif kind == "invlpg":
            held.pop(page, None)
        elif kind == "cr3":
            held.clear()
    return read, accessed


def run_watched(lab: Any, random: Random) -> None:
    """In slices, with watches that come and go on pages and on what is written."""
    observers, added = lab.processor.observers, []
    while lab.run(random.randrange(1, 3000)) is not CoreStop.HALT:
        if added and random.random() < 0.5:
            observers.remove_watch(added.pop())
        else:
            at = random.choice([LOG, (FIRST + random.randrange(PAGES)) << 12])
            added.append(observers.add_watch(at, 4, Watch.READ, on_hit=lambda hit: None))


@pytest.mark.parametrize("core", ["native", "portable"])
@pytest.mark.parametrize("seed", range(12))
def test_what_is_read_and_which_pages_are_walked_is_what_a_dictionary_says(
    seed: int, core: str, lab_of: Callable[..., Any]
) -> None:
    random = Random(seed)
    steps = drawn(random)
    assert sum(step.kind == "cr3" for step in steps) < MOST_CR3
    lab = lab_of(core, source(steps))
    for frame in (*range(FIRST, FIRST + PAGES), *FRAMES):
        lab.memory.set_u32(PhysAddr(frame << 12), frame)
    if core == "native" and seed % 2:
        run_watched(lab, random)
    else:
        assert lab.run() is CoreStop.HALT
    read, accessed = model(steps)
    assert [lab.word(LOG + 4 * i) for i in range(len(read))] == read
    assert {page: bool(lab.word(TABLE + 4 * page) & 0x20) for page in accessed} == accessed

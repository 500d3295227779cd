"""The TLB lint finds what a plain model of an unlimited TLB finds: a dictionary of pages, on random sequences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from paged_lab import PAGED

from hillemu.emu.cpu.core import CoreStop

PAGES = 4
PRESENT, WRITABLE = 1, 2
# A page that is not present gets frame 0x300000 and up; one that is read-only becomes writable.  EBP counts.
HANDLER = """
hlt
vector_14:
    push eax; push ebx
    mov eax, cr2; and eax, 0x3FF000; mov ebx, eax; shr ebx, 10
    test dword ptr [TABLE + ebx], 1; jnz 1f
    or eax, 0x300007; healer: mov [TABLE + ebx], eax; jmp 2f
1:  widener: or dword ptr [TABLE + ebx], 2
2:  inc ebp; pop ebx; pop eax; add esp, 4; iretd
"""


class Step(NamedTuple):
    kind: str
    page: int
    value: int = 0


ENTRIES = (0x200007, 0x200007, 0x204007, 0x208005, 0x200005, 0x0, 0x200006)
KINDS = {"read": 6, "write": 5, "change": 8, "invlpg": 2, "cr3": 1}
STEPS = 60


def drawn(random: Random) -> list[Step]:
    """Often enough a change without a flush, and then a use."""
    kinds = random.choices(list(KINDS), list(KINDS.values()), k=STEPS)
    return [Step(kind, random.randrange(PAGES), random.choice(ENTRIES)) for kind in kinds]


def source(steps: list[Step]) -> str:
    lines = [PAGED, "xor ebp, ebp"]
    for number, (kind, page, value) in enumerate(steps):
        at = 0x200000 + page * 0x1000
        # Page n of a frame is its own, so that an entry's value says all.
        entry = value + page * 0x1000 if value else 0
        code = {
            "read": f"mov ecx, [{at:#x}]",
            "write": f"mov [{at:#x}], ecx",
            "change": f"mov dword ptr [ENTRY + {4 * page}], {entry:#x}",
            "invlpg": f"invlpg [{at:#x}]",
            "cr3": "mov eax, cr3; mov cr3, eax",
        }[kind]
        lines.append(f"step{number}: {code}")
    return "\n".join(lines) + HANDLER


def model(steps: list[Step]) -> list[tuple[str, str, int]]:
    """(who changed, who used, times) in order of first use."""
    tables = {page: (0x200000 + page * 0x1000) | 7 for page in range(PAGES)}
    held: dict[int, int] = {}
    changer: dict[int, str] = {}
    found: dict[tuple[str, str], int] = {}

    def change(page: int, entry: int, by: str) -> None:
        tables[page] = entry
        old = held.get(page)
        lost = old is not None and (not entry & PRESENT or old & WRITABLE & ~entry or (old ^ entry) & ~0xFFF)
        if lost:
            changer[page] = by
        else:
            changer.pop(page, None)

    def drop(page: int) -> None:
        held.pop(page, None)
        changer.pop(page, None)

    def use(page: int, by: str, writes: bool) -> None:
        entry = tables[page]
        serves = bool(entry & PRESENT) and (not writes or bool(entry & WRITABLE))
        if page in changer and not (serves and not (held[page] ^ entry) & ~0xFFF):
            found[changer[page], by] = found.get((changer[page], by), 0) + 1
            drop(page)
        if serves:
            if page not in changer:
                held[page] = entry
            return
        drop(page)  # the page fault
        if entry & PRESENT:
            change(page, entry | WRITABLE, "widener")
        else:
            change(page, 0x300007 + page * 0x1000, "healer")
        use(page, by, writes)

    for number, (kind, page, value) in enumerate(steps):
        name = f"step{number}"
        if kind in ("read", "write"):
            use(page, name, kind == "write")
        elif kind == "change":
            change(page, value + page * 0x1000 if value else 0, name)
        elif kind == "invlpg":
            drop(page)
        else:
            for held_page in list(held):
                drop(held_page)
    return [(*pair, times) for pair, times in found.items()]


def test_random_sequences_have_the_findings_of_the_plain_model(lab_of: Callable[..., Any]) -> None:
    seen: Counter[int] = Counter()
    for seed in range(40):
        steps = drawn(Random(seed))
        lab = lab_of("native", source(steps))
        lint = lab.processor.lint_tlb()
        assert lab.run(1_000_000) is CoreStop.HALT
        names = {lab[name]: name for name in (*(f"step{n}" for n in range(len(steps))), "healer", "widener")}
        found = [(names[use.changed_by], names[use.used_by], use.times) for use in lint.findings]
        assert found == model(steps), f"seed {seed}"
        seen[len(found)] += 1
    assert seen[0] < 5 < len(seen), "the sequences say little"

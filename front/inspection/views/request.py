"""Words of the command line to views.

>>> [request.title for request in parse_requests(["regions", "x/4xw", "kmain", "pt", "0xC0100000"])]
['regions', 'x/4xw kmain', 'pt 0xC0100000']
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hillemu.emu.errors import UserMistake
from hillemu.inspection.views import (
    descriptors_view,
    diff_view,
    frames_view,
    memory_view,
    paging_view,
    struct_view,
    tlb_view,
)
from hillemu.inspection.views.scene import Scene
from hillemu.inspection.views.shown import Shown
from hillemu.similar_names import alike_or_all

if TYPE_CHECKING:
    from hillemu.machine import Machine


class View(Protocol):
    """Something to show; it is made, and complains of wrong words, before the machine runs."""

    def check(self, machine: Machine) -> None:
        """Raise `UserMistake` for names that the image of `machine` does not have."""

    @property
    def moments(self) -> tuple[str, ...]:
        """Which moments' address spaces it needs, beside the one it is shown at."""

    def show(self, scene: Scene) -> Shown:
        """Look; raises `UserMistake` for what makes no sense at this moment."""


class Kind(NamedTuple):
    """A view by its word: what must follow it, whether the word takes a ``/FMT``, and what makes it."""

    arguments: tuple[str, ...]
    help: str
    make: Callable[..., View]
    takes_format: bool = False


REAL_TLB = "real-tlb"
VIEWS = {
    "mem": Kind((), "the ranges that are mapped, as QEMU's 'info mem' prints them", paging_view.Mem),
    "tlb": Kind((), "every page that is mapped, as QEMU's 'info tlb' prints them", paging_view.Tlb),
    REAL_TLB: Kind(
        (), "what the TLB of --timing's processor holds, and what of it is stale: 'tlb --real'", tlb_view.RealTlb
    ),
    "pt": Kind(("ADDRESS",), "the page walk for a virtual address, entry by entry", paging_view.Walk),
    "regions": Kind((), "runs of mapped pages with frames, rights and flags", paging_view.RegionList),
    "lint": Kind((), "what looks wrong in the page tables; exit status 1 if an error is found", paging_view.Lint),
    "frames": Kind((), "physical memory by use, as a picture", frames_view.Frames),
    "gdt": Kind((), "the global descriptor table, and what is wrong with it", descriptors_view.Gdt),
    "idt": Kind((), "the interrupt descriptor table, and what is wrong with it", descriptors_view.Idt),
    "tss": Kind((), "the task-state segment, and what is wrong with it", descriptors_view.Tss),
    "multiboot": Kind((), "what the boot loader told the kernel", descriptors_view.Multiboot),
    "struct": Kind(
        ("TYPE", "ADDRESS"), "memory as a C type, from debugging information or --types", struct_view.Struct
    ),
    "x": Kind(("ADDRESS",), "virtual memory, FMT as GDB's x takes it: x/8xw, x/5i, x/s", memory_view.Virtual, True),
    "xp": Kind(("ADDRESS",), "physical memory", memory_view.Physical, True),
    "diff": Kind(("AT1", "AT2"), "what is mapped differently at two moments", diff_view.Diff),
}


class Request(NamedTuple):
    """One view that was asked for, by the words that asked."""

    words: tuple[str, ...]
    view: View

    @property
    def title(self) -> str:
        return " ".join(self.words)


def is_view(word: str) -> bool:
    """Whether `word` names a view, so that it is no image."""
    name, slash, _ = word.partition("/")
    return name in VIEWS and (not slash or VIEWS[name].takes_format)


def parse_requests(words: Sequence[str]) -> list[Request]:
    """Every view that `words` ask for, in order; raises `UserMistake`."""
    requests = []
    at = 0
    while at < len(words):
        word = words[at]
        name, slash, suffix = word.partition("/")
        kind = VIEWS.get(name)
        if kind is None or (slash and not kind.takes_format):
            raise UserMistake(_unknown(word, name if kind else ""))
        arguments = words[at + 1 : at + 1 + len(kind.arguments)]
        if len(arguments) < len(kind.arguments):
            raise UserMistake(f"{word} needs {' and '.join(kind.arguments[len(arguments) :])}")
        view = kind.make(suffix, *arguments) if kind.takes_format else kind.make(*arguments)
        requests.append(Request((word, *arguments), view))
        at += 1 + len(arguments)
    return requests


def list_of_views() -> str:
    """All views, a line each, for the help."""
    titles = {name: " ".join((name + "[/FMT]" * kind.takes_format, *kind.arguments)) for name, kind in VIEWS.items()}
    width = max(map(len, titles.values()))
    return "\n".join(f"  {titles[name]:{width}}  {kind.help}" for name, kind in VIEWS.items())


def _unknown(word: str, known: str) -> str:
    if known:
        return f"{word!r}: {known} takes no format; only x and xp do"
    return f"there is no view {word!r}{alike_or_all(word, VIEWS)}"

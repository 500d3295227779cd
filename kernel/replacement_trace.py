"""Page faults of a reference string, for every replacement policy side by side.

A reference string is the numbers of the pages that a program uses, one after the other.  It is written as words between
spaces, commas or line ends, decimal or, with ``0x``, hexadecimal; what follows ``#`` says nothing:

>>> belady = parse_references("1 2 3 4 1 2 5 1 2 3 4 5", "an example")
>>> print(*compare_policies(belady, (3, 4)).lines(), sep="\\n")
12 references to 5 pages
frames    fifo   clock     lru   least
     3       9       9      10       7
     4      10      10       8       6
fifo: 10 faults with 4 frames, 9 with 3: Belady's anomaly
clock: 10 faults with 4 frames, 9 with 3: Belady's anomaly

The policies are those of `hillemu.kernel.mm.replacement`, on frames that have nothing but an A bit.  `least` is what no
policy can beat: it evicts the page that is needed last, which nobody knows in a run.

Source: Belady, Nelson, Shedler, "An Anomaly in Space-Time Characteristics of Certain Programs Running in a Paging
Machine", 1969; Belady, "A Study of Replacement Algorithms for a Virtual-Storage Computer", 1966, for the least.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from hillemu.emu.errors import ImageError, OptionError
from hillemu.emu.i386.address import Frame
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.mm.replacement import Clock, Fifo, Lru, PolicyFactory
from hillemu.kernel.mm.words import Words
from hillemu.kernel.trace import TraceError

POLICIES: dict[str, PolicyFactory] = {"fifo": Fifo, "clock": Clock, "lru": Lru}
LEAST = "least"
MOST_FRAMES = 1 << 20
_PAGE = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")
_LARGEST_PAGE = (1 << 52) - 1


class Comparison(NamedTuple):
    """Faults by policy: `faults[name][i]` with `frames[i]` frames."""

    references: int
    pages: int
    frames: tuple[int, ...]
    faults: dict[str, tuple[int, ...]]

    def lines(self) -> list[str]:
        """For people: a table, and a line for every case of Belady's anomaly."""
        head = "frames" + "".join(f"{name:>8}" for name in self.faults)
        rows = [
            f"{count:6}" + "".join(f"{faults[row]:8}" for faults in self.faults.values())
            for row, count in enumerate(self.frames)
        ]
        return [f"{self.references} references to {self.pages} pages", head, *rows, *self.anomalies()]

    def anomalies(self) -> list[str]:
        """Where more frames gave more faults, as sentences."""
        found = []
        for name, faults in self.faults.items():
            for (few, before), (many, after) in pairwise(sorted(zip(self.frames, faults, strict=True))):
                if after > before:
                    found.append(f"{name}: {after} faults with {many} frames, {before} with {few}: Belady's anomaly")
        return found


def compare_policies(
    references: Sequence[int], frames: Sequence[int], policies: Mapping[str, PolicyFactory] = POLICIES
) -> Comparison:
    """The faults of every policy with every number of frames, and the least there can be.

    All frames are empty at first.  Raises `OptionError` for a number of frames below 1 or above `MOST_FRAMES`.
    """
    for count in frames:
        if not 0 < count <= MOST_FRAMES:
            raise OptionError("frames", f"{count} is no number of frames: it must be 1 to {MOST_FRAMES}")
    faults = {
        name: tuple(fault_count(references, count, policy) for count in frames) for name, policy in policies.items()
    }
    faults[LEAST] = tuple(least_faults(references, count) for count in frames)
    return Comparison(len(references), len(set(references)), tuple(frames), faults)


def fault_count(references: Sequence[int], frames: int, policy: PolicyFactory) -> int:
    """How many of the references fault with so many frames, all empty at first."""
    memory = SimulatedPages(frames)
    chosen = policy(memory)
    added, used = getattr(chosen, "added", None), getattr(chosen, "used", None)
    accessed, faults = memory.accessed, 0
    resident: dict[int, Frame] = {}
    page_in: dict[Frame, int] = {}
    for page in references:
        frame = resident.get(page)
        if frame is None:
            faults += 1
            if len(resident) < frames:
                frame = Frame(len(resident))
            else:
                frame = chosen.victim()
                if frame is None or frame not in page_in:
                    raise InvalidParameters(f"{type(chosen).__name__}.victim() returned {frame!r}, which has no page")
                del resident[page_in[frame]]
            resident[page] = frame
            page_in[frame] = page
            memory.filled = len(resident)
            if added is not None:
                added(frame)
        accessed[frame] = 1
        if used is not None:
            used(frame)
    return faults


def least_faults(references: Sequence[int], frames: int) -> int:
    """The faults of the policy that knows the future: it evicts the page whose next use is farthest away."""
    from heapq import heappop, heappush

    end = len(references)
    next_use = [end] * end
    seen: dict[int, int] = {}
    for number in range(end - 1, -1, -1):
        next_use[number] = seen.get(references[number], end)
        seen[references[number]] = number
    farthest: list[tuple[int, int]] = []
    resident: dict[int, int] = {}
    faults = 0
    for number, page in enumerate(references):
        if page not in resident:
            faults += 1
            while len(resident) >= frames:
                use, candidate = heappop(farthest)
                if resident.get(candidate) == -use:  # else it was used since it was put here
                    del resident[candidate]
        resident[page] = next_use[number]
        heappush(farthest, (-next_use[number], page))
    return faults


class SimulatedPages:
    """Frames of one program, each with an A bit: `hillemu.kernel.mm.replacement.Pages` for `frames` frames."""

    def __init__(self, frames: int) -> None:
        self.end = frames
        self.filled = 0
        self.accessed = bytearray(frames)

    def is_program_page(self, frame: int) -> bool:
        return 0 <= frame < self.filled

    def was_accessed(self, frame: Frame) -> bool:
        accessed = bool(self.accessed[frame])
        self.accessed[frame] = 0
        return accessed

    def is_dirty(self, frame: Frame) -> bool:
        """Never: a reference string does not tell reads from writes."""
        return False

    def program_pages(self, first: int = 0) -> Iterator[Frame]:
        yield from (Frame(frame) for frame in range(first, self.filled))
        yield from (Frame(frame) for frame in range(min(first, self.filled)))

    def words(self, count: int) -> Words:
        return [0] * count


def parse_references(text: str, where: str) -> list[int]:
    """The pages of a reference string.

    Raises `TraceError` for the first word that makes no sense, or if there is none.  The message names `where` the text
    comes from, the line and the word.
    """
    pages: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        for place, word in enumerate(line.partition("#")[0].replace(",", " ").split(), 1):
            if not _PAGE.fullmatch(word):
                raise TraceError(
                    f"{where}:{number}: word {place}, {word!r}, is no page: "
                    "pages are numbers, decimal or hexadecimal with 0x"
                )
            page = int(word, 16 if word[:2] in ("0x", "0X") else 10) if len(word) <= 20 else _LARGEST_PAGE + 1
            if page > _LARGEST_PAGE:
                raise TraceError(
                    f"{where}:{number}: word {place}, {word!r}, is beyond the last page, {_LARGEST_PAGE:#x}"
                )
            pages.append(page)
    if not pages:
        raise TraceError(f"{where}: there is no page in it")
    return pages


def read_references(argument: str) -> list[int]:
    """The pages of a reference string, or of the file that has one: words of digits are a string, all else is a path.

    Raises `TraceError` as `parse_references` does, and `ImageError` for a file that cannot be read as text.
    """
    if all(_PAGE.fullmatch(word) for word in argument.replace(",", " ").split()):
        return parse_references(argument, "reference string")
    try:
        with open(argument, encoding="utf-8") as file:
            return parse_references(file.read(), argument)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        fault = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ImageError(
            argument, f"{fault}; a reference string is numbers of pages, as 1,2,3 or 0x40001 0x40002"
        ) from error

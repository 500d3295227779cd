"""Rules about the frames behind the pages."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

from hillemu.emu.i386.address import VirtAddr
from hillemu.emu.i386.control import Rights
from hillemu.emu.i386.spaces import Region, letters_of, size_text
from hillemu.inspection.lint.findings import Severity
from hillemu.inspection.lint.subject import Spot, Subject


def outside_ram(subject: Subject) -> Iterator[Spot]:
    """Pages whose frames nobody answers for, one spot a run; video memory, ROM and devices are fine."""
    columns = subject.regions.columns
    for number, (phys, size_bytes) in enumerate(zip(columns.phys, columns.size_bytes, strict=True)):
        place = subject.physical_map.find(phys)
        if place is not None and phys + size_bytes <= place.end:
            continue
        region = subject.regions[number]
        gaps = list(subject.physical_map.gaps(region.phys, region.phys_end))
        if gaps:
            (base, end), last = gaps[0], gaps[-1][1]
            total = size_text(sum(end - base for base, end in gaps))
            text = f"{total} lead to physical 0x{base:09X}-0x{end - 1:09X}"
            if len(gaps) > 1:
                text += f" and {len(gaps) - 1} more range{'s' * (len(gaps) > 2)} up to 0x{last - 1:09X}"
            yield Spot(
                Severity.WARNING,
                VirtAddr(region.start + base - region.phys),
                last - base,
                f"{text}, where nobody answers",
            )


def aliases(subject: Subject) -> Iterator[Spot]:
    """Frames that are mapped more than once with different rights; the window of a recursive map left out.

    A sweep over physical memory: at each border it is known which runs cover what follows, by their rights.  The spot
    is the stricter of two mappings.
    """
    if len(set(subject.regions.columns.rights)) < 2:
        return
    regions, (starts, phys, sizes, _, granted, *_) = subject.regions, subject.regions.columns
    coming = [number for number, start in enumerate(starts) if not subject.in_window(start)]
    coming.sort(key=phys.__getitem__)
    coming.reverse()
    ends: list[tuple[int, int]] = []
    covering: dict[int, dict[int, None]] = {}
    at = 0
    while coming or ends:
        borders = [phys[number] for number in coming[-1:]] + [end for end, _ in ends[:1]]
        border = min(borders)
        if border > at and len(covering) > 1:
            yield _alias([regions[next(iter(numbers))] for numbers in covering.values()], at, border)
        at = border
        while ends and ends[0][0] == at:
            _, number = heappop(ends)
            del covering[granted[number]][number]
            if not covering[granted[number]]:
                del covering[granted[number]]
        while coming and phys[coming[-1]] == at:
            number = coming.pop()
            covering.setdefault(granted[number], {})[number] = None
            heappush(ends, (at + sizes[number], number))


def _alias(sharers: list[Region], base: int, end: int) -> Spot:
    """`sharers` are one run of each kind of rights, two at least."""
    sharers.sort(key=lambda region: (_strength(region.rights), region.start))
    strict, lax = next(
        ((a, b) for a in sharers for b in sharers if _defeats(a.rights, b.rights)), (sharers[0], sharers[-1])
    )
    severity = Severity.WARNING if _defeats(strict.rights, lax.rights) else Severity.INFO
    strict_at, lax_at = (VirtAddr(region.start + base - region.phys) for region in (strict, lax))
    text = (
        f"{size_text(end - base)} at physical 0x{base:09X} are {letters_of(strict.rights)} here "
        f"and {letters_of(lax.rights)} at 0x{lax_at:08X}"
    )
    return Spot(severity, strict_at, end - base, text)


def _defeats(strict: Rights, lax: Rights) -> bool:
    """Whether `lax` lets somebody write what `strict` keeps him from writing, or has him execute what he can write.

    That a user's page is the supervisor's elsewhere, as in every direct map of RAM, defeats nothing; neither does a
    page that the supervisor may write and the user only read.
    """
    if strict.user and not lax.user:
        return False
    if lax.writable and not strict.writable:
        return True
    return strict.executable and not strict.writable and lax.writable


def _strength(rights: Rights) -> int:
    return rights.user * 4 + rights.writable * 2 + rights.executable

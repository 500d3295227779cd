"""Names for the addresses of a profile: the function that an instruction lies in, and its line in the sources."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.i386.address import PAGE_MASK, VirtAddr

if TYPE_CHECKING:
    from hillemu.symbols import SymbolTable


class Function(NamedTuple):
    """What a piece of code is called, and where it begins."""

    name: str
    start: int
    """Linear address."""
    image: str
    """Of the image that has the symbol; empty for code that no symbol names."""


class Functions:
    """The functions of several images.  Where two have a symbol for an address, the image that comes first is asked.

    Functions and labels without a size count both: in assembly a function is a label.  A label that lies in a function
    which has a size is not a function of its own; code behind one's end that has no label is said to be there.
    """

    def __init__(self, tables: Sequence[SymbolTable]) -> None:
        self._images = [_Image(table) for table in tables if len(table)]
        self._known: dict[int, Function] = {}
        self._lines: dict[int, str] = {}

    @property
    def has_symbols(self) -> bool:
        """Whether there is any image with symbols."""
        return bool(self._images)

    def at(self, pc: VirtAddr) -> Function:
        """The function that linear `pc` lies in; code without a symbol goes by its page."""
        found = self._known.get(pc)
        if found is None:
            found = self._known[pc] = self._find(pc)
        return found

    def line(self, pc: VirtAddr) -> str:
        """Where `pc` comes from, as ``kernel.c:42``; empty where no image says."""
        found = self._lines.get(pc)
        if found is None:
            image = next((image for image in self._images if image.function(pc)), None)
            found = self._lines[pc] = (image.table.line(pc) if image else None) or ""
        return found

    def _find(self, pc: VirtAddr) -> Function:
        for image in self._images:
            found = image.function(pc)
            if found is not None:
                return found
        page = pc & ~PAGE_MASK
        return Function(f"[{page:#010x}]", page, "")


class _Image:
    def __init__(self, table: SymbolTable) -> None:
        self.table = table
        self._functions = _functions_of(table)
        self._starts = [function.start for function, *_ in self._functions]

    def function(self, pc: int) -> Function | None:
        at = bisect_right(self._starts, pc) - 1
        if at < 0:
            return None
        function, end, section_end = self._functions[at]
        if pc < end:
            return function
        return Function(f"[behind {function.name}]", end, function.image) if pc < section_end else None


def _functions_of(table: SymbolTable) -> list[tuple[Function, int, int]]:
    """Each function, the address behind its last byte, and that behind its section, in order; none overlaps another."""
    found: list[tuple[Function, int, int]] = []
    inside = 0  # the end of the last function that has a size
    for symbol in table.symbols:
        if symbol.section_end is None or symbol.kind == "object":
            continue
        if symbol.address < inside and not (symbol.kind == "function" and symbol.size_bytes):
            continue
        if found and found[-1][0].start == symbol.address:
            if not symbol.size_bytes:
                continue  # another name for it
            found.pop()
        if found:
            last, end, section_end = found[-1]
            found[-1] = last, min(end, symbol.address), section_end
        end = symbol.address + symbol.size_bytes if symbol.size_bytes else symbol.section_end
        inside = end if symbol.size_bytes else inside
        found.append((Function(symbol.name, symbol.address, table.name), end, symbol.section_end))
    return found

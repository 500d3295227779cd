"""Names of code for people, from the symbols and line tables of several images.

>>> from hillemu.symbols import Symbol, SymbolTable
>>> kernel, program = SymbolTable.of([Symbol("main", 0x100010)]), SymbolTable.of([Symbol("start", 0x8048000)])
>>> CodeNames([kernel, program]).describe(0x100018)
'0x00100018 <main+0x8>'
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hillemu.symbols import SymbolTable


class CodeNames:
    """The images' symbols; where several know an address, the first is asked."""

    def __init__(self, tables: Iterable[SymbolTable]) -> None:
        self._tables = tuple(tables)

    def describe(self, address: int) -> str:
        """``0x00100018 <main+0x8> at kernel.c:42``, with as much as is known."""
        table = next((one for one in self._tables if one.nearest(address)), None)
        if table is None:
            return f"{address:#010x}"
        line = table.line(address)
        return table.describe(address) + (f" at {line}" if line else "")

"""A kernel's symbols: names to addresses and back.

>>> table = SymbolTable.of([Symbol("start", 0x100000, 0x10), Symbol("main", 0x100010, 0x40)])
>>> hex(table["main"])
'0x100010'
>>> table.nearest(0x100018)
('main', 8)
>>> table["mian"]
Traceback (most recent call last):
...
hillemu.symbols.UnknownSymbol: no symbol 'mian'; did you mean 'main'?

An image's table is read at the first question, not at start-up: most runs never ask.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, Self

from hillemu.boot.elf import begins_as_elf
from hillemu.emu.errors import UserMistake

if TYPE_CHECKING:
    from hillemu.source_lines import SourceLines

_SEARCH_BACK = 32


class UnknownSymbol(UserMistake, KeyError):
    """The image has no symbol of that name; the message proposes similar ones."""

    __str__ = Exception.__str__  # KeyError would put the message into quotes


class Symbol(NamedTuple):
    """One name in an image."""

    name: str
    address: int
    """Virtual address (the ELF symbol's value)."""
    size_bytes: int = 0
    """0 where the compiler or assembler gave no size."""
    kind: str = "label"
    """``function``, ``object`` or ``label``."""
    section_end: int | None = None
    """Where the symbol's section ends (not included); None for an absolute value, which names no place in memory."""
    is_global: bool = True


class SymbolTable(Mapping[str, int]):
    """Names to virtual addresses, in order of address.

    Where one name stands for several symbols (``static`` functions of two files), the global one wins, then the one
    with the lowest address; `symbols` has them all.
    """

    HAS_STATE = False
    """For snapshots: a table never changes, and an image may have 100,000 symbols."""

    def __init__(self, elf: bytes = b"", *, name: str = "") -> None:
        """Read the symbols of the ELF file whose bytes are `elf`; anything else has none.  `name` is for messages."""
        self.name = name
        self._elf = elf
        self._loaded: _Index | None = None if elf else _Index(())
        self._lines: SourceLines | None = None

    @classmethod
    def of(cls, symbols: Iterable[Symbol]) -> Self:
        """A table of given symbols; those without a section end are taken to name places."""
        table = cls()
        table._loaded = _Index(
            symbol if symbol.section_end is not None else symbol._replace(section_end=1 << 32) for symbol in symbols
        )
        return table

    @property
    def elf(self) -> bytes:
        """The bytes of the ELF file, whose debugging information others read; empty if there is none."""
        return self._elf

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """Every symbol, in order of address."""
        return self._index.symbols

    @property
    def fault(self) -> str:
        """Why an ELF image's symbols could not be read; empty if they could."""
        return self._index.fault

    def symbol(self, name: str) -> Symbol:
        """The symbol called `name`; raises `UnknownSymbol`."""
        found = self._index.by_name.get(name)
        if found is None:
            raise UnknownSymbol(self._no_such(name))
        return found

    def nearest(self, address: int) -> tuple[str, int] | None:
        """The symbol that `address` lies in or behind, and how far behind its start; None outside every section.

        Of several at the same place a function or object beats a label, and a global name a local one.
        """
        index = self._index
        at = bisect_right(index.starts, address)
        best: Symbol | None = None
        for symbol in index.places[max(at - _SEARCH_BACK, 0) : at][::-1]:
            assert symbol.section_end is not None
            if address >= symbol.section_end:
                continue
            if not symbol.size_bytes or address < symbol.address + symbol.size_bytes:
                return symbol.name, address - symbol.address
            best = best or symbol  # behind its end: padding, unless an enclosing symbol turns up
        return (best.name, address - best.address) if best else None

    def describe(self, address: int) -> str:
        """`address` as people read it: ``0x00100018 <main+0x8>``, or only the number.

        >>> SymbolTable.of([Symbol("main", 0x100010)]).describe(0x100018)
        '0x00100018 <main+0x8>'
        """
        found = self.nearest(address)
        if found is None:
            return f"{address:#010x}"
        name, offset = found
        return f"{address:#010x} <{name}{f'+{offset:#x}' if offset else ''}>"

    def line(self, address: int) -> str | None:
        """Where in the sources `address` comes from, as ``kernel.c:42``; None if the image does not say (DWARF)."""
        if self._lines is None:
            from hillemu.source_lines import SourceLines

            self._lines = SourceLines(self._elf)
        return self._lines.line(address)

    def __getitem__(self, name: str) -> int:
        return self.symbol(name).address

    def __contains__(self, name: object) -> bool:
        return name in self._index.by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._index.by_name)

    def __len__(self) -> int:
        return len(self._index.by_name)

    def __repr__(self) -> str:
        return f"<SymbolTable {self.name or 'without a file'}: {len(self)} symbols>"

    @property
    def _index(self) -> _Index:
        if self._loaded is None:
            self._loaded = _read_elf(self._elf)
        return self._loaded

    def _no_such(self, name: str) -> str:
        where = f" in {self.name}" if self.name else ""
        if self.fault:
            return f"no symbol {name!r}{where}: its symbols cannot be read: {self.fault}"
        if not self:
            return f"no symbol {name!r}{where}: the image has no symbols; link it without --strip-all"
        from hillemu.similar_names import alike_or_nearest

        return f"no symbol {name!r}{where}{alike_or_nearest(name, self)}"


class _Index:
    """Symbols, arranged for both kinds of question."""

    def __init__(self, symbols: Iterable[Symbol], fault: str = "") -> None:
        self.fault = fault
        self.symbols = tuple(sorted(symbols, key=lambda symbol: (symbol.address, symbol.name)))
        self.by_name: dict[str, Symbol] = {}
        for symbol in self.symbols:
            known = self.by_name.get(symbol.name)
            if known is None or (symbol.is_global and not known.is_global):
                self.by_name[symbol.name] = symbol
        # At one address the best name comes last, because `nearest` looks from the back.
        self.places = sorted(
            (symbol for symbol in self.symbols if symbol.section_end is not None),
            key=lambda symbol: (symbol.address, symbol.kind != "label", symbol.is_global),
        )
        self.starts = [symbol.address for symbol in self.places]


def _read_elf(elf: bytes) -> _Index:
    if not begins_as_elf(elf):
        return _Index(())
    import struct

    from hillemu.boot.image import Image
    from hillemu.elf_symbols import elf_symbols

    try:
        return _Index([Symbol(*entry) for entry in elf_symbols(Image("the image", elf))])
    except (UserMistake, struct.error) as error:
        # Symbols are only a help: a guest whose table is broken still boots, and its crash report still has numbers.
        return _Index((), fault=str(error))

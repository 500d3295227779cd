"""`--symbols FILE`: names of code that the image itself does not name."""

from __future__ import annotations

from collections.abc import Iterable

from hillemu.emu.errors import OptionError, UserMistake
from hillemu.symbols import SymbolTable
from hillemu.terminal.serial_output import reason_of


def read_symbols(names: Iterable[str]) -> tuple[SymbolTable, ...]:
    """The symbols of the ELF files of these names; raises `UserMistake` where one has none."""
    return tuple(map(_symbols_of, names))


def _symbols_of(name: str) -> SymbolTable:
    try:
        with open(name, "rb") as file:
            elf = file.read()
    except (OSError, ValueError) as error:
        raise UserMistake(f"{name}: cannot read the symbols: {reason_of(error)}") from None
    table = SymbolTable(elf, name=name.rpartition("/")[2])
    if table.fault or not len(table):
        raise OptionError("--symbols", f"{name} has none{f': {table.fault}' if table.fault else ''}")
    return table

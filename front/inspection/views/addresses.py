"""What people write for an address: a number, a symbol, a register, and steps from there.

=====================  =============================================================
``0xC0100000``         a number in C's notation; underscores are fine
``kmain``              the address of a symbol
``$esp``, ``%esp``     what a register holds (a shell takes ``$`` away unless quoted)
``kmain+0x10-4``       any of these, and numbers added and taken away
=====================  =============================================================

>>> from hillemu.symbols import Symbol, SymbolTable
>>> table = SymbolTable.of([Symbol("kmain", 0xC0100000)])
>>> hex(Address("kmain + 0x10").value(table, {}.__getitem__))
'0xc0100010'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from hillemu.emu.errors import UserMistake
from hillemu.similar_names import did_you_mean

if TYPE_CHECKING:
    from hillemu.machine import Machine
    from hillemu.symbols import SymbolTable

FOUR_GIB = 1 << 32
_STEPS = re.compile(r"\s*([^+-]+?)((?:\s*[+-]\s*[^\s+-]+)*)\s*")
_STEP = re.compile(r"([+-])\s*([^\s+-]+)")


class Address:
    """An address as it was written; its value may depend on the moment, because of registers."""

    def __init__(self, text: str) -> None:
        """Raises `UserMistake` for what can be no address."""
        self.text = text
        match = _STEPS.fullmatch(text)
        if match is None:
            raise UserMistake(f"{text!r} is no address; write 0xC0100000, a symbol, $esp, or symbol+0x10")
        self._start = match[1]
        self._offset = sum(
            (-1 if sign == "-" else 1) * _offset(text, number) for sign, number in _STEP.findall(match[2])
        )

    @property
    def register(self) -> str | None:
        """The register that it is counted from."""
        return self._start[1:].lower() if self._start[0] in "$%" else None

    def check(self, machine: Machine, *, is_physical: bool = False) -> None:
        """Raise `UserMistake` for what need not wait for the run: no such symbol or register, no virtual address."""
        if self.register is not None:
            self._value_of_register(machine.cpu.processor.get, machine.registers())
        elif is_physical:
            self.value(machine.symbols, lambda name: 0)
        else:
            self.virtual_value(machine.symbols, lambda name: 0)

    def virtual_value(self, symbols: SymbolTable, registers: Callable[[str], int]) -> int:
        """The address as `value` finds it; `UserMistake` if it has more than 32 bits."""
        value = self.value(symbols, registers)
        if value >= FOUR_GIB:
            raise UserMistake(f"{self}: {value:#x} is beyond the 32-bit address space")
        return value

    def value(self, symbols: SymbolTable, registers: Callable[[str], int]) -> int:
        """The address, 0 or more; it may have more than 32 bits.  `registers` raises `KeyError` for a wrong name."""
        if self.register is not None:
            start = self._value_of_register(registers)
        else:
            number = as_number(self._start)
            start = symbols[self._start] if number is None else number
        value = start + self._offset
        if value < 0:
            raise UserMistake(f"{self.text!r} is below address 0")
        return value

    def _value_of_register(self, registers: Callable[[str], int], known: Iterable[str] = ()) -> int:
        assert self.register is not None
        try:
            return registers(self.register)
        except KeyError:
            hint = did_you_mean(self.register, known)
            raise UserMistake(f"{self.text!r}: the processor has no register {self.register!r}{hint}") from None

    def __str__(self) -> str:
        return self.text


def as_number(text: str) -> int | None:
    """`text` as a number in C's notation, as far as addresses are written so; `None` if it is none."""
    if not text[:1].isdecimal():
        return None
    try:
        return int(text, 0)
    except ValueError:
        pass
    try:
        return int(text, 10)  # with leading zeros
    except ValueError:
        return None


def _offset(text: str, number: str) -> int:
    value = as_number(number)
    if value is None:
        raise UserMistake(f"{text!r} is no address: {number!r} is not a number")
    return value

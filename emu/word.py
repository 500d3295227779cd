"""Machine words with named bits, declared as the manuals draw them.

>>> class Flags(Word):
...     carry = Bit(0)
...     iopl = Bits(13, 12)
>>> flags = Flags(0x3001)
>>> flags.iopl, flags.carry
(3, True)
>>> flags
Flags(0x00003001 iopl=0x3 carry)
>>> flags.replace(iopl=0)
Flags(0x00000001 carry)

A `Word` is an `int`: it compares, masks and packs like one.  Named access costs ten times a mask, so inner loops
use plain integers and the field's `mask` (``Flags.iopl.mask``).
"""

from __future__ import annotations

from typing import Any, Self, overload


class Bits:
    """The field of bits `high` down to `low`, both included, read as an unsigned integer."""

    name = ""

    def __init__(self, high: int, low: int) -> None:
        if not high >= low >= 0:
            raise ValueError(f"a field from bit {high} down to bit {low} has no bits")
        self.low = low
        self.width = high - low + 1
        self.mask = ((1 << self.width) - 1) << low

    def __set_name__(self, owner: type[Word], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, word: None, owner: type[Word]) -> Self: ...
    @overload
    def __get__(self, word: Word, owner: type[Word]) -> int: ...
    def __get__(self, word: Word | None, owner: type[Word]) -> Self | int:
        return self if word is None else (word & self.mask) >> self.low

    def insert(self, word: int, value: int) -> int:
        """Return `word` with this field set to `value`; `ValueError` if it does not fit."""
        if value << self.low & ~self.mask or value < 0:
            raise ValueError(f"{self.name}={value:#x} does not fit into {self.width} bits")
        return word & ~self.mask | value << self.low

    def describe(self, word: int) -> str:
        value = (word & self.mask) >> self.low
        return f"{self.name}={value:#x}" if value else ""


class Bit(Bits):
    """One bit, read as a `bool`."""

    def __init__(self, number: int) -> None:
        super().__init__(number, number)

    @overload
    def __get__(self, word: None, owner: type[Word]) -> Self: ...
    @overload
    def __get__(self, word: Word, owner: type[Word]) -> bool: ...
    def __get__(self, word: Word | None, owner: type[Word]) -> Self | bool:
        return self if word is None else bool(word & self.mask)

    def describe(self, word: int) -> str:
        return self.name if word & self.mask else ""


class Word(int):
    """An unsigned machine word of `BITS` bits whose class body names its fields."""

    BITS = 32
    fields: tuple[Bits, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = [field for field in vars(cls).values() if isinstance(field, Bits)]
        cls.fields = tuple(sorted((*cls.fields, *own), key=lambda field: -field.low))

    @classmethod
    def of(cls, **values: int) -> Self:
        """Build a word from named fields; all others are zero."""
        return cls(0).replace(**values)

    def replace(self, **values: int) -> Self:
        """Return a copy with the named fields changed; `AttributeError` for a name that is no field."""
        word = int(self)
        for name, value in values.items():
            field = getattr(type(self), name)
            if not isinstance(field, Bits):
                raise AttributeError(f"{type(self).__name__} has no field {name!r}")
            word = field.insert(word, value)
        return type(self)(word)

    def __repr__(self) -> str:
        parts = [f"{int(self):#0{self.BITS // 4 + 2}x}", *(field.describe(self) for field in self.fields)]
        return f"{type(self).__name__}({' '.join(part for part in parts if part)})"

    __str__ = __repr__

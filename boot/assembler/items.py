"""What a section is made of.  Every item knows its size at an address, and its bytes once all addresses are known.

`measure` runs in each layout pass, with the addresses of the pass before; it must not complain about values, which
may still move.  `emit` runs once, at the end, and complains.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

from hillemu.boot.assembler.exact import NEAR
from hillemu.boot.assembler.expression import Expression, ExpressionError, Value, evaluate
from hillemu.boot.assembler.instruction import Encoding
from hillemu.boot.assembler.source import Place

MAX_ITEM_BYTES = 64 << 20
"""No image has a gap this large; a slip in an expression does."""

Lookup = Callable[[str], Value]


@dataclass(slots=True)
class Item:
    """Something at an address of a section."""

    place: Place
    text: str
    """The statement, for messages."""

    @abstractmethod
    def measure(self, at: int, lookup: Lookup) -> int:
        """Size in bytes at section offset `at`."""

    @abstractmethod
    def emit(self, at: int, lookup: Lookup) -> bytes:
        """The bytes that stand there."""


@dataclass(slots=True)
class Label(Item):
    """A name for the address that it stands at."""

    name: str

    def measure(self, at: int, lookup: Lookup) -> int:
        return 0

    def emit(self, at: int, lookup: Lookup) -> bytes:
        return b""


@dataclass(slots=True)
class Constant(Item):
    """Bytes that depend on nothing."""

    data: bytes

    def measure(self, at: int, lookup: Lookup) -> int:
        return len(self.data)

    def emit(self, at: int, lookup: Lookup) -> bytes:
        return self.data


@dataclass(slots=True)
class Data(Item):
    """``.byte .word .long .quad``: numbers of `width` bytes, little-endian."""

    width: int
    values: list[Expression]

    def measure(self, at: int, lookup: Lookup) -> int:
        return self.width * len(self.values)

    def emit(self, at: int, lookup: Lookup) -> bytes:
        return b"".join(pack(evaluate(value, lookup).number, self.width) for value in self.values)


@dataclass(slots=True)
class Code(Item):
    """An instruction whose size is settled; its holes get their values at the end."""

    encoding: Encoding
    bare: tuple[Expression, ...] = ()
    """What stands without brackets and was taken for the memory at a label."""

    def measure(self, at: int, lookup: Lookup) -> int:
        return len(self.encoding.code)

    def emit(self, at: int, lookup: Lookup) -> bytes:
        for expression in self.bare:
            if evaluate(expression, lookup).weight == 0:
                raise ExpressionError("a number that is defined below was taken for an address: define it above")
        code = bytearray(self.encoding.code)
        for hole in self.encoding.holes:
            code[hole.offset : hole.offset + hole.size] = pack(evaluate(hole.value, lookup).number, hole.size)
        return bytes(code)


@dataclass(slots=True)
class Jump(Item):
    """A jump or call to a label: two bytes where that reaches, and once grown it stays grown."""

    mnemonic: str
    prefix: bytes
    width: int
    """Bytes of the long form's displacement, 2 or 4."""
    target: Expression
    grown: bool = False

    def _size(self) -> int:
        short, long = NEAR[self.mnemonic.removesuffix(" short")]
        return len(self.prefix) + (len(long) + self.width if self.grown or not short else 2)

    def _can_grow(self) -> bool:
        return self.mnemonic in NEAR and bool(NEAR[self.mnemonic][1])

    def measure(self, at: int, lookup: Lookup) -> int:
        if not self.grown and self._can_grow():
            distance = evaluate(self.target, lookup).number - lookup(".").number - self._size()
            self.grown = not -128 <= distance < 128
        return self._size()

    def emit(self, at: int, lookup: Lookup) -> bytes:
        short, long = NEAR[self.mnemonic.removesuffix(" short")]
        distance = evaluate(self.target, lookup).number - lookup(".").number - self._size()
        if short and not self.grown:
            if not -128 <= distance < 128:
                raise ExpressionError(f"the target is {distance} bytes away, and a short jump reaches -128 to 127")
            return self.prefix + short + distance.to_bytes(1, "little", signed=True)
        mask = (1 << 8 * self.width) - 1
        if self.width == 2 and not -0x10000 < distance < 0x10000:
            raise ExpressionError(f"the target is {distance} bytes away, beyond this 64 KiB segment")
        return self.prefix + long + (distance & mask).to_bytes(self.width, "little")


@dataclass(slots=True)
class Fill(Item):
    """``.space`` and ``.fill``: `count` times the number `value` in `width` bytes."""

    count: Expression
    width: int
    value: Expression

    def measure(self, at: int, lookup: Lookup) -> int:
        return self.width * min(max(evaluate(self.count, lookup).number, 0), MAX_ITEM_BYTES)

    def emit(self, at: int, lookup: Lookup) -> bytes:
        count = evaluate(self.count, lookup).number
        if count < 0:
            raise ExpressionError(f"the count is negative: {count}")
        if count * self.width > MAX_ITEM_BYTES:
            raise ExpressionError(f"{count * self.width:#x} bytes are more than an image may have")
        return pack(evaluate(self.value, lookup).number, self.width) * count


@dataclass(slots=True)
class Align(Item):
    """Room up to the next multiple of `alignment`, unless that takes more than `most` bytes."""

    alignment: int
    fill: int
    most: int

    def measure(self, at: int, lookup: Lookup) -> int:
        size = -at % self.alignment
        return size if size <= self.most else 0

    def emit(self, at: int, lookup: Lookup) -> bytes:
        return bytes((self.fill,)) * self.measure(at, lookup)


@dataclass(slots=True)
class Origin(Item):
    """``.org``: room up to an offset in the section, or up to a label plus a distance."""

    target: Expression
    fill: int

    def _distance(self, at: int, lookup: Lookup) -> int:
        target = evaluate(self.target, lookup)
        here = lookup(".").number if target.weight == 1 else at
        return target.number - here

    def measure(self, at: int, lookup: Lookup) -> int:
        return min(max(self._distance(at, lookup), 0), MAX_ITEM_BYTES)

    def emit(self, at: int, lookup: Lookup) -> bytes:
        distance = self._distance(at, lookup)
        if distance < 0:
            raise ExpressionError(f".org goes back by {-distance} bytes")
        if distance > MAX_ITEM_BYTES:
            raise ExpressionError(f"{distance:#x} bytes are more than an image may have")
        return bytes((self.fill,)) * distance


@dataclass(slots=True)
class Section:
    """A named run of items; its address is settled by the link."""

    name: str
    flags: str
    """As in ``.section name, "awx"``: a loaded, w writable, x executable."""
    holds_data: bool
    """False for ``.bss``-like sections, which take no room in the file."""
    items: list[Item] = field(default_factory=list)
    alignment: int = 1
    address: int = 0
    load_address: int = 0
    size: int = 0
    data: bytes = b""


def pack(value: int, width: int) -> bytes:
    """`value` in `width` bytes, signed or unsigned; `ExpressionError` if it does not fit."""
    bits = 8 * width
    if not -(1 << bits - 1) <= value < 1 << bits:
        raise ExpressionError(f"{value:#x} does not fit into {bits} bits")
    return (value & (1 << bits) - 1).to_bytes(width, "little")

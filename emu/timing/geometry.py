"""Sizes of a processor's TLBs, caches and buffers, and what it costs to miss them: the other two tables.

>>> geometry = read_geometry(data_file("geometry_i486.csv"))
>>> geometry.data_tlb, geometry.is_unified
(TlbGeometry(entries=32, ways=4, replacement='pseudo-lru'), True)
>>> CacheGeometry(8192, 4, 16, "pseudo-lru", write_back=False).sets
128

Sources: each row of the files names its own.
"""

from __future__ import annotations

from fractions import Fraction
from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple

from hillemu.emu.errors import OptionError
from hillemu.emu.timing.tables import read_rows

GEOMETRY_COLUMNS = ("structure", "property", "value", "source", "note")
PENALTY_COLUMNS = ("item", "value", "unit", "source", "note")
REPLACEMENTS = ("lru", "pseudo-lru")
MAX_CACHE_BYTES = 1 << 26
MAX_BUS_MHZ, MAX_MULTIPLIER, MAX_CLOCKS = 1000, 8, 1000
Fault = tuple[str, str]
"""The property that cannot be so, and what is wrong with it."""
BRANCH_TARGET_BUFFER = 256, 4
"""Entries and ways of the only one that is modelled."""


class TlbGeometry(NamedTuple):
    """A set-associative TLB; the set is the lowest bits of the page number."""

    entries: int
    ways: int
    replacement: str

    @property
    def sets(self) -> int:
        return self.entries // self.ways

    def fault(self) -> Fault | None:
        """Why no hardware could be built so."""
        if self.ways > self.entries > 0:
            return "ways", f"has {self.entries} entries, which are no {self.ways} ways"
        return _no_power_of_two(entries=self.entries, ways=self.ways) or _no_replacement(self.replacement, self.ways)


class CacheGeometry(NamedTuple):
    """A set-associative cache of physical addresses; it never allocates a line for a write that misses."""

    size_bytes: int
    ways: int
    line_bytes: int
    replacement: str
    write_back: bool

    @property
    def sets(self) -> int:
        return self.size_bytes // (self.ways * self.line_bytes)

    def fault(self) -> Fault | None:
        """Why no hardware could be built so."""
        if fault := _no_power_of_two(bytes=self.size_bytes, ways=self.ways, line_bytes=self.line_bytes):
            return fault
        if self.size_bytes > MAX_CACHE_BYTES:
            return "bytes", f"has {self.size_bytes} bytes; at most {MAX_CACHE_BYTES} can be"
        if self.line_bytes < 4:
            return "line_bytes", f"has lines of {self.line_bytes} bytes; 4 is the least"
        if not self.sets:
            return "bytes", f"has {self.size_bytes} bytes, less than one set of {self.ways} lines of {self.line_bytes}"
        return _no_replacement(self.replacement, self.ways)


class Places:
    """Where in a file the figures of a geometry are."""

    def __init__(self, file: Traversable, lines: dict[tuple[str, str], int]) -> None:
        self._file = file
        self._lines = lines

    def of(self, structure: str, name: str) -> str:
        """``FILE:LINE: ``; a unified TLB or cache is what its data's is called here, too."""
        line = self._lines.get((structure, name)) or self._lines.get((structure.split("_")[-1], name))
        return f"{self._file}:{line}: " if line else f"{self._file}: "


class Geometry(NamedTuple):
    """A processor's buffers; `code_*` and `data_*` are the same one if it `is_unified`."""

    bus_mhz: int
    multiplier: Fraction
    bus_bytes: int
    prefetch_bytes: int
    write_buffers: int
    reads_pass_writes: bool
    walks_read_cache: bool
    has_write_protect: bool
    mode_change_flushes: bool
    code_tlb: TlbGeometry
    data_tlb: TlbGeometry
    large_tlb: TlbGeometry | None
    code_cache: CacheGeometry | None
    data_cache: CacheGeometry | None
    predicts_branches: bool
    is_unified: bool
    places: Places | None = None
    """None: it was not read from a file."""

    def refusal(self, structure: str, name: str, fault: str) -> OptionError:
        """What to raise where a figure cannot be used: with its place."""
        return OptionError("--timing", f"{self.places.of(structure, name) if self.places else ''}{fault}")


class Penalties(NamedTuple):
    """Clocks beside the clock table, from `walk` to `bus_in_table` of the bus.  The files say what each is for."""

    agi: int
    index_register: int
    displacement_and_immediate: int
    prefix: int
    prefix_0f: int
    lock: int
    misaligned: int
    partial_register: int
    target_crosses_line: int
    descriptor_not_accessed: int
    mispredicted_u: int
    mispredicted_v: int
    mispredicted_direct: int
    bank_conflict: int
    paired_read_modify_write: int
    walk: int
    walk_first_update: int
    walk_second_update: int
    bus_first: int
    bus_next: int
    bus_write: int
    bus_in_table: int
    cache_miss: int
    walk_hit: int


UNITS = ("clocks", "bus clocks")
IN_BUS_CLOCKS = frozenset(
    ("walk", "walk_first_update", "walk_second_update", "bus_first", "bus_next", "bus_write", "bus_in_table")
)
BUS_CYCLES = frozenset(("bus_first", "bus_next", "bus_write"))
"""None of them can take no time."""


def data_file(name: str) -> Traversable:
    """A table that comes with hillemu."""
    return resources.files("hillemu.emu.timing.data") / name


def read_penalties(file: Traversable) -> Penalties:
    """Read a table of penalties; `OptionError` unless it has every item once, as a number of clocks."""
    found: dict[str, int] = {}
    for line, row in read_rows(file, PENALTY_COLUMNS):
        item = row["item"]
        if item not in Penalties._fields:
            raise OptionError("--timing", f"{file}:{line}: there is no penalty {item!r}")
        if item in found:
            raise OptionError("--timing", f"{file}:{line}: {item} has an entry already")
        if not is_number(row["value"]) or not row["source"]:
            raise OptionError("--timing", f"{file}:{line}: {item} needs a number of clocks and a source")
        clocks, least, unit = int(row["value"]), int(item in BUS_CYCLES), UNITS[item in IN_BUS_CLOCKS]
        if not least <= clocks <= MAX_CLOCKS:
            raise OptionError("--timing", f"{file}:{line}: {item} of {clocks} clocks; {least} to {MAX_CLOCKS} can be")
        if row["unit"] != unit:
            raise OptionError("--timing", f"{file}:{line}: {item} is in {unit}, not {row['unit']!r}")
        found[item] = clocks
    if missing := [item for item in Penalties._fields if item not in found]:
        raise OptionError("--timing", f"{file}: there is no entry for {', '.join(missing)}")
    return Penalties(**found)


def read_geometry(file: Traversable) -> Geometry:
    """Read and check a table of sizes; `OptionError` for a missing, doubled or impossible one."""
    found: dict[tuple[str, str], str] = {}
    lines: dict[tuple[str, str], int] = {}
    for line, row in read_rows(file, GEOMETRY_COLUMNS):
        key = row["structure"], row["property"]
        if key in found:
            raise OptionError("--timing", f"{file}:{line}: {' '.join(key)} has an entry already, in line {lines[key]}")
        if not row["source"]:
            raise OptionError("--timing", f"{file}:{line}: {' '.join(key)} needs a source")
        found[key], lines[key] = row["value"], line
    sizes = _Sizes(found, Places(file, lines))
    unified_tlb, unified_cache = sizes.tlb("tlb"), sizes.cache("cache")
    code_tlb, data_tlb = unified_tlb or sizes.tlb("code_tlb"), unified_tlb or sizes.tlb("data_tlb")
    if code_tlb is None or data_tlb is None:
        raise OptionError("--timing", f"{file}: a processor with paging has a tlb, or a code_tlb and a data_tlb")
    buffer = tuple(sizes.number("branch_target_buffer", item, optional=True) for item in ("entries", "ways"))
    if buffer not in (BRANCH_TARGET_BUFFER, (0, 0)):
        wrong = "entries" if buffer[0] != BRANCH_TARGET_BUFFER[0] else "ways"
        fault = "a branch_target_buffer is modelled with 256 entries and 4 ways only"
        raise sizes.refusal("branch_target_buffer", wrong, fault)
    geometry = Geometry(
        bus_mhz=sizes.number("clock", "bus_mhz", least=1, most=MAX_BUS_MHZ),
        multiplier=sizes.multiplier(),
        bus_bytes=sizes.number("bus", "bytes"),
        prefetch_bytes=sizes.number("prefetch", "bytes"),
        write_buffers=sizes.number("write_buffers", "count"),
        reads_pass_writes=sizes.one_of("write_buffers", "reads_pass", "no", "yes"),
        walks_read_cache=sizes.one_of("paging", "walks_read", "bus", "cache"),
        has_write_protect=sizes.one_of("paging", "has_write_protect", "no", "yes"),
        mode_change_flushes=sizes.one_of("paging", "mode_change_flushes", "no", "yes"),
        code_tlb=code_tlb,
        data_tlb=data_tlb,
        large_tlb=sizes.tlb("large_tlb"),
        code_cache=unified_cache or sizes.cache("code_cache"),
        data_cache=unified_cache or sizes.cache("data_cache"),
        predicts_branches=buffer == BRANCH_TARGET_BUFFER,
        is_unified=unified_tlb is not None,
        places=sizes.places,
    )
    sizes.refuse_unread()
    return geometry


class _Sizes:
    """The rows of a file, taken out one by one."""

    def __init__(self, values: dict[tuple[str, str], str], places: Places) -> None:
        self.places = places
        self._values = values
        self._read: set[tuple[str, str]] = set()

    def number(self, structure: str, name: str, *, optional: bool = False, least: int = 0, most: int = 1 << 30) -> int:
        text = self.word(structure, name, "0" if optional else None)
        if not is_number(text):
            raise self.refusal(structure, name, f"{structure} {name} is a number, not {text!r}")
        if not least <= int(text) <= most:
            raise self.refusal(structure, name, f"{structure} {name} is {least} to {most}, not {text}")
        return int(text)

    def multiplier(self) -> Fraction:
        """How much faster the core is than its bus: a number, or a fraction like ``3/2``."""
        text = self.word("clock", "multiplier")
        parts = text.split("/")
        if not all(map(is_number, parts)) or len(parts) > 2 or int(parts[-1]) == 0:
            raise self.refusal("clock", "multiplier", f"clock multiplier is a number or like 3/2, not {text!r}")
        factor = Fraction(text)
        if not 1 <= factor <= MAX_MULTIPLIER:
            raise self.refusal("clock", "multiplier", f"clock multiplier is 1 to {MAX_MULTIPLIER}, not {text}")
        return factor

    def word(self, structure: str, name: str, default: str | None = None) -> str:
        self._read.add((structure, name))
        value = self._values.get((structure, name), default)
        if value is None:
            raise self.refusal(structure, name, f"there is no entry for {structure} {name}")
        return value

    def one_of(self, structure: str, name: str, no: str, yes: str) -> bool:
        """Whether the word is `yes`; it is `no` otherwise, or refused."""
        word = self.word(structure, name)
        if word not in (no, yes):
            raise self.refusal(structure, name, f"{structure} {name} is {no!r} or {yes!r}, not {word!r}")
        return word == yes

    def tlb(self, name: str) -> TlbGeometry | None:
        if not self._has(name):
            return None
        tlb = TlbGeometry(self.number(name, "entries"), self.number(name, "ways"), self.word(name, "replacement"))
        self._refuse(name, tlb.fault())
        return tlb

    def cache(self, name: str) -> CacheGeometry | None:
        if not self._has(name):
            return None
        write_back = self.one_of(name, "write", "through", "back")
        numbers = [self.number(name, item) for item in ("bytes", "ways", "line_bytes")]
        cache = CacheGeometry(numbers[0], numbers[1], numbers[2], self.word(name, "replacement"), write_back)
        self._refuse(name, cache.fault())
        return cache

    def refuse_unread(self) -> None:
        for structure, name in self._values:
            if (structure, name) not in self._read:
                raise self.refusal(structure, name, f"{structure} {name} says nothing that is known")

    def _has(self, structure: str) -> bool:
        return any(key[0] == structure for key in self._values)

    def _refuse(self, structure: str, fault: Fault | None) -> None:
        if fault is not None:
            raise self.refusal(structure, fault[0], f"the {structure} {fault[1]}")

    def refusal(self, structure: str, name: str, fault: str) -> OptionError:
        return OptionError("--timing", f"{self.places.of(structure, name)}{fault}")


def is_number(text: str) -> bool:
    """Whether a field is a number of at most nine digits."""
    return text.isascii() and text.isdecimal() and len(text) <= 9


def _no_power_of_two(**numbers: int) -> Fault | None:
    for name, number in numbers.items():
        if number <= 0 or number & (number - 1):
            what = "bytes in a line" if name == "line_bytes" else name
            return name, f"has {number} {what}; a power of two is needed"
    return None


def _no_replacement(replacement: str, ways: int) -> Fault | None:
    if replacement not in REPLACEMENTS:
        return "replacement", f"replaces by {replacement!r}; there are {', '.join(REPLACEMENTS)}"
    # LRU is one bit, pseudo-LRU a tree of three.
    most = {"lru": 2, "pseudo-lru": 4}[replacement]
    return ("ways", f"has {ways} ways; {replacement} is modelled for at most {most}") if ways > most else None

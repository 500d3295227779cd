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

    def check(self, name: str) -> None:
        """`OptionError` if no hardware could be built so."""
        _need_powers_of_two(name, entries=self.entries, ways=self.ways)
        if self.ways > self.entries:
            raise OptionError("--timing", f"the {name} has {self.entries} entries, which are no {self.ways} ways")
        _need_replacement(name, self.replacement, self.ways)


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

    def check(self, name: str) -> None:
        """`OptionError` if no hardware could be built so."""
        _need_powers_of_two(name, bytes=self.size_bytes, ways=self.ways, bytes_of_a_line=self.line_bytes)
        if self.size_bytes > MAX_CACHE_BYTES:
            raise OptionError("--timing", f"the {name} has {self.size_bytes} bytes; at most {MAX_CACHE_BYTES} can be")
        if self.line_bytes < 4:
            raise OptionError("--timing", f"the {name} has lines of {self.line_bytes} bytes; 4 is the least")
        if not self.sets:
            raise OptionError(
                "--timing",
                f"the {name} has {self.size_bytes} bytes, less than one set of {self.ways} lines of {self.line_bytes}",
            )
        _need_replacement(name, self.replacement, self.ways)


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
        if not row["value"].isdecimal() or not row["source"]:
            raise OptionError("--timing", f"{file}:{line}: {item} needs a number of clocks and a source")
        found[item] = int(row["value"])
    if missing := [item for item in Penalties._fields if item not in found]:
        raise OptionError("--timing", f"{file}: there is no entry for {', '.join(missing)}")
    return Penalties(**found)


def read_geometry(file: Traversable) -> Geometry:
    """Read and check a table of sizes; `OptionError` for a missing, doubled or impossible one."""
    found: dict[tuple[str, str], str] = {}
    for line, row in read_rows(file, GEOMETRY_COLUMNS):
        key = row["structure"], row["property"]
        if key in found:
            raise OptionError("--timing", f"{file}:{line}: {' '.join(key)} has an entry already")
        if not row["source"]:
            raise OptionError("--timing", f"{file}:{line}: {' '.join(key)} needs a source")
        found[key] = row["value"]
    sizes = _Sizes(file, found)
    unified_tlb, unified_cache = sizes.tlb("tlb"), sizes.cache("cache")
    code_tlb, data_tlb = unified_tlb or sizes.tlb("code_tlb"), unified_tlb or sizes.tlb("data_tlb")
    if code_tlb is None or data_tlb is None:
        raise OptionError("--timing", f"{file}: a processor with paging has a tlb, or a code_tlb and a data_tlb")
    buffer = tuple(sizes.number("branch_target_buffer", item, optional=True) for item in ("entries", "ways"))
    if buffer not in (BRANCH_TARGET_BUFFER, (0, 0)):
        raise OptionError("--timing", f"{file}: a branch_target_buffer is modelled with 256 entries and 4 ways only")
    geometry = Geometry(
        bus_mhz=sizes.number("clock", "bus_mhz"),
        multiplier=Fraction(sizes.number("clock", "multiplier")),
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
    )
    sizes.refuse_unread()
    return geometry


class _Sizes:
    """The rows of a file, taken out one by one."""

    def __init__(self, file: Traversable, values: dict[tuple[str, str], str]) -> None:
        self._file = file
        self._values = values
        self._read: set[tuple[str, str]] = set()

    def number(self, structure: str, name: str, optional: bool = False) -> int:
        text = self.word(structure, name, "0" if optional else None)
        if not text.isdecimal():
            raise OptionError("--timing", f"{self._file}: {structure} {name} is a number, not {text!r}")
        return int(text)

    def word(self, structure: str, name: str, default: str | None = None) -> str:
        self._read.add((structure, name))
        value = self._values.get((structure, name), default)
        if value is None:
            raise OptionError("--timing", f"{self._file}: there is no entry for {structure} {name}")
        return value

    def one_of(self, structure: str, name: str, no: str, yes: str) -> bool:
        """Whether the word is `yes`; it is `no` otherwise, or refused."""
        word = self.word(structure, name)
        if word not in (no, yes):
            raise OptionError("--timing", f"{self._file}: {structure} {name} is {no!r} or {yes!r}, not {word!r}")
        return word == yes

    def tlb(self, name: str) -> TlbGeometry | None:
        if not self._has(name):
            return None
        tlb = TlbGeometry(self.number(name, "entries"), self.number(name, "ways"), self.word(name, "replacement"))
        tlb.check(name)
        return tlb

    def cache(self, name: str) -> CacheGeometry | None:
        if not self._has(name):
            return None
        write_back = self.one_of(name, "write", "through", "back")
        numbers = [self.number(name, item) for item in ("bytes", "ways", "line_bytes")]
        cache = CacheGeometry(numbers[0], numbers[1], numbers[2], self.word(name, "replacement"), write_back)
        cache.check(name)
        return cache

    def refuse_unread(self) -> None:
        if unread := sorted(" ".join(key) for key in self._values.keys() - self._read):
            raise OptionError("--timing", f"{self._file}: these say nothing that is known: {', '.join(unread)}")

    def _has(self, structure: str) -> bool:
        return any(key[0] == structure for key in self._values)


def _need_powers_of_two(name: str, **numbers: int) -> None:
    for what, number in numbers.items():
        if number <= 0 or number & (number - 1):
            raise OptionError("--timing", f"the {name} has {number} {what.replace('_', ' ')}; a power of two is needed")


def _need_replacement(name: str, replacement: str, ways: int) -> None:
    if replacement not in REPLACEMENTS:
        raise OptionError("--timing", f"the {name} replaces by {replacement!r}; there are {', '.join(REPLACEMENTS)}")
    # LRU is one bit, pseudo-LRU a tree of three.
    most = {"lru": 2, "pseudo-lru": 4}[replacement]
    if ways > most:
        raise OptionError("--timing", f"the {name} has {ways} ways; {replacement} is modelled for at most {most}")

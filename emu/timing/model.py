"""The processors that `--timing` can model, each a clock table, a geometry and a bus.

>>> model = timing_model("i486")
>>> model.core_mhz, model.has_memory_model, model.geometry.data_tlb.sets
(33, True, 8)
>>> timing_model("i486-nomem").has_memory_model
False
>>> model.clocks_of(bytes.fromhex("03 06"), Mode.REAL, bits=32)  # add eax, [esi]
2

Not modelled: bus clocks that are no multiple of a core clock are rounded up, each access for itself.
"""

from __future__ import annotations

from difflib import get_close_matches
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from hillemu.emu.errors import OptionError
from hillemu.emu.timing.cases import Mode, cases_of
from hillemu.emu.timing.expressions import Operands
from hillemu.emu.timing.geometry import (
    MAX_BUS_MHZ,
    MAX_MULTIPLIER,
    CacheGeometry,
    Geometry,
    Penalties,
    data_file,
    read_geometry,
    read_penalties,
)
from hillemu.emu.timing.opcodes import decode
from hillemu.emu.timing.ports import PortWait, isa_bus, same_for_all
from hillemu.emu.timing.tables import Table, clocks_file, read_table
from hillemu.emu.timing.upload import FlatTables, flatten

PROCESSORS = ("i386", "i486", "pentium")
HAVE_PCI = ("pentium",)
"""Whose usual board has the ISA bus behind PCI."""
WITHOUT_MEMORY = "-nomem"
MODELS = tuple(name + suffix for name in PROCESSORS for suffix in ("", WITHOUT_MEMORY))
"""What `--timing` takes, beside `insn` which models nothing."""
MAX_WAIT_STATES, MAX_IO_WAIT_STATES = 255, 9999


class TimingModel(NamedTuple):
    """One processor on one board; `bus_mhz`, `wait_states` and `io_wait_states` (of a port access) are the board's.

    `io_wait_states` None: ports answer as on an ISA bus, see emu/timing/ports.py.
    """

    name: str
    table: Table
    geometry: Geometry
    penalties: Penalties
    bus_mhz: int
    multiplier: Fraction
    wait_states: int
    io_wait_states: int | None
    external_cache: CacheGeometry | None
    has_memory_model: bool

    @property
    def core_mhz(self) -> int:
        """The clock that all costs are counted in, in MHz, rounded down."""
        return int(self.bus_mhz * self.multiplier)

    @property
    def port_waits(self) -> tuple[PortWait, ...]:
        """What IN and OUT take beyond the clock table: of a port's entries the first counts."""
        if self.io_wait_states is not None:
            return same_for_all(self.io_wait_states)
        return isa_bus(bus_mhz=self.bus_mhz, has_pci=self.name.removesuffix(WITHOUT_MEMORY) in HAVE_PCI)

    def core_clocks(self, bus_clocks: int) -> int:
        """How many core clocks so many bus clocks last."""
        return -int(-bus_clocks * self.multiplier // 1)

    def flat(self) -> FlatTables:
        """The clock table for the native core."""
        return flatten(self.table)

    def clocks_of(
        self, code: bytes, mode: Mode, bits: int, case: str = "", operands: Operands | None = None
    ) -> int | None:
        """The clock table's figure for an instruction, without penalties.

        None: the instruction is not in the map, or absent on this processor.  `KeyError` if it has no such case.
        """
        instruction = decode(code, bits)
        if instruction is None:
            return None
        cases = cases_of(instruction.form, mode)
        if case not in cases:
            raise KeyError(f"{instruction.form} has no case {case!r}; it has {', '.join(map(repr, cases))}")
        figure = self.table.figures(instruction.form, mode, instruction.size)[cases.index(case)]
        return None if figure.clocks is None else figure.clocks.clocks(operands or Operands())


def timing_model(
    name: str,
    bus_mhz: int | None = None,
    multiplier: Fraction | int | None = None,
    wait_states: int = 0,
    io_wait_states: int | None = None,
    external_cache: CacheGeometry | None = None,
) -> TimingModel:
    """The model called `name`, on a board of the processor's usual speed where nothing else is said.

    Raises `OptionError` for a name that there is not, a board that cannot be, or a table that cannot be used.
    """
    if name not in MODELS:
        near = get_close_matches(name, ("insn", *MODELS), n=1)
        advice = f"did you mean {near[0]}?" if near else f"choose one of insn, {', '.join(MODELS)}"
        raise OptionError("--timing", f"there is no model {name!r}; {advice}")
    processor = name.removesuffix(WITHOUT_MEMORY)
    table, geometry, penalties = _tables(processor)
    mhz = geometry.bus_mhz if bus_mhz is None else bus_mhz
    factor = geometry.multiplier if multiplier is None else Fraction(multiplier)
    if not 1 <= mhz <= MAX_BUS_MHZ:
        raise OptionError("--bus-mhz", f"{mhz} MHz; a bus runs at 1 to {MAX_BUS_MHZ}")
    if not 1 <= factor <= MAX_MULTIPLIER:
        raise OptionError("--timing", f"a core runs 1 to {MAX_MULTIPLIER} times as fast as its bus, not {factor}")
    if not 0 <= wait_states <= MAX_WAIT_STATES:
        raise OptionError("--wait-states", f"{wait_states}; a bus cycle has 0 to {MAX_WAIT_STATES}")
    if io_wait_states is not None and not 0 <= io_wait_states <= MAX_IO_WAIT_STATES:
        raise OptionError("--io-wait-states", f"{io_wait_states}; a port access has 0 to {MAX_IO_WAIT_STATES}")
    if external_cache is not None and (fault := external_cache.fault()) is not None:
        raise OptionError("--timing", f"the external cache {fault[1]}")
    memory = not name.endswith(WITHOUT_MEMORY)
    return TimingModel(
        name, table, geometry, penalties, mhz, factor, wait_states, io_wait_states, external_cache, memory
    )


@cache
def _tables(processor: str) -> tuple[Table, Geometry, Penalties]:
    return (
        read_table(clocks_file(processor)),
        read_geometry(data_file(f"geometry_{processor}.csv")),
        read_penalties(data_file(f"penalties_{processor}.csv")),
    )

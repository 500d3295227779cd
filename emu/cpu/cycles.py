"""A timing model in the native core: its tables on their way in, what it counts on the way out."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.cpu.memory_events import ModelledMemory
from hillemu.emu.errors import OptionError
from hillemu.emu.timing.cases import EVENTS, TASK_SWITCHES
from hillemu.emu.timing.opcodes import Form
from hillemu.emu.timing.tables import Table, all_forms
from hillemu.emu.timing.unmapped_opcodes import named
from hillemu.emu.timing.upload import FlatTables, flatten

if TYPE_CHECKING:
    from hillemu.emu.cpu._core import Core
    from hillemu.emu.timing.model import TimingModel

PENALTIES = (
    "agi",
    "index_register",
    "displacement_and_immediate",
    "prefix",
    "prefix_0f",
    "partial_register",
    "target_crosses_line",
    "paired_read_modify_write",
    "descriptor_not_accessed",
)
"""Those of emu/timing/geometry.py that the core charges itself, in its order."""


class BranchCounts(NamedTuple):
    """Near branches, and how many of them were predicted wrongly; the last two of those with a condition."""

    executed: int
    mispredicted: int
    conditional: int
    conditional_mispredicted: int


class CycleCounter:
    """What a processor's run costs on `model`, which counts its ticks from here on.

    Raises `OptionError` for a model that `core` cannot count.
    """

    HAS_STATE = False

    def __init__(self, core: Core, model: TimingModel, *, is_native: bool, board_from: int) -> None:
        if not is_native:
            raise OptionError("--timing", "needs the native core; this is the portable one (HILLEMU_CORE, or the host)")
        self.model = model
        self._core = core
        flat, numbers = _flat(model.table), _numbers()
        penalties = model.penalties
        core.set_timing(
            (
                *(flat.forms, flat.shapes, flat.reads, flat.writes, flat.x87_registers, flat.repeated),
                *(flat.groups, flat.outcomes, flat.figures),
            ),
            tuple(numbers[form] for form in EVENTS),
            tuple(numbers[form] for form in TASK_SWITCHES),
            tuple(getattr(penalties, name) for name in PENALTIES),
            code.line_bytes if (code := model.geometry.code_cache) else 0,
            tuple(
                (
                    *(wait.ports.start, wait.ports.stop, wait.device_bits // 8),
                    *(model.core_clocks(wait.first), model.core_clocks(wait.next)),
                )
                for wait in model.port_waits
            ),
            model.geometry.predicts_branches,
            (penalties.mispredicted_u, penalties.mispredicted_v, penalties.mispredicted_direct),
        )
        self.memory = ModelledMemory(core, model, board_from) if model.has_memory_model else None

    def answer_at_once(self, port: int) -> None:
        """Have accesses to a port take the clock table's figure only: what answers there is no hardware."""
        self._core.answer_at_once(port)

    @property
    def total(self) -> int:
        """Cycles since power-on, with the idle ones."""
        return self._core.ticks()

    @property
    def idle(self) -> int:
        """Of these, the ones in which no instruction was executed: HLT."""
        return self._core.idle()

    @property
    def branches(self) -> BranchCounts | None:
        """Since power-on; None: this processor predicts none."""
        counters = self._core.branches()
        if counters is None:
            return None
        conditional, wrong, others, others_wrong = counters
        return BranchCounts(conditional + others, wrong + others_wrong, conditional, wrong)

    def untimed(self) -> dict[str, int]:
        """How often each instruction without an entry was executed; with its bytes, if it is not in the map."""
        forms, opcodes = self._core.unlisted()
        names = {number: str(form) for form, number in _numbers().items()}
        counts = {names[number]: count for number, count in forms}
        for opcode, count in opcodes:
            counts[named(opcode)] = count
        return counts


@cache
def _numbers() -> dict[Form, int]:
    return {form: number for number, form in enumerate(sorted(all_forms()), 1)}


@cache
def _flat(table: Table) -> FlatTables:
    return flatten(table)

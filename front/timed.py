"""What a run has cost on the processor that `--timing` models.

>>> from hillemu import Machine
>>> machine = Machine(mem="16M", timing="i486-nomem")
>>> loaded = machine.load_demo()
>>> stop = machine.run()
>>> machine.cycles > machine.cpu.instructions
True
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from hillemu.emu.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hillemu.emu.cpu.cycles import BranchCounts
    from hillemu.emu.cpu.memory_events import ModelledMemory
    from hillemu.emu.cpu.tlb_lint import TlbLint
    from hillemu.emu.pc import Pc
    from hillemu.emu.timing.model import TimingModel
    from hillemu.profiling.run_profile import RunProfile
    from hillemu.symbols import SymbolTable
    from hillemu.tlb import Cache, Tlb
    from hillemu.tlb_lint import StaleUses

INSTRUCTIONS, WITHOUT_MEMORY = "insn", "-nomem"
"""The name of the timing that models no processor, every instruction takes one tick of 10 ns; and how models' names
end whose memory always answers at once."""


SLICE_TICKS, SLICE_CYCLES = 1_000_000, 4_000_000
"""How often a run is interrupted, invisibly to the guest, to look at the screen and for a hang: 10 ms virtual, and so
many cycles of a timing model, whose instructions take several."""


class Timed:
    """The part of `hillemu.Machine` that knows about cycles.

    Without a model (`timing` is None) a cycle is a tick: of an instruction, or of a port access's wait.
    """

    _pc: Pc
    symbols: SymbolTable
    tlb_lint: TlbLint | None = None
    """What `lint_tlb` returned."""
    _more_symbols: tuple[SymbolTable, ...] = ()

    @property
    def timing(self) -> TimingModel | None:
        """What counts the cycles; None with ``--timing insn``."""
        counter = self._pc.cycles
        return counter.model if counter else None

    @property
    def slice_ticks(self) -> int:
        """How many ticks lie between two looks at a run."""
        return SLICE_CYCLES if self._pc.cycles else SLICE_TICKS

    @property
    def cycles(self) -> int:
        """Cycles since power-on, with those that the processor was halted."""
        return self._pc.processor.ticks()

    @property
    def idle_cycles(self) -> int:
        """Of these, the ones in which no instruction was executed: HLT."""
        counter = self._pc.cycles
        return counter.idle if counter else self.cycles - self._pc.processor.instructions

    @property
    def cpi(self) -> float:
        """Cycles for each instruction, without the idle ones; 0 before the first instruction."""
        instructions = self._pc.processor.instructions
        return (self.cycles - self.idle_cycles) / instructions if instructions else 0.0

    def lint_tlb(self) -> TlbLint:
        """From now on, find translations that the guest uses after it changed their page tables: missing INVLPGs.

        Costs next to nothing, with and without a timing model.  Raises `OptionError` on the portable core.
        """
        self.tlb_lint = self.tlb_lint or self._pc.processor.lint_tlb()
        return self.tlb_lint

    @property
    def stale_uses(self) -> StaleUses:
        """What `lint_tlb` has found by now, with names; raises `OptionError` where it was not called."""
        from hillemu.code_names import CodeNames
        from hillemu.tlb_lint import StaleUses

        if self.tlb_lint is None:
            raise OptionError("--lint", "nobody looks for stale translations: call lint_tlb() before the run")
        return StaleUses(self.tlb_lint, CodeNames((self.symbols, *self._more_symbols)))

    def add_symbols(self, symbols: Sequence[SymbolTable]) -> None:
        """Know the names of code that the image does not name, as that of a disk or of a program.

        An image without symbols has those of the first table from here on.
        """
        self._more_symbols += tuple(symbols)
        if not len(self.symbols) and symbols:
            self.symbols = symbols[0]

    @property
    def modelled_memory(self) -> ModelledMemory | None:
        """The memory model's TLBs and caches; None without one."""
        return self._pc.cycles.memory if self._pc.cycles else None

    @property
    def tlb(self) -> Tlb:
        """The modelled TLBs; raises `OptionError` where the timing has none."""
        from hillemu.tlb import Tlb, memory_model_of

        return Tlb(memory_model_of(self.modelled_memory, "tlb"))

    @property
    def cache(self) -> Cache:
        """The modelled caches; raises `OptionError` where the timing has none."""
        from hillemu.tlb import Cache, memory_model_of

        return Cache(memory_model_of(self.modelled_memory, "cache"))

    @contextmanager
    def profile(self, symbols: Sequence[SymbolTable] = ()) -> Iterator[RunProfile]:
        """Note where the time of all runs inside the ``with`` block goes; it changes nothing of them.

        `symbols` are for code that the image's do not name.  Raises `OptionError` on the portable core.
        """
        from hillemu.profiling.run_profile import RunProfile

        taken = RunProfile(
            self._pc.processor.take_profile(),
            (self.symbols, *symbols),
            timing=self.timing.name if self.timing else INSTRUCTIONS,
            has_cycles=self.timing is not None,
            has_memory=self.modelled_memory is not None,
            has_branches=self.branches is not None,
        )
        try:
            yield taken
        finally:
            taken.end()

    @property
    def branches(self) -> BranchCounts | None:
        """How many near branches there were, and how many were predicted wrongly; None where none is predicted."""
        return self._pc.cycles.branches if self._pc.cycles else None

    @property
    def untimed(self) -> dict[str, int]:
        """How often instructions without an entry in the model's tables were executed, by name; a cycle was charged."""
        return self._pc.cycles.untimed() if self._pc.cycles else {}


def timing_named(
    name: str, bus_mhz: int | None = None, wait_states: int | None = None, io_wait_states: int | None = None
) -> TimingModel | None:
    """The model called `name` on a board with such a bus, None for ``insn``.

    Raises `OptionError` for a name that there is not, and for a board that cannot be.
    """
    if name == INSTRUCTIONS:
        for option, value in (
            ("--bus-mhz", bus_mhz),
            ("--wait-states", wait_states),
            ("--io-wait-states", io_wait_states),
        ):
            if value is not None:
                raise OptionError(option, "is for a processor's cycles: choose a model with --timing, too")
        return None
    from hillemu.emu.timing.model import timing_model

    model = timing_model(name, bus_mhz, wait_states=wait_states or 0, io_wait_states=io_wait_states)
    if not model.has_memory_model and wait_states:
        raise OptionError("--wait-states", f"{name} has no memory: leave {WITHOUT_MEMORY} away")
    return model

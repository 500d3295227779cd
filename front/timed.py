"""What a run has cost on the processor that `--timing` models.

>>> from hillemu import Machine
>>> machine = Machine(mem="16M", timing="i486-nomem")
>>> loaded = machine.load_demo()
>>> stop = machine.run()
>>> machine.cycles > machine.cpu.instructions
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hillemu.emu.pc import Pc
    from hillemu.emu.timing.model import TimingModel

INSTRUCTIONS = "insn"
"""The name of the timing that models no processor: every instruction takes one tick of 10 ns."""


class Timed:
    """The part of `hillemu.Machine` that knows about cycles.

    Without a model (`timing` is None) a cycle is a tick: of an instruction, or of a port access's wait.
    """

    _pc: Pc

    @property
    def timing(self) -> TimingModel | None:
        """What counts the cycles; None with ``--timing insn``."""
        counter = self._pc.cycles
        return counter.model if counter else None

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

    @property
    def untimed(self) -> dict[str, int]:
        """How often instructions without an entry in the model's tables were executed, by name; a cycle was charged."""
        return self._pc.cycles.untimed() if self._pc.cycles else {}


def timing_named(name: str) -> TimingModel | None:
    """The model called `name`, None for ``insn``; raises `OptionError` for a name that there is not."""
    if name == INSTRUCTIONS:
        return None
    from hillemu.emu.timing.model import timing_model

    return timing_model(name)

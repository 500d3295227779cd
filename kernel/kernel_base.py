"""What the kernels of all profiles have in common: how they print, what they report, how they end.

::

    log          a line on the console
    report       the same, about something that went wrong; it is remembered
    panic        report, and stop with the exit code of a failure
    switch_off   check, if the user wants it; then power off, or the exit code of a failure
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import ClassVar

from hillemu.boot.handoff import Handoff
from hillemu.emu.errors import UserMistake
from hillemu.emu.guest import Guest
from hillemu.kernel.console import Console
from hillemu.kernel.mm.parts import must_take
from hillemu.kernel.mm.words import Words
from hillemu.kernel.options import KernelOptions
from hillemu.kernel.power import FAILED, power_off, stop_with


class KernelBase(ABC):
    """The kernel whose image `handoff` describes, on `guest`.  One for each boot of the machine.

    Whoever makes it has the machine call `trap` for writes to `TRAP_PORT`.  What a kernel annotates without a value is
    there when it `has_started`; before that, whoever asks is told so.
    """

    BASE: ClassVar[int] = 0
    """Where the kernel has physical address 0."""
    BEGINS: ClassVar[str]
    """What the guest calls the function in which memory management takes over."""

    words: Words
    """Physical memory by words of 32 bits, as far as the kernel works on it."""
    _vectors: list[Callable[[int], None]]
    """What is called for a trap of each vector, with the word at which its frame begins."""

    def __init__(self, guest: Guest, handoff: Handoff, options: KernelOptions) -> None:
        self.guest, self.handoff, self.options = guest, handoff, options
        self.symbols, self.symbolise = handoff.symbols, handoff.symbolise
        self.has_started = False
        self.reports: list[str] = []
        """Everything that went wrong, as it was printed."""

    @cached_property
    def console(self) -> Console:
        """It goes on where the boot code has written, so it is made when it is first needed."""
        return Console(self.guest, clear=False)

    @abstractmethod
    def trap(self, guest: Guest, value: int) -> None:
        """Handle the trap whose frame ``trap_frame`` names; `guest` is this kernel's, `value` says nothing."""

    @abstractmethod
    def check(self) -> list[str]:
        """Contradictions anywhere in the kernel's structures, as sentences; none if all is well.

        Raises `UserMistake` before there are structures.
        """

    def handle(self, vector: int, handler: Callable[[int], None]) -> Callable[[int], None]:
        """Have `handler` called for traps of `vector`, with the word at which the trap frame begins in `words`.

        Returns what was called until now, which `handler` may call.  Raises `UserMistake` for what is no vector, and
        for what cannot be called with a word.
        """
        if not 0 <= vector < len(self._vectors):
            raise UserMistake(f"there is no vector {vector}: vectors are 0 to {len(self._vectors) - 1}")
        must_take(handler, f"the handler of vector {vector}", "the word of its trap frame", (0,))
        before, self._vectors[vector] = self._vectors[vector], handler
        return before

    def require_started(self) -> None:
        """Raises `UserMistake` while there is nothing to check."""
        if not self.has_started:
            raise UserMistake(
                f"the kernel has nothing to check yet: let the machine run until {self.BEGINS} is through"
            )

    def log(self, text: str) -> None:
        """Print a line on the kernel's console."""
        self.console.line(text)

    def report(self, text: str) -> None:
        """Print a line about something that went wrong, and remember it."""
        self.reports.append(text)
        self.console.line(text)

    def panic(self, why: str) -> None:
        """The kernel itself cannot go on: say so, and stop the machine with the exit code of a failure."""
        self.report(f"kernel panic: {why}")
        stop_with(self.guest, FAILED)

    def switch_off(self, checked: str = "") -> None:
        """Check, if the user wants it, and switch the machine off; `checked` names what, if that is not everything."""
        if self.options.check:
            found = self.check()
            for sentence in found:
                self.report(f"check: {sentence}")
            what = f"{checked}: " if checked else ""
            self.log(f"check: {what}{f'{len(found)} contradictions' if found else 'all is well'}")
            if found:
                stop_with(self.guest, FAILED)
                return
        self.log("kernel: power off")
        power_off(self.guest)

    def word_of(self, symbol: str) -> int:
        """Where the image's variable `symbol` lies: its index among the words of physical memory."""
        return self.symbols[symbol] - self.BASE >> 2

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in cls.__annotations__:
            if name not in vars(cls):
                setattr(cls, name, _NotYet(name, cls.BEGINS))


class _NotYet:
    """What a kernel's attribute is until it has a value: whoever asks is told so."""

    def __init__(self, name: str, begins: str) -> None:
        self.name, self.begins = name, begins

    def __get__(self, kernel: object, owner: type) -> object:
        if kernel is None:
            return self
        why = f"the kernel has no {self.name} yet: let the machine run until {self.begins} is through"
        raise AttributeError(why, name=self.name, obj=kernel)

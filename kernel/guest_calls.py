"""How guest code in ring 0 calls Python: functions by number, arguments as in C.

The number of a function is its place in a kernel's list; it comes in EAX, and the result goes there.  Behind the trap
frame lie the return address, which says who calls, and the arguments.

Source: System V ABI, Intel386 Architecture Processor Supplement, "Function Calling Sequence".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from hillemu.kernel.console import Console
from hillemu.kernel.mm.words import Words
from hillemu.kernel.printk import c_string, render
from hillemu.kernel.trap_frame import EAX, KERNEL_FRAME_WORDS


class CalledKernel(Protocol):
    """What of a kernel the calls themselves need."""

    @property
    def words(self) -> Words: ...
    @property
    def console(self) -> Console: ...
    def report(self, text: str, /) -> None: ...
    def symbolise(self, at: int, /) -> str: ...
    def read_virtual(self, at: int, count: int, /) -> bytes | None: ...


class GuestCalls:
    """Carries the calls out: the function `functions[n]` by the method of that name, with ``_`` in front.

    `None` from a method leaves EAX as it is, or means that another task goes on.
    """

    def __init__(self, kernel: CalledKernel, functions: Sequence[str]) -> None:
        self._called = kernel
        self._words = kernel.words
        self._frame = 0
        self._functions: list[Callable[[], int | None]] = [getattr(self, f"_{name}") for name in functions]

    def __call__(self, frame: int) -> None:
        """Answer the call whose trap frame is at word `frame`."""
        words = self._words
        number = words[frame + EAX]
        self._frame = frame
        if number >= len(self._functions):
            self._called.report(f"kernel call {number} does not exist; called by {self._caller_name()}")
            return
        result = self._functions[number]()
        if result is not None:
            words[frame + EAX] = result & 0xFFFFFFFF

    def _argument(self, number: int) -> int:
        return self._words[self._frame + KERNEL_FRAME_WORDS + 1 + number]

    @property
    def _caller(self) -> int:
        return self._words[self._frame + KERNEL_FRAME_WORDS]

    def _caller_name(self) -> str:
        return self._called.symbolise(self._caller)

    def _printk(self) -> int:
        """``int printk(const char *format, ...)``: how many bytes were printed."""
        number = 0

        def next_word() -> int:
            nonlocal number
            number += 1
            return self._argument(number)

        out = render(self._string(self._argument(0)), next_word, self._string)
        self._called.console.write(out)
        return len(out)

    def _string(self, at: int) -> bytes:
        return c_string(at, self._called.read_virtual)

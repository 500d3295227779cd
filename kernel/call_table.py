"""What answers ``int 0x80`` whatever a kernel's memory is like: the table of calls, and those about the process itself.

A call gets the word at which the trap frame begins, and returns what EAX is to be; None leaves EAX alone, because
somebody else runs from now on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from hillemu.emu.errors import UserMistake
from hillemu.kernel.errno import Errno
from hillemu.kernel.mm.parts import must_take
from hillemu.kernel.mm.words import Words
from hillemu.kernel.process_base import State
from hillemu.kernel.trap_frame import EAX

Call = Callable[[int], int | None]


class Caller(Protocol):
    """What is asked of a process here."""

    @property
    def pid(self) -> int: ...

    @property
    def parent(self) -> int: ...


Running = TypeVar("Running", bound=Caller)


class Turns(Protocol[Running]):
    """What is asked of a scheduler here."""

    current: Running | None

    def yield_(self) -> None: ...

    def block(self, state: State) -> None: ...


class CallTable(Generic[Running]):
    """Calls by number, for whoever runs; a kernel adds its own, and says which there are."""

    def __init__(self, scheduler: Turns[Running], words: Words) -> None:
        self._scheduler, self._words = scheduler, words
        self._calls: dict[int, Call] = {}

    @property
    def numbers(self) -> frozenset[int]:
        """The calls that there are; all others are ENOSYS."""
        return frozenset(self._calls)

    def add(self, number: int, call: Call) -> None:
        """Have a `call` of the user's answer this number, instead of whatever has answered it until now.

        Raises `UserMistake` for an impossible number, and for what cannot be called with a word; so does the trap if it
        returns what is no result.
        """
        if not isinstance(number, int) or not 0 <= number < 1 << 32:
            raise UserMistake(f"there can be no system call {number!r}: EAX has 0 to 0xFFFFFFFF")
        must_take(call, f"system call {number}", "the word of its trap frame", (0,))

        def checked(frame: int) -> int | None:
            result = call(frame)
            if result is not None and not isinstance(result, int):
                raise UserMistake(f"system call {number} returned {result!r}: it is to return a number, or None")
            return result

        self._calls[number] = checked

    def __call__(self, frame: int) -> None:
        """Answer the call whose trap frame is at word `frame`."""
        words = self._words
        call = self._calls.get(words[frame + EAX])
        result = Errno.ENOSYS if call is None else call(frame)
        if result is not None:
            words[frame + EAX] = result & 0xFFFFFFFF

    @property
    def _process(self) -> Running:
        process = self._scheduler.current
        assert process is not None, "int 0x80 comes from ring 3, where only processes are"
        return process

    def _getpid(self, frame: int) -> int:
        return self._process.pid

    def _getppid(self, frame: int) -> int:
        return self._process.parent

    def _yield(self, frame: int) -> None:
        self._words[frame + EAX] = 0
        self._scheduler.yield_()

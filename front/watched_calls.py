"""Calls of a guest's functions, seen at their first instruction and, if wanted, when they return."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hillemu.emu.errors import UserMistake

if TYPE_CHECKING:
    from hillemu.machine import Machine

WORD_BYTES = 4
_MOST_OPEN_CALLS = 10_000
"""Calls that never return (a context switch, a longjmp) would pile up; the oldest are forgotten."""


class Call:
    """The guest is about to execute the first instruction of a function, or has returned from it.

    Arguments lie on the stack, as C's calling convention for i386 (cdecl) has them.  They can be read while a callback
    runs; when the function has returned, it may have changed them.
    """

    def __init__(self, machine: Machine, address: int) -> None:
        self._machine = machine
        self.address = address
        """Linear address of the function."""
        self.result: int | None = None
        """EAX when it returned; None before."""

    @cached_property
    def _stack(self) -> int:
        """Where the return address lies.  Found when it is asked for: most who count calls never do."""
        cpu = self._machine.cpu
        return cpu.segment("ss").base + cpu.esp & 0xFFFFFFFF

    @property
    def function(self) -> str:
        """The function's name, or its address."""
        return _name(self._machine, self.address)

    @cached_property
    def return_address(self) -> int:
        """Where it will return to: what lies on top of the stack."""
        return self._stack_word(0)

    @property
    def caller(self) -> str:
        """Where it was called, as people read it: ``kmain+0x1c``; the place is that of the return."""
        return _name(self._machine, self.return_address)

    def arg(self, number: int, kind: str | None = None) -> Any:
        """Argument `number`, from 0: a word of four bytes, unsigned, or a value of the C type `kind`.

        Every argument in front of it must be one word; `kind` may be larger.  Raises `UnknownType` for a type that
        nobody told of, `UserMistake` where the stack is not mapped.
        """
        if kind is None:
            return self._stack_word(1 + number)
        return self._machine.read(kind, self._stack + WORD_BYTES * (1 + number) & 0xFFFFFFFF)

    argument = arg

    def _stack_word(self, number: int) -> int:
        at = self._stack + WORD_BYTES * number & 0xFFFFFFFF
        data = self._machine.read(at, WORD_BYTES)
        if len(data) < WORD_BYTES:
            raise UserMistake(f"the stack is not mapped at {at:#010x}: this is no call of a C function")
        return int.from_bytes(data, "little")

    def __repr__(self) -> str:
        result = "" if self.result is None else f" = {self.result:#x}"
        return f"<Call of {self._machine.symbols.describe(self.address)}{result}>"


class CallWatch:
    """Tells of the calls of one function; `on_return` is told of each call that has returned, with its `result`.

    A return is the arrival at the return address with the stack as the call left it: recursion and other threads that
    run in between are told apart.
    """

    HAS_STATE = False

    def __init__(
        self,
        machine: Machine,
        address: int,
        on_call: Callable[[Call], None] | None,
        on_return: Callable[[Call], None] | None,
    ) -> None:
        self._machine = machine
        self._address = address
        self._on_call = on_call
        self._on_return = on_return
        self._open: dict[tuple[int, int], Call] = {}
        self._return_places: set[int] = set()
        self._observers = machine.cpu.processor.observers
        self._observers.on_arrival(address, self._arrived)

    def remove(self) -> None:
        """Tell no more."""
        self._observers.remove_on_arrival(self._address, self._arrived)
        for place in self._return_places:
            self._observers.remove_on_arrival(place, self._returned)
        self._return_places.clear()
        self._open.clear()

    def _arrived(self, address: int) -> None:
        call = Call(self._machine, address)
        if self._on_return is not None:
            self._expect_return(call)
        if self._on_call is not None:
            self._on_call(call)

    def _expect_return(self, call: Call) -> None:
        place = self._machine.cpu.segment("cs").base + call.return_address & 0xFFFFFFFF
        if place not in self._return_places:
            # Kept until the end: a place that is called from is called from again.
            self._return_places.add(place)
            self._observers.on_arrival(place, self._returned)
        self._open[place, call._stack + WORD_BYTES & 0xFFFFFFFF] = call
        if len(self._open) > _MOST_OPEN_CALLS:
            del self._open[next(iter(self._open))]

    def _returned(self, place: int) -> None:
        cpu = self._machine.cpu
        call = self._open.pop((place, cpu.segment("ss").base + cpu.esp & 0xFFFFFFFF), None)
        if call is not None and self._on_return is not None:
            call.result = cpu.eax
            self._on_return(call)


def _name(machine: Machine, address: int) -> str:
    found = machine.symbols.nearest(address)
    if found is None:
        return f"{address:#010x}"
    name, offset = found
    return f"{name}+{offset:#x}" if offset else name

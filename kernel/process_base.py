"""What a process is in every hosted kernel: a number, a name, memory of its own, and a record in guest memory.

Kernels lay their records out in their own ways; `Members` says where in them lies what all of them have.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import IntEnum
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeVar

from hillemu.kernel.mm.words import Words

ANY_CHILD = 0xFFFFFFFF
"""In `waits_for`: -1 of waitpid."""
NAME_BYTES = 16


class State(IntEnum):
    """What a process is doing; the value is what `state` has."""

    READY = 1
    """It runs, or could."""
    SLEEPING = 2
    """Until a moment that its kernel knows."""
    WAITING = 3
    """For a child's end."""
    ZOMBIE = 4
    """It has ended, and nobody has asked for its status yet."""


class Members(NamedTuple):
    """The words of a record that all kernels have, by number."""

    parent: int
    """The parent's pid; 0 for what the kernel has started itself, and for orphans."""
    state: int
    exit_status: int
    """As waitpid gives it."""
    waits_for: int
    """A pid, or `ANY_CHILD`, while it waits."""
    status_at: int
    """Where the program wants the status of that child; 0: nowhere."""
    fpu: int
    """Where its coprocessor registers are saved; 0 until it uses them."""


class UserSpace(Protocol):
    """What is asked of a process's memory here."""

    @property
    def cr3(self) -> int: ...

    def copy_out(self, at: int, data: bytes, /) -> bool:
        """Write to the program's memory; False if it may not write there itself."""

    def destroy(self) -> None:
        """Give all of it back."""


Space = TypeVar("Space", bound=UserSpace)


class ProcessBase(ABC, Generic[Space]):
    """The Python side of `record`, whose words lie as `MEMBERS` says."""

    MEMBERS: ClassVar[Members]

    space: Space | None
    """Its memory; None for a zombie, and for a thread of the kernel."""

    def __init__(self, record: Words, pid: int, name: str) -> None:
        self.record, self.pid, self.name = record, pid, name

    def __str__(self) -> str:
        return f"{self.name}[{self.pid}]"

    @property
    def state(self) -> State:
        return State(self.record[self.MEMBERS.state])

    @state.setter
    def state(self, value: State) -> None:
        self.record[self.MEMBERS.state] = value

    @property
    def parent(self) -> int:
        """Its parent's pid; 0 for one that the kernel has started."""
        return self.record[self.MEMBERS.parent]

    @parent.setter
    def parent(self, pid: int) -> None:
        self.record[self.MEMBERS.parent] = pid

    @property
    def exit_status(self) -> int:
        """How it ended, as waitpid gives it."""
        return self.record[self.MEMBERS.exit_status]

    @exit_status.setter
    def exit_status(self, status: int) -> None:
        self.record[self.MEMBERS.exit_status] = status

    @property
    def fpu(self) -> int:
        """The address of its save area; 0 until it uses the coprocessor."""
        return self.record[self.MEMBERS.fpu]

    @fpu.setter
    def fpu(self, at: int) -> None:
        self.record[self.MEMBERS.fpu] = at

    def wait_for(self, pid: int, status_at: int) -> None:
        """Remember for whose end it waits, and where it wants the status."""
        self.record[self.MEMBERS.waits_for], self.record[self.MEMBERS.status_at] = pid, status_at

    def awaits(self, child: ProcessBase[Space]) -> bool:
        """Whether it waits for the end of `child`, or of any child."""
        return self.state is State.WAITING and self.record[self.MEMBERS.waits_for] in (ANY_CHILD, child.pid)

    @property
    def status_at(self) -> int:
        """Where it wants the status of the child that it waits for."""
        return self.record[self.MEMBERS.status_at]

    @property
    @abstractmethod
    def frame(self) -> int:
        """The address of its trap frame while it does not run."""

    @property
    @abstractmethod
    def stack_top(self) -> int:
        """ESP0 while it runs."""

    @abstractmethod
    def drop_space(self) -> None:
        """Give its memory back; the processor must not use its page tables any more."""

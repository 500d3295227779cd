"""What a debugger can do to a machine: the one thing that the protocol knows of it.

Everything here happens between two instructions; only `Target.interrupt` is called while the machine runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, IntEnum
from typing import NamedTuple, Protocol

from hillemu.emu.gdb.agent_expressions import Expression
from hillemu.emu.gdb.registers import Register


class TargetError(Exception):
    """The machine cannot do what was asked; the client is answered with ``E`` and `number`."""

    def __init__(self, number: ErrorNumber, message: str) -> None:
        super().__init__(message)
        self.number = number


class Unsupported(Exception):
    """The machine knows nothing of the sort; the client is answered as to an unknown packet."""


class ErrorNumber(IntEnum):
    """Numbers for ``E NN``, as errno has them."""

    NO_SUCH = 0x02
    """What is named is not there."""
    MEMORY = 0x0E
    """Memory cannot be reached."""
    INVALID = 0x16
    """A malformed packet, or a value that makes no sense."""


class HostSignal(IntEnum):
    """Why the machine stopped, in the only words that the protocol has."""

    INT = 2
    """The user interrupted it."""
    TRAP = 5
    """A breakpoint, or a step is done."""
    ABRT = 6
    """The emulator could not go on."""
    SEGV = 11
    """The processor shut down."""
    TERM = 15
    """The run is over: the guest said so, or a limit is reached."""
    STOP = 17
    """The guest halted for good, or hangs."""


class StopCause(Enum):
    """What a stop with `HostSignal.TRAP` came from; the values are the protocol's names."""

    STEP = ""
    SOFTWARE_BREAKPOINT = "swbreak"
    HARDWARE_BREAKPOINT = "hwbreak"
    WRITE_WATCHPOINT = "watch"
    READ_WATCHPOINT = "rwatch"
    ACCESS_WATCHPOINT = "awatch"
    HISTORY_BEGINS = "replaylog:begin"
    """Going backwards reached the oldest moment that is known."""


class Stopped(NamedTuple):
    """The machine stands still.  `watched` is the linear address that a watchpoint saw."""

    signal: HostSignal
    cause: StopCause = StopCause.STEP
    watched: int | None = None
    message: str = ""
    """For the person at the debugger; empty or one line."""


class Ended(NamedTuple):
    """The run is over, with the exit status `status` (0 to 255); nothing can be asked any more."""

    status: int
    message: str = ""


Outcome = Stopped | Ended


class PointKind(IntEnum):
    """The kinds of ``Z`` packets."""

    SOFTWARE_BREAKPOINT = 0
    HARDWARE_BREAKPOINT = 1
    WRITE_WATCHPOINT = 2
    READ_WATCHPOINT = 3
    ACCESS_WATCHPOINT = 4


BREAKPOINTS = frozenset((PointKind.SOFTWARE_BREAKPOINT, PointKind.HARDWARE_BREAKPOINT))


class Motion(Enum):
    """How the machine is set in motion."""

    CONTINUE = "continue"
    STEP = "step"
    REVERSE_CONTINUE = "reverse-continue"
    REVERSE_STEP = "reverse-step"


class Resume(NamedTuple):
    """Set the machine in motion.

    A step repeats while the program counter stays in `stay_in` (start, end), as GDB's range stepping wants it.
    """

    motion: Motion
    stay_in: tuple[int, int] = (0, 0)


class Region(NamedTuple):
    """A range of linear addresses that GDB may ask for.

    GDB asks for the map once, and refuses addresses outside; so what paging may map later must be in it from the start.
    """

    base: int
    size_bytes: int
    writable: bool


class Target(Protocol):
    """A machine with one i386.

    Addresses are linear, which in protected mode with flat segments is what programs call an address.  Methods may
    raise `TargetError` and `Unsupported`.
    """

    @property
    def machine_name(self) -> str:
        """The architecture in GDB's words, for the code that runs now: ``i386``, or ``i8086`` for 16-bit code."""

    def read_register(self, register: Register) -> bytes | None:
        """A register's value, little-endian; `None` where it cannot be known."""

    def read_expedited(self) -> bytes:
        """The values of `EXPEDITED`, which are always known, one behind the other: every stop tells them."""

    def write_register(self, register: Register, value: bytes) -> None:
        """Set a register; `value` has its size."""

    def read_memory(self, at: int, count: int, *, physical: bool) -> bytes:
        """Up to `count` bytes, shorter at the first that is not there.  Without any effect on the machine."""

    def write_memory(self, at: int, data: bytes, *, physical: bool) -> None:
        """Change memory; if that cannot be done for all of `data`, nothing is changed and `TargetError` raised."""

    def memory_map(self) -> Sequence[Region]:
        """What GDB may ever try to read or write, in ascending order."""

    def add_point(self, kind: PointKind, at: int, length: int, conditions: Sequence[Expression] = ()) -> None:
        """Watch for an arrival at, or an access to, linear address `at`; doing it twice is as doing it once.

        A breakpoint with `conditions` stops where one of them is true.  They take the place of those it had.
        """

    def remove_point(self, kind: PointKind, at: int, length: int) -> None:
        """Take back `add_point`; harmless if there was none."""

    @property
    def goes_backwards(self) -> bool:
        """Whether the machine can be asked for reverse motion."""

    def resume(self, how: Resume) -> None:
        """Set the machine in motion.  How it stops is told to the session by whoever runs the machine."""

    def interrupt(self) -> None:
        """Have the machine stop as soon as it can: one that stands still, when it is next set in motion.

        A debugger that steps again and again sends this when its last step is over, but not yet told.
        """

    def last_stop(self) -> Outcome:
        """Why the machine stands still now."""

    def monitor(self, command: str) -> str:
        """Carry out a command for people; what is to be printed."""

    def detach(self) -> None:
        """Forget all points; the machine goes on without a debugger."""

    def kill(self) -> None:
        """End the run."""

    def restart(self) -> None:
        """Boot again, and stand still before the first instruction."""

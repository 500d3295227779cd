"""The processor: Unicorn, made deterministic by the native core.

`Processor` is the only user of the C extension beside it.  It is a register file (`hillemu.emu.guest.Registers`), the
source of virtual time (`hillemu.emu.clock.TickSource`), and the thing that runs.

Not modelled, because Unicorn does not: segment limits, alignment checks (#AC, and #GP for misaligned SSE operands),
data breakpoints in DR0-DR3, #XM, SMEP, VME, machine checks, NMI.  Global pages do not survive a write to CR3.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.bus import Bus
from hillemu.emu.clock import Clock
from hillemu.emu.cpu.models import PHYSICAL_ADDRESS_BITS, CpuModel
from hillemu.emu.errors import LayoutMismatch, OptionError
from hillemu.emu.guest import Segment
from hillemu.emu.i386.vectors import EXCEPTIONS
from hillemu.emu.memory import PhysicalMemory

if TYPE_CHECKING:
    from hillemu.emu.cpu._core import Core

UNICORN_VERSION = "2.1.4"
PHYSICAL_SPACE_END = 1 << PHYSICAL_ADDRESS_BITS
"""Where physical address space ends; a page-table entry that leads beyond it has reserved bits set."""

PORT_ACCESS_NS = 1_000
"""How long IN and OUT keep the processor waiting: an ISA cycle.  Kernels count on it (``outb(0x80)`` as a delay)."""


class CoreMode(StrEnum):
    """How the core works: by interposition, or by Unicorn's public hooks alone.  Both count the same."""

    NATIVE = "native"
    PORTABLE = "portable"


class CoreStop(IntEnum):
    """Why `Processor.run` came back (the C core's StopCode)."""

    REQUESTED = 1
    LIMIT = 2
    BREAKPOINT = 3
    HALT = 4
    TRIPLE_FAULT = 5
    ERROR = 6


class DeliveryKind(StrEnum):
    """What entered the guest's IDT."""

    EXCEPTION = "exception"
    SOFTWARE = "software"
    INTERRUPT = "interrupt"


_DELIVERY_KINDS = (DeliveryKind.EXCEPTION, DeliveryKind.SOFTWARE, DeliveryKind.INTERRUPT)


class Delivery(NamedTuple):
    """One exception, software interrupt or hardware interrupt, as it was before delivery.

    `at` counts instructions; `error_code` is `None` where the vector has none.
    """

    kind: DeliveryKind
    vector: int
    error_code: int | None
    cs: int
    eip: int
    cr2: int
    at: int


def core_mode() -> CoreMode:
    """The mode for this process: ``HILLEMU_CORE=native|portable``, else native where the host allows it."""
    wanted = os.environ.get("HILLEMU_CORE", "")
    if wanted and wanted not in tuple(CoreMode):
        raise OptionError("HILLEMU_CORE", f"{wanted!r} is neither 'native' nor 'portable'")
    can_interpose = sys.platform == "linux" and os.uname().machine == "x86_64"
    return CoreMode(wanted) if wanted else CoreMode.NATIVE if can_interpose else CoreMode.PORTABLE


def _unicorn_library() -> str:
    """Path of libunicorn, found without importing Unicorn's Python binding (which takes 60 ms more)."""
    spec = importlib.util.find_spec("unicorn")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for name in ("libunicorn.so.2", "libunicorn.2.dylib"):
            path = os.path.join(folder, "lib", name)
            if os.path.exists(path):
                return path
    raise LayoutMismatch(f"no libunicorn found: hillemu needs the package unicorn=={UNICORN_VERSION}")


def _load_core() -> type[Core]:
    try:
        from hillemu.emu.cpu._core import Core
    except ImportError as error:
        raise LayoutMismatch(f"the native core is not built ({error}); install hillemu with a C compiler") from None
    return Core


class Processor:
    """One i386.

    `acknowledge` answers an interrupt with its vector (the 8259's INTA cycle).  `ports` and `mmio` receive I/O;
    whatever is neither in `memory` nor a device is open bus.

    Raises `LayoutMismatch` when the Unicorn found is not the one that the core knows.
    """

    def __init__(
        self,
        *,
        model: CpuModel,
        memory: PhysicalMemory,
        ports: Bus,
        mmio: Bus,
        clock: Clock,
        acknowledge: Callable[[], int],
    ) -> None:
        self.model = model
        self.mode = core_mode()
        try:
            self._core = _load_core()(
                _unicorn_library(),
                self.mode is CoreMode.NATIVE,
                model.unicorn_model,
                ports.read,
                ports.write,
                mmio.read,
                mmio.write,
                clock.run_due,
                acknowledge,
            )
        except ImportError as error:
            raise LayoutMismatch(str(error)) from None
        self._core.configure(
            cpuid=model.cpuid_leaves,
            msrs=model.msrs,
            features=model.feature_words,
            cr4_valid=model.cr4_valid,
            eflags_fixed=model.eflags_fixed,
            has_cr4=model.has_cr4,
            has_sysenter=bool(model.edx & 1 << 11),
            io_ticks=clock.ticks_from_ns(PORT_ACCESS_NS),
        )
        self._map(memory)
        memory.on_write = self._core.host_wrote
        self.ticks: Callable[[], int] = self._core.ticks
        self.set_deadline: Callable[[int], None] = self._core.set_deadline
        self.set_interrupt_line: Callable[[bool], None] = self._core.set_interrupt_line
        self.set_a20: Callable[[bool], None] = self._core.set_a20
        self.flush_tlb: Callable[[], None] = self._core.flush_tlb
        self.stop: Callable[[], None] = self._core.stop
        self.get: Callable[[str], int] = self._core.get
        clock.attach(self)
        self.reset()

    def _map(self, memory: PhysicalMemory) -> None:
        """Map RAM and ROM, and everything between and behind them as I/O."""
        at = 0
        for base, size, buffer, offset, writable in sorted(memory.areas, key=lambda area: area[0]):
            if at < base:
                self._core.map_mmio(at, base - at)
            self._core.map_memory(base, buffer, offset, size, writable)
            at = base + size
        if at < PHYSICAL_SPACE_END:
            self._core.map_mmio(at, PHYSICAL_SPACE_END - at)

    # ---- registers ----------------------------------------------------------------------------------------------

    def set(self, name: str, value: int) -> None:
        """Set a register; control registers act as MOV to them does (TLB flushes, mode changes)."""
        self._core.set(name, value)

    def segment(self, name: str) -> Segment:
        return Segment(*self._core.segment(name))

    def set_segment(self, name: str, value: Segment) -> None:
        """Load a segment register together with its hidden part; SS sets the privilege level."""
        self._core.set_segment(name, value.selector, value.base, value.limit, value.attributes)

    def registers(self) -> dict[str, int]:
        """All of them at once."""
        return self._core.registers()

    # ---- running ------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """The state after RESET: real mode, CS:EIP at the last 16 bytes of the 32-bit space."""
        self._core.reset(self.model.signature)

    def run(
        self, *, instructions: int | None = None, ticks: int | None = None, over_breakpoint: bool = True
    ) -> CoreStop:
        """Run up to `instructions` more, exactly, or until `ticks` of virtual time have passed; `None`: no limit.

        A breakpoint at the current EIP is passed `over_breakpoint`, or stops the run at once.  An exception in a
        device is raised here.
        """
        return CoreStop(
            self._core.run(
                -1 if instructions is None else instructions, -1 if ticks is None else ticks, over_breakpoint
            )
        )

    @property
    def instructions(self) -> int:
        """Instructions retired since power-on; each iteration of a REP counts."""
        return self._core.instructions()

    @property
    def deliveries(self) -> list[Delivery]:
        """The last 16 exceptions and interrupts, oldest first."""
        return [_delivery(*row) for row in self._core.deliveries()]

    @property
    def error_text(self) -> str:
        """What Unicorn said when it gave up."""
        return self._core.error_text()

    def add_breakpoint(self, at: int) -> None:
        self._core.add_breakpoint(at)

    def remove_breakpoint(self, at: int) -> None:
        self._core.remove_breakpoint(at)


def _delivery(kind: int, vector: int, error_code: int, cs: int, eip: int, cr2: int, at: int) -> Delivery:
    pushes_code = kind == 0 and vector in EXCEPTIONS and EXCEPTIONS[vector].has_error_code
    return Delivery(_DELIVERY_KINDS[kind], vector, error_code if pushes_code else None, cs, eip, cr2, at)

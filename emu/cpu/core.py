"""The processor: Unicorn, made deterministic by the native core.

`Processor` is the only user of the C extension beside it.  It is a register file (`hillemu.emu.guest.Registers`), the
source of virtual time (`hillemu.emu.clock.TickSource`), and the thing that runs.

Not modelled, because Unicorn does not: alignment checks (#AC), #XM, VME, machine checks, and some segment limits (see
native/limits.c).  Global pages do not survive a write to CR3.  Instruction breakpoints in DR0-DR3 compare EIP, as if
CS began at 0.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from enum import IntEnum, StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.bus import Bus
from hillemu.emu.clock import Clock
from hillemu.emu.cpu.doors import DataWindow, StillWord
from hillemu.emu.cpu.libraries import load_core, unicorn_library
from hillemu.emu.cpu.models import PHYSICAL_ADDRESS_BITS, CpuModel
from hillemu.emu.errors import LayoutMismatch, OptionError
from hillemu.emu.guest import Segment
from hillemu.emu.i386.vectors import EXCEPTIONS
from hillemu.emu.memory import USUAL_VIDEO_RAM, VIDEO_RAM_BYTES, Area, PhysicalMemory

if TYPE_CHECKING:
    from hillemu.emu.cpu.cycles import CycleCounter
    from hillemu.emu.cpu.observers import Observers
    from hillemu.emu.cpu.profile import Profiler
    from hillemu.emu.cpu.tlb_lint import TlbLint
    from hillemu.emu.timing.model import TimingModel

PHYSICAL_SPACE_END = 1 << PHYSICAL_ADDRESS_BITS
"""Where physical address space ends; a page-table entry that leads beyond it has reserved bits set."""

EVERYWHERE = range(1 << 32)
"""All linear addresses."""

PORT_ACCESS_NS = 1_000
"""How long IN and OUT keep the processor waiting without a timing model: an ISA cycle, as kernels' delays expect."""


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
    WATCHPOINT = 7


_STOPS = {stop.value: stop for stop in CoreStop}


class DeliveryKind(StrEnum):
    """What entered the guest's IDT."""

    EXCEPTION = "exception"
    SOFTWARE = "software"
    INTERRUPT = "interrupt"


CoreState = tuple[bytes, bytes, bytes, list[tuple[object, ...]]]
"""The native core's."""

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


class Processor:
    """One i386.

    `acknowledge` answers an interrupt with its vector (the 8259's INTA cycle).  `ports` and `mmio` receive I/O;
    whatever is neither in `memory` nor a device is open bus.  `device_msrs` has the model-specific registers that are
    a device's, by number: how to read, and how to write (`False` refuses the value, which gives #GP).

    Raises `LayoutMismatch` when the Unicorn found is not the one that the core knows.
    """

    OUTSIDE_STATE = frozenset({"_core", "_mapped", "_map_changed", "_observers", "_running", "_when_next_stopped"})
    """For snapshots: the native core has a state of its own, and mapping follows the memory's wishes."""

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
            self._core = load_core()(
                unicorn_library(),
                self.mode is CoreMode.NATIVE,
                model.unicorn_model,
                ports.read,
                ports.write,
                mmio.read,
                mmio.write,
                clock.run_due,
                acknowledge,
                self._read_msr,
                self._write_msr,
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
        self._core.count_unanswered(mmio.silent, *mmio.unhandled, mmio.count_unit)
        mmio.settle = self._core.settle_unanswered
        self.device_msrs: dict[int, tuple[Callable[[], int], Callable[[int], bool]]] = {}
        self._memory = memory
        self._mapped: dict[tuple[int, int], Area | None] = {}
        self._still_words = 0
        self._observers: Observers | None = None
        self._when_next_stopped: list[Callable[[], None]] = []
        self._map_changed = self._stop_wanted = self._reset_wanted = self._running = False
        self._map()
        memory.on_map_change = self._rearrange_soon
        memory.on_write = self._core.host_wrote
        self.ticks: Callable[[], int] = self._core.ticks
        self.set_deadline: Callable[[int], None] = self._core.set_deadline
        self.set_interrupt_line: Callable[[bool], None] = self._core.set_interrupt_line
        self.set_a20: Callable[[bool], None] = self._core.set_a20
        self.flush_tlb: Callable[[], None] = self._core.flush_tlb
        self.pull_nmi: Callable[[], None] = self._core.pull_nmi
        self.get: Callable[[str], int] = self._core.get
        clock.attach(self)
        self.reset()

    # ---- the memory map -----------------------------------------------------------------------------------------

    def _map(self) -> None:
        """Map memory, and everything between and behind as I/O; what is mapped rightly already stays."""
        self._map_changed = False
        wanted: dict[tuple[int, int], Area | None] = {}
        at = 0
        for area in self._memory.areas:
            for gap in _cut(at, area.base):
                wanted[gap] = None
            wanted[area.base, area.size_bytes] = area
            at = area.end
        if at < PHYSICAL_SPACE_END:
            wanted[at, PHYSICAL_SPACE_END - at] = None
        for place, mapped in list(self._mapped.items()):
            if place not in wanted or not _same(wanted[place], mapped):
                self._core.unmap(*place)
                del self._mapped[place]
        for place, wish in wanted.items():
            if place not in self._mapped:
                if wish is None:
                    self._core.map_mmio(*place)
                else:
                    self._core.map_memory(wish.base, wish.buffer, wish.offset, wish.size_bytes, wish.writable)
                self._mapped[place] = wish

    def _rearrange_soon(self) -> None:
        """The map has changed: the next instruction must see it, wherever the processor is."""
        self._map_changed = True
        if self._running:
            self._core.stop()

    def _when_stopped(self, act: Callable[[], None]) -> None:
        """Act now, or at once behind the current instruction, where the run goes on."""
        if self._running:
            self._when_next_stopped.append(act)
            self._core.stop()
        else:
            act()

    def data_window(self, port: int) -> DataWindow:
        """The door through which a device lets its data port `port` be read or written without being called."""
        return DataWindow(self._core, port)

    def still_word(self) -> StillWord:
        """A door for one memory-mapped word; there are two."""
        self._still_words += 1
        return StillWord(self._core, self._still_words - 1)

    def count_cycles(self, model: TimingModel) -> CycleCounter:
        """Have a tick be a cycle of `model`; before anything runs.  Raises `OptionError` where that cannot be."""
        from hillemu.emu.cpu.cycles import CycleCounter

        board_from = self._memory.low_end
        return CycleCounter(self._core, model, is_native=self.mode is CoreMode.NATIVE, board_from=board_from)

    def lint_tlb(self) -> TlbLint:
        """From here on, find translations that are used after their page tables changed.

        Raises `OptionError` on the portable core.
        """
        from hillemu.emu.cpu.tlb_lint import TlbLint

        return TlbLint(self._core, is_native=self.mode is CoreMode.NATIVE)

    # ---- model-specific registers -------------------------------------------------------------------------------

    def _read_msr(self, index: int) -> int | None:
        found = self.device_msrs.get(index)
        return found[0]() if found else None

    def _write_msr(self, index: int, value: int) -> bool:
        found = self.device_msrs.get(index)
        return bool(found and found[1](value))

    def set_cpuid_feature(self, edx_bit: int, on: bool) -> None:
        """Show or hide a feature of CPUID.1:EDX; the local APIC's follows its enable bit."""
        edx = self.model.edx | edx_bit if on else self.model.edx & ~edx_bit
        self._core.set_cpuid_edx(1, edx)

    # ---- registers ----------------------------------------------------------------------------------------------

    def set(self, name: str, value: int) -> None:
        """Set a register; control registers act as MOV to them does (TLB flushes, mode changes)."""
        self._core.set(name, value)

    def segment(self, name: str) -> Segment:
        return Segment(*self._core.segment(name))

    @property
    def linear_eip(self) -> int:
        """EIP with the base of CS added: where the next instruction is before paging."""
        return self._core.linear_eip()

    def set_segment(self, name: str, value: Segment) -> None:
        """Load a segment register together with its hidden part; SS sets the privilege level."""
        self._core.set_segment(name, value.selector, value.base, value.limit, value.attributes)

    def registers(self) -> dict[str, int]:
        """All of them at once."""
        return self._core.registers()

    def basic_registers(self) -> bytes:
        """EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI, EIP as a linear address, EFLAGS: 32 bits each, little-endian."""
        return self._core.basic_registers()

    def fpu_get(self, name: str) -> bytes:
        """A register of the x87 or of SSE, little-endian: ``st0``-``st7``, ``xmm0``-``xmm7``, ``mxcsr``, ``fcw``...

        The others are ``fsw``, ``ftw`` (the full tag word), ``fop``, ``fcs``, ``fip``, ``fds`` and ``fdp``.
        """
        return self._core.fpu_get(name)

    def fpu_set(self, name: str, value: bytes) -> None:
        """Set one of them; `value` is as long as what `fpu_get` returns."""
        self._core.fpu_set(name, value)

    # ---- running ------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """The state after RESET: real mode, CS:EIP at the last 16 bytes of the 32-bit space."""
        self._reset_wanted = False
        self._core.reset(self.model.signature)

    def reset_soon(self) -> None:
        """Pull RESET, also from a device access: the instruction that does it is the last one before."""
        self._reset_wanted = True
        if self._running:
            self._core.stop()

    def run(
        self,
        *,
        instructions: int | None = None,
        ticks: int | None = None,
        over_breakpoint: bool = True,
        stay_in: range = EVERYWHERE,
    ) -> CoreStop:
        """Run up to `instructions` more, exactly, or until `ticks` of virtual time have passed; `None`: no limit.

        A breakpoint at the current EIP is passed `over_breakpoint`, or stops the run at once.  Every linear
        address outside `stay_in` is as a breakpoint.  An exception in a device is raised here.
        """
        core = self._core
        end = None if instructions is None else core.instructions() + instructions
        deadline = None if ticks is None else core.ticks() + ticks
        if not stay_in:
            return CoreStop.BREAKPOINT
        place = () if stay_in == EVERYWHERE else (stay_in.start, len(stay_in))
        if self._observers is not None:
            self._observers.hits = []
        while True:
            while self._when_next_stopped:
                self._when_next_stopped.pop(0)()
            if self._map_changed:
                self._map()
            if self._reset_wanted:
                self.reset()
            instructions_left = -1 if end is None else max(end - core.instructions(), 0)
            ticks_left = -1 if deadline is None else max(deadline - core.ticks(), 0)
            self._running = True
            try:
                stop = _STOPS[core.run(instructions_left, ticks_left, over_breakpoint, *place)]
            finally:
                self._running = False
            ours = self._map_changed or self._reset_wanted or bool(self._when_next_stopped)
            if stop is not CoreStop.REQUESTED or self._stop_wanted or not ours:
                self._stop_wanted = False
                return stop
            over_breakpoint = False

    def stop(self) -> None:
        """End the run that is going on, behind the instruction that is being executed."""
        self._stop_wanted = True
        self._core.stop()

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

    # ---- snapshots ----------------------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether an instruction is being executed, perhaps one that has called us."""
        return self._running

    def state(self) -> CoreState:
        """What `set_state` needs to go on from here, on this processor."""
        return self._core.save_state()

    def close_windows(self) -> None:
        """Let go of the devices' buffers, which are about to change."""
        self._core.close_windows()

    def set_state(self, state: CoreState) -> None:
        """Go back to `state`; devices, memory and what was mapped must be as they were then already."""
        self._core.load_state(state)
        self._map_changed = True

    def host_changed(self, buffer: memoryview, runs: Sequence[tuple[int, int]]) -> None:
        """Forget translated code of `runs` of `buffer` (offsets of start and end), wherever they are mapped."""
        host_wrote = self._core.host_wrote
        for area in self._mapped.values():
            if area is None or area.buffer is not buffer:
                continue
            low, high, to_physical = area.offset, area.offset + area.size_bytes, area.base - area.offset
            for start, end in runs:
                if low <= start and end <= high:
                    host_wrote(start + to_physical, end - start)
                elif start < high and end > low:
                    first = max(start, low)
                    host_wrote(first + to_physical, min(end, high) - first)

    def add_breakpoint(self, at: int) -> None:
        self._core.add_breakpoint(at)

    def remove_breakpoint(self, at: int) -> None:
        self._core.remove_breakpoint(at)

    def take_profile(self) -> Profiler:
        """Note what each instruction takes, from now on; one profile at a time."""
        from hillemu.emu.cpu.profile import Profiler

        return Profiler(self._core, is_native=self.mode is CoreMode.NATIVE)

    @property
    def observers(self) -> Observers:
        """Who watches memory, CR3, page faults and calls."""
        if self._observers is None:
            from hillemu.emu.cpu.observers import Observers  # most runs are not watched

            self._observers = Observers(self._core, self.mode is CoreMode.NATIVE, self._when_stopped)
        return self._observers


def _cut(start: int, end: int) -> list[tuple[int, int]]:
    """The gap from `start` to `end` in pieces (start, bytes) that end where video memory usually comes and goes.

    Unicorn takes 25 ns for each page that it unmaps: 25 ms for a piece of 4 GiB.
    """
    at = [start, *(cut for cut in _CUTS if start < cut < end), end]
    return [(a, b - a) for a, b in pairwise(at) if a < b]


_CUTS = (USUAL_VIDEO_RAM, USUAL_VIDEO_RAM + VIDEO_RAM_BYTES)


def _same(a: Area | None, b: Area | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.buffer is b.buffer and a.offset == b.offset and a.writable == b.writable


def _delivery(kind: int, vector: int, error_code: int, cs: int, eip: int, cr2: int, at: int) -> Delivery:
    pushes_code = kind == 0 and vector in EXCEPTIONS and EXCEPTIONS[vector].has_error_code
    return Delivery(_DELIVERY_KINDS[kind], vector, error_code if pushes_code else None, cs, eip, cr2, at)

"""The local APIC of a Pentium 4, as QEMU has it (version 14h, six LVT entries).

It is a page of physical memory, at FEE00000h after reset; each register is 32 bits, 16 bytes from the next (offsets and
reset values are in `lapic_registers`)::

    020 ID     080 TPR     0D0 LDR    100-170 ISR   280 ESR          320-370 LVT: timer, thermal, performance,
    030 version 0A0 PPR    0E0 DFR    180-1F0 TMR   300 ICR low              LINT0, LINT1, error
               0B0 EOI     0F0 SVR    200-270 IRR   310 ICR high     380 initial, 390 current count, 3E0 divide

Interrupts come from the two pins, from the timer, from errors, from the processor itself (ICR) and as messages from the
I/O APIC (`accept`).  `intr` is high while the processor can have one; `acknowledge` gives it.  In virtual wire mode
(LINT0 is ExtINT, as firmware leaves it) and while the APIC is disabled in IA32_APIC_BASE, LINT0 is the 8259A's INTR.

A `Line` is high while its driver asks for an interrupt, so the polarity of LINT0 and LINT1 is kept but has no meaning.
There is one processor: an IPI to others reaches nobody, and SIPI finds none that waits.  An IPI with a shorthand that
the manual calls invalid is not sent.

Not modelled, and reported when a guest asks for it: SMI, accesses that are not aligned 32-bit words (reads give the
bytes of the register, writes do nothing), active-low pins, TSC-deadline mode.  Not modelled: interrupts from thermal
and performance monitoring, which no model of the processor has; x2APIC mode, which IA32_APIC_BASE refuses; APR and RRD,
which this generation lacks and which read as 0.

Source: Intel SDM Vol. 3A, "Advanced Programmable Interrupt Controller (APIC)"; Vol. 4, IA32_APIC_BASE.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.clock import Clock
from hillemu.emu.devices.apic import lapic_registers as reg
from hillemu.emu.devices.apic.apic_message import (
    EXTINT,
    FIXED,
    INIT,
    LOWEST_LEGAL_VECTOR,
    LOWEST_PRIORITY,
    NMI,
    SMI,
    STARTUP,
    is_addressed,
)
from hillemu.emu.devices.apic.apic_priority import PendingInterrupts
from hillemu.emu.devices.apic.lapic_sources import LocalSources
from hillemu.emu.reports import Report, unheard
from hillemu.emu.wires import Line


def _nobody_hears(vector: int) -> None:
    """No I/O APIC is told of the EOI."""


def _stays(base: int | None) -> None:
    """Nobody moves the window."""


def _nobody_asks(apic_id: int) -> None:
    """Nobody keeps the ID."""


class Lapic:
    """The chip.  `lint0` and `lint1` are its pins; `lint0` is driven by the 8259A's INT.

    `pic_acknowledge()` does the 8259A's INTA cycle.  `nmi()` and `init()` interrupt and reset the processor.
    `on_eoi(vector)` runs at the EOI of a level-triggered interrupt, `on_base(address)` when the register window has
    moved; its address is `None` while the APIC is disabled.  `on_id(value)` runs when the ID register may have changed:
    kernels that ask it for the processor they run on do so at every lock, so the board lets them read it elsewhere.

    >>> lapic = Lapic(clock=Clock(), intr=Line(), pic_acknowledge=lambda: 8, nmi=lambda: None, init=lambda: None)
    >>> lapic.set_up_virtual_wire()
    >>> lapic.accept(0x30, FIXED, False, 0, False), lapic.intr.level, hex(lapic.acknowledge())
    (True, True, '0x30')
    >>> lapic.lint0.set(True); lapic.acknowledge()
    8
    """

    def __init__(
        self,
        *,
        clock: Clock,
        intr: Line,
        pic_acknowledge: Callable[[], int],
        nmi: Callable[[], None],
        init: Callable[[], None],
        on_eoi: Callable[[int], None] = _nobody_hears,
        on_base: Callable[[int | None], None] = _stays,
        on_id: Callable[[int], None] = _nobody_asks,
        physical_address_bits: int = 40,
        report: Report = unheard,
    ) -> None:
        self.intr = intr
        self.on_eoi = on_eoi
        self.on_base = on_base
        self.on_id = on_id
        self._pic_acknowledge = pic_acknowledge
        self._nmi = nmi
        self._init = init
        self._report = report
        self._base_reserved = reg.BASE_RESERVED | reg.BASE_X2APIC | ~((1 << physical_address_bits) - 1)
        self._registers: dict[int, int] = {}
        self._pending = PendingInterrupts()
        self._external_message = False  # an ExtINT message that waits for the processor
        self._sources = LocalSources(clock=clock, registers=self._registers, delivery=self, report=report)
        self.lint0, self.lint1 = self._sources.lint0, self._sources.lint1
        self._writers: dict[int, Callable[[int], None]] = {
            reg.ID: lambda value: self.on_id(self._registers[reg.ID]),
            reg.TPR: self._write_tpr,
            reg.EOI: self._write_eoi,
            reg.SVR: self._write_svr,
            reg.ICR_LOW: self._send,
            **self._sources.writers,
        }
        self._base = reg.BASE_AFTER_RESET
        self._start_anew(apic_id=0)

    def reset(self) -> None:
        """Return to the state after power-up: software-disabled, the entries masked, at FEE00000h."""
        self._start_anew(apic_id=0)
        self.set_base_msr(reg.BASE_AFTER_RESET)

    def set_up_virtual_wire(self) -> None:
        """Do what firmware does before it starts an operating system: let 8259A interrupts and NMI through."""
        for register, value in reg.VIRTUAL_WIRE:
            self.write(register << 4, 4, value)

    # ---- IA32_APIC_BASE -----------------------------------------------------------------------------------------

    @property
    def base(self) -> int | None:
        """The physical address of the registers; `None` while the APIC is disabled."""
        return self._base & ~(reg.WINDOW_BYTES - 1) if self._base & reg.BASE_ENABLE else None

    def base_msr(self) -> int:
        """The model-specific register IA32_APIC_BASE (1Bh)."""
        return self._base

    def set_base_msr(self, value: int) -> bool:
        """Write IA32_APIC_BASE; `False` if it refuses the value, which WRMSR answers with #GP.

        A disabled APIC forgets everything: it is as after power-up when it is enabled again.
        """
        if value & self._base_reserved:
            return False
        before, self._base = self.base, value
        if before is not None and self.base is None:
            self._start_anew(apic_id=0)
        if self.base != before:
            self._sources.connect(self.base is not None)
            self.on_base(self.base)
        return True

    # ---- the processor ------------------------------------------------------------------------------------------

    def acknowledge(self) -> int:
        """Take the next interrupt into service and return its vector.

        The APIC's own come before the 8259A's.  The spurious vector, with nothing in service, where the request has
        vanished.
        """
        vector = self._pending.acknowledge()
        if vector is not None:
            self._sources.vector_moved(vector)
        elif self._sources.external or self._external_message:
            self._external_message = False
            vector = self._pic_acknowledge()
        else:
            vector = self._registers[reg.SVR] & 0xFF
        self.update()
        return vector

    # ---- messages -----------------------------------------------------------------------------------------------

    def accept(self, vector: int, delivery_mode: int, level_triggered: bool, destination: int, logical: bool) -> bool:
        """Take a message if it is for this APIC; whether it did."""
        registers = self._registers
        return (
            bool(self._base & reg.BASE_ENABLE)
            and is_addressed(
                destination,
                logical=logical,
                apic_id=registers[reg.ID] >> 24,
                logical_id=registers[reg.LDR] >> 24,
                model=registers[reg.DFR] >> 28,
            )
            and self._take(vector, delivery_mode, level_triggered)
        )

    def _take(self, vector: int, mode: int, level_triggered: bool) -> bool:
        """Take a message whose destination includes this APIC.  Software-disabled, it takes no maskable interrupt."""
        if mode in (FIXED, LOWEST_PRIORITY):
            return bool(self._registers[reg.SVR] & reg.SOFTWARE_ENABLE) and self.request(vector, level_triggered)
        if mode == EXTINT:
            if not self._registers[reg.SVR] & reg.SOFTWARE_ENABLE:
                return False
            self._external_message = True
            self.update()
            return True
        return self.signal(mode)

    def _send(self, icr: int) -> None:
        """Write the low half of the ICR: send what it says."""
        mode, shorthand, vector = icr >> 8 & 7, icr >> 18 & 3, icr & 0xFF
        if mode == INIT and not icr & reg.Icr.assert_.mask and icr & reg.Icr.level.mask:
            return  # INIT level de-assert: "not supported in the Pentium 4", and nothing to do for one processor
        if mode in (3, EXTINT):
            self._report(f"local APIC: an IPI has the reserved delivery mode {mode}: not sent")
            return
        if mode in (FIXED, LOWEST_PRIORITY) and vector < LOWEST_LEGAL_VECTOR:
            self._sources.error(reg.SEND_ILLEGAL_VECTOR)
            return
        if shorthand in (reg.SELF, reg.ALL):
            if mode == FIXED:
                self._take(vector, mode, False)
            else:
                self._report(f"local APIC: an IPI of delivery mode {mode} cannot have shorthand {shorthand}: not sent")
        elif shorthand == reg.NO_SHORTHAND:
            # "The trigger mode is ignored": IPIs other than INIT de-assert are edges.
            destination = self._registers[reg.ICR_HIGH] >> 24
            self.accept(vector, mode, False, destination, bool(icr & reg.Icr.logical.mask))

    # ---- the bus ------------------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        if offset & 15 or size != 4:
            return self._read_part(offset, size)
        value = self._registers.get(offset >> 4)
        if value is not None:
            return value
        self._sources.timer.settle()  # so that IRR and count agree
        value = self._computed(offset >> 4)
        if value is None:
            self._sources.error(reg.ILLEGAL_REGISTER)
            return 0
        return value

    def peek(self, offset: int, size: int) -> int:
        register, at = divmod(offset, 16)
        value = self._registers.get(register)
        if value is None:
            value = self._computed(register) or 0
        return value >> 8 * at & (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        register = offset >> 4
        if offset & 15 or size != 4:
            self._report("local APIC: a write that is not an aligned 32-bit word is ignored")
            return
        mask = reg.WRITABLE.get(register)
        if mask is not None:
            self._registers[register] = self._registers[register] & ~mask | value & mask
        elif register not in self._registers and self._computed(register) is None:
            self._sources.error(reg.ILLEGAL_REGISTER)
            return
        writer = self._writers.get(register)
        if writer is not None:
            writer(value)

    def _read_part(self, offset: int, size: int) -> int:
        self._report("local APIC: a read that is not an aligned 32-bit word; processors differ in what it gives")
        return self.peek(offset, size)

    def _computed(self, register: int) -> int | None:
        """The registers that are not in `_registers`; `None` if there is no such register."""
        if register == reg.PPR:
            return self._pending.ppr
        if register == reg.CURRENT_COUNT:
            return self._sources.timer.count()
        if reg.ISR <= register < reg.ESR:
            pending = self._pending
            vectors = (pending.isr, pending.tmr, pending.irr)[register - reg.ISR >> 3]
            return vectors >> 32 * (register & 7) & 0xFFFFFFFF
        return None

    def _write_tpr(self, value: int) -> None:
        self._registers[reg.TPR] = self._pending.tpr = value & 0xFF
        self.update()

    def _write_eoi(self, value: int) -> None:
        vector = self._pending.end()
        if vector is None:
            return
        if self._pending.is_level(vector):
            self._sources.level_ended(vector)
            self.on_eoi(vector)
        self.update()

    def _write_svr(self, value: int) -> None:
        self._sources.software_enabled(bool(value & reg.SOFTWARE_ENABLE))

    # ---- for `LocalSources` -------------------------------------------------------------------------------------

    def request(self, vector: int, level_triggered: bool) -> bool:
        """Take `vector` for the processor; `False`, and an error, if it is illegal."""
        if vector < LOWEST_LEGAL_VECTOR:
            self._sources.error(reg.RECEIVE_ILLEGAL_VECTOR)
            return False
        self._pending.request(vector, level=level_triggered)
        self._sources.vector_moved(vector)
        self.update()
        return True

    def signal(self, mode: int) -> bool:
        """Deliver what has no vector and no priority; `False` if there is no such mode."""
        if mode == NMI:
            self._nmi()
        elif mode == INIT:
            self._start_anew(apic_id=self._registers[reg.ID])
            self._init()
        elif mode == SMI:
            self._report("local APIC: an SMI is asked for: system management mode is not modelled")
        elif mode != STARTUP:  # which a processor that does not wait for it ignores
            self._report(f"local APIC: an interrupt message has the reserved delivery mode {mode}: ignored")
        return mode in (NMI, INIT, SMI, STARTUP)

    def is_requested(self, vector: int) -> bool:
        """Whether `vector` is in the IRR."""
        return bool(self._pending.irr >> vector & 1)

    def update(self) -> None:
        """Drive `intr`."""
        self.intr.set(self._sources.external or self._external_message or self._pending.deliverable)

    def _start_anew(self, *, apic_id: int) -> None:
        self._registers.update(reg.AFTER_RESET)
        self._registers[reg.ID] = apic_id
        self.on_id(apic_id)
        self._pending = PendingInterrupts()
        self._external_message = False
        self._sources.reset()

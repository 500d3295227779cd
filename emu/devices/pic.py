"""Intel 8259A interrupt controller, and the pair of them that a PC/AT has.

One chip has two addresses (a PC's master is at ports 0x20-0x21, its slave at 0xA0-0xA1)::

    offset 0, write   bit 4 = 1        ICW1: starts the initialization; ICW2, ICW3, ICW4 follow at offset 1
                      bits 4-3 = 00    OCW2: end of interrupt and priority rotation
                      bits 4-3 = 01    OCW3: special mask mode, poll, choice of the register to read
    offset 0, read    IRR or ISR; after a poll command the poll byte, which also acknowledges
    offset 1          OCW1: the interrupt mask register, IMR

The request of an edge-triggered input is latched at the rising edge; it is withdrawn when the input falls before it is
acknowledged.  (QEMU keeps such a request.)  `Pic.elcr` is the edge/level control register that EISA put beside the chip
(ports 0x4D0 and 0x4D1).

Not modelled, and reported when a guest asks for it: the CALL sequence of the MCS-80/85 mode (8086 vectors are delivered
instead) and the buffered mode (it changes the function of a pin, nothing that a program can see).

Source: Intel 8259A data sheet (231468), "Programming the 8259A" and "Fully Nested Mode" onwards; Intel 82371SB (PIIX3)
data sheet, "ELCR1, ELCR2 - Edge/Level Control Registers".
"""

from __future__ import annotations

from hillemu.emu.errors import WiringError
from hillemu.emu.reports import Report, unheard
from hillemu.emu.wires import Line

CASCADE = 2
"""The master's input that carries the slave's INT in a PC/AT."""
SPURIOUS = 7
"""The level that the chip names when the request has vanished before INTA."""
FLOATING = 0xFF
"""What the data bus reads when no chip drives it."""

_ICW1_INIT = 0x10
_ICW1_LTIM = 0x08
_ICW1_SNGL = 0x02
_ICW1_IC4 = 0x01
_ICW4_SFNM = 0x10
_ICW4_BUF = 0x08
_ICW4_AEOI = 0x02
_ICW4_UPM = 0x01
_OCW2_ROTATE = 0x80
_OCW2_SPECIFIC = 0x40
_OCW2_EOI = 0x20
_OCW3 = 0x08
_OCW3_ESMM = 0x40
_OCW3_SMM = 0x20
_OCW3_POLL = 0x04
_OCW3_RR = 0x02
_OCW3_RIS = 0x01


class Elcr:
    """Edge/level control register: a set bit makes that input level-triggered, whatever ICW1 says."""

    def __init__(self, pic: Pic, writable: int) -> None:
        self._pic = pic
        self._writable = writable
        self.value = 0

    def read(self, offset: int, size: int) -> int:
        return self.value

    peek = read

    def write(self, offset: int, size: int, value: int) -> None:
        self.value = value & self._writable
        self._pic._trigger_modes_changed()


class Pic:
    """One 8259A.  `output` is its INT pin; `elcr_writable` has a bit for each input whose ELCR bit exists.

    >>> intr = Line()
    >>> pic = Pic(intr)
    >>> for offset, value in (0, 0x11), (1, 0x20), (1, 0x04), (1, 0x01): pic.write(offset, 1, value)
    >>> pic.line(3).set(True); intr.level
    True
    >>> hex(pic.vector(pic.acknowledge())), pic.isr
    ('0x23', 8)
    """

    def __init__(
        self,
        output: Line,
        *,
        name: str = "8259A",
        elcr_writable: int = 0xFF,
        report: Report = unheard,
    ) -> None:
        self.output = output
        self.elcr = Elcr(self, elcr_writable)
        self._name = name
        self._report = report
        self._inputs = 0
        self._auto_eoi = False
        self._rotate_in_auto_eoi = False
        self._poll = False
        self._power_on()
        self._lines = tuple(self._make_line(1 << level) for level in range(8))

    def line(self, level: int) -> Line:
        """The input IR0 to IR7."""
        return self._lines[level]

    def reset(self) -> None:
        """Return to the state after power-on; the inputs stay as their drivers hold them.

        The 8259A has no reset pin: a machine calls this where it would cycle the power.
        """
        self._power_on()
        self.output.set(False)

    @property
    def irr(self) -> int:
        """Interrupt request register: a bit per requesting input, masked or not."""
        return self._edges & ~self._level_triggered | self._inputs & self._level_triggered

    @property
    def in_cascade(self) -> bool:
        """Whether ICW1 said that there are other chips."""
        return not self._single

    def vector(self, level: int) -> int:
        """The interrupt vector that ICW2 gives to input `level`."""
        return self._vector_base | level

    def acknowledge(self) -> int:
        """Do what the INTA pulses do and return the level, 0 to 7.

        The level goes into service.  Without a request the answer is the spurious level 7, with no bit in ISR.
        """
        bit = self._highest_request()
        if not bit:
            return SPURIOUS
        self._edges &= ~bit
        level = bit.bit_length() - 1
        if not self._auto_eoi:
            self.isr |= bit
        elif self._rotate_in_auto_eoi:
            self._top = level + 1 & 7
        self._update()
        return level

    # The bus.

    def read(self, offset: int, size: int) -> int:
        if self._poll:
            self._poll = False
            return 0x80 | self.acknowledge() if self._highest_request() else 0
        return self.peek(offset, size)

    def peek(self, offset: int, size: int) -> int:
        if self._poll:
            bit = self._highest_request()
            return 0x80 | bit.bit_length() - 1 if bit else 0
        if offset:
            return self.imr
        return self.isr if self._read_isr else self.irr

    def write(self, offset: int, size: int, value: int) -> None:
        if not offset:
            if value & _ICW1_INIT:
                self._initialize(value)
            elif value & _OCW3:
                self._ocw3(value)
            else:
                self._ocw2(value)
        elif self._awaited:
            self._continue_initialization(value)
        else:
            self.imr = value
        self._update()

    # Commands.

    def _power_on(self) -> None:
        self.elcr.value = 0
        self._initialize(_ICW1_IC4)
        self._awaited: tuple[int, ...] = ()

    def _initialize(self, icw1: int) -> None:
        """ICW1.  "The edge sense circuit is reset": inputs that are high must fall and rise again."""
        self._edges = 0
        self.isr = 0
        self.imr = 0
        self._top = 0  # the level with the highest priority
        self._vector_base = 0
        self.icw3 = 0
        self._ltim = bool(icw1 & _ICW1_LTIM)
        self._single = bool(icw1 & _ICW1_SNGL)
        self._special_mask = False
        self._special_fully_nested = False
        self._auto_eoi = False
        self._rotate_in_auto_eoi = False
        self._poll = False
        self._read_isr = False
        self._initialized = False
        self._level_triggered = 0xFF if self._ltim else self.elcr.value
        # The initialization command words to come at offset 1, by their numbers.
        self._awaited = (2,) + (() if self._single else (3,)) + ((4,) if icw1 & _ICW1_IC4 else ())
        if not icw1 & _ICW1_IC4:
            self._icw4(0)

    def _continue_initialization(self, value: int) -> None:
        number, *rest = self._awaited
        self._awaited = tuple(rest)
        if number == 2:
            self._vector_base = value & 0xF8
        elif number == 3:
            self.icw3 = value
        else:
            self._icw4(value)
        self._initialized = not rest

    def _icw4(self, value: int) -> None:
        self._special_fully_nested = bool(value & _ICW4_SFNM)
        self._auto_eoi = bool(value & _ICW4_AEOI)
        if not value & _ICW4_UPM:
            self._report(f"{self._name}: MCS-80/85 mode (ICW4 {value:#04x}); 8086 vectors are delivered instead")
        if value & _ICW4_BUF:
            self._report(f"{self._name}: buffered mode (ICW4 {value:#04x}) has no effect")

    def _ocw2(self, value: int) -> None:
        rotate = value & _OCW2_ROTATE
        if value & _OCW2_EOI:
            if value & _OCW2_SPECIFIC:
                bit = 1 << (value & 7)
            else:
                # "An IS bit that is masked by an IMR bit will not be cleared by a non-specific EOI" in this mode.
                bit = self._first(self.isr & ~self.imr if self._special_mask else self.isr)
            self.isr &= ~bit
            if rotate and bit:
                self._top = bit.bit_length() & 7
        elif value & _OCW2_SPECIFIC:
            if rotate:
                self._top = (value & 7) + 1 & 7
        else:
            self._rotate_in_auto_eoi = bool(rotate)

    def _ocw3(self, value: int) -> None:
        if value & _OCW3_ESMM:
            self._special_mask = bool(value & _OCW3_SMM)
        if value & _OCW3_POLL:
            self._poll = True
        elif value & _OCW3_RR:
            self._read_isr = bool(value & _OCW3_RIS)

    # Requests and priorities: plain integers, this runs at every change of every line.

    def _make_line(self, bit: int) -> Line:
        def changed(level: bool) -> None:
            if level:
                self._inputs |= bit
                self._edges |= bit
            else:
                self._inputs &= ~bit
                self._edges &= ~bit
            self._update()

        return Line(changed)

    def _trigger_modes_changed(self) -> None:
        self._level_triggered = 0xFF if self._ltim else self.elcr.value
        self._update()

    def _first(self, levels: int) -> int:
        """The bit of the level in `levels` with the highest priority, or 0."""
        top = self._top
        upper = levels >> top << top
        return upper & -upper or levels & -levels

    def _highest_request(self) -> int:
        """The bit of the request that INTA would accept now, or 0."""
        level = self._level_triggered
        requests = (self._edges & ~level | self._inputs & level) & ~self.imr
        if not requests or not self._initialized:
            return 0
        request = self._first(requests)
        blocking = self.isr & ~self.imr if self._special_mask else self.isr
        if not blocking:
            return request
        in_service = self._first(blocking)
        if request == in_service:
            # "This slave is not locked out from the master's priority logic" in the special fully nested mode.
            return request if self._special_fully_nested and not self._single and self.icw3 & request else 0
        return request if self._first(request | in_service) == request else 0

    def _update(self) -> None:
        self.output.set(self._highest_request() != 0)


class PicPair:
    """The master and the slave of a PC/AT; `intr` is the processor's INTR pin.

    The chips go to the bus one by one: `master` and `slave` (two ports each), `master.elcr` and `slave.elcr`.
    """

    def __init__(self, intr: Line, *, report: Report = unheard) -> None:
        self.intr = intr
        # The PIIX reserves the ELCR bits of IRQ 0, 1, 2, 8 and 13: these inputs are always edge-triggered.
        self.master = Pic(intr, name="8259A master", elcr_writable=0xF8, report=report)
        self.slave = Pic(self.master.line(CASCADE), name="8259A slave", elcr_writable=0xDE, report=report)
        self._report = report
        self._reported_cascade = False

    def line(self, irq: int) -> Line:
        """The wire of `irq`, 0 to 15.  Raises `WiringError` for IRQ 2, which carries the slave, and beyond 15."""
        if not 0 <= irq <= 15 or irq == CASCADE:
            raise WiringError(f"IRQ {irq} cannot be wired: a PC has IRQ 0, 1 and 3 to 15")
        return self.slave.line(irq - 8) if irq >= 8 else self.master.line(irq)

    def acknowledge(self) -> int:
        """Do the processor's two INTA cycles and return the vector.

        Where the slave's request has vanished meanwhile, the vector is that of IRQ 15 and the master's ISR has bit 2.
        """
        master = self.master
        level = master.acknowledge()
        if level == CASCADE:
            return self._acknowledge_slave()
        return master._vector_base | level

    def reset(self) -> None:
        """Return both chips to their state after power-on."""
        self.slave.reset()
        self.master.reset()

    def _acknowledge_slave(self) -> int:
        """The second INTA: the master names its input on the cascade lines and the slave of that number answers."""
        master, slave = self.master, self.slave
        if not (master.in_cascade and master.icw3 & 1 << CASCADE):
            self._complain(
                f"the master's ICW3 {master.icw3:#04x} names no slave at input 2: its own vector is delivered"
            )
            return master.vector(CASCADE)
        if not slave.in_cascade or slave.icw3 & 7 != CASCADE:
            self._complain(f"no slave has the number 2 (ICW3 {slave.icw3:#04x}): the vector reads as {FLOATING:#04x}")
            return FLOATING
        return slave.vector(slave.acknowledge())

    def _complain(self, fault: str) -> None:
        if not self._reported_cascade:
            self._reported_cascade = True
            self._report(f"8259A cascade: {fault}")

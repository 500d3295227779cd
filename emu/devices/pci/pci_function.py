"""One PCI function: its 256 bytes of configuration space and its interrupt pin.

::

    00 vendor        02 device
    04 command       06 status             command  10 INTx off | 8 SERR# | 6 parity | 2 master | 1 memory | 0 I/O
    08 revision      09 class code (3)     status   15-11, 8 errors (write 1 to clear) | 3 INTx asserted
    0C cache line    0D latency            0E header type: bit 7 = more functions     0F BIST
    10 ... 24        base addresses 0-5    memory  31-4 base | 3 prefetchable | 2-1 type | 0 = 0
                                           I/O     31-2 base | 1 = 0 | 0 = 1
    2C subsystem vendor and device         30 expansion ROM base   31-11 base | 0 enable
    3C interrupt line                      3D interrupt pin: 1 = INTA# ... 4 = INTD#, 0 none
    40 ... FF        the device's own

Every bit is read-only, writable, or cleared by writing 1; `define` says which.  A base address keeps only the bits
above its size, so a guest that writes all ones reads the size, as the specification tells it to.  A range answers while
its command bit (and, for a ROM, its enable bit) is set; at address 0, where registers start, and up to the last address
of its space, where they point while a guest asks for sizes, nothing answers.

Source: PCI Local Bus Specification 2.1, "Configuration Space"; 2.3 for INTx off and INTx asserted.
Not modelled: 64-bit base addresses, BIST, capabilities, parity and system errors (their status bits stay 0).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hillemu.emu.wires import Line

VENDOR, DEVICE, COMMAND, STATUS, REVISION, CLASS_CODE = 0x00, 0x02, 0x04, 0x06, 0x08, 0x09
CACHE_LINE, LATENCY, HEADER_TYPE = 0x0C, 0x0D, 0x0E
BAR0, SUBSYSTEM_VENDOR, SUBSYSTEM, ROM_BASE, INTERRUPT_LINE, INTERRUPT_PIN = 0x10, 0x2C, 0x2E, 0x30, 0x3C, 0x3D
CONFIG_BYTES = 256

COMMAND_IO, COMMAND_MEMORY, COMMAND_MASTER, COMMAND_INTX_OFF = 0x0001, 0x0002, 0x0004, 0x0400
STATUS_INTX = 0x08
MULTI_FUNCTION = 0x80
BAR_IO, BAR_PREFETCHABLE, ROM_ENABLE = 0x01, 0x08, 0x01
ROM_BAR = 6
"""`add_bar`'s number of the expansion ROM."""

_COMMAND_WRITABLE = 0x0547
_STATUS_CLEARED = 0xF900
_SUBSYSTEM_IDS = (0x1AF4, 0x1100)
"""QEMU's, which this machine's functions show as QEMU's do."""

Move = Callable[[int | None], None]


class _Bar:
    """A base address register: where it is, what it claims, and who is told."""

    __slots__ = ("base", "command_bit", "enable_bit", "limit", "offset", "on_move", "size_bytes")

    def __init__(self, offset: int, size_bytes: int, is_io: bool, on_move: Move) -> None:
        self.offset = offset
        self.size_bytes = size_bytes
        self.command_bit = COMMAND_IO if is_io else COMMAND_MEMORY
        self.enable_bit = ROM_ENABLE if offset == ROM_BASE else 0
        self.limit = 1 << 16 if is_io else 1 << 32
        self.on_move = on_move
        self.base: int | None = None


class Identity(NamedTuple):
    """What a function tells of itself; `class_code` is base class, subclass and interface, `pin` 1 for INTA#."""

    vendor: int
    device: int
    class_code: int
    revision: int = 0
    status: int = 0
    multi_function: bool = False
    pin: int = 0


class PciFunction:
    """A function as `PciBus` sees it.  `intx` is the wire of its interrupt pin, for the device behind it."""

    def __init__(self, identity: Identity) -> None:
        self.intx = Line(self._intx_changed)
        self._pin = Line()
        self._bars: list[_Bar] = []
        self._space = bytearray(CONFIG_BYTES)
        self._at_reset = bytearray(CONFIG_BYTES)
        self._writable = bytearray(CONFIG_BYTES)
        self._cleared = bytearray(CONFIG_BYTES)
        self.define(VENDOR, 2, identity.vendor)
        self.define(DEVICE, 2, identity.device)
        self.define(COMMAND, 2, 0, writable=_COMMAND_WRITABLE)
        self.define(STATUS, 2, identity.status, cleared=_STATUS_CLEARED)
        self.define(REVISION, 1, identity.revision)
        self.define(CLASS_CODE, 3, identity.class_code)
        self.define(CACHE_LINE, 1, 0, writable=0xFF)
        self.define(LATENCY, 1, 0, writable=0xF8)
        self.define(HEADER_TYPE, 1, MULTI_FUNCTION if identity.multi_function else 0)
        self.define(SUBSYSTEM_VENDOR, 2, _SUBSYSTEM_IDS[0])
        self.define(SUBSYSTEM, 2, _SUBSYSTEM_IDS[1])
        self.define(INTERRUPT_LINE, 1, 0, writable=0xFF)
        self.define(INTERRUPT_PIN, 1, identity.pin)

    # ---- for the chip -------------------------------------------------------------------------------------------

    def define(self, offset: int, size: int, value: int, *, writable: int = 0, cleared: int = 0) -> None:
        """Lay out a register of `size` bytes: its `value` after reset, its `writable` bits, those that 1 `cleared`."""
        for table, bits in ((self._at_reset, value), (self._writable, writable), (self._cleared, cleared)):
            table[offset : offset + size] = bits.to_bytes(size, "little")
        self._space[offset : offset + size] = value.to_bytes(size, "little")

    def add_bar(self, index: int, size_bytes: int, on_move: Move, *, flags: int = 0) -> None:
        """Claim `size_bytes`, a power of two, by base address `index` (`ROM_BAR` for the ROM).

        `flags` are the register's low bits: `BAR_IO` or `BAR_PREFETCHABLE`.  `on_move(base)` runs whenever the place
        changes at which the range answers; `None` means nowhere.
        """
        offset = ROM_BASE if index == ROM_BAR else BAR0 + 4 * index
        writable = -size_bytes & 0xFFFFFFFF | (ROM_ENABLE if index == ROM_BAR else 0)
        self.define(offset, 4, flags, writable=writable)
        self._bars.append(_Bar(offset, size_bytes, bool(flags & BAR_IO) and index != ROM_BAR, on_move))

    def config_changed(self, first: int, end: int) -> None:
        """For subclasses: the guest has written (or a reset has set) offsets `first` up to, not including, `end`."""

    def get(self, offset: int, size: int = 1) -> int:
        """A register's value."""
        return int.from_bytes(self._space[offset : offset + size], "little")

    def put(self, offset: int, size: int, value: int) -> None:
        """Set a register, its read-only bits too: the chip's own doing, of which `config_changed` does not hear."""
        self._space[offset : offset + size] = value.to_bytes(size, "little")

    @property
    def is_master(self) -> bool:
        """Whether the guest lets the function reach memory by itself."""
        return bool(self._space[COMMAND] & COMMAND_MASTER)

    # ---- for the bus --------------------------------------------------------------------------------------------

    @property
    def pin(self) -> int:
        """1 for INTA# up to 4 for INTD#; 0: the function interrupts nobody by a pin."""
        return self._space[INTERRUPT_PIN]

    def connect(self, pin: Line) -> None:
        """Solder the interrupt pin to the wire `pin`."""
        self._pin = pin
        self._drive_pin()

    def read(self, offset: int, size: int) -> int:
        """What a configuration read finds."""
        return self.get(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Do what a configuration write does."""
        end = offset + size
        for at in range(offset, end):
            byte, value = value & 0xFF, value >> 8
            writable = self._writable[at]
            kept = self._space[at] & ~writable & ~(byte & self._cleared[at])
            self._space[at] = kept | byte & writable
        self._settle()
        self.config_changed(offset, end)

    def reset(self) -> None:
        """Pull RST#."""
        self._space[:] = self._at_reset
        self._settle()
        self.config_changed(0, CONFIG_BYTES)

    # ---- inside -------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Move what the base addresses and the command register moved, and drive the pin."""
        command = self.get(COMMAND, 2)
        moved = []
        for bar in self._bars:
            register = self.get(bar.offset, 4)
            base: int | None = register & -bar.size_bytes
            enabled = command & bar.command_bit and register & bar.enable_bit == bar.enable_bit
            if not enabled or not base or base + bar.size_bytes >= bar.limit:
                base = None
            if base != bar.base:
                bar.base = base
                moved.append(bar)
        # All leave before any arrives: two ranges may change places.
        for bar in moved:
            bar.on_move(None)
        for bar in moved:
            if bar.base is not None:
                bar.on_move(bar.base)
        self._drive_pin()

    def _intx_changed(self, level: bool) -> None:
        self._drive_pin()

    def _drive_pin(self) -> None:
        asserted = self.intx.level
        self._space[STATUS] = self._space[STATUS] & ~STATUS_INTX | (STATUS_INTX if asserted else 0)
        self._pin.set(asserted and not self.get(COMMAND, 2) & COMMAND_INTX_OFF)

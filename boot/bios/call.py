"""One call of a BIOS service: the caller's registers, memory and flags, as the service sees them.

A service is a function that takes a `BiosCall`:

>>> def memory_size(call: BiosCall) -> None:
...     call.ax = call.load(0x413, 2)
...     call.carry = False
>>> call = fake_call(0x12, eax=0x1234)
>>> call.store(0x413, 639, 2)
>>> memory_size(call); call.ax
639

The stub in the ROM (boot/asm/bios.s) has called `host`, which hands over.  The stack then holds::

    SS:SP   where the stub goes on: near pointer, which the service may change (`wait`, `again`, `go_on_at`)
      +2    IP      the caller's frame, as INT pushed it
      +4    CS
      +6    FLAGS   what IRET will restore: `carry` and `zero` are bits of it

Addresses are linear, as the processor's are: in virtual-8086 mode they go through the guest's page tables.

Not modelled: the A20 gate (a service reaches what lies above 1 MiB whatever the gate says); page faults (where nothing
is mapped, reads give ones and writes vanish).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, overload

from hillemu.emu.guest import FakeGuest, Guest, Segment
from hillemu.emu.i386.address import PAGE_MASK, PAGE_SIZE, PhysAddr, VirtAddr
from hillemu.emu.reports import Report, unheard

CARRY, ZERO, INTERRUPTS = 0x001, 0x040, 0x200
"""Bits of FLAGS."""
VIRTUAL_8086 = 1 << 17
"""The bit of EFLAGS that says so."""

AGAIN, WAIT = 1, 5
"""Ways on from behind the stub's CALL (0 is IRET), in bytes; see the macro `service` in boot/asm/bios.s."""

_FAKE_STACK, _FAKE_WAY_ON = 0x7000, 0xE000

_PAGING = 1 << 31
_BIG = 1 << 22
_64_KIB = 0x10000


class _Part:
    """`bits` bits of the general register `name`, from bit `low` up.  Too large a value is cut to its low bits."""

    def __init__(self, name: str, low: int, bits: int) -> None:
        self.name = name
        self.low = low
        self.mask = (1 << bits) - 1

    @overload
    def __get__(self, call: None, owner: type[BiosCall]) -> _Part: ...
    @overload
    def __get__(self, call: BiosCall, owner: type[BiosCall]) -> int: ...
    def __get__(self, call: BiosCall | None, owner: type[BiosCall]) -> int | _Part:
        return self if call is None else call.guest.registers.get(self.name) >> self.low & self.mask

    def __set__(self, call: BiosCall, value: int) -> None:
        registers = call.guest.registers
        kept = registers.get(self.name) & ~(self.mask << self.low)
        registers.set(self.name, kept | (value & self.mask) << self.low)


class MemoryBus(Protocol):
    """Memory that is a device's: the video chip's planes, say."""

    def read(self, address: int, size: int) -> int: ...

    def write(self, address: int, size: int, value: int) -> None: ...


class BiosCall:
    """A call of interrupt `vector`, until the service returns.

    `resumed` is true when the service asked for it by `wait` or `again`: the registers are as it left them.
    `report` hears of what the caller wants and is not modelled.  `bus` is asked where neither RAM nor ROM answers.
    """

    eax, ebx, ecx, edx = _Part("eax", 0, 32), _Part("ebx", 0, 32), _Part("ecx", 0, 32), _Part("edx", 0, 32)
    esi, edi, ebp = _Part("esi", 0, 32), _Part("edi", 0, 32), _Part("ebp", 0, 32)
    ax, bx, cx, dx = _Part("eax", 0, 16), _Part("ebx", 0, 16), _Part("ecx", 0, 16), _Part("edx", 0, 16)
    si, di, bp = _Part("esi", 0, 16), _Part("edi", 0, 16), _Part("ebp", 0, 16)
    al, bl, cl, dl = _Part("eax", 0, 8), _Part("ebx", 0, 8), _Part("ecx", 0, 8), _Part("edx", 0, 8)
    ah, bh, ch, dh = _Part("eax", 8, 8), _Part("ebx", 8, 8), _Part("ecx", 8, 8), _Part("edx", 8, 8)

    def __init__(
        self,
        guest: Guest,
        vector: int,
        *,
        resumed: bool = False,
        report: Report = unheard,
        bus: MemoryBus | None = None,
    ) -> None:
        self.guest = guest
        self.vector = vector
        self.resumed = resumed
        self.waiting = False
        """Whether the service will be called again."""
        self._report = report
        self._bus = bus
        self._to_linear = _translator(guest)
        stack = guest.registers.segment("ss")
        self._stack_base = stack.base
        self._stack_mask = 0xFFFFFFFF if stack.attributes & _BIG else 0xFFFF
        self._sp = guest.registers.get("esp") & self._stack_mask
        self._function = guest.registers.get("eax") & 0xFFFF

    @property
    def way_on(self) -> int:
        """Where the stub goes on, an offset in the ROM's segment: behind its CALL, unless the service changed it."""
        return self._stacked(0)

    # ---- how it ends --------------------------------------------------------------------------------------------

    def wait(self) -> None:
        """Have the stub let interrupts in, halt until one came, and call again.

        A virtual-8086 task may not halt; for it this is `again`.
        """
        self._go_on(AGAIN if self.in_virtual_8086 else WAIT)

    def again(self) -> None:
        """Have the stub let interrupts in for an instruction, and call again."""
        self._go_on(AGAIN)

    def go_on_at(self, offset: int) -> None:
        """Have the stub go on at `offset` in the ROM's segment; the stack is as at the stub's entry."""
        self._set_stacked(0, offset)

    def return_to(self, segment: int, offset: int) -> None:
        """Have IRET return to ``segment:offset`` instead of behind the caller's INT."""
        self._set_stacked(2, offset)
        self._set_stacked(4, segment)

    def refuse(self, status: int | None = None, *, what: str = "") -> None:
        """Say that this function is not there: carry set, AH = `status` if given; the user is told.

        `what` says in the report what was asked for, where AX does not.
        """
        asked = f"INT {self.vector:02X}h with AX={self._function:04X}h" + (f" ({what})" if what else "")
        self.tell(f"the guest called the BIOS: {asked}; this is not modelled, the call fails")
        if status is not None:
            self.ah = status
        self.carry = True

    def tell(self, message: str) -> None:
        """Tell the user something about this call; the same message is heard once."""
        self._report(message)

    def _go_on(self, way: int) -> None:
        self.waiting = True
        self._set_stacked(0, self.way_on + way)

    # ---- flags and segments -------------------------------------------------------------------------------------

    @property
    def carry(self) -> bool:
        """The carry flag that the caller passed, and will find."""
        return bool(self._stacked(6) & CARRY)

    @carry.setter
    def carry(self, value: bool) -> None:
        self._set_flag(CARRY, value)

    @property
    def zero(self) -> bool:
        """The zero flag that the caller passed, and will find."""
        return bool(self._stacked(6) & ZERO)

    @zero.setter
    def zero(self, value: bool) -> None:
        self._set_flag(ZERO, value)

    @property
    def interrupts(self) -> bool:
        """Whether the caller had interrupts enabled, and will have."""
        return bool(self._stacked(6) & INTERRUPTS)

    @interrupts.setter
    def interrupts(self, value: bool) -> None:
        self._set_flag(INTERRUPTS, value)

    def _set_flag(self, flag: int, value: bool) -> None:
        flags = self._stacked(6)
        self._set_stacked(6, flags | flag if value else flags & ~flag)

    @property
    def in_virtual_8086(self) -> bool:
        return bool(self.guest.registers.get("eflags") & VIRTUAL_8086)

    @property
    def ds(self) -> int:
        return self.guest.registers.segment("ds").selector

    @property
    def es(self) -> int:
        return self.guest.registers.segment("es").selector

    @es.setter
    def es(self, selector: int) -> None:
        old = self.guest.registers.segment("es")
        self.guest.registers.set_segment("es", Segment(selector, selector << 4, old.limit, old.attributes))

    # ---- memory -------------------------------------------------------------------------------------------------

    def read(self, segment: str, offset: int, count: int) -> bytes:
        """`count` bytes at `offset` of segment register `segment` (``"ds"``); offsets wrap at 64 KiB."""
        base, start = self.guest.registers.segment(segment).base, offset & 0xFFFF
        before = min(count, _64_KIB - start)
        data = self.read_linear(base + start, before)
        return data if before == count else data + self.read(segment, 0, count - before)

    def write(self, segment: str, offset: int, data: bytes) -> None:
        """Write `data` at `offset` of segment register `segment`; offsets wrap at 64 KiB."""
        base, start = self.guest.registers.segment(segment).base, offset & 0xFFFF
        before = min(len(data), _64_KIB - start)
        self.write_linear(base + start, data[:before])
        if before < len(data):
            self.write(segment, 0, data[before:])

    def read_linear(self, address: int, count: int) -> bytes:
        """`count` bytes at linear `address`; ones where nothing answers."""
        if self._to_linear is None and 0 <= address <= address + count <= 1 << 32:
            try:
                return self.guest.memory.read(PhysAddr(address), count)
            except IndexError:
                pass
        return b"".join(self._read_page(at, size) for at, size in _pages(address, count))

    def write_linear(self, address: int, data: bytes) -> None:
        """Write `data` at linear `address`; what falls where nothing answers is lost."""
        if self._to_linear is None and 0 <= address <= address + len(data) <= 1 << 32:
            try:
                self.guest.memory.write(PhysAddr(address), data)
            except IndexError:
                pass
            else:
                return
        done = 0
        for at, size in _pages(address, len(data)):
            self._write_page(at, data[done : done + size])
            done += size

    def load(self, address: int, size: int = 1) -> int:
        """The little-endian number of `size` bytes at linear `address`."""
        return int.from_bytes(self.read_linear(address, size), "little")

    def store(self, address: int, value: int, size: int = 1) -> None:
        """Store the low `size` bytes of `value` at linear `address`."""
        self.write_linear(address, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))

    def _read_page(self, at: int, count: int) -> bytes:
        phys = PhysAddr(at) if self._to_linear is None else self._to_linear(at)
        if phys is None:
            return b"\xff" * count
        try:
            return self.guest.memory.read(phys, count)
        except IndexError:
            bus = self._bus
            return b"\xff" * count if bus is None else bytes(bus.read(phys + i, 1) for i in range(count))

    def _write_page(self, at: int, data: bytes) -> None:
        phys = PhysAddr(at) if self._to_linear is None else self._to_linear(at)
        if phys is None:
            return
        try:
            self.guest.memory.write(phys, data)
        except IndexError:
            if self._bus is not None:
                for offset, byte in enumerate(data):
                    self._bus.write(phys + offset, 1, byte)

    def _stacked(self, offset: int) -> int:
        return self.load(self._stack_base + (self._sp + offset & self._stack_mask), 2)

    def _set_stacked(self, offset: int, value: int) -> None:
        self.store(self._stack_base + (self._sp + offset & self._stack_mask), value, 2)


def _translator(guest: Guest) -> Callable[[int], PhysAddr | None] | None:
    """What turns linear addresses into physical ones, `None` for unmapped ones; no translator if they are the same."""
    if not guest.registers.get("cr0") & _PAGING:
        return None
    from hillemu.emu.i386.control import PEEK, ControlState
    from hillemu.emu.i386.outcomes import Mapped
    from hillemu.emu.i386.paging import translate

    control = ControlState.read(guest.registers)

    def to_physical(at: int) -> PhysAddr | None:
        outcome = translate(guest.memory, VirtAddr(at), control, PEEK)
        return outcome.phys if isinstance(outcome, Mapped) else None

    return to_physical


def _pages(address: int, count: int) -> list[tuple[int, int]]:
    """The pieces, (address, size), of `count` bytes at `address` that lie in one page each; wraps at 4 GiB."""
    pieces, end = [], address + count
    while address < end:
        size = min(PAGE_SIZE - (address & PAGE_MASK), end - address)
        pieces.append((address & 0xFFFFFFFF, size))
        address += size
    return pieces


def fake_call(
    vector: int,
    guest: Guest | None = None,
    *,
    resumed: bool = False,
    report: Report = unheard,
    bus: MemoryBus | None = None,
    **registers: int,
) -> BiosCall:
    """A call for a service's own test: on a guest of 1 MiB unless one is given, with these registers.

    ``ds=0x1234`` and the other segment registers are loaded as in real mode.
    """
    guest = guest or FakeGuest(1 << 20)
    for name, value in {"ds": 0, "es": 0, "ss": 0, "esp": _FAKE_STACK, **registers}.items():
        if name in ("cs", "ds", "es", "fs", "gs", "ss"):
            guest.registers.set_segment(name, Segment(value, value << 4, 0xFFFF, 0x9300))
        else:
            guest.registers.set(name, value)
    call = BiosCall(guest, vector, resumed=resumed, report=report, bus=bus)
    frame = (_FAKE_WAY_ON, 0x0100, 0x1000, 0x0202)
    guest.memory.write(PhysAddr(call._stack_base + call._sp), b"".join(word.to_bytes(2, "little") for word in frame))
    return call

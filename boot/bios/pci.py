"""INT 1Ah AH=B1h: the PCI BIOS, on top of configuration mechanism 1.

::

    AL  01 installed?      08, 09, 0A read byte, word, dword     BH bus, BL device (7-3) and function (2-0)
        02 find device     0B, 0C, 0D write                      DI register, ECX the value
        03 find class      0E interrupt routing                  SI which one of several

Registers and status codes (AH): 81h function not supported, 83h bad vendor, 86h not found, 87h bad register, 89h buffer
too small.

Source: PCI SIG, "PCI BIOS Specification" 2.1; "PCI Local Bus Specification" 2.1, "Configuration Mechanism #1".
Not modelled: special cycles (AL=06h) and setting interrupts (AL=0Fh), which are refused as not supported.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from hillemu.boot.bios.call import BiosCall
from hillemu.emu.guest import Guest

FUNCTION = 0xB1
"""In AH, of INT 1Ah."""

CONFIG_ADDRESS, CONFIG_DATA = 0xCF8, 0xCFC
_ENABLE = 1 << 31

_VENDOR_ID, _CLASS, _HEADER_TYPE = 0x00, 0x08, 0x0E
_MULTIFUNCTION = 0x80
_NOBODY = 0xFFFF

_VERSION_2_10 = 0x0210
_MECHANISM_1 = 0x01
_SIGNATURE = 0x20494350
"""``PCI``"""

_SUCCESSFUL, _NOT_SUPPORTED, _BAD_VENDOR = 0x00, 0x81, 0x83
_NOT_FOUND, _BAD_REGISTER, _BUFFER_TOO_SMALL = 0x86, 0x87, 0x89


class PciService:
    """The service.

    `entry32` is the physical address of the protected-mode entry, 0 if there is none.  `routing` has the slot entries
    of the PCI interrupt routing table, `exclusive_irqs` a bit for every IRQ that only PCI uses.
    """

    def __init__(
        self, *, last_bus: int = 0, entry32: int = 0, routing: bytes | None = None, exclusive_irqs: int = 0
    ) -> None:
        self._last_bus = last_bus
        self._entry32 = entry32
        self._routing = routing
        self._exclusive_irqs = exclusive_irqs
        self._functions: dict[int, Callable[[BiosCall], int]] = {
            0x01: self._installed,
            0x02: self._find_device,
            0x03: self._find_class,
            0x08: _read_byte,
            0x09: _read_word,
            0x0A: _read_dword,
            0x0B: _write_byte,
            0x0C: _write_word,
            0x0D: _write_dword,
            0x0E: self._tell_routing,
        }

    def __call__(self, call: BiosCall) -> None:
        function = self._functions.get(call.al & 0x7F)  # bit 7 is set by 32-bit callers of old
        if function is None:
            call.refuse(_NOT_SUPPORTED)
            return
        call.ah = function(call)
        call.carry = call.ah != _SUCCESSFUL

    def _installed(self, call: BiosCall) -> int:
        call.al, call.bx, call.cl = _MECHANISM_1, _VERSION_2_10, self._last_bus
        call.edx, call.edi = _SIGNATURE, self._entry32
        return _SUCCESSFUL

    def _find_device(self, call: BiosCall) -> int:
        if call.dx == _NOBODY:
            return _BAD_VENDOR
        return self._find(call, _VENDOR_ID, 0, call.cx << 16 | call.dx)

    def _find_class(self, call: BiosCall) -> int:
        return self._find(call, _CLASS, 8, call.ecx & 0xFFFFFF)

    def _find(self, call: BiosCall, register: int, shift: int, wanted: int) -> int:
        """Put into BX where the function number SI is whose `register` holds `wanted` from bit `shift` on."""
        found = (at for at in self._present(call.guest) if read_config(call.guest, at, register, 4) >> shift == wanted)
        for number, at in enumerate(found):
            if number == call.si:
                call.bx = at
                return _SUCCESSFUL
        return _NOT_FOUND

    def _present(self, guest: Guest) -> Iterator[int]:
        """All functions that there are, as bus << 8 | device << 3 | function."""
        for device in range(0, (self._last_bus + 1) << 8, 8):
            for at in range(device, device + 8):
                if read_config(guest, at, _VENDOR_ID, 2) != _NOBODY:
                    yield at
                if at == device and not read_config(guest, at, _HEADER_TYPE, 1) & _MULTIFUNCTION:
                    break

    def _tell_routing(self, call: BiosCall) -> int:
        """ES:DI has the size of a buffer (word) and its address; the size needed is put there."""
        if self._routing is None:
            return _NOT_SUPPORTED
        size, offset, segment = struct.unpack("<HHH", call.read("es", call.di, 6))
        call.write("es", call.di, struct.pack("<H", len(self._routing)))
        if size < len(self._routing):
            return _BUFFER_TOO_SMALL
        call.write_linear((segment << 4) + offset, self._routing)
        call.bx = self._exclusive_irqs
        return _SUCCESSFUL


def read_config(guest: Guest, function: int, register: int, size: int) -> int:
    """Read `size` bytes of configuration space of ``bus << 8 | device << 3 | function``."""
    guest.write_port(CONFIG_ADDRESS, _ENABLE | function << 8 | register & 0xFC, 4)
    return guest.read_port(CONFIG_DATA + (register & 3), size)


def write_config(guest: Guest, function: int, register: int, value: int, size: int) -> None:
    """Write `size` bytes of configuration space."""
    guest.write_port(CONFIG_ADDRESS, _ENABLE | function << 8 | register & 0xFC, 4)
    guest.write_port(CONFIG_DATA + (register & 3), value, size)


def _is_register(call: BiosCall, size: int) -> bool:
    return call.di < 0x100 and call.di % size == 0


def _read_byte(call: BiosCall) -> int:
    if not _is_register(call, 1):
        return _BAD_REGISTER
    call.cl = read_config(call.guest, call.bx, call.di, 1)
    return _SUCCESSFUL


def _read_word(call: BiosCall) -> int:
    if not _is_register(call, 2):
        return _BAD_REGISTER
    call.cx = read_config(call.guest, call.bx, call.di, 2)
    return _SUCCESSFUL


def _read_dword(call: BiosCall) -> int:
    if not _is_register(call, 4):
        return _BAD_REGISTER
    call.ecx = read_config(call.guest, call.bx, call.di, 4)
    return _SUCCESSFUL


def _write_byte(call: BiosCall) -> int:
    return _write(call, call.cl, 1)


def _write_word(call: BiosCall) -> int:
    return _write(call, call.cx, 2)


def _write_dword(call: BiosCall) -> int:
    return _write(call, call.ecx, 4)


def _write(call: BiosCall, value: int, size: int) -> int:
    if not _is_register(call, size):
        return _BAD_REGISTER
    write_config(call.guest, call.bx, call.di, value, size)
    return _SUCCESSFUL

"""INT 15h AH=53h: Advanced Power Management, to switch the machine off and to idle.

::

    AL  00 installed?   03 connect, 32-bit   07 set power state (3 is off)   0E driver's version
        01 connect      04 disconnect        08 enable, 0D per device        0F engage
        02 ..., 16-bit  05 idle, 06 busy     0A power status, 0B events      10 capabilities

Connected, programs in protected mode call entries in the ROM, which answer the same without the host
(boot/asm/bios_apm.inc).

Power comes from the mains, and no event ever happens.  Connections are not checked, as on SeaBIOS: programs that
switch off without having connected are common.

Switching off writes SLP_EN with the type of S5 to PM1_CNT of the power management function, as the ACPI tables tell
systems to do.

Source: Intel and Microsoft, "Advanced Power Management BIOS Interface Specification" 1.2.
Not modelled: standby and suspend, from which the machine resumes at once; resume timers and ring (AL=11h-13h).
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.boot.bios.call import BiosCall

FUNCTION = 0x53
"""In AH, of INT 15h."""

VERSION = 0x0102
PM1_CNT = 0x604
"""Where firmware puts the register (base 600h)."""
_SLEEP_NOW_S5 = 0x2000

_ROM_SEGMENT, _ROM_BYTES = 0xF000, 0xFFF0
_SIGNATURE = 0x504D
_HAS_16_BIT, _HAS_32_BIT = 0x1, 0x2

_BIOS_ITSELF, _ALL_DEVICES = 0x0000, 0x0001
_READY, _STANDBY, _SUSPEND, _OFF = range(4)
_NO_16_BIT, _NO_32_BIT = 0x06, 0x08
_UNKNOWN_DEVICE, _OUT_OF_RANGE, _NOT_SUPPORTED = 0x09, 0x0A, 0x0C
_CANNOT_ENTER, _NO_EVENT = 0x60, 0x80

_DONE = 0


class ApmService:
    """The service; `entry16`, `entry32` are offsets in the ROM's segment of the protected-mode entries, if any."""

    def __init__(self, *, entry16: int | None = None, entry32: int | None = None) -> None:
        self._entry16, self._entry32 = entry16, entry32
        self._functions: dict[int, Callable[[BiosCall], int]] = {
            0x00: self._installed,
            0x01: _accept,
            0x02: self._connect_16_bit,
            0x03: self._connect_32_bit,
            0x04: _accept,
            0x05: _idle,
            0x06: _accept,
            0x07: _set_power_state,
            0x08: _accept,
            0x09: _accept,
            0x0A: _power_status,
            0x0B: _no_event,
            0x0C: _power_state,
            0x0D: _accept,
            0x0E: _driver_version,
            0x0F: _accept,
            0x10: _capabilities,
        }

    def __call__(self, call: BiosCall) -> None:
        function = self._functions.get(call.al)
        if function is None:
            call.refuse(_NOT_SUPPORTED)
            return
        call.carry = False
        status = function(call)
        if status != _DONE:
            call.ah = status
            call.carry = True

    def _installed(self, call: BiosCall) -> int:
        if call.bx != _BIOS_ITSELF:
            return _UNKNOWN_DEVICE
        call.ax, call.bx = VERSION, _SIGNATURE
        call.cx = (self._entry16 is not None) * _HAS_16_BIT | (self._entry32 is not None) * _HAS_32_BIT
        return _DONE

    def _connect_16_bit(self, call: BiosCall) -> int:
        if self._entry16 is None:
            return _NO_16_BIT
        call.ax = call.cx = _ROM_SEGMENT
        call.bx = self._entry16
        call.si = call.di = _ROM_BYTES
        return _DONE

    def _connect_32_bit(self, call: BiosCall) -> int:
        if self._entry32 is None:
            return _NO_32_BIT
        call.ax = call.cx = call.dx = _ROM_SEGMENT
        call.ebx = self._entry32
        call.esi = _ROM_BYTES << 16 | _ROM_BYTES
        call.di = _ROM_BYTES
        return _DONE


def _accept(call: BiosCall) -> int:
    """Nothing to do, and nothing to change."""
    return _DONE


def _idle(call: BiosCall) -> int:
    """Halt until an interrupt has been served."""
    if not call.resumed:
        call.wait()
    return _DONE


def _set_power_state(call: BiosCall) -> int:
    if call.cx == _READY or call.cx > _OFF:
        return _OUT_OF_RANGE if call.bx == _ALL_DEVICES else _CANNOT_ENTER
    if call.bx == _ALL_DEVICES and call.cx == _OFF:
        call.guest.write_port(PM1_CNT, _SLEEP_NOW_S5, 2)
    return _DONE


def _power_status(call: BiosCall) -> int:
    """On line, without any battery, whose times and levels are unknown."""
    call.bx, call.cx, call.dx, call.si = 0x01FF, 0x80FF, 0xFFFF, 0
    return _DONE


def _no_event(call: BiosCall) -> int:
    return _NO_EVENT


def _power_state(call: BiosCall) -> int:
    call.cx = _READY
    return _DONE


def _driver_version(call: BiosCall) -> int:
    """The connection's version is the older one of the driver's (CX) and ours."""
    call.ax = min(call.cx, VERSION) if call.ch else VERSION
    return _DONE


def _capabilities(call: BiosCall) -> int:
    call.bl, call.cx = 0, 0
    return _DONE

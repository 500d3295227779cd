"""Two ways to reset a PC by an I/O port: the chip set's 0xCF9 and the PS/2's port 0x92.

The third, a pulse on the keyboard controller's output port, lives in `ps2`.

::

    0xCF9  reset control register          0x92  system control port A
    7 ... 3 | 2    | 1    | 0              7-6 LED | 5-4 | 3 lock | 2 | 1 A20 | 0 fast reset
            | RCPU | SRST |

Source: Intel 82371FB/82371SB (PIIX/PIIX3), "RC - Reset Control Register"; IBM PS/2 Hardware Interface Technical
Reference, "System Control Port A".
Not modelled: the disk LED and the password lock of port 0x92 (the bits are kept, nothing looks at them).
"""

from __future__ import annotations

from collections.abc import Callable

SRST = 0x02
"""1: the reset to come is a hard one, of the whole system; 0: a soft one, of the processor (INIT)."""
RCPU = 0x04
"""Going from 0 to 1 starts the reset."""

FAST_RESET = 0x01
"""Going from 0 to 1 resets the processor."""
A20 = 0x02
"""Address line 20 works; 0 forces it low."""


class ResetControl:
    """Port 0xCF9.

    `hard` resets the system, `soft` the processor only.
    """

    def __init__(self, *, hard: Callable[[], None], soft: Callable[[], None]) -> None:
        self._hard = hard
        self._soft = soft
        self.reset()

    def reset(self) -> None:
        self._value = 0

    def read(self, offset: int, size: int) -> int:
        return self._value

    def peek(self, offset: int, size: int) -> int:
        return self._value

    def write(self, offset: int, size: int, value: int) -> None:
        rising = value & ~self._value & RCPU
        self._value = value & (SRST | RCPU)
        if rising:
            (self._hard if value & SRST else self._soft)()


class Port92:
    """Port 0x92.

    `reset` resets the processor; `a20(enabled)` runs at every write, since the keyboard controller drives the same
    gate and the last writer wins (as in QEMU).  Firmware leaves the gate open; `a20_enabled` is its state at power-on.
    """

    def __init__(self, *, reset: Callable[[], None], a20: Callable[[bool], None], a20_enabled: bool = True) -> None:
        self._reset_processor = reset
        self._a20 = a20
        self._at_power_on = A20 if a20_enabled else 0
        self.reset()

    def reset(self) -> None:
        self._value = self._at_power_on

    def read(self, offset: int, size: int) -> int:
        return self._value

    def peek(self, offset: int, size: int) -> int:
        return self._value

    def write(self, offset: int, size: int, value: int) -> None:
        rising = value & ~self._value & FAST_RESET
        self._value = value
        self._a20(bool(value & A20))
        if rising:
            self._reset_processor()

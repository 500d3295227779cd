"""System control port B of a PC/AT, port 0x61: the speaker, and two clocks that programs measure time with.

::

    7-6  0   no parity error, no channel error
    5    r   OUT of timer counter 2
    4    r   refresh request: toggles every 15.085 us
    3-2  rw  channel check and parity check off
    1    rw  speaker data: OUT 2 reaches the speaker
    0    rw  GATE of timer counter 2

Not modelled: sound.  The refresh request has the rate that every BIOS gives timer counter 1 (a count of 18), whatever
is programmed there; no RAM here forgets.

Source: IBM PC/AT Technical Reference, "System Board I/O"; Intel 82371SB (PIIX3) data sheet, "NMISC - NMI Status and
Control Register".
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.clock import Clock
from hillemu.emu.devices.clocks.pit_counter import FREQUENCY_HZ
from hillemu.emu.wires import Line

_GATE_2 = 0x01
_SPEAKER_DATA = 0x02
_REFRESH = 0x10
_OUT_2 = 0x20
_WRITABLE = 0x0F

_REFRESH_COUNT = 18


class SystemControlB:
    """Port 0x61: drives the wire `gate2` and looks at the level that `output2` tells."""

    def __init__(self, *, clock: Clock, gate2: Line, output2: Callable[[], bool]) -> None:
        self._clock = clock
        self._gate2 = gate2
        self._output2 = output2
        self._latch = 0

    @property
    def speaker_level(self) -> bool:
        """What the loudspeaker's amplifier gets: OUT 2, if the speaker data bit lets it through."""
        return bool(self._latch & _SPEAKER_DATA) and self._output2()

    def read(self, offset: int, size: int) -> int:
        return self._latch | (_REFRESH if self._refresh() else 0) | (_OUT_2 if self._output2() else 0)

    peek = read

    def write(self, offset: int, size: int, value: int) -> None:
        self._latch = value & _WRITABLE
        self._gate2.set(bool(value & _GATE_2))

    def reset(self) -> None:
        """Clear the port, as the machine's RESET line does."""
        self.write(0, 1, 0)

    def _refresh(self) -> int:
        """The refresh request's level: one toggle per refresh, counted from power-on."""
        return self._clock.now * FREQUENCY_HZ // (self._clock.frequency_hz * _REFRESH_COUNT) & 1

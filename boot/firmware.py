"""What a loader asks of the firmware beside memory and ports: the screen, and power management.

A loader gets a `Firmware`; what a machine does not have is None, and kernels are told so.
"""

from __future__ import annotations

from typing import NamedTuple

from hillemu.boot.video_mode import SetMode


class ApmTable(NamedTuple):
    """The protected-mode interface of the APM BIOS, as INT 15h AX=5303h and AX=5300h return it."""

    version: int
    """As in 0x0102 for 1.2."""
    code32_segment: int
    """Real-mode segment of the 32-bit code."""
    entry_offset: int
    code16_segment: int
    data_segment: int
    flags: int
    code32_bytes: int
    code16_bytes: int
    data_bytes: int


class Firmware(NamedTuple):
    """The services of one machine's firmware."""

    set_mode: SetMode | None = None
    apm: ApmTable | None = None


NO_FIRMWARE = Firmware()
"""Text screen only, no power management."""

"""A stopped machine as a crash report sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hillemu.emu.guest import GuestMemory
from hillemu.emu.stop import Stop
from hillemu.report.view import Delivery, RegisterFile, Symbols


@dataclass(frozen=True, slots=True)
class StoppedMachine:
    """Fulfils `hillemu.report.view.CrashView`."""

    stop: Stop
    registers: RegisterFile
    memory: GuestMemory
    deliveries: Sequence[Delivery]
    symbols: Symbols

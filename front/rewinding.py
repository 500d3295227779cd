"""A machine's snapshots, as people use them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hillemu.emu.errors import UserMistake

if TYPE_CHECKING:
    from hillemu.emu.devices.serial_log import SerialLog
    from hillemu.emu.pc import Pc
    from hillemu.emu.snapshot import Snapshot, Snapshots


class Rewinding:
    """The part of `hillemu.Machine` that takes it back in time."""

    OUTSIDE_STATE = frozenset({"_snapshots", "_report", "_reported", "breakpoints"})
    """Restoring leaves the host's side alone."""

    _pc: Pc
    _snapshots: Snapshots | None = None

    def snapshot(self) -> Snapshot:
        """The whole machine as it is now, for `restore`; its memory is free again when you let go of it.

        Raises `UserMistake` inside an instruction (a device, an observer of the serial port), for a machine whose
        guest writes to a disk's file (``--disk-write``), and for a kernel module with objects that cannot be kept.
        """
        from hillemu.emu.snapshot_objects import CannotBeKept

        if self._snapshots is None:
            from hillemu.emu.snapshot import Snapshots

            self._snapshots = Snapshots(self._pc, self)
        try:
            return self._snapshots.take()
        except CannotBeKept as lost:
            from hillemu.kernel_module import MODULE_NAME

            module = sys.modules.get(MODULE_NAME)
            if module is None:
                raise
            raise UserMistake(
                f"{module.__file__}: {lost.place} has a {lost.kind}, which no snapshot of the machine can keep; what "
                "belongs to the kernel is kept in numbers, texts, lists, dictionaries and objects of its classes"
            ) from None

    def restore(self, snapshot: Snapshot) -> None:
        """Make the machine what it was at `snapshot`, earlier or later; from there it goes on as it did.

        Breakpoints, observers and your own objects stay as they are.  Raises `UserMistake` for a snapshot of another
        machine, and inside an instruction.
        """
        snapshot.restore_into(self._snapshots)

    @property
    def snapshot_bytes(self) -> int:
        """Memory that is kept for snapshots but the newest: the pages in which they differ."""
        return self._snapshots.held_bytes if self._snapshots else 0

    def hush_repeats(self) -> None:
        """Tell observers of the serial ports and the debug console nothing that comes at a place where they were told.

        After `restore`, that is what the guest sends until it is where it is now.
        """
        for log in self._logs:
            log.told_bytes = max(log.told_bytes, len(log.data))

    def forget_repeats(self) -> None:
        """Tell observers all that the guest sends from now on."""
        for log in self._logs:
            log.told_bytes = 0

    @property
    def _logs(self) -> tuple[SerialLog, ...]:
        return self._pc.serial_log, self._pc.serial2_log, self._pc.debug_log

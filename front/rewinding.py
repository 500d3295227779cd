"""A machine's snapshots, as people use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

        Raises `UserMistake` inside an instruction (a device, an observer of the serial port), and for a machine whose
        guest writes to a disk's file (``--disk-write``).
        """
        if self._snapshots is None:
            from hillemu.emu.snapshot import Snapshots

            self._snapshots = Snapshots(self._pc, self)
        return self._snapshots.take()

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

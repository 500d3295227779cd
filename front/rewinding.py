"""A machine's snapshots, as people use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hillemu.emu.pc import Pc
    from hillemu.emu.snapshot import Snapshot, Snapshots


class Rewinding:
    """The part of `hillemu.Machine` that takes it back in time."""

    OUTSIDE_STATE = frozenset({"_snapshots", "_report", "breakpoints"})
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

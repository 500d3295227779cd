"""A floppy drive: a disk or none, a motor, a head over one of its cylinders.

The drive takes every format that `hillemu.emu.geometry` knows, and turns at the speed that the format wants.
"""

from __future__ import annotations

from hillemu.emu.geometry import Geometry, format_as_floppy
from hillemu.emu.media import Medium

LAST_CYLINDER = 83
"""Where the head stops: drives have a few cylinders more than they are sold for."""

RATE_500, RATE_300, RATE_250, RATE_1000 = range(4)


class FloppyDrive:
    """One drive of the cable."""

    def __init__(self) -> None:
        self.medium: Medium | None = None
        self.geometry = Geometry(0, 0, 0)
        self.cylinder = 0
        self.motor = False
        self.changed = True
        """The disk change line: set until the head steps with a disk in the drive."""

    def insert(self, medium: Medium | None) -> None:
        """Put in a disk, or (`None`) take it out.  Raises `ImageError` for an image that fits on no floppy."""
        self.geometry = Geometry(0, 0, 0) if medium is None else format_as_floppy(medium)
        self.medium = medium
        self.changed = True

    @property
    def is_write_protected(self) -> bool:
        return self.medium is not None and self.medium.read_only

    def step_to(self, cylinder: int) -> int:
        """Step the head, as far as it goes; how many steps that were."""
        target = max(0, min(cylinder, LAST_CYLINDER))
        steps = abs(target - self.cylinder)
        if steps and self.medium is not None:
            self.changed = False
        self.cylinder = target
        return steps

    @property
    def rate(self) -> int:
        """The data rate of the disk's density (as in CCR bits 1-0)."""
        if self.geometry.sectors > 21:
            return RATE_1000
        return RATE_500 if self.geometry.sectors > 9 else RATE_250

    def reads_at(self, rate: int) -> bool:
        """Whether data rate `rate` is that of the disk."""
        # 40 cylinders turn at 300 rpm in their own drive and at 360 rpm in a 1.2 MiB drive.
        return rate == self.rate or (rate == RATE_300 and self.geometry.cylinders == 40)

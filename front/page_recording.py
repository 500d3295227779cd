"""Which pages the programs of a built-in kernel use, in order: a reference string for `hillemu kernel-trace --paging`.

All of program space is watched, so every access is seen, and the run is what it is without.  An access gives two pages:
that of its instruction, and that of its data.  Pages are numbers of virtual pages; those of the program with pid N are
higher by (N - 1) << 20, so that no two programs share one.  What repeats the page before it is left out: it changes
nothing for any policy.

Not recorded: pages of code that accesses no data, and what the kernel itself does with a program's memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hillemu.emu.cpu.observers import Watch
from hillemu.emu.i386.address import PAGE_SHIFT

if TYPE_CHECKING:
    from hillemu.emu.cpu.observers import WatchHit
    from hillemu.kernel.profiles.profile import Profile
    from hillemu.machine import Machine

MOST = 1 << 20
"""So many references are kept; the run goes on without being recorded."""
_PER_LINE = 12
_PID_SHIFT = 32 - PAGE_SHIFT


class PageRecording:
    """Records from now on what the programs of `machine` use, into which the kernel of `profile` was loaded.

    Raises `UserMistake` without the native core.
    """

    def __init__(self, machine: Machine, profile: Profile) -> None:
        self._machine, self.profile = machine, profile
        self.space = range(*profile.program_space)
        self.pages = array("Q")
        """The references, the oldest first."""
        self._last = -1
        self._handle = machine.watch(self.space, self._hit, Watch.ACCESS)

    @property
    def is_full(self) -> bool:
        """Whether there were more than are kept."""
        return len(self.pages) >= MOST

    def lines(self) -> Iterator[str]:
        """The recording as text that `kernel-trace --paging` reads."""
        yield f"# pages that the programs of profile {self.profile.name} have used: {len(self.pages)} references"
        if self.is_full:
            yield f"# these are the first {MOST}; the run went on"
        for first in range(0, len(self.pages), _PER_LINE):
            yield " ".join(f"{page:#x}" for page in self.pages[first : first + _PER_LINE])

    def _hit(self, hit: WatchHit) -> None:
        pid = self._machine.kernel.running_program
        if not pid:
            return  # the kernel on its way up
        above = pid - 1 << _PID_SHIFT
        if hit.eip in self.space:
            self._add(above + (hit.eip >> PAGE_SHIFT))
        self._add(above + (hit.address >> PAGE_SHIFT))
        end = hit.address + hit.size - 1
        if end >> PAGE_SHIFT != hit.address >> PAGE_SHIFT:
            self._add(above + (end >> PAGE_SHIFT))

    def _add(self, page: int) -> None:
        if page != self._last and not self.is_full:
            self._last = page
            self.pages.append(page)
            if len(self.pages) == MOST:
                self._handle.remove()

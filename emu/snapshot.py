"""Snapshots of a whole machine, in this process: take one, run on, go back, as often and in any order as wanted.

A restored machine goes on exactly as it did the first time: same instruction count, memory, serial text, screen, disks
and events.  What that takes is kept in four parts: memory (`hillemu.emu.page_versions`; a snapshot holds what others do
not have), the processor (`emu/cpu/native/snapshot.c`), all fields of all Python objects
(`hillemu.emu.snapshot_objects`), and media and logs, which are among those objects and share what did not change.

The host's side of the machine stays as it is: breakpoints, observers, translated code where memory did not change.

Not modelled: the TLB's content.  Restoring flushes it, as if the guest had written CR3.  A guest that changes a page
table and relies on the old translation, or on accessed bits that a cached translation leaves alone, is free to see
another outcome than the first time, as it is on hardware.
"""

from __future__ import annotations

import mmap
from typing import NamedTuple

from hillemu.emu.cpu.core import CoreState
from hillemu.emu.errors import UserMistake, WiringError
from hillemu.emu.host_pages import Run
from hillemu.emu.media import Medium
from hillemu.emu.memory import PhysicalMemory
from hillemu.emu.page_versions import Version, Versions, versions_of
from hillemu.emu.pc import Pc
from hillemu.emu.snapshot_objects import ObjectState


class Snapshot:
    """A machine at one moment; made by `Snapshots.take`.  Its memory is given back when it is let go of."""

    HAS_STATE = False

    def __init__(self, owner: Snapshots, memory: MemoryContent, processor: CoreState, objects: ObjectState) -> None:
        self._owner = owner
        self._memory = memory
        self._processor = processor
        self._objects = objects
        self.media = [one for one in objects.objects if isinstance(one, Medium)]
        """What was in the drives."""
        self.instructions = owner.pc.processor.instructions
        """How many had been executed."""
        self.now_ns = owner.pc.clock.now_ns
        """Virtual time since power-on."""

    def restore_into(self, machine: Snapshots | None) -> None:
        """Make the machine of `machine` as it was; raises `UserMistake` where it is another one."""
        if machine is not self._owner:
            raise UserMistake(f"{self!r} is of another machine, and can only be restored into its own")
        self._owner.restore(self)

    def __repr__(self) -> str:
        return f"<Snapshot after {self.instructions:,} instructions>"


class Snapshots:
    """Takes and restores the snapshots of `pc` together with whatever can be reached from `root`, which holds it."""

    HAS_STATE = False

    def __init__(self, pc: Pc, root: object) -> None:
        self.pc = pc
        self._root = root
        self._memory = MemoryVersions(pc.memory)

    def take(self) -> Snapshot:
        """The machine as it is now.

        Raises `UserMistake` inside an instruction (in a device, an observer of one), and when the guest's writes go to
        a disk's file.
        """
        self._check_rest("taken")
        objects = ObjectState.of([self._root])
        return Snapshot(self, self._memory.keep(), self.pc.processor.state(), objects)

    def restore(self, snapshot: Snapshot) -> None:
        """Make the machine as it was at `snapshot`, one of its own.

        Raises `UserMistake` inside an instruction, and when a disk that was there has been closed since.
        """
        self._check_rest("restored")
        for medium in snapshot.media:
            if medium.is_closed:
                raise UserMistake(
                    f"{medium.path} was closed since {snapshot!r}, as loading another image does, "
                    "so the machine cannot go back there"
                )
        processor = self.pc.processor
        processor.close_windows()
        snapshot._objects.write_back()
        for buffer, runs in self._memory.go_to(snapshot._memory):
            processor.host_changed(buffer, runs)
        processor.set_state(snapshot._processor)

    @property
    def held_bytes(self) -> int:
        """Memory that is kept for older snapshots, in which it differs from the newest."""
        return self._memory.held_bytes

    def _check_rest(self, what: str) -> None:
        if self.pc.processor.is_running:
            raise UserMistake(
                f"a snapshot cannot be {what} while an instruction is being executed: end the run first, "
                "or do it where Machine.run calls `between`"
            )


class MemoryContent(NamedTuple):
    """What is in RAM, video RAM and ROM at one moment."""

    ram: Version
    video_ram: Version
    rom: bytes


class MemoryVersions:
    """The versions of all of a machine's memory."""

    def __init__(self, memory: PhysicalMemory) -> None:
        self._memory = memory
        self._ram = _versions_of(memory.ram)
        self._video_ram = _versions_of(memory.video_ram)
        self._rom = b""
        memory.find_touched = self._ram.touched

    def keep(self) -> MemoryContent:
        if self._memory.rom.tobytes() != self._rom:
            self._rom = self._memory.rom.tobytes()
        return MemoryContent(self._ram.keep(), self._video_ram.keep(), self._rom)

    def go_to(self, content: MemoryContent) -> list[tuple[memoryview, list[Run]]]:
        """Return which parts of which buffers may have changed."""
        memory = self._memory
        changed = [
            (memory.ram, self._ram.go_to(content.ram)),
            (memory.video_ram, self._video_ram.go_to(content.video_ram)),
        ]
        if memory.rom.tobytes() != content.rom:
            memory.rom[:] = content.rom
            changed.append((memory.rom, [(0, len(content.rom))]))
        return changed

    @property
    def held_bytes(self) -> int:
        return self._ram.held_bytes + self._video_ram.held_bytes


def _versions_of(buffer: memoryview) -> Versions:
    if not isinstance(buffer.obj, mmap.mmap):
        raise WiringError("a machine's memory lies in mappings of its own")
    return versions_of(buffer.obj)

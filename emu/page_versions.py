"""Versions of a large host mapping that share every page in which they do not differ.

::

    version 1        version 2        version 3 = newest        now
    .-- older ---.   .-- older ---.   .-- base: a file ----.    .-- the mapping, private --------.
    | 5: old     |   | 7: old     |   | all of its pages   |    | the base's pages, and its own  |
    '------------'   '------------'   '--------------------'    | where something was written    |
     pages as they were before the next version                 '--------------------------------'

The mapping stays where it is, and nobody has to tell of his writes: with the first version it becomes a private view of
a file without a name, and the host knows which pages it has copied since (`hillemu.emu.host_pages`).  Keeping a
version moves those to the base, and what they replace to the version before.  Going back to the newest version lets go
of them: the host's cost is that of the pages that were written, whatever the size of the mapping.

>>> memory = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
>>> versions = versions_of(memory)
>>> memory[:5] = b"first"; first = versions.keep()
>>> memory[:6] = b"second"; second = versions.keep()
>>> memory[0x9000] = 1
>>> versions.go_to(first), memory[:6]
([(0, 4096), (36864, 40960)], b'first\\x00')
>>> versions.go_to(second), memory[:6]
([(0, 4096)], b'second')

A version's memory is given back when nobody refers to the version any more.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import weakref
from collections.abc import Collection, Iterable, Iterator
from typing import Protocol

from hillemu.emu.host_pages import PAGE_SIZE, HostPages, Run, address_of

MAP_FIXED, MAP_NORESERVE = 0x10, 0x4000
COPY_BYTES = 64 * 1024
SMALL_GAP = 16 * PAGE_SIZE
"""Runs that lie nearer are let go of in one call: to map a clean page again costs less than another call."""


class Version:
    """A handle: the content of a mapping at one moment."""

    __slots__ = ("__weakref__",)


class Versions(Protocol):
    """The versions of one mapping."""

    def keep(self) -> Version:
        """The content as it is now."""

    def go_to(self, version: Version) -> list[Run]:
        """Make the content that of `version`; where it may have changed, in ascending order."""

    def touched(self) -> Iterable[Run]:
        """Where there may be anything but zeros, in ascending order."""

    @property
    def held_bytes(self) -> int:
        """How much is kept for other versions than the newest."""


def versions_of(memory: mmap.mmap) -> Versions:
    """The versions of `memory`, an anonymous private mapping of whole pages."""
    try:
        if sys.platform == "linux":
            HostPages(memory).changed()
            return SharedVersions(memory)
    except OSError:
        pass
    return CopiedVersions(memory)


class _Layer:
    """A version, and its pages that are different in the next one."""

    __slots__ = ("older", "version")

    def __init__(self, version: weakref.ref[Version]) -> None:
        self.version = version
        self.older: dict[int, bytes] = {}

    @property
    def is_dropped(self) -> bool:
        return self.version() is None


class SharedVersions:
    """`Versions` by a private view of a file."""

    HAS_STATE = False

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._view = memoryview(memory)
        self._pages = HostPages(memory)
        self._size_bytes = len(memory)
        self._layers: list[_Layer] = []
        """From the oldest to the newest, whose content is the base's."""
        self._file = -1
        self._base: memoryview
        self._is_busy = False

    def keep(self) -> Version:
        self._is_busy = True
        try:
            if self._file < 0:
                self._make_base()
                changed = 0
            else:
                changed = self._move_changes_to_base()
            top = self._layers[-1] if self._layers else None
            newest = top.version() if top and not changed and not top.older else None
            if newest is None:
                newest = Version()
                self._layers.append(_Layer(weakref.ref(newest, self._drop_some)))
            return newest
        finally:
            self._is_busy = False
            self._merge_dropped()

    def go_to(self, version: Version) -> list[Run]:
        self._is_busy = True
        try:
            number = next(at for at, layer in enumerate(self._layers) if layer.version() is version)
            wanted: dict[int, bytes] = {}
            for layer in reversed(self._layers[number:]):
                wanted.update(layer.older)
            changed = self._pages.changed()
            if all(layer.is_dropped for layer in self._layers[number + 1 :]):
                self._let_go(changed)
                _put(self._base, wanted)
                del self._layers[number + 1 :]
                self._layers[number].older.clear()
            else:
                self._let_go(_without(changed, wanted) if wanted else changed)
                _put(self._view, wanted)
            return _united(changed, wanted)
        finally:
            self._is_busy = False
            self._merge_dropped()

    def touched(self) -> Iterator[Run]:
        if self._file < 0:
            return iter(self._pages.present())
        return iter(_merged([*self._data_of_base(), *self._pages.changed()]))

    @property
    def held_bytes(self) -> int:
        return sum(len(layer.older) for layer in self._layers) * PAGE_SIZE

    # ---- the base -----------------------------------------------------------------------------------------------

    def _make_base(self) -> None:
        """Copy the content to a new file, and put a private view of that in its place."""
        self._file = os.memfd_create("hillemu")
        weakref.finalize(self, os.close, self._file)
        os.ftruncate(self._file, self._size_bytes)
        shared = mmap.MAP_SHARED | MAP_NORESERVE
        self._base = memoryview(mmap.mmap(self._file, self._size_bytes, flags=shared))
        zeros = bytes(COPY_BYTES)
        for start, end in self._pages.present():
            for at in range(start, end, COPY_BYTES):
                piece = bytes(self._view[at : min(at + COPY_BYTES, end)])
                if piece != zeros[: len(piece)]:
                    self._base[at : at + len(piece)] = piece
        _map_private(self._memory, self._file)

    def _move_changes_to_base(self) -> int:
        """Return how many pages it were."""
        if self._layers and self._layers[-1].is_dropped:
            self._layers.pop()
        older = self._layers[-1].older if self._layers else None
        view, base = self._view, self._base
        runs = self._pages.changed()
        count = 0
        for start, end in runs:
            for at in range(start, end, PAGE_SIZE):
                now, before = bytes(view[at : at + PAGE_SIZE]), bytes(base[at : at + PAGE_SIZE])
                if now != before:
                    if older is not None:
                        older.setdefault(at, before)
                    base[at : at + PAGE_SIZE] = now
                    count += 1
        self._let_go(runs)
        return count

    def _let_go(self, runs: Iterable[Run]) -> None:
        """Show the base's pages again."""
        start = end = 0
        for run_start, run_end in runs:
            if run_start - end > SMALL_GAP:
                if start < end:
                    self._memory.madvise(mmap.MADV_DONTNEED, start, end - start)
                start = run_start
            end = run_end
        if start < end:
            self._memory.madvise(mmap.MADV_DONTNEED, start, end - start)

    def _data_of_base(self) -> Iterator[Run]:
        end = 0
        while True:
            try:
                start = os.lseek(self._file, end, os.SEEK_DATA)
            except OSError:  # there is none behind `end`
                return
            end = os.lseek(self._file, start, os.SEEK_HOLE)
            yield start, end

    # ---- versions that nobody wants -----------------------------------------------------------------------------

    def _drop_some(self, version: weakref.ref[Version]) -> None:
        if not self._is_busy:
            self._merge_dropped()

    def _merge_dropped(self) -> None:
        """Forget all versions that were dropped but the newest, which is the base."""
        for number in range(len(self._layers) - 2, -1, -1):
            layer = self._layers[number]
            if layer.is_dropped:
                if number > 0:
                    below = self._layers[number - 1].older
                    for at, page in layer.older.items():
                        below.setdefault(at, page)
                del self._layers[number]


class CopiedVersions:
    """`Versions` where the host does not tell what has changed: every page is looked at, equal ones are shared."""

    HAS_STATE = False

    def __init__(self, memory: mmap.mmap) -> None:
        self._view = memoryview(memory)
        self._pages = HostPages(memory)
        self._kept: weakref.WeakKeyDictionary[Version, dict[int, bytes]] = weakref.WeakKeyDictionary()
        self._last: dict[int, bytes] = {}

    def keep(self) -> Version:
        version = Version()
        before = self._last.get
        now: dict[int, bytes] = {}
        for at, page in self._filled():
            same = before(at)
            now[at] = same if same == page else page
        self._kept[version] = self._last = now
        return version

    def go_to(self, version: Version) -> list[Run]:
        self._last = wanted = self._kept[version]
        stale = {at: bytes(PAGE_SIZE) for at, _ in self._filled() if at not in wanted}
        changed = {
            at: page
            for at, page in sorted([*stale.items(), *wanted.items()])
            if self._view[at : at + PAGE_SIZE].tobytes() != page
        }
        _put(self._view, changed)
        return _united([], changed)

    def touched(self) -> Iterator[Run]:
        try:
            return iter(self._pages.present())
        except OSError:
            return iter([(0, len(self._view))])

    @property
    def held_bytes(self) -> int:
        newest = {id(page) for page in self._last.values()}
        return len({id(page) for pages in self._kept.values() for page in pages.values()} - newest) * PAGE_SIZE

    def _filled(self) -> Iterator[tuple[int, bytes]]:
        zeros = bytes(COPY_BYTES)
        for start, end in self.touched():
            for block in range(start, end, COPY_BYTES):
                data = bytes(self._view[block : min(block + COPY_BYTES, end)])
                if data == zeros[: len(data)]:
                    continue
                for offset in range(0, len(data), PAGE_SIZE):
                    page = data[offset : offset + PAGE_SIZE]
                    if page != zeros[:PAGE_SIZE]:
                        yield block + offset, page


def _put(view: memoryview, pages: dict[int, bytes]) -> None:
    for at, page in pages.items():
        view[at : at + PAGE_SIZE] = page


def _merged(runs: Iterable[Run]) -> list[Run]:
    """The same pages in ascending order, without overlaps."""
    merged: list[Run] = []
    for start, end in sorted(runs):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _united(runs: list[Run], pages: Collection[int]) -> list[Run]:
    return _merged([*runs, *((at, at + PAGE_SIZE) for at in pages)]) if pages else runs


def _without(runs: Iterable[Run], pages: dict[int, bytes]) -> Iterator[Run]:
    for start, end in runs:
        for at in range(start, end, PAGE_SIZE):
            if at not in pages:
                yield at, at + PAGE_SIZE


def _map_private(memory: mmap.mmap, file: int) -> None:
    """Replace `memory` by a private view of `file`, at the same address: the guest's processor looks at it there."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    libc.mmap.argtypes = [pointer, size, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64]
    base = address_of(memory)
    flags = mmap.MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE
    if libc.mmap(base, len(memory), mmap.PROT_READ | mmap.PROT_WRITE, flags, file, 0) != base:
        raise OSError(ctypes.get_errno(), "the host cannot map memory for snapshots")

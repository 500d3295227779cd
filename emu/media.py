"""Disk, floppy and CD images: sectors of a file, with the guest's writes kept in memory unless they are wanted there.

>>> medium = Medium.from_bytes("example", b"boot" + bytes(1020))
>>> medium.sector_count, medium.read(0)[:4]
(2, b'boot')
>>> medium.write(0, b"x" * 512); medium.read(0, 2)[510:514]
b'xx\\x00\\x00'

The file is read with `pread` as sectors are asked for, so an image of any size opens at once and costs no memory.  By
default it stays as it is: sectors that the guest writes lie in an overlay that goes away with the medium.  A
`writable` medium passes each write on to the file before `write` returns.

Two media on one file may both read it; one that writes wants it for itself, in this process and among others that
ask for the same advisory lock.

A file that shrinks, vanishes or fails while it is used raises `MediumError`, which stops the machine.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import Protocol

from hillemu.emu.errors import ImageError, MediumError, UserMistake

SECTOR_BYTES = 512
CD_SECTOR_BYTES = 2048

_FOREIGN_FORMATS = (
    (0, b"QFI\xfb", "qcow2"),
    (0, b"KDMV", "VMDK"),
    (0, b"conectix", "VHD"),
    (0, b"vhdxfile", "VHDX"),
    (0x40, b"\x7f\x10\xda\xbe", "VDI"),
)
_LONGEST_MAGIC = 0x44


class Medium:
    """Numbered sectors of `sector_bytes` each, made by `open` or `from_bytes`.

    `read_only` says whether the guest finds its write-protect tab set (a CD's always is); `writable` whether what
    the guest writes reaches the file.  `note` is a sentence for the user when the image is unusual, else empty.
    """

    def __init__(self, path: str, storage: Storage, *, sector_bytes: int, writable: bool, read_only: bool) -> None:
        size = storage.size_bytes
        if size == 0:
            raise ImageError(path, "is empty: a disk image has at least one sector")
        self.path = path
        self.sector_bytes = sector_bytes
        self.sector_count = -(-size // sector_bytes)
        self.writable = writable
        self.read_only = read_only
        self.note = ""
        if size % sector_bytes:
            missing = sector_bytes - size % sector_bytes
            self.note = f"{path}: {size} bytes are not whole sectors; the last one is filled up with {missing} zeros"
        self._storage = storage
        self._overlay: dict[int, bytes] = {}
        self._overlay_is_kept = False
        self.is_closed = False

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        sector_bytes: int = SECTOR_BYTES,
        writable: bool = False,
        read_only: bool = False,
    ) -> Medium:
        """Open an image file or a block device.  One of 2048-byte sectors is a CD, hence read-only.

        Raises `ImageError` for what cannot be read, or not written although `writable`; for another emulator's
        format; and for a file that somebody else writes.
        """
        name = os.fspath(path)
        read_only = read_only or sector_bytes == CD_SECTOR_BYTES
        if writable and read_only:
            raise ImageError(name, "cannot be both written and write-protected")
        storage = _File(name, writable=writable)
        try:
            _refuse_foreign_format(name, storage.read(0, min(_LONGEST_MAGIC, storage.size_bytes)))
            return cls(name, storage, sector_bytes=sector_bytes, writable=writable, read_only=read_only)
        except BaseException:
            storage.close()
            raise

    @classmethod
    def from_bytes(cls, name: str, data: bytes, *, sector_bytes: int = SECTOR_BYTES, read_only: bool = False) -> Medium:
        """A medium that holds `data` and nothing else in the world; `name` is for messages."""
        read_only = read_only or sector_bytes == CD_SECTOR_BYTES
        return cls(name, _Memory(data), sector_bytes=sector_bytes, writable=False, read_only=read_only)

    @property
    def size_bytes(self) -> int:
        return self.sector_count * self.sector_bytes

    @property
    def changed_sectors(self) -> dict[int, bytes]:
        """What the guest has written and the file does not have, by sector number."""
        return dict(self._overlay)

    def pad(self, sector_count: int) -> None:
        """Make the medium at least `sector_count` long; sectors that the file lacks read as zeros.

        So a single boot sector can be put into a floppy drive.  Writing such a sector through makes the file grow.
        """
        self.sector_count = max(self.sector_count, sector_count)

    def read(self, lba: int, count: int = 1) -> bytes:
        """Return `count` sectors from `lba` on.

        Raises `IndexError` outside the medium, and `MediumError` if the file fails.
        """
        self._check(lba, count)
        size = self.sector_bytes
        data = self._storage.read(lba * size, count * size)
        if len(data) < count * size:
            data += bytes(count * size - len(data))
        if not self._overlay:
            return data
        changed = [sector for sector in range(lba, lba + count) if sector in self._overlay]
        if not changed:
            return data
        patched = bytearray(data)
        for sector in changed:
            at = (sector - lba) * size
            patched[at : at + size] = self._overlay[sector]
        return bytes(patched)

    def write(self, lba: int, data: bytes | bytearray | memoryview) -> None:
        """Store whole sectors from `lba` on.

        Raises `IndexError` outside the medium, `ValueError` for a piece of a sector or a read-only medium, and
        `MediumError` if the file cannot take them: then it has none of them, or the message says how many bytes.
        """
        size = self.sector_bytes
        count, rest = divmod(len(data), size)
        if rest:
            raise ValueError(f"{len(data)} bytes are not whole sectors of {size}")
        if self.read_only:
            raise ValueError(f"{self.path} is write-protected")
        self._check(lba, count)
        data = bytes(data)
        if self.writable:
            self._storage.write(lba * size, data)
            return
        if self._overlay_is_kept:
            self._overlay, self._overlay_is_kept = self._overlay.copy(), False
        for number in range(count):
            self._overlay[lba + number] = data[number * size : (number + 1) * size]

    def save_state(self) -> dict[int, bytes]:
        """What the guest has written, for a snapshot; it is copied when more is.

        Raises `UserMistake` for a medium whose file is written, since that cannot be taken back.
        """
        if self.writable:
            raise UserMistake(
                f"{self.path}: what the guest writes goes to the file, so no snapshot can take it back; "
                "boot without --disk-write (disk_write=True)"
            )
        self._overlay_is_kept = True
        return self._overlay

    def load_state(self, saved: dict[int, bytes]) -> None:
        """Have on the medium what was there."""
        self._overlay, self._overlay_is_kept = saved, True

    def flush(self) -> None:
        """Have the host put what was written on its disk."""
        if self.writable:
            self._storage.flush()

    def close(self) -> None:
        """Flush, and let the file go; doing it twice is harmless."""
        self.is_closed = True
        try:
            self.flush()
        finally:
            self._storage.close()

    def _check(self, lba: int, count: int) -> None:
        if lba < 0 or count < 0 or lba + count > self.sector_count:
            raise IndexError(f"{self.path}: sectors {lba} to {lba + count - 1} of {self.sector_count}")


class Storage(Protocol):
    """Where a medium's bytes are.  Reads past the end are short."""

    @property
    def size_bytes(self) -> int: ...

    def read(self, at: int, count: int) -> bytes: ...

    def write(self, at: int, data: bytes) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class _Memory:
    """Storage that nobody shares."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    def read(self, at: int, count: int) -> bytes:
        return self._data[at : at + count]

    def write(self, at: int, data: bytes) -> None:
        raise AssertionError("a medium on bytes keeps its writes in the overlay")

    def flush(self) -> None:
        """Nothing is behind it."""

    def close(self) -> None:
        """Nothing is open."""


class _File:
    """Storage in a regular file or a block device.

    There is no `mmap`: a file that shrinks under one kills the process (SIGBUS) instead of raising an exception.
    """

    def __init__(self, path: str, *, writable: bool) -> None:
        self._path = path
        self._descriptor: int | None = None
        try:
            kind = os.stat(path).st_mode
            if stat.S_ISDIR(kind):
                raise ImageError(path, "is a directory")
            if not (stat.S_ISREG(kind) or stat.S_ISBLK(kind)):
                raise ImageError(path, "is neither a regular file nor a block device")
            self._descriptor = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
            # A block device has no size in its inode, but it has an end.
            self.size_bytes = os.lseek(self._descriptor, 0, os.SEEK_END)
        except OSError as error:
            self.close()
            raise ImageError(path, _cannot("write" if writable else "read", error)) from None
        self._is_file = stat.S_ISREG(kind)
        try:
            self._lock(exclusive=writable)
        except ImageError:
            self.close()
            raise

    def read(self, at: int, count: int) -> bytes:
        wanted = min(count, self.size_bytes - at)
        if wanted <= 0:
            return b""
        self._check_presence()
        data = b""
        try:
            while len(data) < wanted and (piece := os.pread(self._open, wanted - len(data), at + len(data))):
                data += piece
        except OSError as error:
            raise MediumError(self._path, _cannot("read", error)) from None
        if len(data) < wanted:
            raise MediumError(self._path, f"shrank during the run: byte {at + len(data):#x} is gone")
        return data

    def write(self, at: int, data: bytes) -> None:
        self._check_presence()
        written = 0
        try:
            if self._is_file and data:
                # Where the file has holes, writing takes space.  Taking it first means all of the data or nothing.
                _where_supported(os.posix_fallocate, self._open, at, len(data))
            while written < len(data):
                written += os.pwrite(self._open, data[written:], at + written)
        except OSError as error:
            done = f"; {written} of {len(data)} bytes at {at:#x} were written" if written else ""
            raise MediumError(self._path, _cannot("write", error) + done) from None
        self.size_bytes = max(self.size_bytes, at + len(data))

    def flush(self) -> None:
        if self._descriptor is None:
            return
        try:
            _where_supported(os.fdatasync, self._descriptor)
        except OSError as error:
            raise MediumError(self._path, _cannot("flush", error)) from None

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def _open(self) -> int:
        if self._descriptor is None:
            raise ValueError(f"{self._path} is closed")
        return self._descriptor

    def _check_presence(self) -> None:
        if not self._is_file:
            return
        try:
            now = os.fstat(self._open)
        except OSError as error:
            raise MediumError(self._path, _cannot("read", error)) from None
        if now.st_nlink == 0:
            raise MediumError(self._path, "was deleted or replaced during the run")
        if now.st_size < self.size_bytes:
            raise MediumError(
                self._path, f"shrank during the run: it had {self.size_bytes} bytes and has {now.st_size} now"
            )

    def _lock(self, *, exclusive: bool) -> None:
        """Many may read; who writes is alone."""
        import fcntl

        try:
            mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
            _where_supported(fcntl.flock, self._open, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            problem = (
                "is in use already, here or by another program, so it cannot be written"
                if exclusive
                else "is being written, here or by another program"
            )
            raise ImageError(self._path, problem) from None
        except OSError as error:
            raise ImageError(self._path, _cannot("lock", error)) from None


def _where_supported(operation: Callable[..., object], *arguments: int) -> None:
    """Pass over an operation that this file system or device does not have."""
    try:
        operation(*arguments)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV, errno.ENOLCK):
            raise


def _cannot(verb: str, error: OSError) -> str:
    return f"cannot {verb}: {error.strerror or error}"


def _refuse_foreign_format(path: str, head: bytes) -> None:
    for at, magic, name in _FOREIGN_FORMATS:
        if head[at : at + len(magic)] == magic:
            raise ImageError(path, f"is a {name} image; make a raw one with: qemu-img convert -O raw {path} disk.img")

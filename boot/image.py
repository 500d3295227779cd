"""What is booted: the image, its modules, the user's options, and what became of them.

>>> options = BootOptions(cmdline="debug", modules=(Module("disk.img", "ro", b"..."),))
>>> options.modules[0].string
'disk.img ro'

Raises (all of this room): `ImageError` for a file that cannot be used, `OptionError` for an option that makes no sense.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.errors import ImageError

if TYPE_CHECKING:
    from mmap import mmap

    from hillemu.boot.detect import Kind
    from hillemu.emu.i386.address import PhysAddr

    Bytes = bytes | bytearray | memoryview | mmap

MAPPED_FROM_BYTES = 8 << 20
"""Files of at least this size are mapped instead of read."""

_PIPE_LIMIT_BYTES = 1 << 30
_CHUNK_BYTES = 1 << 20


class Image:
    """A file to boot: its `path` as the user wrote it, and its bytes."""

    __slots__ = ("data", "path")

    def __init__(self, path: str, data: Bytes) -> None:
        self.path = path
        self.data = memoryview(data).cast("B")

    @classmethod
    def open(cls, path: str) -> Image:
        """Open the file at `path`; raises `ImageError` if it is missing, unreadable or not a file."""
        return cls(path, read_file(path))

    @property
    def size_bytes(self) -> int:
        return self.data.nbytes

    def has(self, offset: int, text: bytes) -> bool:
        """Whether the bytes at `offset` are `text`."""
        return self.data[offset : offset + len(text)].tobytes() == text

    def fault(self, text: str) -> ImageError:
        """The error that says what is wrong with this image, to be raised."""
        return ImageError(self.path, text)


class Module:
    """A file that the loader puts into memory beside the kernel; `cmdline` is its arguments, without its name."""

    __slots__ = ("cmdline", "data", "path")

    def __init__(self, path: str, cmdline: str, data: Bytes) -> None:
        self.path = path
        self.cmdline = cmdline
        self.data = memoryview(data).cast("B")

    @classmethod
    def open(cls, path: str, cmdline: str = "") -> Module:
        """Open the file at `path`; raises `ImageError` if it is missing, unreadable or not a file."""
        return cls(path, cmdline, read_file(path))

    @property
    def string(self) -> str:
        """What the kernel is told: the name and the arguments, as QEMU's ``-initrd "NAME ARGS"`` says it."""
        return f"{self.path} {self.cmdline}" if self.cmdline else self.path


class BootOptions(NamedTuple):
    """What the user says about how to boot."""

    format: str = "auto"
    """One of `loader.FORMATS`."""
    cmdline: str = ""
    """The kernel's arguments, without its name."""
    modules: tuple[Module, ...] = ()
    initrds: tuple[Module, ...] = ()
    """The parts of a Linux kernel's initial RAM disk, in order."""


class Placed(NamedTuple):
    """Something that the loader put into guest memory, at physical `base` up to, not including, `end`."""

    name: str
    base: PhysAddr
    end: PhysAddr

    def __str__(self) -> str:
        return f"{self.name} at {self.base:#x}-{max(self.end - 1, self.base):#x}"


class Loaded(NamedTuple):
    """A machine ready to start: memory and registers are as the boot protocol promises."""

    kind: Kind
    entry: PhysAddr
    segments: tuple[Placed, ...]
    modules: tuple[Placed, ...]
    info_address: PhysAddr
    """Where the structure lies that the kernel finds in EBX, or Linux's zero page (its setup, started in real mode)."""
    description: tuple[str, ...]
    """What was put where, for people: one line each."""
    notes: tuple[str, ...]
    """What the image asked for and does not get: one line each, worth telling unasked."""


def read_file(path: str) -> Bytes:
    """Return the contents of the file or pipe at `path`.

    Small files are copied, because a build may rewrite a file in place while the machine still needs it for a reset;
    from `MAPPED_FROM_BYTES` on they are mapped.  Raises `ImageError`; an empty file is no error here.
    """
    try:
        # Looking first, because opening a device can have effects, and reading one may never end.
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise ImageError(path, "is a directory, not a file")
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise ImageError(path, "is a device or a socket, not a file")
        with open(path, "rb", buffering=0) as file:
            if stat.S_ISFIFO(mode):
                return _read_pipe(path, file.fileno())
            if os.fstat(file.fileno()).st_size >= MAPPED_FROM_BYTES:
                from mmap import ACCESS_READ, mmap

                return mmap(file.fileno(), 0, access=ACCESS_READ)
            return file.readall()
    except FileNotFoundError:
        if not path:
            raise ImageError(repr(path), "is no file's name; is a variable of the shell empty?") from None
        raise ImageError(path, "no such file") from None
    except OSError as error:
        raise ImageError(path, f"cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise ImageError(repr(path), "is not a possible file name") from None


def _read_pipe(path: str, descriptor: int) -> bytes:
    data = bytearray()
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        data += chunk
        if len(data) > _PIPE_LIMIT_BYTES:
            raise ImageError(path, f"the pipe gives more than {_PIPE_LIMIT_BYTES >> 30} GiB; use a file")
    return bytes(data)

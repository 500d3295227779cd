"""Archives in cpio's "newc" format, which Linux unpacks an initial RAM disk from.

Every entry is a header of ASCII, the name with its NUL, and the contents; name and contents end at multiples of 4::

    070701  ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check

The thirteen numbers have eight hexadecimal digits each.

Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst; cpio(5).
"""

from __future__ import annotations

import stat


class NewcArchive:
    """An archive that grows; everything in it belongs to root."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._entries = 0

    def directory(self, path: str) -> None:
        self._add(path, stat.S_IFDIR | 0o755)

    def file(self, path: str, data: bytes, *, executable: bool = False) -> None:
        self._add(path, stat.S_IFREG | (0o755 if executable else 0o644), data)

    def link(self, path: str, target: str) -> None:
        """A symbolic link."""
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path: str, major: int, minor: int) -> None:
        self._add(path, stat.S_IFCHR | 0o600, device=(major, minor))

    def finished(self) -> bytes:
        """The archive with the entry that ends it."""
        return b"".join([*self._parts, _entry("TRAILER!!!", 0, 0)])

    def _add(self, path: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        self._entries += 1
        self._parts.append(_entry(path, self._entries, mode, data, device))


def _entry(path: str, inode: int, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    numbers = (inode, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % number for number in numbers)
    return _padded(header + name) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)

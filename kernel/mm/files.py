"""What can be mapped: something with a name, a size, and bytes."""

from __future__ import annotations

from typing import Protocol


class File(Protocol):
    """`PageCache.open` knows it by its number; boot modules are files."""

    name: str
    size_bytes: int

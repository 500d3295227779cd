"""What can be chosen about the kernel before it starts.

The user's words come from two places: the command line of the boot protocol (``--append``), for what a kernel without
Python could be told too, and `KernelOptions`, for what is Python itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from hillemu.kernel.mm.buddy import Buddy
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.mm.frames import AllocatorFactory
from hillemu.kernel.mm.oom import OomPolicy, largest
from hillemu.kernel.mm.replacement import Clock, PolicyFactory

if TYPE_CHECKING:
    from hillemu.kernel.kernel import Kernel

PAGINGS = ("32bit", "pae")


def nothing(kernel: Kernel) -> None:
    """The user wants nothing done."""


class KernelOptions(NamedTuple):
    """Parts that a user may replace by his own."""

    frame_allocator: AllocatorFactory = Buddy.for_zone
    page_replacement: PolicyFactory = Clock
    oom: OomPolicy = largest
    debug: Options = Options()
    on_boot: Callable[[Any], None] = nothing
    """Called with the kernel of whichever profile when memory management is complete, before the first program runs."""
    check: bool = False
    """Verify everything when the last program has ended, and say so; contradictions make the exit code 3."""
    checks: tuple[str, ...] = ()
    """Verify only these, of the profile's `Profile.checks`."""


PARTS = ("frame_allocator", "page_replacement", "oom", "on_boot")
"""Those that are the user's own code; `profiles.profile.Profile.parts` says which of them a kernel uses."""


class CommandLine(NamedTuple):
    """The words of the kernel's command line that it knows."""

    pae: bool = False
    init: str = ""
    """The only module that is started as a program; all that are ELF files, if it is empty."""
    tests: bool = True
    """Run kmalloc's tests."""
    swap_bytes: int = 0
    """How large a swap disk the kernel has; 0 is none."""
    unknown: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> CommandLine:
        """Read the words that follow the image's name: ``paging=32bit|pae init=NAME tests=on|off swap=SIZE``.

        >>> CommandLine.parse("paging=pae swap=4M frob")
        CommandLine(pae=True, init='', tests=True, swap_bytes=4194304, unknown=('frob',))
        """
        line, unknown = cls(), []
        for word in text.split():
            key, _, value = word.partition("=")
            if key == "paging" and value in PAGINGS:
                line = line._replace(pae=value == "pae")
            elif key == "init" and value:
                line = line._replace(init=value)
            elif key == "tests" and value in ("on", "off"):
                line = line._replace(tests=value == "on")
            elif key == "swap" and (size_bytes := _size(value)) is not None:
                line = line._replace(swap_bytes=size_bytes)
            else:
                unknown.append(word)
        return line._replace(unknown=tuple(unknown))


def _size(text: str) -> int | None:
    """A number of bytes, with K, M or G behind it or not; None for anything else."""
    shift = {"K": 10, "M": 20, "G": 30}.get(text[-1:].upper(), 0)
    digits = text[:-1] if shift else text
    return int(digits) << shift if digits.isascii() and digits.isdigit() and len(digits) < 12 else None

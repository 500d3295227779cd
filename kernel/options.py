"""What can be chosen about the kernel before it starts.

The user's words come from two places: the command line of the boot protocol (``--append``), for what a kernel without
Python could be told too, and `KernelOptions`, for what is Python itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hillemu.kernel.mm.buddy import Buddy
from hillemu.kernel.mm.debug_aids import Options
from hillemu.kernel.mm.frames import AllocatorFactory

if TYPE_CHECKING:
    from hillemu.kernel.kernel import Kernel

PAGINGS = ("32bit", "pae")


def nothing(kernel: Kernel) -> None:
    """The user wants nothing done."""


class KernelOptions(NamedTuple):
    """Parts that a user may replace by his own."""

    frame_allocator: AllocatorFactory = Buddy.for_zone
    debug: Options = Options()
    on_boot: Callable[[Kernel], None] = nothing
    """Called when memory management is complete, before the first program runs."""
    check: bool = False
    """Verify everything when the last program has ended, and say so; contradictions make the exit code 3."""


class CommandLine(NamedTuple):
    """The words of the kernel's command line that it knows."""

    pae: bool = False
    init: str = ""
    """The only module that is started as a program; all that are ELF files, if it is empty."""
    tests: bool = True
    """Run kmalloc's tests."""
    unknown: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> CommandLine:
        """Read the words that follow the image's name.

        >>> CommandLine.parse("paging=pae tests=off frob")
        CommandLine(pae=True, init='', tests=False, unknown=('frob',))
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
            else:
                unknown.append(word)
        return line._replace(unknown=tuple(unknown))

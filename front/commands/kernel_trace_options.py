"""The options of `hillemu kernel-trace`."""

from __future__ import annotations

import argparse

from hillemu.commands.options import Parser, add_kernel_module
from hillemu.emu.errors import OptionError
from hillemu.sizes import parse_ram_size

_DESCRIPTION = """\
Replay FILE, with lines 'a ID SIZE', 'r ID SIZE' and 'f ID', and print how kmalloc did.
With --paging, count the page faults of a reference string under every replacement policy instead."""
_EPILOG = """\
exit status: 0, or 1 if the allocators' structures contradict each other afterwards

examples:
  hillemu kernel-trace allocations.txt
  hillemu kernel-trace allocations.txt --profile bitmap --no-debug-aids
  hillemu kernel-trace --paging 1,2,3,4,1,2,5,1,2,3,4,5 --frames 3,4
  hillemu boot --profile bitmap --record-pages run.txt
  hillemu kernel-trace --paging run.txt --frames 6-12"""
_MOST_COUNTS = 64


def add_kernel_trace(trace: Parser) -> None:
    """Fill the parser of the command."""
    trace.description, trace.epilog = _DESCRIPTION, _EPILOG
    trace.usage = "hillemu kernel-trace (FILE | --paging REFERENCES) [OPTIONS]"
    trace.add_argument("trace", nargs="?", metavar="FILE", help="the trace of allocations")
    trace.add_argument(
        "--paging", metavar="REFERENCES", help="numbers of pages, as in 1,2,3,4,1,2,5, or a file with such numbers"
    )
    trace.add_argument(
        "--frames",
        type=_frames,
        metavar="N[,N|-N]",
        help="with --paging: how many frames there are, as in 3,4 or 3-8 [1 up to the number of pages, at most 16]",
    )
    trace.add_argument(
        "--mem", type=parse_ram_size, default="64M", metavar="SIZE", help="RAM, 4M to 64G; a bare number is MiB [64M]"
    )
    trace.add_argument(
        "--debug-aids",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="fences around allocations and poison in what is free [yes]",
    )
    trace.add_argument(
        "--profile",
        metavar="NAME",
        help="whose allocator: hillson, bitmap, or orange, which gives whole pages [hillson]",
    )
    add_kernel_module(trace)


def _frames(text: str) -> tuple[int, ...]:
    """Numbers and ranges of them, with commas between."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not all(_is_count(word) for word in ((first, last) if dash else (first,))):
            raise OptionError("--frames", f"{part!r} is no number of frames; write it like 3,4 or 3-8")
        found += range(int(first), int(last or first) + 1)
        if not found or len(found) > _MOST_COUNTS:
            raise OptionError("--frames", f"{text!r} names no number of frames, or more than {_MOST_COUNTS}")
    return tuple(found)


def _is_count(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= 7 and int(word) > 0

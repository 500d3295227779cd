"""The options of `hillemu kernel-trace`."""

from __future__ import annotations

import argparse

from hillemu.commands.options import Parser, add_kernel_module
from hillemu.sizes import parse_ram_size

_DESCRIPTION = "Replay FILE, with lines 'a ID SIZE', 'r ID SIZE' and 'f ID',\nand print how kmalloc did."
_EPILOG = "exit status: 0, or 1 if the allocators' structures contradict each other afterwards"


def add_kernel_trace(trace: Parser) -> None:
    """Fill the parser of the command."""
    trace.description, trace.epilog = _DESCRIPTION, _EPILOG
    trace.add_argument("trace", metavar="FILE", help="the trace")
    trace.add_argument(
        "--mem", type=parse_ram_size, default="64M", metavar="SIZE", help="RAM, 4M to 64G; a bare number is MiB [64M]"
    )
    trace.add_argument(
        "--debug-aids",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="fences around allocations and poison in what is free [yes]",
    )
    add_kernel_module(trace)

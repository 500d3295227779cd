"""The options of a machine that counts a processor's cycles, and of what is told about its code."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from hillemu.emu.errors import OptionError


def add_timing(machine: argparse._ActionsContainer) -> None:
    """Add them to the group that describes the machine."""
    machine.add_argument(
        "--timing",
        default="insn",
        metavar="MODEL",
        help="insn, or cycles of i386, i486, pentium or i486-nomem, ... [insn]",
    )
    machine.add_argument(
        "--bus-mhz", type=_whole("--bus-mhz"), metavar="N", help="how fast the bus of the model's board is"
    )
    machine.add_argument(
        "--wait-states", type=_whole("--wait-states"), metavar="N", help="of each of that bus's cycles [0]"
    )
    machine.add_argument(
        "--io-wait-states",
        type=_whole("--io-wait-states"),
        metavar="N",
        help="clocks of that bus in each port access, beyond the manual's figures [what an ISA bus takes]",
    )
    machine.add_argument(
        "--lint", choices=("tlb",), help="tlb: find translations that are used after their page tables changed"
    )
    machine.add_argument(
        "--symbols",
        action="append",
        default=[],
        metavar="FILE",
        help="an ELF file with symbols of code that IMAGE does not name, as a disk's kernel; may be given again",
    )


def _whole(option: str) -> Callable[[str], int]:
    """An argparse type: a number, 0 or more."""

    def number(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or len(text) > 9:
            raise OptionError(option, f"{text!r} is not a whole number")
        return int(text)

    return number

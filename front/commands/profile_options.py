"""The options of `hillemu profile`: those of `hillemu boot` that describe the machine, and how to show the profile."""

from __future__ import annotations

from hillemu.commands.options import EXIT_STATUS, Parser, add_drives, add_ending, add_image, add_input, add_machine
from hillemu.emu.errors import OptionError

_DESCRIPTION = """\
Boot IMAGE, or the built-in kernel, until it stops, and show where the time went: cycles of the processor that --timing
names, or instructions without it. With a whole model (i486, not i486-nomem) TLB and cache misses are told, too."""
_EXAMPLES = """

examples:
  hillemu profile kernel.elf --timing i486 --html profile.html
  hillemu profile kernel.elf --timing pentium --by line --top 50
  hillemu profile kernel.elf --callgrind callgrind.out.kernel; kcachegrind callgrind.out.kernel"""
DEFAULT_TOP = 30


def add_profile(profile: Parser) -> None:
    """Fill the parser of the command."""
    profile.description = _DESCRIPTION
    profile.epilog = EXIT_STATUS + _EXAMPLES
    profile.add_argument("image", nargs="?", metavar="IMAGE", help="as for 'hillemu boot'")
    showing = profile.add_argument_group("how to show it")
    showing.add_argument("--by", choices=("function", "line"), default="function", help="what a row is [function]")
    showing.add_argument("--top", type=_top, default=DEFAULT_TOP, metavar="N", help=f"show N rows [{DEFAULT_TOP}]")
    showing.add_argument("--html", metavar="FILE", help="write one page with flame graph and timeline to FILE")
    showing.add_argument("--callgrind", metavar="FILE", help="write FILE for KCachegrind")
    showing.add_argument("--json", dest="as_json", action="store_true", help="print one JSON document")
    add_machine(profile)
    add_image(profile)
    add_drives(profile)
    terminal = profile.add_argument_group("serial port and keyboard")
    terminal.add_argument("--serial", default="null", metavar="null|FILE", help="where COM1's output goes [null]")
    add_input(terminal)
    ending = add_ending(profile)
    ending.add_argument("--quiet", action="store_true", help="say nothing but the profile and errors")
    profile.set_defaults(check=None, live=None, replay=None, display=None, gdb=None, wait=False, json=None)
    profile.set_defaults(record_pages=None)


def _top(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < len(text) < 10 or int(text) == 0:
        raise OptionError("--top", f"{text!r} is not a number of rows")
    return int(text)

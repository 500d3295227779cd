"""The options of `hillemu inspect`: those of `hillemu boot` that describe the machine, and what is looked at."""

from __future__ import annotations

from hillemu.commands.options import Parser, add_drives, add_ending, add_image, add_input, add_machine

_DESCRIPTION = """\
Run IMAGE, or the built-in kernel, to the moment that --at names, and show VIEWs of it.

views:
{views}

FMT is a count, a format (x d u o t c s i a) and a size (b h w g), as for GDB's x. An ADDRESS is a number, a symbol or
a register ('$esp', %esp), with +N and -N behind it. A file that is called like a view is ./NAME."""
_EPILOG = """\
exit status:
  0    the views were shown
  1    lint was asked for and found an error
  124  the run ended before the moment of --at (or of diff) had come
  125  a mistake in an option or a file

examples:
  hillemu inspect kernel.elf pt 0xC0100000 --at kmain
  hillemu inspect kernel.elf regions lint x/8xw '$esp' --at 5_000_000
  hillemu inspect kernel.elf diff kmain end --max-insns 10_000_000
  hillemu inspect kernel.elf --html kernel.html"""


def add_inspect(inspect: Parser) -> None:
    """Fill the parser of the command."""
    from hillemu.inspection.views.request import list_of_views

    inspect.mixes_words = True
    inspect.description = _DESCRIPTION.format(views=list_of_views())
    inspect.epilog = _EPILOG
    inspect.usage = "hillemu inspect [IMAGE] VIEW... [--at AT] [OPTIONS]"
    inspect.add_argument("words", nargs="*", metavar="IMAGE, VIEW", help="what is booted, and what is shown")
    looking = inspect.add_argument_group("where to look, and how to show it")
    looking.add_argument(
        "--at",
        default="end",
        metavar="AT",
        help="SYMBOL or 0xADDRESS: when it is first reached; a number: after so many instructions; "
        "end: when the run has ended [end]",
    )
    looking.add_argument(
        "--types",
        action="append",
        default=[],
        metavar="FILE.c",
        help="C declarations for 'struct', beside the image's debugging information; may be given again",
    )
    looking.add_argument("--real", action="store_true", help="tlb: what the TLB of --timing's processor holds")
    looking.add_argument("--json", dest="as_json", action="store_true", help="print one JSON document")
    looking.add_argument("--html", metavar="FILE", help="write one page with pictures of both address spaces to FILE")
    add_machine(inspect)
    add_image(inspect)
    add_drives(inspect)
    terminal = inspect.add_argument_group("serial port and keyboard")
    terminal.add_argument("--serial", default="null", metavar="null|FILE", help="where COM1's output goes [null]")
    add_input(terminal)
    ending = add_ending(inspect)
    ending.add_argument("--quiet", action="store_true", help="say nothing but the views and errors")
    inspect.set_defaults(image=None, check=None, live=None, replay=None, display=None, gdb=None, wait=False, json=None)
    inspect.set_defaults(record_pages=None)

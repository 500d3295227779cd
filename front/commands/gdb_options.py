"""The options of `hillemu gdb`: those of `hillemu boot`, but for the terminal, which is GDB's."""

from __future__ import annotations

from hillemu.commands.options import (
    EXIT_STATUS,
    Parser,
    add_drives,
    add_ending,
    add_image,
    add_input,
    add_machine,
    add_replay,
    add_telling,
)
from hillemu.terminal.display import parse_display

_DESCRIPTION = """\
Boot IMAGE, or the built-in kernel, and debug it with GDB on this terminal, stopped at the first instruction. What
follows -- is GDB's. The machine ends when GDB leaves it."""
_EXAMPLES = """

examples:
  hillemu gdb kernel.elf
  hillemu gdb kernel.elf --mem 16M -- -tui -ex 'break kmain' -ex continue
  hillemu gdb disk.img --symbols kernel.elf --serial serial.txt"""


def add_gdb(gdb: Parser) -> None:
    """Fill the parser of the command."""
    gdb.usage = "hillemu gdb [options] [IMAGE] [-- GDB-OPTIONS]"
    gdb.description = _DESCRIPTION
    gdb.epilog = EXIT_STATUS + _EXAMPLES
    gdb.add_argument("image", nargs="?", metavar="IMAGE", help="as for 'hillemu boot'")
    debugger = gdb.add_argument_group("debugger")
    debugger.add_argument(
        "--debugger", metavar="PROGRAM", help="which GDB [gdb, gdb-multiarch, or one for i386 or x86-64 ELF files]"
    )
    add_machine(gdb)
    add_image(gdb)
    add_drives(gdb)
    terminal = gdb.add_argument_group("serial port, screen and keyboard")
    terminal.add_argument(
        "--serial", default="stdio", metavar="stdio|null|FILE", help="where COM1's output goes [stdio, as GDB's does]"
    )
    add_input(terminal)
    terminal.add_argument(
        "--display",
        type=parse_display,
        metavar="none|text|FILE.png",
        help="text: draw the guest's screen at the end; FILE.png: save its picture there, too [none]",
    )
    add_replay(terminal)
    add_telling(add_ending(gdb))
    gdb.set_defaults(check=None, record_pages=None, live=None, gdb_arguments=[])

"""The options of commands that have few: `profiles`, `vscode`, `gdbinit`."""

from __future__ import annotations

from hillemu.commands.options import Parser
from hillemu.emu.errors import OptionError


def add_profiles(profiles: Parser) -> None:
    """Fill the parser of the command."""
    profiles.description = "List the kernels that --profile names, with their layouts drawn."
    profiles.add_argument("profile", nargs="?", metavar="PROFILE", help="only this one")
    profiles.add_argument("--json", dest="as_json", action="store_true", help="print one JSON document")


def add_vscode(vscode: Parser) -> None:
    """Fill the parser of the command."""
    vscode.description = (
        "Write .vscode/launch.json and tasks.json, or add to them: F5 boots KERNEL, stopped at its entry."
    )
    vscode.add_argument("kernel", metavar="KERNEL", help="the ELF file that has the symbols")
    vscode.add_argument("--port", type=_port, default=1234, metavar="N", help="where hillemu listens [1234]")
    vscode.add_argument("--force", action="store_true", help="replace what the files have for this kernel")


def add_gdbinit(gdbinit: Parser) -> None:
    """Fill the parser of the command."""
    gdbinit.description = (
        "Print the path of GDB's script: follows 16-bit and 32-bit code, walks page tables, goes back."
    )
    gdbinit.add_argument("--text", action="store_true", help="print the script instead")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 1 << 16):
        raise OptionError("--port", f"{text!r} is not a TCP port, 1 to 65535")
    return int(text)

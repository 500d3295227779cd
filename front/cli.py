"""The command `hillemu`.

Imports here are lazy on purpose: ``hillemu --help`` must not load a processor, a disassembler or an ELF library.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hillemu.commands.command_line import CommandLine
from hillemu.commands.exit_status import USER_MISTAKE
from hillemu.commands.options import make_parser
from hillemu.emu.errors import HillemuError, UserMistake
from hillemu.terminal.standard_streams import drop_output, output_fault, prepare_streams


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (without the program's name) and return the process's exit status.

    `hillemu.commands.exit_status` lists the statuses.  A user's mistake is one line on standard error; only a bug in
    hillemu shows a traceback.
    """
    prepare_streams()
    try:
        status = _run(sys.argv[1:] if argv is None else argv)
        # What does not fit on a disk is told here, not by Python when it ends.
        sys.stdout.flush()
        return status
    except HillemuError as error:
        print(f"hillemu: {error}", file=sys.stderr)
        return USER_MISTAKE
    except BrokenPipeError:
        # Whoever reads the listing, as `| head`, had enough; Python would complain once more when it flushes at exit.
        drop_output()
        return 0
    except KeyboardInterrupt as interrupt:
        print(f"hillemu: interrupted {interrupt}".rstrip(), file=sys.stderr)
        return 130  # 128 + SIGINT, as shells report it
    except Exception as error:
        if why := output_fault(error):
            print(f"hillemu: standard output: cannot be written: {why}", file=sys.stderr)
            drop_output()
            return USER_MISTAKE
        # Status 1 would look like a guest's exit code (isa-debug-exit with 0), so Python must not choose it.
        import traceback

        traceback.print_exc()
        print("hillemu: this is a bug in hillemu, please report it with the lines above", file=sys.stderr)
        return USER_MISTAKE


def _run(argv: Sequence[str]) -> int:
    parser = make_parser()
    argv, for_gdb = _divided(argv)
    options = parser.parse_args(argv, namespace=CommandLine())
    if options.version:
        from importlib.metadata import version

        print(f"hillemu {version('hillemu')}")
        return 0
    if options.command is None:
        raise UserMistake("no command; 'hillemu boot' boots the built-in kernel, 'hillemu --help' lists the rest")
    if options.command == "kernel-trace":
        from hillemu.commands.kernel_trace import kernel_trace

        return kernel_trace(options)
    if options.command == "profiles":
        from hillemu.commands.profiles import profiles

        return profiles(options)
    if options.command == "inspect":
        from hillemu.commands.inspect import inspect

        return inspect(options)
    if options.command == "profile":
        from hillemu.commands.profile import profile

        return profile(options)
    if options.command == "grade":
        from hillemu.commands.grade import grade_command

        return grade_command(options)
    if options.command == "gdb":
        from hillemu.commands.gdb import gdb

        options.gdb_arguments = for_gdb
        return gdb(options)
    if options.command == "vscode":
        from hillemu.debugging.vscode import vscode

        return vscode(options)
    if options.command == "gdbinit":
        from hillemu.debugging.server import SCRIPT

        print(SCRIPT.read_text(encoding="utf-8") if options.text else SCRIPT, end="" if options.text else "\n")
        return 0
    from hillemu.commands.boot import boot

    return boot(options)


def _divided(argv: Sequence[str]) -> tuple[Sequence[str], list[str]]:
    """What is ours, and for `hillemu gdb` what is GDB's, behind ``--``."""
    if not argv or argv[0] != "gdb" or "--" not in argv:
        return argv, []
    at = argv.index("--")
    return argv[:at], list(argv[at + 1 :])

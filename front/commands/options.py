"""The command line: what can be asked for, and in which words a wrong wish is refused.

Everything here is checked before a machine exists.  Parsing imports nothing heavier than argparse, because people
(and benchmarks) notice the time to the first serial byte.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Never

from hillemu.commands.timing_options import add_timing
from hillemu.counts import parse_count
from hillemu.emu.errors import OptionError, UserMistake
from hillemu.sizes import parse_ram_size
from hillemu.terminal.display import parse_display

if TYPE_CHECKING:
    import re
    from datetime import datetime

CPU_MODELS = ("386", "486", "pentium", "qemu32", "max")
IMAGE_FORMATS = ("auto", "multiboot", "multiboot2", "linux", "linux16", "disk", "floppy", "cd")
EXTRA_DEVICES = ("fw-cfg", "pc-testdev", "isa-debugcon")
LIVE_INPUTS = ("keyboard", "serial")
ALL_CHECKS = "all"
DEFAULT_COLUMNS = 80

DESCRIPTION = "An i386 PC for people who write, teach and test operating-system memory management."
BOOT_DESCRIPTION = """\
Boot IMAGE, or the built-in kernel, until it stops. The guest's serial port goes to standard output byte for byte;
everything that hillemu says goes to standard error."""
EXIT_STATUS = """\
exit status:
  the guest's exit code, modulo 256, if it set one; otherwise
  0    a clean stop: halted, switched off, --until matched, or Ctrl-C
  124  --max-insns was reached
  125  a mistake in an option or a file, or a disk image that failed
  126  the guest crashed; a crash report is on standard error"""


class _Help(argparse.RawDescriptionHelpFormatter):
    """As wide as the terminal.

    argparse asks for the width when arguments are added, too, and imports `shutil` with three packers for it.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    """The terminal's width, which the user may name in `COLUMNS`."""
    named = os.environ.get("COLUMNS", "")
    if named.isdecimal() and int(named) > 0:
        return int(named)
    try:
        return os.get_terminal_size(1).columns or DEFAULT_COLUMNS
    except OSError:
        return DEFAULT_COLUMNS


class Parser(argparse.ArgumentParser):
    """An argparse parser whose complaints are `UserMistake`, to be told in one line.

    `fill` adds its arguments when it is used: most runs use one command's parser of several.
    """

    def __init__(self, *, fill: Callable[[Parser], None] | None = None, **settings: Any) -> None:
        super().__init__(**{"formatter_class": _Help, "allow_abbrev": False, **settings})
        self._fill = fill
        self.mixes_words = False
        """Whether options may stand between the words of one positional argument."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        if self._fill is not None:
            fill, self._fill = self._fill, None
            fill(self)
        if not self.mixes_words:
            return super().parse_known_args(args, namespace)
        self.mixes_words = False  # argparse's way to mix comes back here, for each of its two passes
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.mixes_words = True

    def error(self, message: str) -> Never:
        raise UserMistake(f"{message}; see '{self.prog} --help'")


def make_parser() -> Parser:
    """The parser for the whole command line; parse into a `CommandLine`."""
    parser = Parser(prog="hillemu", description=DESCRIPTION)
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    commands.add_parser(
        "boot", help="boot a kernel image", description=BOOT_DESCRIPTION, epilog=EXIT_STATUS, fill=_add_boot
    )
    commands.add_parser(
        "inspect",
        help="run a kernel to a point and show its page tables and memory",
        fill=_filled_by("inspect_options", "add_inspect"),
    )
    commands.add_parser(
        "profile", help="run a kernel and show where its time goes", fill=_filled_by("profile_options", "add_profile")
    )
    commands.add_parser(
        "kernel-trace",
        help="replay an allocation trace, or a string of page references, through a built-in kernel's parts",
        fill=_filled_by("kernel_trace_options", "add_kernel_trace"),
    )
    commands.add_parser(
        "profiles",
        help="list the built-in kernels, with their memory layouts drawn",
        fill=_filled_by("small_options", "add_profiles"),
    )
    commands.add_parser(
        "grade", help="give a kernel points for what it does", fill=_filled_by("grade_options", "add_grade")
    )
    commands.add_parser(
        "gdb", help="boot a kernel and debug it with GDB, on this terminal", fill=_filled_by("gdb_options", "add_gdb")
    )
    commands.add_parser(
        "vscode", help="have F5 in Visual Studio Code debug a kernel", fill=_filled_by("small_options", "add_vscode")
    )
    commands.add_parser(
        "gdbinit", help="print where the script is that helps GDB", fill=_filled_by("small_options", "add_gdbinit")
    )
    return parser


def _filled_by(module: str, function: str) -> Callable[[Parser], None]:
    """What imports the rest of a command's options when they are wanted."""

    def fill(parser: Parser) -> None:
        from importlib import import_module

        getattr(import_module(f"hillemu.commands.{module}"), function)(parser)

    return fill


def _add_boot(boot: Parser) -> None:
    boot.add_argument(
        "image",
        nargs="?",
        metavar="IMAGE",
        help="a kernel, a disk, a floppy or a CD; without it, what is in the drives, or else the built-in kernel",
    )
    add_machine(boot)
    kernel = add_image(boot)
    kernel.add_argument(
        "--check",
        nargs="?",
        const=ALL_CHECKS,
        metavar="NAMES",
        help="verify its structures at the end: all, or those that NAMES has, as in bitmap,heap",
    )
    kernel.add_argument("--record-pages", metavar="FILE", help="write the pages that programs use, in order, to FILE")
    add_drives(boot)
    _add_terminal(boot)
    _add_debugger(boot)
    add_telling(add_ending(boot))


def add_machine(boot: Parser) -> None:
    """Add the options that describe the machine."""
    machine = boot.add_argument_group("the machine")
    machine.add_argument(
        "--mem", type=parse_ram_size, default="64M", metavar="SIZE", help="RAM, 4M to 64G; a bare number is MiB [64M]"
    )
    machine.add_argument("--cpu", choices=CPU_MODELS, default="max", help="processor model [max]")
    add_timing(machine)
    machine.add_argument(
        "--rtc-base", type=_moment, metavar="DATE", help="the clock chip's date at power-on, like 2026-01-31T12:00:00"
    )
    machine.add_argument(
        "--reboot",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="boot again when the guest resets, instead of stopping [no]",
    )
    machine.add_argument(
        "--bios", metavar="FILE", help="run this ROM image (64K to 512K) instead of the built-in firmware"
    )
    machine.add_argument("--vga-bios", metavar="FILE", help="the video BIOS that --bios finds on the graphics card")
    machine.add_argument(
        "--device",
        action="append",
        default=[],
        choices=EXTRA_DEVICES,
        help="add a device of QEMU's that test kernels or firmware use; may be given again",
    )


def add_image(boot: Parser) -> argparse._ArgumentGroup:
    """Add the options of images and of the built-in kernel; return the group of the latter."""
    image = boot.add_argument_group("what is booted")
    image.add_argument("--format", choices=IMAGE_FORMATS, default="auto", help="kind of IMAGE [auto: look and see]")
    image.add_argument("--append", default="", metavar="TEXT", help="kernel command line")
    image.add_argument(
        "--module",
        type=_module,
        action="append",
        default=[],
        metavar="FILE[:ARGS]",
        help="load FILE as a boot module; may be given again",
    )

    image.add_argument(
        "--initrd",
        action="append",
        default=[],
        metavar="FILE",
        help="Linux's initial RAM disk; what is given again is joined to it",
    )

    kernel = boot.add_argument_group("the built-in kernel, which boots without IMAGE")
    kernel.add_argument("--profile", metavar="NAME", help="which: 'hillemu profiles' lists them [hillson]")
    add_kernel_module(kernel)
    return kernel


def add_drives(boot: Parser) -> None:
    """Add the options that fill the drives."""
    drives = boot.add_argument_group("drives")
    for option, what in (("--floppy", "floppy"), ("--disk", "hard disk"), ("--cdrom", "CD")):
        drives.add_argument(
            option, action="append", default=[], metavar="FILE", help=f"a {what} image; may be given again"
        )
    drives.add_argument(
        "--boot",
        metavar="ORDER",
        help="which drives to try, as in 'adc': a floppy, c hard disk, d CD [IMAGE, then cad]",
    )
    drives.add_argument("--force-boot", action="store_true", help="boot a first sector that has no boot signature, too")
    drives.add_argument(
        "--disk-write", action="store_true", help="write what the guest writes into the image files [in memory only]"
    )


def add_input(terminal: argparse._ArgumentGroup) -> None:
    """Add the options that give the guest input which does not depend on real time."""
    terminal.add_argument(
        "--serial-input", metavar="FILE", help="bytes that COM1 receives, as fast as it reads them; - is standard input"
    )
    terminal.add_argument(
        "--serial-input-after",
        type=_pattern("--serial-input-after"),
        metavar="REGEX",
        help="hold --serial-input back until what the guest sent matches, as a shell's prompt [from the start]",
    )
    terminal.add_argument(
        "--keys",
        action="append",
        default=[],
        metavar="TEXT",
        help="type TEXT on the keyboard; {enter}, {esc}, {f1} name keys; may be given again",
    )
    terminal.add_argument(
        "--keys-at",
        type=_count("--keys-at"),
        action="append",
        default=[],
        metavar="INSNS",
        help="instructions to wait before typing; the first is for the first --keys, and so on [0]",
    )


def add_replay(terminal: argparse._ArgumentGroup) -> None:
    """Add the option that has an earlier run's input typed again."""
    terminal.add_argument(
        "--replay", metavar="FILE", help="type what was typed in the --live run whose --json file this is"
    )


def _add_terminal(boot: Parser) -> None:
    terminal = boot.add_argument_group("serial port, screen and keyboard")
    terminal.add_argument(
        "--serial", default="stdio", metavar="stdio|null|FILE", help="where COM1's output goes [stdio]"
    )
    add_input(terminal)
    terminal.add_argument(
        "--display",
        type=parse_display,
        metavar="none|text|FILE.png",
        help="text: draw the guest's screen on standard error, live on a terminal, else at the end; "
        "FILE.png: save its picture there at the end, too [text; none with --live serial]",
    )
    terminal.add_argument(
        "--live",
        choices=LIVE_INPUTS,
        help="send what you type on this terminal to the guest's keyboard or to COM1, in real time; Ctrl-C stops [no]",
    )
    add_replay(terminal)


def _add_debugger(boot: Parser) -> None:
    debugger = boot.add_argument_group("debugger")
    debugger.add_argument(
        "--gdb",
        metavar="[HOST:]PORT|unix:FILE",
        help="listen for GDB's 'target remote :PORT' or 'target remote FILE', on this host only unless HOST is given",
    )
    debugger.add_argument("--wait", action="store_true", help="let GDB attach before the first instruction")


def add_ending(boot: Parser) -> argparse._ArgumentGroup:
    """Add the options that end a run; return their group."""
    ending = boot.add_argument_group("when to stop, and what to tell")
    ending.add_argument(
        "--max-insns", type=_count("--max-insns"), metavar="N", help="stop after N instructions, as 20M"
    )
    ending.add_argument(
        "--until", type=_pattern("--until"), metavar="REGEX", help="stop when the serial text or the screen matches"
    )
    return ending


def add_telling(ending: argparse._ArgumentGroup) -> None:
    """Add the options that say what is told at the end."""
    ending.add_argument("--json", metavar="FILE", help="write what happened to FILE")
    ending.add_argument("--quiet", action="store_true", help="say nothing but errors and crash reports")


def add_kernel_module(group: argparse._ActionsContainer) -> None:
    """Add the option that brings the user's own parts."""
    group.add_argument(
        "--kernel-module",
        metavar="FILE.py",
        help="Python with parts of your own: frame_allocator, page_replacement, oom, on_boot",
    )


class _count:  # noqa: N801 - argparse prints a type's name
    """An argparse type: a number of instructions, 0 or more, as ``10_000_000`` or ``10M``."""

    def __init__(self, option: str) -> None:
        self.option = option

    def __call__(self, text: str) -> int:
        count = parse_count(text)
        if count is None:
            raise OptionError(self.option, f"{text!r} is not a number of instructions; write it like 10_000_000 or 10M")
        return count


def _module(text: str) -> tuple[str, str]:
    name, _, arguments = text.partition(":")
    if not name:
        raise OptionError("--module", f"{text!r} names no file; write FILE or FILE:ARGUMENTS")
    return name, arguments


def _pattern(option: str) -> Callable[[str], re.Pattern[str]]:
    return lambda text: _compiled(option, text)


def _compiled(option: str, text: str) -> re.Pattern[str]:
    import re

    try:
        return re.compile(text, re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        raise OptionError(option, f"{text!r} is not a regular expression: {error}") from None


def _moment(text: str) -> datetime:
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
        # The machine has no time zone: its clock chip runs on UTC, as QEMU's does by default.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise OptionError("--rtc-base", f"{text!r} is not a date; write it like 2026-01-31T12:00:00") from None

"""A drop-in for the ``gradelib`` of operating-system courses (MIT 6.828's JOS, xv6): the kernel runs on hillemu.

In a grade script, ``from gradelib import *`` becomes::

    from hillemu.gradelib import *

and everything else stays: ``test(points, title, parent)``, ``end_part``, ``Runner``, ``save``, ``stop_breakpoint``,
``stop_on_line``, ``call_on_line``, ``shell_script``, ``r.run_qemu()``, ``r.user_test()``, ``r.match()``,
``assert_equal``, ``assert_lines_match``, ``run_tests()``, and on the command line ``-v``, ``--color``, ``--results``
and the words by which tests are chosen.  The course's Makefile builds the kernel and says how QEMU would be started;
`hillemu.grading.qemu_arguments` tells which of QEMU's options are known.  Beside what scripts know,
``r.qemu.machine`` is the `hillemu.Machine`: ``r.qemu.machine.paging[0xF0100000].phys``.

Exit status: 0 all points, 1 not all (or make failed), 125 a mistake that is not the kernel's.

Unlike the originals: time-outs are virtual time, so they do not depend on the host; a test whose parent failed fails
without being run, as in the newer ones; there is no GDB to talk to beyond breakpoints.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import string
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING

from hillemu.commands.exit_status import USER_MISTAKE
from hillemu.emu.errors import HillemuError
from hillemu.grading.course_make import make
from hillemu.grading.course_runner import (
    QEMU,
    GDBClient,
    Runner,
    TerminateTest,
    call_on_line,
    maybe_unlink,
    shell_script,
    stop_breakpoint,
    stop_on_line,
)
from hillemu.grading.course_tests import Gradebook
from hillemu.grading.course_text import PALETTE, assert_equal, assert_lines_match

if TYPE_CHECKING:
    from hillemu.grading.course_runner import Monitor

__all__ = [
    "QEMU",
    "GDBClient",
    "Runner",
    "TerminateTest",
    "assert_equal",
    "assert_lines_match",
    "call_on_line",
    "check_answers",
    "check_time",
    "color",
    "end_part",
    "get_current_test",
    "make",
    "maybe_unlink",
    "random_str",
    "reset_fs",
    "run_tests",
    "save",
    "shell_script",
    "stop_breakpoint",
    "stop_on_line",
    "test",
]

_BOOK = Gradebook()
test = _BOOK.test
end_part = _BOOK.end_part
get_current_test = _BOOK.get_current_test
color = PALETTE.color


def run_tests() -> None:
    """Read the command line, build everything, run the tests, tell the score; ends the script unless all is well."""
    parser = ArgumentParser()
    parser.add_argument("-v", "--verbose", action="store_true", help="print commands")
    parser.add_argument("--color", choices=["never", "always", "auto"], default="auto", help="colour the results")
    parser.add_argument("--results", metavar="FILE", help="write the points of each test there, as JSON")
    parser.add_argument("only", nargs="*", metavar="TEXT", help="run the tests whose titles contain one of these")
    options = parser.parse_args()
    PALETTE.when = options.color
    Runner.verbose = options.verbose
    try:
        make()
        reset_fs()
        _BOOK.run(options.only)
    except KeyboardInterrupt:
        print("interrupted")
    except HillemuError as error:
        print(f"\nhillemu: {error}", file=sys.stderr)
        sys.exit(USER_MISTAKE)
    if options.results and not options.only:
        _write_results(options.results)
    if _BOOK.total < _BOOK.possible:
        sys.exit(1)


def save(path: str) -> Monitor:
    """A monitor that writes what the guest sends to `path`; when the test fails, it is kept as ``path.TEST``."""

    def set_up(runner: Runner) -> None:
        file = open(path, "wb")  # noqa: SIM115 - closed when the test has ended
        kept = Path(f"{path}.{get_current_test().__name__.removeprefix('test_')}")

        def finish(fault: str | None) -> None:
            file.close()
            if fault:
                shutil.copyfile(path, kept)
                print(f"    QEMU output saved to {kept}")
            elif kept.exists():
                kept.unlink()
                print(f"    (Old {kept} failure log removed)")

        runner.qemu.on_output.append(file.write)
        get_current_test().on_finish.append(finish)

    return set_up


def reset_fs() -> None:
    """Put a fresh file system where JOS has its own, if there is one."""
    fresh = Path("obj/fs/clean-fs.img")
    if fresh.exists():
        shutil.copyfile(fresh, "obj/fs/fs.img")


def random_str(n: int = 8) -> str:
    """`n` random letters and digits."""
    return "".join(random.choices(string.ascii_letters + string.digits, k=n))


def check_time() -> None:
    """Assert that ``time.txt`` says how many hours the assignment took: a whole number."""
    if not re.fullmatch(r"\d+", _answer("time.txt")):
        raise AssertionError("time.txt does not contain a single integer (number of hours spent on the lab)")


def check_answers(file: str, n: int = 10) -> None:
    """Assert that `file` has at least `n` characters."""
    if len(_answer(file)) < n:
        raise AssertionError(f"{file} does not seem to contain enough text")


def _answer(file: str) -> str:
    try:
        return Path(file).read_text(errors="replace").strip()
    except OSError:
        raise AssertionError(f"Cannot read {file}") from None


def _write_results(path: str) -> None:
    try:
        Path(path).write_text(json.dumps(_BOOK.grades))
    except OSError as error:
        print(f"hillemu: {path}: cannot write the results: {error.strerror}", file=sys.stderr)
        sys.exit(USER_MISTAKE)

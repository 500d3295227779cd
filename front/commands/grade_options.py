"""The options of `hillemu grade`."""

from __future__ import annotations

from hillemu.commands.options import Parser


def add_grade(grade: Parser) -> None:
    """Fill the parser of the command."""
    grade.description = "Run KERNEL, check what SPEC claims about it, and print its points; docs/grading.md tells how."
    grade.epilog = "exit status: 0 all points, 1 not all, 125 a mistake in SPEC, in an option or in a file"
    grade.add_argument("spec", metavar="SPEC.toml", help="the checks and their points")
    grade.add_argument("kernel", metavar="KERNEL", help="a kernel or a disk, as 'hillemu boot' takes it")
    grade.add_argument("--json", metavar="FILE", help="write the score to FILE")
    grade.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="TEXT",
        help="only checks whose name contains TEXT, and what they require; may be given again",
    )
    grade.add_argument("--reveal", action="store_true", help="show the facts of hidden checks, too")
    grade.add_argument("--verbose", action="store_true", help="show the end of the serial text of failed checks")
    grade.add_argument("--quiet", action="store_true", help="print the score only")

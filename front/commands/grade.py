"""`hillemu grade`: a kernel's score by a specification.

Exit status: 0 all points, 1 not all, 125 a mistake in the specification, an option or a file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hillemu.emu.errors import UserMistake
from hillemu.terminal.serial_output import reason_of

if TYPE_CHECKING:
    from hillemu.commands.command_line import CommandLine
    from hillemu.grading.scoring import Result

ALL_POINTS = 0
NOT_ALL_POINTS = 1


def grade_command(options: CommandLine) -> int:
    """Grade what `options` name, tell the score, write it as JSON if wanted; return the exit status.

    Raises `UserMistake` for everything that is not the kernel's fault.
    """
    from hillemu.grading.report import result_lines, score_lines
    from hillemu.grading.scoring import grade
    from hillemu.grading.spec import load_spec

    spec = load_spec(options.spec, options.kernel)
    # Opened before the kernels run: a name that cannot be written is told at once.
    record = None
    try:
        if options.json is not None:
            record = open(options.json, "w", encoding="utf-8")  # noqa: SIM115
    except (OSError, ValueError) as error:
        raise UserMistake(f"{options.json}: cannot write the --json file: {reason_of(error)}") from None

    def tell(result: Result) -> None:
        if not options.quiet:
            for line in result_lines(result, reveal=options.reveal, verbose=options.verbose):
                print(line, flush=True)

    score = grade(spec, options.kernel, only=options.only, tell=tell)
    for line in score_lines(score):
        print(line)
    if record is not None:
        try:
            with record:
                json.dump(score.as_dict(reveal=options.reveal), record, indent=2)
                record.write("\n")
        except OSError as error:
            raise UserMistake(f"{options.json}: cannot write the --json file: {reason_of(error)}") from None
    return ALL_POINTS if score.is_full else NOT_ALL_POINTS
